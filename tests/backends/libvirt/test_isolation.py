"""What really gets from one guest to another: real frames between two real guests, on every kind of switch.

One pair of guests serves all tests, and policies and switches change while they run. Nothing is taken for stopped
because nothing came: what was stopped is sent once more with the way open, or is followed by what must arrive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest

import hyperkit
from hyperkit import VM, AclRule, DiskSpec, Host, InvalidState, IsolationPolicy, KernelBoot, MiB, Nic, NicSpec
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing
from tests.beds.libvirt_qemu.frames import (
    GuestWire,
    arp,
    arriving,
    icmp,
    missing_compiler,
    plain,
    sent,
    tcp,
    udp,
)

libvirt = pytest.importorskip("libvirt")
_lacking = [*missing(), *filter(None, [missing_compiler()])]
pytestmark = pytest.mark.skipif(bool(_lacking), reason="; ".join(_lacking))

MAC = {"a": "52:54:00:aa:00:01", "b": "52:54:00:aa:00:02"}
OVS = {"a": "52:54:00:bb:00:01", "b": "52:54:00:bb:00:02"}
DIRECT = {"a": "52:54:00:cc:00:01", "b": "52:54:00:cc:00:02"}
STRANGER = "52:54:00:dd:00:09"
A4, B4, STRANGER4 = "192.0.2.1", "192.0.2.2", "192.0.2.9"
A6, B6, STRANGER6, ALL_NODES = "2001:db8::1", "2001:db8::2", "2001:db8::9", "ff02::1"


@attrs.frozen
class Pair:
    """Two running VMs: their first cards are on one private switch, their second on Open vSwitch, their third macvtap.

    Attributes:
        a, b: the VMs.
        wires: of their guests, by name and card.
    """

    host: Host
    a: VM
    b: VM
    domains: dict[str, Any]
    wires: dict[tuple[str, str], GuestWire] = attrs.field(factory=dict)

    def wire(self, name: str, card: str = "eth0") -> GuestWire:
        if (name, card) not in self.wires:
            self.wires[name, card] = GuestWire(self.domains[name], card)
        return self.wires[name, card]

    def nic(self, name: str, card: int = 0) -> Nic:
        return (self.a if name == "a" else self.b).refresh().nics[card]

    def passing(self, frames: dict[str, bytes], card: str = "eth0") -> set[str]:
        """Which of these frames of a's b hears."""
        control = plain({"eth0": MAC, "eth1": OVS, "eth2": DIRECT}[card]["a"])
        return arriving(self.wire("a", card), self.wire("b", card), frames, control)


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        machine.open_vswitch("ovs0")
        machine.add_nic("up0", "up1")
        machine.run("ip", "addr", "add", "198.51.100.254/24", "dev", "up1")
        yield machine


@pytest.fixture(scope="module")
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        host.switches.create("lan")
        host.switches.create("other")
        host.switches.create("vlans", "external", uplink="ovs0", openvswitch=True)
        host.switches.create("direct", "external", uplink="up0")
        yield host


@pytest.fixture(scope="module")
def running(machine: LibvirtHost, host: Host) -> Iterator[Pair]:
    raw, image = libvirt.open(machine.uri), guest_image()
    kernel = KernelBoot(str(image.vmlinux), str(image.initrd), image.cmdline)
    vms = {
        name: host.vms.create(
            name,
            memory=128 * MiB,
            kernel=kernel,
            nics=[NicSpec("lan", MAC[name]), NicSpec("vlans", OVS[name]), NicSpec("direct", DIRECT[name])],
        ).start()
        for name in ("a", "b")
    }
    yield Pair(host, vms["a"], vms["b"], {name: raw.lookupByName(name) for name in vms})
    for vm in vms.values():
        vm.delete(force=True)
    assert filters(raw) == set()  # whatever the tests gave them
    raw.close()


@pytest.fixture
def pair(running: Pair) -> Iterator[Pair]:
    yield running
    for vm in (running.a, running.b):
        for nic in vm.refresh().nics:
            if nic.policy != IsolationPolicy():
                nic.set_policy(IsolationPolicy())
            if nic.vlan is not None or nic.trunk:
                nic.set_vlan(None, trunk=())


def filters(raw: Any) -> set[str]:
    return {each.name() for each in raw.listAllNWFilters() if each.name().startswith("hyperkit-")}


