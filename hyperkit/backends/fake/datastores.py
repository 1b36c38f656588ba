"""Datastores of the fake."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.fake.world import World
from hyperkit.records import DatastoreRecord


class FakeDatastores:
    """See `hyperkit.driver.DatastorePort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def list(self) -> Sequence[DatastoreRecord]:
        with self._world.lock:
            return [self._world.datastore(store) for store in self._world.datastores]

    def get(self, datastore_id: str) -> DatastoreRecord:
        with self._world.lock:
            return self._world.datastore(datastore_id)
