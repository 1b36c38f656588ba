"""What cards are plugged into: standard port groups and distributed ones, by the id of their Network object."""

from __future__ import annotations

from typing import Any

import attrs

from hyperkit.backends.esxi.connection import Connection


@attrs.frozen(kw_only=True)
class Network:
    """A port group.

    Attributes:
        id: the id of the Network or DistributedVirtualPortgroup object: the switch's id in records.
        name: as people write it (``/`` not ``%2f``).
        switch_uuid: of a distributed port group, its switch's; else empty.
    """

    id: str
    name: str
    switch_uuid: str = ""


class Networks:
    """The port groups of a connection's scope."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self) -> dict[str, Network]:
        """Every port group that VMs can be plugged into, by id, with one call for each of the two types at most."""
        raise AssertionError("under construction")

    def backing(self, switch_id: str | None) -> Any:
        """The backing of a card on this switch.

        None is no switch: vSphere has no card without a network, so that it gets any, unconnected, and `DevicePlan.nic`
        marks it in its ``externalId`` (``hyperkit/unplugged``), by which the reader knows it.

        Raises:
            NotFound: there is no such port group.
        """
        raise AssertionError("under construction")