def test_guests_reach_each_other_on_one_switch_and_not_on_two(pair: Pair) -> None:
    a, b = pair.wire("a"), pair.wire("b")
    for wire, address in ((a, A4), (b, B4)):
        wire.run("ip addr add $0/24 dev eth0", address)
    a.run("ping -c 1 -w 60 $0", B4)
    pair.nic("b").connect("other")
    assert a.attempt("ping -c 1 -w 2 $0", B4)[1] != 0
    lost = sent(a, plain(MAC["a"]))
    pair.nic("b").connect("lan")
    a.run("ping -c 1 -w 60 $0", B4)
    assert lost not in b.wait_until_heard(sent(a, plain(MAC["a"])))


def test_a_private_switch_does_not_lead_to_its_host(machine: LibvirtHost, pair: Pair) -> None:
    """Neither by an address that the host has elsewhere, nor by one that it could have here; until it has it here."""
    a, elsewhere = pair.wire("a"), "198.51.100.254"
    native: Any = pair.host.native
    bridge = native.networkLookupByName("lan").bridgeName()
    a.run("ip addr replace $0/24 dev eth0", A4)
    a.run("ip route replace $0/32 dev eth0", elsewhere)
    try:
        for address in (STRANGER4, elsewhere):
            assert a.attempt("ping -c 2 -w 3 $0", address)[1] != 0
        machine.run("ip", "addr", "add", f"{STRANGER4}/24", "dev", bridge)
        a.run("ping -c 1 -w 60 $0", STRANGER4)
    finally:
        machine.run("ip", "addr", "flush", "dev", bridge)
        a.run("ip route del $0/32 dev eth0", elsewhere)


def test_isolated_ports_do_not_reach_each_other(pair: Pair) -> None:
    a, b = pair.wire("a"), pair.wire("b")
    pair.nic("a").set_policy(IsolationPolicy(isolated=True))
    b.wait_until_heard(one_is_not_enough := sent(a, plain(MAC["a"])))
    pair.nic("b").set_policy(IsolationPolicy(isolated=True))
    lost = sent(a, plain(MAC["a"]))
    pair.nic("b").set_policy(IsolationPolicy())
    heard = b.wait_until_heard(sent(a, plain(MAC["a"])))
    assert one_is_not_enough in heard
    assert lost not in heard


def test_spoof_guard_holds_a_card_to_its_mac_address(pair: Pair) -> None:
    frames = {
        "own": plain(MAC["a"]),
        "own arp": arp(MAC["a"], STRANGER4),
        "own packet": udp(MAC["a"], STRANGER4, B4, 53),
        "spoofed": plain(STRANGER),
        "spoofed arp": arp(STRANGER, STRANGER4),
        "spoofed sender in arp": arp(MAC["a"], STRANGER4, sender=STRANGER),
        "spoofed packet": udp(STRANGER, A4, B4, 53),
    }
    assert pair.passing(frames) == set(frames)
    pair.nic("a").set_policy(IsolationPolicy(spoof_guard=True))
    assert pair.passing(frames) == {"own", "own arp", "own packet"}
    pair.nic("a").set_policy(IsolationPolicy())
    assert pair.passing(frames) == set(frames)


def test_spoof_guard_holds_a_card_to_its_ip_addresses(pair: Pair) -> None:
    frames = {
        "own": udp(MAC["a"], A4, B4, 53),
        "own second": icmp(MAC["a"], "192.0.2.3", B4),
        "own 6": udp(MAC["a"], A6, B6, 53),
        "own arp": arp(MAC["a"], A4),
        "looks whether it is free": arp(MAC["a"], "0.0.0.0"),
        "asks for an address": udp(MAC["a"], "0.0.0.0", "255.255.255.255", 67, 68),
        "neighbour solicitation": icmp(MAC["a"], "fe80::1", ALL_NODES, 135),
        "is that mine": icmp(MAC["a"], "::", ALL_NODES, 135),
        "not ip": plain(MAC["a"]),
    }
    spoofed = {
        "spoofed": udp(MAC["a"], STRANGER4, B4, 53),
        "spoofed 6": icmp(MAC["a"], STRANGER6, B6),
        "spoofed arp": arp(MAC["a"], STRANGER4),
        "no address": udp(MAC["a"], "0.0.0.0", B4, 53),
        "behind a tag": udp(MAC["a"], STRANGER4, B4, 53, vlan=5),
        "link-local": udp(MAC["a"], "fe80::1", B6, 53),
    }
    assert pair.passing({**frames, **spoofed}) == {*frames, *spoofed}
    pair.nic("a").set_policy(IsolationPolicy(spoof_guard=True, addresses=[A4, "192.0.2.3", A6]))
    assert pair.passing({**frames, **spoofed}) == set(frames)
    pair.nic("a").set_policy(IsolationPolicy(spoof_guard=True, addresses=[A4]))
    rest = pair.passing({**frames, **spoofed})
    assert rest == {"own", "own arp", "looks whether it is free", "asks for an address", "not ip"}


