"""What cards are plugged into: standard port groups and distributed ones, by the id of their Network object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi.elements import Element, children, flag, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.errors import InvalidState, NotFound, Unsupported

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.properties import Properties

_UNPLUGGED = "hyperkit/unplugged"
_UNPLUGGED_DOWN = "hyperkit/unplugged/down"
DISTRIBUTED = "DistributedVirtualPortgroup"
_STANDARD = "Network"


def unplugged(*, link_up: bool) -> str:
    """The ``externalId`` of a card that is plugged into no switch, and whose link is to be up or down in one."""
    return _UNPLUGGED if link_up else _UNPLUGGED_DOWN


def link_of_unplugged(external_id: str) -> bool | None:
    """Of a card that is plugged into no switch, whether its link is to be up; None of one that is in a switch."""
    return {_UNPLUGGED: True, _UNPLUGGED_DOWN: False}.get(external_id)


@attrs.frozen(kw_only=True)
class Network:
    """A port group.

    Attributes:
        id: the id of the Network or DistributedVirtualPortgroup object: the switch's id in records.
        name: as people write it (``/`` not ``%2f``).
        switch_uuid: of a distributed port group, its switch's; else empty.
        kind: the type of the object.
        written: the name as vSphere writes it.
    """

    id: str
    name: str
    switch_uuid: str = ""
    kind: str = _STANDARD
    written: str = ""


class Networks:
    """The port groups of a connection's scope."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> dict[str, Network]:
        """Every port group that VMs can be plugged into, by id.

        One call, and two more where there are distributed ones: for them, and for their switches.
        """
        properties = self._connection.properties
        found = {each.ref.id: each for each in properties.all("Network", ["name"])}
        uuids = _switches_of_groups(properties) if any(each.ref.kind == DISTRIBUTED for each in found.values()) else {}
        return {
            network_id: Network(
                id=network_id,
                name=from_vsphere(text(each.values.get("name"))),
                switch_uuid=uuids.get(network_id, ""),
                kind=each.ref.kind,
                written=text(each.values.get("name")),
            )
            for network_id, each in found.items()
            if each.ref.kind != DISTRIBUTED or network_id in uuids
        }

    def backing(self, switch_id: str | None, known: Mapping[str, Network] | None = None) -> Any:
        """The backing of a card on this switch, of those that are ``known`` if they were read before.

        None is no switch: vSphere has no card without a network, so that it gets the oldest, unconnected, and
        `DevicePlan.nic` marks it in its ``externalId`` (`unplugged`), by which the reader knows it.

        Raises:
            NotFound: there is no such port group.
            InvalidState: a card without a switch, where no network is at all.
            Unsupported: an opaque network, which another product manages.
        """
        networks = self.all() if known is None else known
        if switch_id is None:
            usable = [each for each in networks.values() if each.kind in (_STANDARD, DISTRIBUTED)]
            if not usable:
                raise InvalidState("vSphere gives a card to a VM only where there is a network: create a switch first")
            return _backing(min(usable, key=_age))
        network = networks.get(switch_id)
        if network is None:
            raise NotFound(f"no switch with id {switch_id!r}")
        if network.kind not in (_STANDARD, DISTRIBUTED):
            raise Unsupported(f"{network.name!r} is an opaque network; hyperkit plugs NICs into port groups alone")
        return _backing(network)


def is_uplink(values: Mapping[str, Element]) -> bool:
    """Whether a distributed port group is the one of its switch's uplinks, by its ``config.uplink`` and ``tag``.

    The first is there since vSphere 6.5.
    """
    tags = (text(tag, "key") for tag in children(values.get("tag")))
    return bool(flag(values.get("config.uplink"))) or "SYSTEM/DVS.UPLINKPG" in tags


def _switches_of_groups(properties: Properties) -> dict[str, str]:
    """Of each distributed port group for VMs, its switch's UUID."""
    switches: dict[str, tuple[str, str]] = {}
    paths = ["config.distributedVirtualSwitch", "config.uplink", "tag"]
    for each in properties.all(DISTRIBUTED, paths):
        switch = each.values.get("config.distributedVirtualSwitch")
        if switch is not None and not is_uplink(each.values):
            switches[each.ref.id] = (switch.get("type", "DistributedVirtualSwitch"), switch.text or "")
    uuids: dict[str, str] = {}
    for kind in {kind for kind, _ in switches.values()}:
        ids = sorted({switch for one, switch in switches.values() if one == kind})
        uuids.update({each.ref.id: text(each.values.get("uuid")) for each in properties.of(kind, ids, ["uuid"])})
    return {group: uuids[switch] for group, (_, switch) in switches.items() if switch in uuids}


def _backing(network: Network) -> Any:
    card = vim.vm.device.VirtualEthernetCard
    if network.kind != DISTRIBUTED:
        return card.NetworkBackingInfo(deviceName=network.written)
    port = vim.dvs.PortConnection(switchUuid=network.switch_uuid, portgroupKey=network.id)
    return card.DistributedVirtualPortBackingInfo(port=port)


def _age(network: Network) -> tuple[bool, int, str]:
    """Standard ones first, as they need no switch that this host may not be a member of; the oldest is deleted last."""
    digits = re.search(r"\d+$", network.id)
    return network.kind == DISTRIBUTED, int(digits[0]) if digits else 0, network.id
