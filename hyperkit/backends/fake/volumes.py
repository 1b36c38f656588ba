"""Files in the fake's datastores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from hyperkit.backends.fake.images import add_volume
from hyperkit.backends.fake.world import World
from hyperkit.errors import TaskFailed
from hyperkit.jobs import Job
from hyperkit.records import VolumeRecord, changed
from hyperkit.specs import VolumeSpec


class FakeVolumes:
    """See `hyperkit.driver.VolumePort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def list(self, datastore_id: str) -> Sequence[VolumeRecord]:
        with self._world.lock:
            self._world.datastore(datastore_id)
            found = [v.record for v in self._world.volumes.values() if v.record.datastore_id == datastore_id]
        if self._world.capabilities.linked_disks:
            return found
        # Where images share blocks only as disks of VMs, as on vSphere, a file does not tell with which.
        return [record if record.base is None else changed(record, base=None) for record in found]

    def create(self, datastore_id: str, spec: VolumeSpec) -> VolumeRecord | Job[VolumeRecord]:
        world = self._world
        kind = spec.format or world.capabilities.disk_formats[0]
        with world.lock:
            return world.job(
                "creating", lambda: add_volume(world, datastore_id, spec.name, spec.size, kind, thin=spec.thin)
            )

    def delete(self, volume_id: str) -> None:
        with self._world.lock:
            self._world.volume(volume_id)
            del self._world.volumes[volume_id]

    def upload(self, datastore_id: str, name: str, source: BinaryIO, size: int) -> VolumeRecord:
        data = source.read(size)
        if len(data) != size:
            raise TaskFailed(f"upload of {name!r} broke off: {len(data)} of {size} bytes came")
        with self._world.lock:
            record = add_volume(self._world, datastore_id, name, size, "raw", thin=False)
            self._world.volumes[record.path].data = data
            return record

    def download(self, volume_id: str, sink: BinaryIO) -> None:
        with self._world.lock:
            volume = self._world.volume(volume_id)
        sink.write(volume.data.ljust(volume.record.size, b"\0"))
