"""What a card is plugged into: its network, VLANs, isolation and filter, on a new card and on one that is there."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs

from hyperkit.backends.libvirt.nic_policy import KnownNic, filtered, is_plugged, vlans
from hyperkit.backends.libvirt.xml_edit import child, drop
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.errors import NotFound

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection


@attrs.frozen
class Wire:
    """A network as a card's XML names it, and whether its bridge is one of Open vSwitch."""

    name: str
    openvswitch: bool = False


def wires(connection: Connection, switch_ids: Collection[str]) -> dict[str, Wire]:
    """The networks by id; of what kind those are that are named. One call, and one for each that is named."""
    if not switch_ids:
        return {}
    found = {}
    for network in connection.conn.listAllNetworks(0):
        uuid_ = network.UUIDString()
        named = uuid_ in switch_ids
        openvswitch = named and parse(network.XMLDesc(0)).find("virtualport[@type='openvswitch']") is not None
        found[uuid_] = Wire(network.name(), openvswitch)
    return found


def plug(nic: ET.Element, switch_id: str | None, networks: Mapping[str, Wire], *, privileged: bool) -> None:
    """Which network a card is in.

    Without one it gets a tap device that nothing is connected to; libvirt's ``type='null'`` is for other drivers
    (with QEMU it kills the daemon of libvirt 9.0). A daemon without privileges can make no tap device.
    """
    drop(nic, "source", "virtualport", "target")
    if vlans(nic) == (None, ()):
        drop(nic, "vlan")  # tag 0, from the switch it was in: see `wire`
    if not switch_id:
        nic.set("type", "ethernet" if privileged else "user")
        if not privileged:
            drop(nic, "link")
            ET.SubElement(nic, "link", state="down")
        return
    if switch_id not in networks:
        there = ", ".join(sorted(wire.name for wire in networks.values()))
        raise NotFound(f"no switch with id {switch_id!r}; there are {there or 'none'}")
    nic.set("type", "network")
    ET.SubElement(nic, "source", network=networks[switch_id].name)
    if networks[switch_id].openvswitch:
        # With an id that we chose, libvirt changes the VLAN of a running VM; with one of its own, it takes the same
        # port for another one and refuses.
        port = ET.SubElement(nic, "virtualport", type="openvswitch")
        ET.SubElement(port, "parameters", interfaceid=str(uuid.uuid4()))


def wire(nic: ET.Element, known: KnownNic, filter_name: str, *, live: bool = False) -> None:
    """Give a card its VLANs, isolation and filter, as far as it is plugged into something that can have them.

    A card that runs is taken out of its VLANs by tag 0. Without any tag libvirt takes the network's at the next start
    only, and till then the port would carry all VLANs.
    """
    vlan, trunk = (known.vlan, known.trunk) if is_plugged(nic) else (None, ())
    if vlans(nic) != (vlan, trunk):
        drop(nic, "vlan")
        if vlan is not None or trunk:
            nic.append(_vlan(vlan, trunk))
        elif live:
            nic.append(_vlan(0, ()))
    drop(nic, "port")
    if known.policy.isolated and is_plugged(nic):
        ET.SubElement(nic, "port", isolated="yes")
    if filtered(known.policy):
        child(nic, "filterref").set("filter", filter_name)  # with the parameters that somebody gave it
    elif known.filter is not None:
        child(nic, "filterref").set("filter", known.filter)
    else:
        drop(nic, "filterref")


def _vlan(vlan: int | None, trunk: tuple[int, ...]) -> ET.Element:
    element = ET.Element("vlan")
    if trunk:
        element.set("trunk", "yes")
    if vlan is not None:
        tag = ET.SubElement(element, "tag", id=str(vlan))
        if trunk:
            tag.set("nativeMode", "untagged")
    for number in trunk:
        ET.SubElement(element, "tag", id=str(number))
    return element