def test_dhcp_and_router_guard(pair: Pair) -> None:
    harmless = {
        "asks": udp(MAC["a"], A4, B4, 67, 68),
        "asks 6": udp(MAC["a"], A6, B6, 547, 546),
        "solicits": icmp(MAC["a"], "fe80::1", ALL_NODES, 133),
        "echo": icmp(MAC["a"], A6, B6),
    }
    serves = {"offers": udp(MAC["a"], A4, B4, 68, 67), "offers 6": udp(MAC["a"], A6, B6, 546, 547)}
    routes = {
        "advertises": icmp(MAC["a"], "fe80::1", ALL_NODES, 134),
        "redirects": icmp(MAC["a"], "fe80::1", ALL_NODES, 137),
    }
    frames = {**harmless, **serves, **routes}
    assert pair.passing(frames) == set(frames)
    pair.nic("a").set_policy(IsolationPolicy(dhcp_guard=True))
    assert pair.passing(frames) == {*harmless, *routes}
    pair.nic("a").set_policy(IsolationPolicy(router_guard=True))
    assert pair.passing(frames) == {*harmless, *serves}
    pair.nic("a").set_policy(IsolationPolicy(router_guard=True, dhcp_guard=True))
    assert pair.passing(frames) == set(harmless)


FRAMES = {
    "ssh": tcp(MAC["a"], A4, B4, 22),
    "ssh from elsewhere": tcp(MAC["a"], STRANGER4, B4, 22),
    "ssh 6": tcp(MAC["a"], A6, B6, 22),
    "web": tcp(MAC["a"], A4, B4, 80),
    "dns": udp(MAC["a"], A4, B4, 53),
    "udp 22": udp(MAC["a"], A4, B4, 22),
    "ping": icmp(MAC["a"], A4, B4),
    "ping 6": icmp(MAC["a"], A6, B6),
    "arp": arp(MAC["a"], A4),
    "who has": icmp(MAC["a"], A6, ALL_NODES, 135),
    "not ip": plain(MAC["a"]),
}
ALWAYS = {"arp", "who has", "not ip"}


@pytest.mark.parametrize(
    ("rules", "passing"),
    [
        pytest.param([("deny",)], ALWAYS, id="everything"),
        pytest.param([("deny", "tcp", None, 22)], set(FRAMES) - {"ssh", "ssh from elsewhere", "ssh 6"}, id="a port"),
        pytest.param([("deny", "udp")], set(FRAMES) - {"dns", "udp 22"}, id="a protocol"),
        pytest.param([("deny", "icmp")], set(FRAMES) - {"ping", "ping 6"}, id="both ICMPs"),
        pytest.param(
            [("allow", "tcp", "NEAR/32", 22), ("deny", "tcp", "NET/24"), ("deny", "any", "2001:db8::/32")],
            (ALWAYS | {"ssh", "dns", "udp 22", "ping"}),
            id="the first that matches decides",
        ),
        pytest.param(
            [("deny", "tcp", "NET/24"), ("allow", "tcp", "NEAR/32", 22), ("allow", "icmp"), ("deny",)],
            (ALWAYS | {"ping", "ping 6"}),
            id="an exception that comes too late is none",
        ),
    ],
)
@pytest.mark.parametrize("way", ["out", "in"])
def test_access_control_lists(pair: Pair, way: str, rules: list[Any], passing: set[str]) -> None:
    """Going out, the remote end is b, of one address; coming in, it is a, of two."""
    near, net = (B4, "192.0.2.0") if way == "out" else (A4, "192.0.2.0")
    acl = []
    for action, *rest in rules:
        rule: dict[str, Any] = dict(zip(("protocol", "remote", "port"), rest, strict=False))
        if rule.get("remote"):
            rule["remote"] = rule["remote"].replace("NEAR", near).replace("NET", net)
        acl.append(AclRule(action, way, **rule))
    expected = passing | ({"ssh from elsewhere"} if way == "out" and "ssh" in passing else set())
    pair.nic("a" if way == "out" else "b").set_policy(IsolationPolicy(rules=acl))
    assert pair.passing(FRAMES) == expected
    # And nothing of it in the other direction.
    back = {"back": tcp(MAC["b"], B4, A4, 22)}
    assert arriving(pair.wire("b"), pair.wire("a"), back, plain(MAC["b"])) == {"back"}


