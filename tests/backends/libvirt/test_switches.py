"""Networks as switches: what libvirt is told, and what the host has afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest

import hyperkit
from hyperkit.driver import Target
from hyperkit.errors import AlreadyExists, Busy, InvalidRequest, NotFound
from hyperkit.records import SwitchRecord
from hyperkit.specs import NicSpec, SwitchChange, SwitchKind, SwitchSpec
from hyperkit.specs.lease import StaticLease
from hyperkit.units import MiB
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt.connection import Connection  # noqa: E402
from hyperkit.backends.libvirt.switches import Switches  # noqa: E402

needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))
EXTERNAL, INTERNAL, PRIVATE = SwitchKind.EXTERNAL, SwitchKind.INTERNAL, SwitchKind.PRIVATE


@pytest.fixture(scope="module")
def host() -> Iterator[LibvirtHost]:
    with LibvirtHost() as host:
        host.add_bridge("br0")
        host.run("ip", "tuntap", "add", "nic0", "mode", "tap")
        yield host


@pytest.fixture
def connection(host: LibvirtHost) -> Iterator[Connection]:
    connection = Connection(Target(url=host.uri, scheme="qemu+unix"))
    yield connection
    for network in connection.conn.listAllNetworks(0):
        if network.isActive():
            network.destroy()
        network.undefine()
    connection.close()


@pytest.fixture
def switches(connection: Connection) -> Switches:
    return Switches(connection)


def addresses(host: LibvirtHost, bridge: str) -> set[str]:
    (link,) = json.loads(host.run("ip", "-j", "addr", "show", bridge))
    return {f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"]}


def bridge(connection: Connection, switch: SwitchRecord) -> str:
    return str(connection.conn.networkLookupByUUIDString(switch.id).bridgeName())


@needs_bed
class TestCreate:
    def test_private_keeps_the_host_out(self, switches: Switches, connection: Connection, host: LibvirtHost) -> None:
        switch = switches.create(SwitchSpec("p"))
        assert switch == SwitchRecord(id=switch.id, name="p", kind=PRIVATE, carries_vlans=False)
        name = bridge(connection, switch)
        assert addresses(host, name) == set()
        assert host.run("cat", f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").strip() == "1"
        assert f"-i {name} -j REJECT" in host.run("iptables", "-S")

    def test_internal_without_subnet(self, switches: Switches) -> None:
        switch = switches.create(SwitchSpec("i", INTERNAL))
        assert switch == SwitchRecord(id=switch.id, name="i", kind=INTERNAL, carries_vlans=False)
        assert switches.get(switch.id) == switch

    @pytest.mark.parametrize("nat", [True, False])
    @pytest.mark.parametrize("dhcp", [True, False])
    def test_internal(
        self, switches: Switches, connection: Connection, host: LibvirtHost, nat: bool, dhcp: bool
    ) -> None:
        switch = switches.create(SwitchSpec("n", INTERNAL, subnet="192.168.150.0/24", nat=nat, dhcp=dhcp))
        assert (switch.subnet, switch.nat, switch.dhcp, switch.kind) == ("192.168.150.0/24", nat, dhcp, INTERNAL)
        assert addresses(host, bridge(connection, switch)) == {"192.168.150.1/24"}
        assert ("MASQUERADE" in host.run("iptables", "-t", "nat", "-S")) is nat
        text = connection.conn.networkLookupByUUIDString(switch.id).XMLDesc()
        assert ("<range start='192.168.150.2' end='192.168.150.254'/>" in text) is dhcp

    @pytest.mark.parametrize("subnet", ["10.0.0.0/8", "192.168.151.0/29"])
    def test_sizes_of_subnets(self, switches: Switches, subnet: str) -> None:
        switch = switches.create(SwitchSpec("n", INTERNAL, subnet=subnet))
        assert (switch.subnet, switch.dhcp) == (subnet, True)

    def test_external_bridge(self, switches: Switches, connection: Connection) -> None:
        switch = switches.create(SwitchSpec("e", EXTERNAL, uplink="br0"))
        assert switch == SwitchRecord(id=switch.id, name="e", kind=EXTERNAL, uplink="br0", carries_vlans=False)
        assert bridge(connection, switch) == "br0"

    def test_external_nic(self, switches: Switches, connection: Connection) -> None:
        switch = switches.create(SwitchSpec("m", EXTERNAL, uplink="nic0"))
        assert switch == SwitchRecord(
            id=switch.id, name="m", kind=EXTERNAL, uplink="nic0", carries_vlans=False, enforces_policies=False
        )
        assert "<interface dev='nic0'/>" in connection.conn.networkLookupByUUIDString(switch.id).XMLDesc()

    def test_unknown_uplink(self, switches: Switches) -> None:
        with pytest.raises(InvalidRequest, match="br0") as caught:
            switches.create(SwitchSpec("e", EXTERNAL, uplink="br9"))
        assert caught.value.field == "uplink"
        assert switches.list() == []

    def test_lasting(self, switches: Switches, connection: Connection) -> None:
        switch = switches.create(SwitchSpec("p"))
        network = connection.conn.networkLookupByUUIDString(switch.id)
        assert (network.isPersistent(), network.autostart(), network.isActive()) == (1, 1, 1)

    def test_taken_name(self, switches: Switches) -> None:
        first = switches.create(SwitchSpec("same"))
        with pytest.raises(AlreadyExists, match="same"):
            switches.create(SwitchSpec("same", INTERNAL))
        assert switches.list() == [first]

    def test_overlapping_subnet(self, switches: Switches) -> None:
        first = switches.create(SwitchSpec("a", INTERNAL, subnet="192.168.150.0/24"))
        with pytest.raises(InvalidRequest, match="does not use yet") as caught:
            switches.create(SwitchSpec("b", INTERNAL, subnet="192.168.150.0/24"))
        assert caught.value.field == "subnet"
        assert switches.list() == [first]

    def test_hostile_name(self, switches: Switches) -> None:
        name = "x</name><forward mode='open'/>"
        spec = SwitchSpec("x")
        object.__setattr__(spec, "name", name.replace("/", "_"))  # past our own checks
        switch = switches.create(spec)
        assert switch.kind is PRIVATE
        assert switches.get(switch.id).name == name.replace("/", "_")
        assert escape(switch.name) != switch.name


def lease(number: int, name: str = "") -> StaticLease:
    return StaticLease(f"52:54:00:00:00:{number:02x}", f"192.168.150.{number}", name)


def hosts(connection: Connection, switch: SwitchRecord, flags: int = 0) -> list[str]:
    """The addresses that libvirt's network keeps, in its order."""
    text = connection.conn.networkLookupByUUIDString(switch.id).XMLDesc(flags)
    return [host.get("ip", "") for host in ET.fromstring(text).iterfind("ip/dhcp/host")]


