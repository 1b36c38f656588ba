"""Where a new VM goes: on which machine, and into which datastore.

On the machine with the most free memory of those in the connection's scope that are connected, not in maintenance, and
reach every datastore and every network that is asked for; into the resource pool of that machine or its cluster. In a
cluster DRS may move it when it is started. What no disk's datastore or path decides goes into the datastore with the
most free space that the machine can write to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from hyperkit.backends.esxi.elements import children, flag, number, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.properties import Found, Hop
from hyperkit.backends.esxi.reach import reached
from hyperkit.errors import InvalidRequest, NotFound, ResourceExhausted
from hyperkit.units import MiB

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_HOST = (
    "name",
    "runtime.connectionState",
    "runtime.inMaintenanceMode",
    "datastore",
    "network",
    "summary.hardware.cpuMhz",
    "summary.hardware.memorySize",
    "summary.quickStats.overallMemoryUsage",
)
_STORE = (
    "name",
    "browser",
    "summary.accessible",
    "summary.freeSpace",
    "summary.maintenanceMode",
    "capability.topLevelDirectoryCreateSupported",
)


@attrs.frozen(kw_only=True)
class Store:
    """A datastore.

    Attributes:
        id: its id.
        name: as its paths have it.
        browser: the id of its HostDatastoreBrowser.
        free: bytes free.
        usable: whether files can be made in it now.
        plain_directories: whether directories are made at its top as everywhere; on vSAN and vVols they are not.
    """

    id: str
    name: str
    browser: str
    free: int
    usable: bool
    plain_directories: bool


@attrs.frozen(kw_only=True)
class Machine:
    """A HostSystem that VMs can be put on.

    Attributes:
        pool: the id of the resource pool.
        mhz: speed of one of its CPUs.
        free: bytes of memory free.
    """

    id: str
    name: str
    pool: str
    mhz: int
    free: int
    stores: frozenset[str]
    networks: frozenset[str]


@attrs.frozen(kw_only=True)
class Place:
    """Where a VM goes.

    Attributes:
        home: the datastore of its configuration, and of new disks that name none.
        stores: all datastores of the scope, by name.
    """

    machine: Machine
    home: Store
    stores: Mapping[str, Store]

    def store(self, id: str | None) -> Store:
        """The datastore of this id; the VM's home for None."""
        return self.home if id is None else next(store for store in self.stores.values() if store.id == id)


def choose(connection: Connection, *, stores: Iterable[str], named: Iterable[str], networks: Collection[str]) -> Place:
    """Choose a place, with one call.

    Args:
        stores: ids of datastores that the VM needs, its home first.
        named: names of datastores that it needs, since files are in them.
        networks: ids of the networks that it needs.

    Raises:
        NotFound: there is no such datastore.
        InvalidRequest: no machine reaches all that is needed.
        ResourceExhausted: no machine takes VMs now, or no datastore can be written to.
    """
    pools = {host: compute.pool for compute in connection.scope.computes for host in compute.hosts}
    read = list(reached(connection, Hop("HostSystem", "datastore"), {"HostSystem": _HOST, "Datastore": _STORE}))
    hosts = (found for found in read if found.ref.id in pools)
    machines = [machine for found in hosts if (machine := _machine(found, pools)) is not None]
    known = {store.name: store for store in (_store(found) for found in read if found.ref.kind == "Datastore")}
    by_id = {store.id: store for store in known.values()}
    wanted = [*stores, *(known[name].id for name in named if name in known)]
    for store in wanted:
        if store not in by_id:
            raise NotFound(f"there is no datastore {store!r}; there are {', '.join(sorted(known)) or 'none'}")
    if not machines:
        raise ResourceExhausted("no machine takes VMs now: each is disconnected or in maintenance mode")
    able = [
        machine for machine in machines if machine.stores.issuperset(wanted) and machine.networks.issuperset(networks)
    ]
    if not able:
        needed = ", ".join([*(repr(by_id[store].name) for store in wanted), *sorted(networks)])
        raise InvalidRequest(
            f"no machine reaches all of {needed}; there are {', '.join(machine.name for machine in machines)}",
            field="disks",
        )
    for machine in sorted(able, key=lambda machine: machine.free, reverse=True):
        usable = [by_id[key] for key in machine.stores if key in by_id and by_id[key].usable]
        home = by_id[wanted[0]] if wanted else max(usable, key=lambda store: store.free, default=None)
        if home is not None:
            return Place(machine=machine, home=home, stores=known)
    raise ResourceExhausted("no datastore can be written to now: each is inaccessible or in maintenance mode")


def _machine(found: Found, pools: Mapping[str, str]) -> Machine | None:
    values = found.values
    if text(values.get("runtime.connectionState")) != "connected" or flag(values.get("runtime.inMaintenanceMode")):
        return None
    used = (number(values.get("summary.quickStats.overallMemoryUsage")) or 0) * MiB
    return Machine(
        id=found.ref.id,
        name=from_vsphere(text(values.get("name"))),
        pool=pools[found.ref.id],
        mhz=number(values.get("summary.hardware.cpuMhz")) or 1000,
        free=(number(values.get("summary.hardware.memorySize")) or 0) - used,
        stores=frozenset(text(each) for each in children(values.get("datastore"))),
        networks=frozenset(text(each) for each in children(values.get("network"))),
    )


def _store(found: Found) -> Store:
    values = found.values
    return Store(
        id=found.ref.id,
        name=text(values.get("name")),
        browser=text(values.get("browser")),
        free=number(values.get("summary.freeSpace")) or 0,
        usable=bool(flag(values.get("summary.accessible")))
        and text(values.get("summary.maintenanceMode"), default="normal") == "normal",
        plain_directories=flag(values.get("capability.topLevelDirectoryCreateSupported")) is not False,
    )
