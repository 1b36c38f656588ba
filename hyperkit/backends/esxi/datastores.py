"""Datastores."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.esxi.connection import Connection
from hyperkit.records import DatastoreRecord


class Datastores:
    """Datastores."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Sequence[DatastoreRecord]:
        raise AssertionError("under construction")

    def get(self, datastore_id: str) -> DatastoreRecord:
        raise AssertionError("under construction")