def test_rules_and_addresses_both_have_their_say(pair: Pair) -> None:
    rules = [AclRule("allow", "out", "tcp", port=22), AclRule("deny", "out", "tcp")]
    pair.nic("a").set_policy(IsolationPolicy(spoof_guard=True, addresses=[A4], rules=rules))
    assert pair.passing(FRAMES) == {"ssh", "dns", "udp 22", "ping", "arp", "not ip"}


def test_a_filter_of_somebody_elses_keeps_its_say(pair: Pair, machine: LibvirtHost) -> None:
    """clean-traffic holds a card to its first address; it is there before, while and after we have a policy."""
    raw = libvirt.open(machine.uri)
    domain = raw.lookupByName("a")
    own, spoofed = udp(MAC["a"], A4, B4, 53), udp(MAC["a"], STRANGER4, B4, 53)
    frames = {
        "own": own,
        "own ssh": tcp(MAC["a"], A4, B4, 22),
        "spoofed": spoofed,
        "other mac": udp(STRANGER, A4, B4, 53),
    }
    control = udp(MAC["a"], A4, B4, 9)
    plugged = interface(domain)
    theirs = "<filterref filter='clean-traffic'><parameter name='IP' value='192.0.2.1'/></filterref>"
    domain.updateDeviceFlags(plugged.replace("<alias", f"{theirs}<alias"), 3)
    wires = pair.wire("a"), pair.wire("b")
    assert arriving(*wires, frames, control) == {"own", "own ssh"}
    pair.nic("a").set_policy(IsolationPolicy(rules=[AclRule("deny", "out", "tcp", port=22), AclRule("allow", "out")]))
    assert arriving(*wires, frames, control) == {"own"}
    assert "clean-traffic" in raw.nwfilterLookupByName(next(iter(filters(raw)))).XMLDesc()
    pair.nic("a").set_policy(IsolationPolicy())
    assert filters(raw) == set()
    assert 'filter="clean-traffic"' in interface(domain).replace("'", '"')
    assert arriving(*wires, frames, control) == {"own", "own ssh"}
    domain.updateDeviceFlags(plugged, 3)
    assert arriving(*wires, frames, control) == set(frames)
    raw.close()


def interface(domain: Any) -> str:
    """The first card as it is configured."""
    text: str = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
    return text[text.index("<interface") : text.index("</interface>") + len("</interface>")]


def test_vlans_keep_guests_apart(pair: Pair) -> None:
    a, b = pair.wire("a", "eth1"), pair.wire("b", "eth1")
    b.wait_until_heard(sent(a, plain(OVS["a"])))
    pair.nic("a", 1).set_vlan(10)
    pair.nic("a", 1).set_vlan(None)  # as it is now, and not as it was when it started
    pair.nic("b", 1).set_vlan(20)
    lost = [sent(a, plain(OVS["a"], vlan=20))]  # a card without a VLAN cannot get into one by a tag of its own
    pair.nic("b", 1).set_vlan(None)
    assert pair.nic("a", 1).set_vlan(10).vlan == 10
    lost.append(sent(a, plain(OVS["a"])))  # from a VLAN to none
    pair.nic("b", 1).set_vlan(20)
    lost.append(sent(a, plain(OVS["a"])))  # to another one
    lost.append(sent(a, plain(OVS["a"], vlan=20)))  # with a tag of its own, which an access port does not take
    pair.nic("b", 1).set_vlan(10)
    heard = b.wait_until_heard(sent(a, plain(OVS["a"])))
    assert not heard & set(lost)


