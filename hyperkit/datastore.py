"""Datastores of a host, and the files in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from hyperkit import checks
from hyperkit.collection import Collection
from hyperkit.errors import NotFound
from hyperkit.handle import Handle
from hyperkit.records import DatastoreRecord, VolumeRecord
from hyperkit.resolve import check_unused
from hyperkit.specs import DiskFormat, VolumeSpec
from hyperkit.tasks import Task, as_job
from hyperkit.units import format_size

if TYPE_CHECKING:
    from hyperkit.host import Host


class Datastore(Handle[DatastoreRecord]):
    """A place for disk images and ISOs."""

    kind = "datastore"
    __slots__ = ()

    @property
    def name(self) -> str:
        """Its label."""
        return self._record.name

    @property
    def capacity(self) -> int:
        """Bytes in all, as last read."""
        return self._record.capacity

    @property
    def free(self) -> int:
        """Bytes free, as last read."""
        return self._record.free

    @property
    def volumes(self) -> VolumeCollection:
        """The files in it."""
        return VolumeCollection(self._host, self)

    def _read(self) -> DatastoreRecord:
        return self._host.driver.datastores.get(self.id)

    def _summary(self) -> str:
        return f"{format_size(self.free)} free of {format_size(self.capacity)}"


class DatastoreCollection(Collection[Datastore, DatastoreRecord]):
    """The datastores of a host."""

    kind = "datastore"
    record_type = DatastoreRecord

    def _records(self) -> Sequence[DatastoreRecord]:
        return self._host.driver.datastores.list()

    def _handle(self, record: DatastoreRecord) -> Datastore:
        return Datastore(self._host, record)

    def _record(self, id: str) -> DatastoreRecord:
        return self._host.driver.datastores.get(id)


class Volume(Handle[VolumeRecord]):
    """A file in a datastore: a disk image or an ISO."""

    kind = "volume"
    __slots__ = ("_datastore",)

    def __init__(self, datastore: Datastore, record: VolumeRecord) -> None:
        super().__init__(datastore.host, record)
        self._datastore = datastore

    @property
    def name(self) -> str:
        """Its file name."""
        return self._record.name

    @property
    def path(self) -> str:
        """What ``DiskSpec(path=...)`` and ``iso=...`` call it by."""
        return self._record.path

    @property
    def size(self) -> int:
        """Bytes a guest would see."""
        return self._record.size

    def _read(self) -> VolumeRecord:
        return self._datastore.volumes._record(self.id)

    def delete(self) -> None:
        """Delete the file.

        Raises:
            Busy: a VM uses it, an image shares blocks with it, or a snapshot needs it.
        """
        check_unused(self._host, [self.path])
        self._call(self._host.driver.volumes.delete, self.id)

    def download(self, target: str | Path) -> Path:
        """Copy it, as it is stored, to a local file that does not exist yet; a copy that fails leaves none."""
        path = Path(target)
        with path.open("xb") as sink:
            try:
                self._call(self._host.driver.volumes.download, self.id, sink)
            except BaseException:
                path.unlink()
                raise
        return path

    def _summary(self) -> str:
        return f"{self.path} {format_size(self.size)}"


class VolumeCollection(Collection[Volume, VolumeRecord]):
    """The files of a datastore."""

    kind = "volume"
    record_type = VolumeRecord
    create_hint = "datastore.volumes.create({name!r}, size)"

    def __init__(self, host: Host, datastore: Datastore) -> None:
        super().__init__(host)
        self._datastore = datastore

    def _records(self) -> Sequence[VolumeRecord]:
        return self._host.driver.volumes.list(self._datastore.id)

    def _handle(self, record: VolumeRecord) -> Volume:
        return Volume(self._datastore, record)

    def _record(self, id: str) -> VolumeRecord:
        for record in self._records():
            if record.id == id:
                return record
        raise NotFound(
            f"{self._datastore.label} on {self._host.url} has no volume with id {id!r}", backend=self._host.url
        )

    def create(
        self,
        name: str,
        size: int,
        *,
        format: DiskFormat | None = None,
        thin: bool = True,
        timeout: float | None = None,
    ) -> Volume:
        """Create an empty disk image of ``size`` bytes.

        Raises:
            AlreadyExists: the name is taken; what has it stays as it was.
            ResourceExhausted: the datastore has no room.
        """
        checks.timeout(timeout)
        return self.begin_create(name, size, format=format, thin=thin).result(timeout)

    def begin_create(
        self, name: str, size: int, *, format: DiskFormat | None = None, thin: bool = True
    ) -> Task[Volume]:
        """`create`, without waiting for its end."""
        spec = VolumeSpec(name, size, format, thin)
        result = self._host.driver.volumes.create(self._datastore.id, spec)
        return Task(as_job(result), what=f"create volume {name!r}", clock=self._host.clock, finish=self._handle)

    def upload(self, source: str | Path | BinaryIO, name: str | None = None, *, size: int | None = None) -> Volume:
        """Copy a local file, or ``size`` bytes of an open one, into the datastore.

        Args:
            source: a path, or a binary file that is read from where it is.
            name: the file's whole name there; default: the local file's.
            size: bytes to copy, needed for an open file.

        Raises:
            AlreadyExists: the name is taken.
        """
        if isinstance(source, (str, Path)):
            path = Path(source)
            with path.open("rb") as stream:
                return self.upload(stream, name or path.name, size=path.stat().st_size)
        if name is None:
            checks.refuse("name", name, "an open file needs a name in the datastore")
        if size is None:
            checks.refuse("size", size, "an open file needs the number of bytes to copy")
        checks.name("name", name)
        checks.whole("size", size, least=0)
        return self._handle(self._host.driver.volumes.upload(self._datastore.id, name, source, size))
