"""Policies of NICs and static leases: what is accepted, how it is kept, and which switches can have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hyperkit
from hyperkit import (
    AclAction,
    AclDirection,
    AclProtocol,
    AclRule,
    Host,
    InvalidRequest,
    IsolationPolicy,
    NicSpec,
    StaticLease,
    Switch,
    Unsupported,
)
from hyperkit.testing import Calls

MAC, OTHER_MAC = "52:54:00:00:00:01", "52:54:00:00:00:02"
GUARDED = IsolationPolicy(spoof_guard=True)


def rule(**fields: Any) -> AclRule:
    return AclRule(**{"action": "deny", "direction": "in", **fields})


def lease(**fields: Any) -> StaticLease:
    return StaticLease(**{"mac": MAC, "address": "192.168.150.10", **fields})


def guarded(**fields: Any) -> IsolationPolicy:
    return IsolationPolicy(**{"spoof_guard": True, **fields})


@pytest.mark.parametrize(
    ("make", "field", "values"),
    [
        (rule, "action", ["drop", None, True, 1, b"deny"]),
        (rule, "direction", ["inout", None, 0]),
        (rule, "protocol", ["sctp", None, 6, "TCP"]),
        (rule, "remote", ["10.0.0.1/8", "lan", "", 7, "10.0.0.0/33", "fe80::1%eth0", b"10.0.0.0/8"]),
        (lambda port: rule(protocol="udp", port=port), "port", [0, -1, 65536, True, "22", 22.0]),
        (rule, "port", [22]),
        (lambda port: rule(protocol="icmp", port=port), "port", [22]),
        (IsolationPolicy, "spoof_guard", ["yes", None, 1]),
        (IsolationPolicy, "dhcp_guard", ["yes", None, 1]),
        (IsolationPolicy, "router_guard", ["yes", None, 1]),
        (IsolationPolicy, "isolated", ["yes", None, 1]),
        (IsolationPolicy, "promiscuous", ["yes", None, 1]),
        (lease, "mac", ["", "01:00:5e:00:00:01", None, 7]),
        (lease, "address", ["", "fd00::1", "192.168.150.10/24", "192.168.150.300", None, 7]),
        (lease, "name", ["a b", "-a", "a-", "a..b", "ü", None, 7, "a" * 64, "a\n"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(make: Callable[..., object], field: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(InvalidRequest) as caught:
            make(**{field: value})
        assert (caught.value.field, caught.value.value) == (field, value)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: IsolationPolicy(addresses=["10.0.0.1"]), "addresses"),
        (lambda: guarded(addresses=["10.0.0.1", "10.0.0.1"]), "addresses"),
        (lambda: guarded(addresses=["fd00::1", "fd00:0::1"]), "addresses"),
        (lambda: guarded(addresses="10.0.0.256"), "addresses[0]"),
        (lambda: guarded(addresses=["10.0.0.1", "10.0.0.0/8"]), "addresses[1]"),
        (lambda: guarded(addresses=["224.0.0.1"]), "addresses[0]"),
        (lambda: guarded(addresses=["0.0.0.0"]), "addresses[0]"),
        (lambda: guarded(addresses=["::1"]), "addresses[0]"),
        (lambda: guarded(addresses=[7]), "addresses[0]"),
        (lambda: IsolationPolicy(rules=["deny"]), "rules[0]"),  # type: ignore[list-item]
        (lambda: IsolationPolicy(rules=[rule(), rule()]), "rules"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(make: Callable[[], object], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make()
    assert caught.value.field == field


def test_texts_mean_members_and_networks_are_normal() -> None:
    assert rule(protocol="tcp", remote="10.0.0.5", port=22) == AclRule(
        AclAction.DENY, AclDirection.IN, AclProtocol.TCP, "10.0.0.5/32", 22
    )
    assert rule(remote="2001:DB8:0::/32").remote == "2001:db8::/32"
    assert rule().network is None
    assert guarded(addresses=["FD00::0001", "10.0.0.1"]).addresses == ("fd00::1", "10.0.0.1")
    assert guarded(addresses="10.0.0.1").addresses == ("10.0.0.1",)
    assert lease(mac="52-54-00-00-00-01").mac == MAC


def test_what_is_open_is_equal_however_it_is_made() -> None:
    assert NicSpec().policy == IsolationPolicy(rules=[], addresses=[])
    assert NicSpec(trunk=[30, 10, 20]).trunk == (10, 20, 30)


# Leases of a switch


@pytest.fixture
def host() -> Host:
    return hyperkit.connect("fake://")


@pytest.fixture
def lan(host: Host) -> Switch:
    return host.switches.create("lan", "internal", subnet="192.168.150.0/24", leases=[lease()])


@pytest.mark.parametrize(
    ("leases", "field"),
    [
        ([lease(address="192.168.151.10")], "leases[0].address"),
        ([lease(address="192.168.150.0")], "leases[0].address"),
        ([lease(address="192.168.150.1")], "leases[0].address"),
        ([lease(address="192.168.150.255")], "leases[0].address"),
        ([lease(), lease(address="192.168.150.11")], "leases[1].mac"),
        ([lease(), lease(mac=OTHER_MAC)], "leases[1].address"),
        ([lease(name="a"), lease(mac=OTHER_MAC, address="192.168.150.11", name="A")], "leases[1].name"),
    ],
)
def test_leases_that_do_not_fit_are_refused_at_create_and_later(
    host: Host, lan: Switch, leases: list[StaticLease], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        host.switches.create("other", "internal", subnet="192.168.150.0/24", leases=leases)
    assert caught.value.field == field
    with pytest.raises(InvalidRequest) as caught:
        lan.configure(leases=leases)
    assert caught.value.field == field
    assert lan.refresh().leases == (lease(),)
    assert [switch.name for switch in host.switches] == ["lan"]


def test_only_a_switch_with_dhcp_has_leases(host: Host) -> None:
    quiet = host.switches.create("quiet", "internal", subnet="192.168.150.0/24", dhcp=False)
    private = host.switches.create("private")
    for switch in (quiet, private):
        with pytest.raises(InvalidRequest, match="DHCP"):
            switch.configure(leases=[lease()])
        assert switch.configure(leases=[]).leases == ()
    with pytest.raises(InvalidRequest, match="DHCP"):
        host.switches.create("other", "internal", subnet="10.9.0.0/24", dhcp=False, leases=[lease(address="10.9.0.5")])


def test_a_host_without_leases_says_so() -> None:
    with hyperkit.connect("fake://?profile=hyperv") as host, pytest.raises(Unsupported) as caught:
        host.switches.create("lan", "internal").configure(leases=[])
    assert caught.value.capability == "switch_leases"


def test_the_address_of_a_lease_goes_to_nobody_else(host: Host) -> None:
    small = host.switches.create("small", "internal", subnet="10.9.0.0/29")
    vm = host.vms.create("vm", disks=[hyperkit.DiskSpec(size=hyperkit.MiB)], nics=[NicSpec(small)]).start()
    (before,) = vm.addresses()
    small.configure(leases=[StaticLease(OTHER_MAC, before.address)])
    (after,) = vm.addresses()
    assert after.address != before.address
    rest = [f"10.9.0.{number}" for number in range(2, 7)]
    small.configure(leases=[StaticLease(f"52:54:00:00:01:{n:02x}", address) for n, address in enumerate(rest)])
    assert vm.addresses() == []


# Which switches can have it


@pytest.fixture
def ovs(host: Host) -> Switch:
    return host.switches.create("ovs", "external", uplink="ovs0", openvswitch=True)


@pytest.mark.parametrize(
    ("nic", "field", "wrong", "right"),
    [
        ({"vlan": 5}, "vlan", "lan", "ovs"),
        ({"trunk": [5, 6]}, "trunk", "lan", "ovs"),
        ({"policy": GUARDED}, "policy", "ovs", "lan"),
    ],
)
def test_what_a_switch_cannot_do_is_refused_before_anything_is_made(
    lan: Switch, ovs: Switch, host: Host, nic: dict[str, Any], field: str, wrong: str, right: str
) -> None:
    calls = Calls()
    with hyperkit.connect("fake://", wrap=[calls]) as other:
        other.switches.create("lan")
        other.switches.create("ovs", "external", uplink="ovs0", openvswitch=True)
        vm = other.vms.create("there", nics=[NicSpec()])
        plugged = other.vms.create("plugged", nics=[NicSpec(right, **nic)])
        calls.clear()
        for refused in (
            lambda: other.vms.create("new", nics=[NicSpec(wrong, **nic)]),
            lambda: vm.nics.attach(NicSpec(wrong, **nic)),
            lambda: plugged.nics[0].connect(wrong),
        ):
            with pytest.raises(
                InvalidRequest, match=f"which '{wrong}' cannot; of this host's switches, '{right}' can"
            ) as e:
                refused()
            assert e.value.field == field
        assert not {"vms.create", "nics.attach", "nics.update"} & {call.operation for call in calls}
        assert plugged.refresh().nics[0].switch == right


def test_changes_are_checked_against_the_switch_that_a_nic_is_in(host: Host, lan: Switch, ovs: Switch) -> None:
    vm = host.vms.create("vm", nics=[NicSpec(lan), NicSpec(ovs), NicSpec()])
    on_lan, on_ovs, nowhere = vm.nics
    with pytest.raises(InvalidRequest):
        on_lan.set_vlan(5)
    with pytest.raises(InvalidRequest):
        on_ovs.set_policy(GUARDED)
    assert on_lan.set_policy(GUARDED).policy == GUARDED
    assert (on_ovs.set_vlan(5, trunk=[7, 6]).vlan, on_ovs.trunk) == (5, (6, 7))
    assert (on_ovs.set_vlan(8).vlan, on_ovs.trunk) == (8, (6, 7))  # what is not said stays
    assert (on_ovs.set_vlan(None, trunk=[]).vlan, on_ovs.trunk) == (None, ())
    assert nowhere.set_vlan(5).set_policy(GUARDED).switch is None  # kept for the switch to come
    with pytest.raises(InvalidRequest):
        nowhere.connect(ovs)
    nowhere.set_policy(IsolationPolicy()).connect(ovs)
    for wrong in (0, 4095, True):
        with pytest.raises(InvalidRequest):
            on_ovs.set_vlan(wrong)
    with pytest.raises(InvalidRequest):
        on_ovs.set_vlan(5, trunk=[5])
    with pytest.raises(InvalidRequest):
        on_lan.set_policy(None)  # type: ignore[arg-type]


def test_what_takes_something_away_asks_about_no_switch() -> None:
    calls = Calls()
    with hyperkit.connect("fake://", wrap=[calls]) as host:
        host.switches.create("lan")
        vm = host.vms.create("vm", nics=[NicSpec("lan")])
        calls.clear()
        vm.nics[0].set_link(False).disconnect()
        vm.nics[0].set_vlan(None)
        assert calls.count("switches.list") == 0


def test_a_host_without_open_vswitch_carries_vlans_everywhere() -> None:
    with hyperkit.connect("fake://?profile=hyperv") as host:
        lan = host.switches.create("lan")
        assert host.vms.create("vm", nics=[NicSpec(lan, vlan=5, trunk=[6])]).nics[0].vlan == 5