def test_a_trunk_carries_the_vlans_that_it_has(pair: Pair) -> None:
    pair.nic("b", 1).set_vlan(10)
    assert pair.nic("a", 1).set_vlan(10, trunk=[30, 20]).trunk == (20, 30)
    frames = {"native": plain(OVS["a"]), **{f"tag {vlan}": plain(OVS["a"], vlan=vlan) for vlan in (20, 30, 40)}}
    assert pair.passing(frames, "eth1") == {"native"}
    pair.nic("b", 1).set_vlan(10, trunk=[20, 40])
    assert pair.passing(frames, "eth1") == {"native", "tag 20"}
    pair.nic("b", 1).set_vlan(30, trunk=())
    lost = sent(pair.wire("a", "eth1"), plain(OVS["a"]))
    heard = pair.wire("b", "eth1").wait_until_heard(sent(pair.wire("a", "eth1"), plain(OVS["a"], vlan=30)))
    assert lost not in heard


def test_a_whole_switch_is_in_a_vlan(host: Host, machine: LibvirtHost) -> None:
    """Its VLAN is that of the cards without one of their own."""
    host.switches.create("ten", "external", uplink="ovs0", openvswitch=True, vlan=10)
    vm = host.vms.create("c", memory=32 * MiB, nics=[NicSpec("ten"), NicSpec("ten", vlan=11)]).start()
    raw = libvirt.open(machine.uri)
    ports = ET.fromstring(raw.lookupByName("c").XMLDesc(0)).iterfind(".//interface/target")
    tags = [machine.run("ovs-vsctl", "get", "port", port.get("dev", ""), "tag").strip() for port in ports]
    raw.close()
    with pytest.raises(InvalidState, match="the VLAN of switch 'ten'"):
        vm.nics[1].set_vlan(None)
    assert vm.stop().nics[1].set_vlan(None).vlan is None
    vm.delete(force=True)
    host.switches.one(name="ten").delete()
    assert tags == ["10", "11"]


def test_macvtap_leads_outside_and_to_each_other(pair: Pair) -> None:
    a, b = pair.wire("a", "eth2"), pair.wire("b", "eth2")
    a.run("ip addr add 198.51.100.1/24 dev eth2")
    a.run("ping -c 1 -w 60 198.51.100.254")
    b.wait_until_heard(sent(a, plain(DIRECT["a"])))
    pair.nic("b", 2).set_link(False)
    lost = sent(a, plain(DIRECT["a"]))
    pair.nic("b", 2).set_link(True)
    assert lost not in b.wait_until_heard(sent(a, plain(DIRECT["a"])))


def test_a_running_card_is_not_moved_to_another_kind_of_bridge(pair: Pair) -> None:
    for card, switch in ((0, "vlans"), (1, "lan"), (0, "direct"), (2, "lan")):
        before = pair.nic("a", card).record
        with pytest.raises(InvalidState, match="stop"):
            pair.nic("a", card).connect(switch)
        assert pair.nic("a", card).record == before


def test_a_revert_brings_back_the_filter(host: Host, machine: LibvirtHost) -> None:
    raw = libvirt.open(machine.uri)
    guarded, acl = IsolationPolicy(spoof_guard=True), IsolationPolicy(rules=[AclRule("deny", "in")])
    vm = host.vms.create(
        "s", memory=32 * MiB, disks=[DiskSpec(size=MiB)], nics=[NicSpec("lan", policy=guarded)]
    ).start()
    (name,) = filters(raw)
    then = raw.nwfilterLookupByName(name).XMLDesc()
    snapshot = vm.snapshots.create("guarded")
    vm.nics[0].set_policy(acl)
    assert raw.nwfilterLookupByName(name).XMLDesc() != then
    snapshot.revert()
    assert vm.refresh().nics[0].policy == guarded
    assert raw.nwfilterLookupByName(name).XMLDesc() == then
    vm.stop().nics[0].set_policy(IsolationPolicy())
    assert filters(raw) == set()
    snapshot.revert()
    assert (vm.refresh().nics[0].policy, filters(raw)) == (guarded, {name})
    vm.delete(force=True)
    assert filters(raw) == set()
    raw.close()