@needs_bed
class TestLeases:
    def test_replaced_live_and_lastingly(self, switches: Switches, connection: Connection, host: LibvirtHost) -> None:
        spec = SwitchSpec("n", INTERNAL, subnet="192.168.150.0/24", leases=[lease(10), lease(20, "two")])
        switch = switches.create(spec)
        assert switch.leases == spec.leases
        wanted = (lease(10), lease(30), lease(20, "zwei"))
        assert switches.update(switch.id, SwitchChange(leases=wanted)).leases == wanted
        for flags in (0, libvirt.VIR_NETWORK_XML_INACTIVE):
            assert hosts(connection, switch, flags) == ["192.168.150.10", "192.168.150.30", "192.168.150.20"]
        told = (host.home / "lib/dnsmasq/n.hostsfile").read_text()
        assert "192.168.150.30" in told
        assert "zwei" in told
        assert "two" not in told

    def test_of_a_switch_that_is_down(self, switches: Switches, connection: Connection) -> None:
        switch = switches.create(SwitchSpec("n", INTERNAL, subnet="192.168.150.0/24", leases=[lease(10)]))
        connection.conn.networkLookupByUUIDString(switch.id).destroy()
        assert switches.update(switch.id, SwitchChange(leases=[lease(20)])).leases == (lease(20),)

    def test_a_failure_puts_back_what_was_there(self, switches: Switches, connection: Connection) -> None:
        kept = (lease(10), lease(20), lease(30))
        switch = switches.create(SwitchSpec("n", INTERNAL, subnet="192.168.150.0/24", leases=kept))
        twice = StaticLease(lease(40).mac, "192.168.150.41")  # what is above the port would refuse it
        with pytest.raises(libvirt.libvirtError):
            switches.update(switch.id, SwitchChange(leases=[lease(10), lease(40), twice]))
        assert switches.get(switch.id).leases == kept
        assert hosts(connection, switch, libvirt.VIR_NETWORK_XML_INACTIVE) == [each.address for each in kept]

    def test_what_others_keep_by_other_marks_stays(self, switches: Switches, connection: Connection) -> None:
        connection.conn.networkDefineXML(
            "<network><name>o</name><ip address='192.168.150.1' prefix='24'><dhcp>"
            "<host name='byname' ip='192.168.150.9'/></dhcp></ip></network>"
        )
        (switch,) = switches.list()
        assert (switch.dhcp, switch.leases) == (True, ())
        switches.update(switch.id, SwitchChange(leases=[lease(20)]))
        switches.update(switch.id, SwitchChange(leases=[]))
        assert hosts(connection, switch) == ["192.168.150.9"]


