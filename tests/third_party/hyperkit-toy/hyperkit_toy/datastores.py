"""The one datastore of a toy."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from hyperkit.records import DatastoreRecord
from hyperkit_toy.store import Store, ToyError


class ToyDatastores:
    """See `hyperkit.driver.DatastorePort`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> Sequence[DatastoreRecord]:
        usage = shutil.disk_usage(self._store.images)
        place = str(self._store.images)
        return [
            DatastoreRecord(id="images", name="images", kind="dir", path=place, capacity=usage.total, free=usage.free)
        ]

    def get(self, datastore_id: str) -> DatastoreRecord:
        for record in self.list():
            if record.id == datastore_id:
                return record
        raise ToyError("missing", f"no datastore with id {datastore_id!r}")
