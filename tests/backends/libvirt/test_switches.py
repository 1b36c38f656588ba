"""Networks as switches: what libvirt is told, and what the host has afterwards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

import pytest

from hyperkit.driver import Target
from hyperkit.errors import AlreadyExists, InvalidRequest, NotFound
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchKind, SwitchSpec
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
