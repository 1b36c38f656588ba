"""What the machines of a scope reach: their datastores and networks.

A view of a cluster or of one machine has neither in it: there they are found by way of the machines
(see ``ContainerView`` in the vSphere Web Services API).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hyperkit.backends.esxi.properties import Found, Hop

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection


def reached(connection: Connection, hop: Hop, paths: Mapping[str, Sequence[str]]) -> Iterator[Found]:
    """Read what a hop from the scope's HostSystems leads to, each once, with one call.

    Args:
        paths: what to read, by the types of the objects.
    """
    root = connection.scope.root
    if root.kind == "HostSystem":  # it is not in the view of itself
        return connection.properties.around_these("HostSystem", [root.id], (hop,), paths)
    return connection.properties.around("HostSystem", (hop,), paths)
