"""Datastores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyperkit.backends.esxi.elements import flag, number, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.properties import Found, Hop
from hyperkit.backends.esxi.reach import reached
from hyperkit.records import DatastoreRecord

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_PATHS = ("name", "summary")


class Datastores:
    """See `hyperkit.driver.DatastorePort`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Sequence[DatastoreRecord]:
        """Those that the scope's machines have, with one call."""
        found = reached(self._connection, Hop("HostSystem", "datastore"), {"Datastore": _PATHS})
        return [_record(each) for each in found]

    def get(self, datastore_id: str) -> DatastoreRecord:
        """One, with one call.

        Raises:
            vmodl.fault.ManagedObjectNotFound: there is none of this id.
        """
        return _record(self._connection.properties.one("Datastore", datastore_id, _PATHS))


def _record(found: Found) -> DatastoreRecord:
    """Of one that no host reaches, vSphere has sizes of zero, or the last that it knew."""
    summary = found.values.get("summary")
    return DatastoreRecord(
        id=found.ref.id,
        name=from_vsphere(text(found.values.get("name"))),
        kind=text(summary, "type"),
        path=text(summary, "url"),
        capacity=number(summary, "capacity") or 0,
        free=number(summary, "freeSpace") or 0,
        accessible=flag(summary, "accessible") or False,
    )
