"""libvirt's networks as switches.

============================  ===================================================================
asked for                     network
============================  ===================================================================
external, uplink is a bridge  ``forward mode='bridge'`` to it
external, uplink is a NIC     macvtap on it: guests reach the outside, but not the host itself
internal, subnet and NAT      ``forward mode='nat'``, the host on the subnet's first address
internal, subnet, no NAT      ``forward mode='route'``, likewise
internal, no subnet           a bridge without address, marked in its metadata; whoever administers
                              the host may give it one
private                       a bridge without address: libvirt switches the host's IPv6 off on it
                              and lets nothing be forwarded, so that the host has no way to the guests
============================  ===================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt.listing import unless_gone
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, NotFound
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchKind, SwitchSpec

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

_MARK = "{urn:hyperkit:switch:1}switch"
_INTERNAL = frozenset({"nat", "route", "open"})
_MOST_LEASES = 65534
"""Addresses in one DHCP range; libvirt refuses more (virsocketaddr.c)."""


class Switches:
    """See `hyperkit.driver.SwitchPort`. A switch's id is its network's UUID."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def _conn(self) -> Any:
        return self._connection.conn

    def list(self) -> Sequence[SwitchRecord]:
        """One call, and two for each network: libvirt has none for all."""
        return self._connection.repeat(self._list)

    def get(self, switch_id: str) -> SwitchRecord:
        """See the contract."""
        return self._connection.repeat(lambda: _record(self._network(switch_id)))

    def _list(self) -> Sequence[SwitchRecord]:
        found = []
        for network in self._conn.listAllNetworks(0):
            with unless_gone():
                found.append(_record(network))
        return found

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        """See the contract.

        Raises:
            InvalidRequest: an uplink that the host does not have, or a subnet that it uses already.
        """
        tree = self._tree(spec)
        try:
            # Without a UUID this never changes a network that has the name.
            network = self._conn.networkDefineXML(ET.tostring(tree, "unicode"))
        except libvirt.libvirtError as error:
            if "already exists" in str(error):
                raise AlreadyExists(f"a switch called {spec.name!r} exists already") from error
            raise
        try:
            network.create()
            network.setAutostart(True)
        except libvirt.libvirtError as error:
            self._undo(network)
            if spec.subnet is not None and "already in use" in str(error):
                refuse("subnet", spec.subnet, f"a subnet that the host does not use yet ({error})")
            raise
        return _record(network)

    def delete(self, switch_id: str) -> None:
        """See the contract."""
        self._undo(self._network(switch_id))

    @staticmethod
    def _undo(network: Any) -> None:
        persistent = network.isPersistent()
        if network.isActive():
            network.destroy()
        if persistent:
            network.undefine()

    def _network(self, switch_id: str) -> Any:
        try:
            return self._conn.networkLookupByUUIDString(switch_id)
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_INVALID_ARG):
                raise NotFound(f"no switch with id {switch_id!r}") from error
            raise

    def _tree(self, spec: SwitchSpec) -> ET.Element:
        tree = ET.Element("network")
        ET.SubElement(tree, "name").text = spec.name
        if spec.uplink is not None:
            forward = ET.SubElement(tree, "forward", mode="bridge")
            if self._is_bridge(spec.uplink):
                ET.SubElement(tree, "bridge", name=spec.uplink)
            else:
                ET.SubElement(forward, "interface", dev=spec.uplink)
            return tree
        # libvirt chooses the bridge's name. Spanning tree would hold frames back for half a minute.
        ET.SubElement(tree, "bridge", stp="off", delay="0")
        subnet = spec.network
        if subnet is None:
            tree.set("ipv6", "yes")  # between the guests; libvirt blocks it otherwise
            if spec.kind is SwitchKind.INTERNAL:
                ET.SubElement(ET.SubElement(tree, "metadata"), _MARK, kind=spec.kind.value)
            return tree
        ET.SubElement(tree, "forward", mode="nat" if spec.nat else "route")
        ip = ET.SubElement(tree, "ip", address=str(subnet[1]), prefix=str(subnet.prefixlen))
        if spec.dhcp:
            last = min(subnet.num_addresses - 2, 1 + _MOST_LEASES)
            ET.SubElement(ET.SubElement(ip, "dhcp"), "range", start=str(subnet[2]), end=str(subnet[last]))
        return tree

    def _is_bridge(self, uplink: str) -> bool:
        """Whether the host's interface is a bridge. libvirt itself notices a wrong one only when a VM starts."""
        try:
            interface = self._conn.interfaceLookupByName(uplink)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return True  # no interface driver to ask; a bridge is the usual uplink
            if error.get_error_code() != libvirt.VIR_ERR_NO_INTERFACE:
                raise
            known = ", ".join(sorted(each.name() for each in self._conn.listAllInterfaces(0)))
            refuse("uplink", uplink, f"an interface of the host, which are {known}")
        return parse(interface.XMLDesc(0)).get("type") == "bridge"


def _record(network: Any) -> SwitchRecord:
    tree = parse(network.XMLDesc(0))
    forward = tree.find("forward")
    mode = None if forward is None else forward.get("mode", "nat")
    address = next((ip for ip in tree.findall("ip") if ip.get("family", "ipv4") == "ipv4"), None)
    kind = SwitchKind.EXTERNAL
    if mode in _INTERNAL or tree.find("ip") is not None or tree.find(f"metadata/{_MARK}") is not None:
        kind = SwitchKind.INTERNAL
    elif mode is None:
        kind = SwitchKind.PRIVATE
    return SwitchRecord(
        id=tree.findtext("uuid", ""),
        name=tree.findtext("name", ""),
        kind=kind,
        uplink=_uplink(tree) if kind is SwitchKind.EXTERNAL else None,
        subnet=_subnet(address),
        nat=mode == "nat",
        dhcp=address is not None and address.find("dhcp/range") is not None,
        active=bool(network.isActive()),
    )


def _subnet(ip: ET.Element | None) -> str | None:
    """The network of an address; libvirt writes a prefix or a netmask, as it was told."""
    if ip is None:
        return None
    mask = ip.get("prefix") or ip.get("netmask")
    # Without either, libvirt takes the class of old (networkDefXML); nobody writes that.
    return str(IPv4Network(f"{ip.get('address')}/{mask}", strict=False)) if mask else None


def _uplink(tree: ET.Element) -> str | None:
    """The bridge, else the first NIC of a pool of them, of SR-IOV's physical function or the one device."""
    for path, attribute in (
        ("bridge", "name"),
        ("forward/interface", "dev"),
        ("forward/pf", "dev"),
        ("forward", "dev"),
    ):
        element = tree.find(path)
        if element is not None and element.get(attribute):
            return element.get(attribute)
    return None
