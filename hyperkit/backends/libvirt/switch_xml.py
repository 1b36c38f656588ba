"""The XML of networks: written for new switches, and read as records.

============================  ===================================================================
asked for                     network
============================  ===================================================================
external, uplink is a bridge  ``forward mode='bridge'`` to it
external, of Open vSwitch     likewise, with a ``virtualport`` of that type
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

from ipaddress import IPv4Network
from xml.etree import ElementTree as ET

from hyperkit.backends.libvirt.nic_policy import vlans
from hyperkit.errors import InvalidRequest
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchKind, SwitchSpec
from hyperkit.specs.lease import StaticLease

_MARK = "{urn:hyperkit:switch:1}switch"
_INTERNAL = frozenset({"nat", "route", "open"})
_MOST_LEASES = 65534
"""Addresses in one DHCP range; libvirt refuses more (virsocketaddr.c)."""


def new_network(spec: SwitchSpec, *, bridge: bool) -> ET.Element:
    """The network a spec asks for; ``bridge`` is whether its uplink is one."""
    tree = ET.Element("network")
    ET.SubElement(tree, "name").text = spec.name
    if spec.uplink is not None:
        forward = ET.SubElement(tree, "forward", mode="bridge")
        if bridge:
            ET.SubElement(tree, "bridge", name=spec.uplink)
        else:
            ET.SubElement(forward, "interface", dev=spec.uplink)
        if spec.openvswitch:
            ET.SubElement(tree, "virtualport", type="openvswitch")
            # Without any, a port of Open vSwitch carries all VLANs with their tags; 0 is where frames have none.
            ET.SubElement(ET.SubElement(tree, "vlan"), "tag", id=str(spec.vlan or 0))
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
        dhcp = ET.SubElement(ip, "dhcp")
        ET.SubElement(dhcp, "range", start=str(subnet[2]), end=str(subnet[last]))
        dhcp.extend(lease_element(lease) for lease in spec.leases)
    return tree


def lease_element(lease: StaticLease) -> ET.Element:
    """A ``<host>`` of the DHCP server."""
    host = ET.Element("host", mac=lease.mac, ip=lease.address)
    if lease.name:
        host.set("name", lease.name)
    return host


def record(tree: ET.Element, *, active: bool, filters: bool) -> SwitchRecord:
    """A whole network, of hyperkit's or anybody else's, on a host that can filter what its NICs send, or cannot."""
    forward = tree.find("forward")
    mode = None if forward is None else forward.get("mode", "nat")
    address = ipv4(tree)
    kind = SwitchKind.EXTERNAL
    if mode in _INTERNAL or tree.find("ip") is not None or tree.find(f"metadata/{_MARK}") is not None:
        kind = SwitchKind.INTERNAL
    elif mode is None:
        kind = SwitchKind.PRIVATE
    openvswitch = tree.find("virtualport[@type='openvswitch']") is not None
    vlan, _trunk = vlans(tree)
    return SwitchRecord(
        id=tree.findtext("uuid", ""),
        name=tree.findtext("name", ""),
        kind=kind,
        uplink=_uplink(tree) if kind is SwitchKind.EXTERNAL else None,
        subnet=_subnet(address),
        nat=mode == "nat",
        # A server that knows only hosts hands out addresses too.
        dhcp=address is not None and address.find("dhcp/*") is not None,
        active=active,
        leases=leases(address),
        openvswitch=openvswitch,
        vlan=vlan,
        # The rest is a Linux bridge, or a NIC of the host's that guests share, which the kernel filters nothing of.
        carries_vlans=openvswitch or mode == "hostdev",
        enforces_policies=filters
        and not openvswitch
        and (kind is not SwitchKind.EXTERNAL or tree.find("bridge") is not None),
    )


def ipv4(tree: ET.Element) -> ET.Element | None:
    """The ``<ip>`` that the host's IPv4 address is in: the one with DHCP, if there are several."""
    found = [ip for ip in tree.findall("ip") if ip.get("family", "ipv4") == "ipv4"]
    return next((ip for ip in found if ip.find("dhcp") is not None), found[0] if found else None)


def leases(ip: ET.Element | None) -> tuple[StaticLease, ...]:
    """Of an ``<ip>``; entries that somebody made by other marks than a MAC address are not ours to tell."""
    found = []
    for host in [] if ip is None else ip.iterfind("dhcp/host"):
        try:
            found.append(StaticLease(host.get("mac", ""), host.get("ip", ""), host.get("name", "")))
        except InvalidRequest:
            continue
    return tuple(found)


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
