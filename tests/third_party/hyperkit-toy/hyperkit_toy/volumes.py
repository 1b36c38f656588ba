"""Images in a toy's datastore."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from hyperkit.jobs import Job
from hyperkit.records import VolumeRecord
from hyperkit.specs import DiskFormat, VolumeSpec
from hyperkit_toy.store import Store, ToyError


class ToyVolumes:
    """See `hyperkit.driver.VolumePort`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self, datastore_id: str) -> Sequence[VolumeRecord]:
        return [_record(path, datastore_id) for path in sorted(self._store.images.iterdir())]

    def create(self, datastore_id: str, spec: VolumeSpec) -> VolumeRecord | Job[VolumeRecord]:
        return _record(self._store.new_image(spec.name, spec.size, thin=spec.thin), datastore_id)

    def delete(self, volume_id: str) -> None:
        self._store.image(volume_id).unlink()

    def upload(self, datastore_id: str, name: str, source: BinaryIO, size: int) -> VolumeRecord:
        path = self._store.new_image(name, 0)
        try:
            data = source.read(size)
            if len(data) < size:
                raise ToyError("broken-off", f"upload of {name!r} broke off after {len(data)} of {size} bytes")
            path.write_bytes(data)
        except BaseException:
            path.unlink()
            raise
        return _record(path, datastore_id)

    def download(self, volume_id: str, sink: BinaryIO) -> None:
        with self._store.image(volume_id).open("rb") as source:
            shutil.copyfileobj(source, sink)


def _record(path: Path, datastore_id: str) -> VolumeRecord:
    stat = path.stat()
    return VolumeRecord(
        id=str(path),
        name=path.name,
        path=str(path),
        datastore_id=datastore_id,
        size=stat.st_size,
        allocated=stat.st_blocks * 512,
        format=DiskFormat.RAW,
    )
