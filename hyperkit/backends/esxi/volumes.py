"""Files in datastores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from hyperkit.backends.esxi.connection import Connection
from hyperkit.jobs import Job
from hyperkit.records import VolumeRecord
from hyperkit.specs import VolumeSpec


class Volumes:
    """Files in datastores."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, datastore_id: str) -> Sequence[VolumeRecord]:
        raise AssertionError("under construction")

    def create(self, datastore_id: str, spec: VolumeSpec) -> VolumeRecord | Job[VolumeRecord]:
        raise AssertionError("under construction")

    def delete(self, volume_id: str) -> None:
        raise AssertionError("under construction")

    def upload(self, datastore_id: str, name: str, source: BinaryIO, size: int) -> VolumeRecord:
        raise AssertionError("under construction")

    def download(self, volume_id: str, sink: BinaryIO) -> None:
        raise AssertionError("under construction")