@needs_bed
class TestOpenVSwitch:
    def test_ports_are_in_no_vlan_unless_told(
        self, switches: Switches, connection: Connection, host: LibvirtHost
    ) -> None:
        host.open_vswitch("ovs1")
        switch = switches.create(SwitchSpec("v", EXTERNAL, uplink="ovs1", openvswitch=True))
        assert (switch.openvswitch, switch.vlan, switch.carries_vlans, switch.enforces_policies) == (
            True,
            None,
            True,
            False,
        )
        assert "<tag id='0'/>" in connection.conn.networkLookupByUUIDString(switch.id).XMLDesc()
        assert switches.create(SwitchSpec("w", EXTERNAL, uplink="ovs1", openvswitch=True, vlan=42)).vlan == 42

    @pytest.mark.parametrize(("uplink", "match"), [("br0", "kernel's own"), ("none", "an interface of the host")])
    def test_an_uplink_that_is_none(self, switches: Switches, uplink: str, match: str) -> None:
        with pytest.raises(InvalidRequest, match=match) as caught:
            switches.create(SwitchSpec("v", EXTERNAL, uplink=uplink, openvswitch=True))
        assert caught.value.field == "uplink"
        assert switches.list() == []


@needs_bed
def test_delete(switches: Switches, host: LibvirtHost, connection: Connection) -> None:
    switch = switches.create(SwitchSpec("p"))
    name = bridge(connection, switch)
    switches.delete(switch.id)
    assert switches.list() == []
    assert name not in host.run("ip", "link")
    for call in (switches.delete, switches.get):
        with pytest.raises(NotFound):
            call(switch.id)


@needs_bed
def test_inactive_is_said_and_deleted(switches: Switches, connection: Connection) -> None:
    switch = switches.create(SwitchSpec("p"))
    connection.conn.networkLookupByUUIDString(switch.id).destroy()
    assert not switches.get(switch.id).active
    switches.delete(switch.id)
    assert switches.list() == []


@needs_bed
@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ("<forward mode='nat'/><ip address='10.9.0.1' netmask='255.255.255.0'/>",
         (INTERNAL, None, "10.9.0.0/24", True)),
        ("<forward mode='open'/><ip address='10.9.0.1' prefix='24'/>", (INTERNAL, None, "10.9.0.0/24", False)),
        ("<ip address='10.9.0.1' prefix='24'/>", (INTERNAL, None, "10.9.0.0/24", False)),
        ("<ip family='ipv6' address='fd00:9::1' prefix='64'/>", (INTERNAL, None, None, False)),
        ("<bridge name='vb-own'/>", (PRIVATE, None, None, False)),
        ("<forward mode='bridge'/><bridge name='ovsbr'/><virtualport type='openvswitch'/>",
         (EXTERNAL, "ovsbr", None, False)),
        ("<forward mode='passthrough'><interface dev='eth7'/><interface dev='eth8'/></forward>",
         (EXTERNAL, "eth7", None, False)),
        ("<forward mode='hostdev' managed='yes'><pf dev='eth6'/></forward>", (EXTERNAL, "eth6", None, False)),
    ],
)  # fmt: skip
def test_networks_made_by_others(switches: Switches, connection: Connection, xml: str, expected: Any) -> None:
    connection.conn.networkDefineXML(f"<network><name>o</name>{xml}</network>")
    (switch,) = switches.list()
    assert (switch.kind, switch.uplink, switch.subnet, switch.nat) == expected
    assert not switch.active
    assert switches.get(switch.id) == switch


def test_on_the_test_driver() -> None:
    switches = Switches(Connection(Target(url="test:///default", scheme="test")))
    before = switches.list()
    made = [
        switches.create(SwitchSpec("p")),
        switches.create(SwitchSpec("n", INTERNAL, subnet="192.168.150.0/24")),
        switches.create(SwitchSpec("e", EXTERNAL, uplink="eth1")),
    ]
    assert {each.id: each for each in switches.list()} == {each.id: each for each in [*before, *made]}
    for switch in made:
        switches.delete(switch.id)
    assert switches.list() == before
    with pytest.raises(NotFound):
        switches.get("nonsense")


@needs_bed
def test_a_card_on_a_bridge_is_in_its_switch_while_the_vm_runs_too(host: LibvirtHost) -> None:
    with hyperkit.connect(host.uri) as there:
        switch = there.switches.create("outside", SwitchKind.EXTERNAL, uplink="br0")
        vm = there.vms.create("vm", memory=32 * MiB, nics=[NicSpec(switch=switch.id)])
        try:
            assert vm.start().nics[0].switch == "outside"
            assert vm.nics.attach(NicSpec(switch=switch.id)).switch == "outside"
            assert [nic.record.switch_id for nic in there.vms.get(vm.id).nics] == [switch.id, switch.id]
            with pytest.raises(Busy, match="'vm'"):
                switch.delete()
        finally:
            vm.delete(force=True)
            switch.delete()


def test_a_network_that_does_not_start_is_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bridge is taken: no network is called so, and what was defined goes."""
    connection = Connection(Target(url="test:///default", scheme="test", path="/default"))

    def taken(_network: Any) -> None:
        raise libvirt.libvirtError("internal error: bridge name 'virbr1' already exists")

    monkeypatch.setattr(libvirt.virNetwork, "create", taken)
    with pytest.raises(libvirt.libvirtError, match="bridge name"):
        Switches(connection).create(SwitchSpec("new", PRIVATE))
    assert [network.name() for network in connection.conn.listAllNetworks(0)] == ["default"]
    connection.close()
