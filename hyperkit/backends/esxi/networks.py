"""What cards are plugged into: standard port groups and distributed ones, by the id of their Network object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi.elements import Element, children, flag, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.properties import Hop
from hyperkit.backends.esxi.reach import reached
from hyperkit.errors import InvalidState, NotFound

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.properties import Found

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
        switch_name: the same switch's name.
        kind: the type of the object.
        written: the name as vSphere writes it.
        values: what was read of it.
    """

    id: str
    name: str
    switch_uuid: str = ""
    switch_name: str = ""
    kind: str = _STANDARD
    written: str = ""
    values: Mapping[str, Element] = attrs.field(factory=dict, repr=False)

    @property
    def is_distributed(self) -> bool:
        """Whether it is one of a distributed switch."""
        return self.kind == DISTRIBUTED


class Networks:
    """The port groups of a connection's scope."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self, *paths: str) -> dict[str, Network]:
        """Every port group that VMs can be plugged into, by id, with one call. Opaque networks are another product's.

        Args:
            paths: what to read of distributed ones besides.
        """
        hop = Hop("HostSystem", "network", (Hop(DISTRIBUTED, "config.distributedVirtualSwitch"),))
        wanted = {
            "Network": ("name",),
            DISTRIBUTED: ("name", "config.distributedVirtualSwitch", "config.uplink", "tag", *paths),
            "DistributedVirtualSwitch": ("uuid", "name"),
        }
        found = list(reached(self._connection, hop, wanted))
        switches = {each.ref.id: each.values for each in found if "uuid" in each.values}
        networks = (_network(each, switches) for each in found if "uuid" not in each.values)
        return {
            each.id: each for each in networks if each.kind in (_STANDARD, DISTRIBUTED) and not _is_uplink(each.values)
        }

    def backing(self, switch_id: str | None, known: Mapping[str, Network] | None = None) -> Any:
        """The backing of a card on this switch, of those that are ``known`` if they were read before.

        None is no switch: vSphere has no card without a network, so that it gets the oldest, unconnected, and
        `DevicePlan.nic` marks it in its ``externalId`` (`unplugged`), by which the reader knows it.

        Raises:
            NotFound: there is no such port group.
            InvalidState: a card without a switch, where no network is at all.
        """
        networks = self.all() if known is None else known
        if switch_id is None:
            if not networks:
                raise InvalidState("vSphere gives a card to a VM only where there is a network: create a switch first")
            return _backing(min(networks.values(), key=_age))
        network = networks.get(switch_id)
        if network is None:
            raise NotFound(f"no switch with id {switch_id!r}")
        return _backing(network)


def _network(found: Found, switches: Mapping[str, Mapping[str, Element]]) -> Network:
    values = found.values
    written = text(values.get("name"))
    switch = switches.get(text(values.get("config.distributedVirtualSwitch")), {})
    return Network(
        id=found.ref.id,
        name=from_vsphere(written),
        switch_uuid=text(switch.get("uuid")),
        switch_name=from_vsphere(text(switch.get("name"))),
        kind=found.ref.kind,
        written=written,
        values=values,
    )


def _is_uplink(values: Mapping[str, Element]) -> bool:
    """Whether a distributed port group is the one of its switch's uplinks.

    ``config.uplink`` says so since vSphere 6.5, and a tag since the first of them.
    """
    tags = (text(tag, "key") for tag in children(values.get("tag")))
    return bool(flag(values.get("config.uplink"))) or "SYSTEM/DVS.UPLINKPG" in tags


def _backing(network: Network) -> Any:
    card = vim.vm.device.VirtualEthernetCard
    if not network.is_distributed:
        return card.NetworkBackingInfo(deviceName=network.written)
    port = vim.dvs.PortConnection(switchUuid=network.switch_uuid, portgroupKey=network.id)
    return card.DistributedVirtualPortBackingInfo(port=port)


def _age(network: Network) -> tuple[bool, int, str]:
    """Standard ones first, as they need no switch that this host may not be a member of; the oldest is deleted last."""
    digits = re.search(r"\d+$", network.id)
    return network.is_distributed, int(digits[0]) if digits else 0, network.id
