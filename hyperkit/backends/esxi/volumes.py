"""Files in datastores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from pyVmomi import vim

from hyperkit.backends.esxi import browse, files, transfers
from hyperkit.backends.esxi.browse import Entry, Store
from hyperkit.backends.esxi.elements import number
from hyperkit.backends.esxi.files import Path
from hyperkit.backends.esxi.tasks import TaskJob, Work, finished
from hyperkit.backends.esxi.undo import datacenter, tell
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, BackendError, NotFound, ResourceExhausted
from hyperkit.jobs import Job
from hyperkit.records import VolumeRecord
from hyperkit.specs import DiskFormat, VolumeSpec
from hyperkit.units import KiB, to_unit

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_DISK = ".vmdk"
_PART = re.compile(r"-(flat|delta|sesparse|ctk|rdmp?)\.vmdk$")
"""What a disk has beside its descriptor: the data, the map of what changed, the way to a raw device."""
_OF_A_VM = re.compile(r"\.(vmxf?~?|vmtx|vmsd|vmsn|vmss|vmem|vswp|nvram|log|hlog|lck|scoreboard)$")


class Volumes:
    """See `hyperkit.driver.VolumePort`.

    A volume's id is its path, ``[datastore1] web1/web1.vmdk``. Its name is the path within its datastore, of a disk
    without ``.vmdk``, as it is given for a new one. What belongs to a VM, or is a part of a disk, is no volume.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, datastore_id: str) -> Sequence[VolumeRecord]:
        """All of a datastore: a call and a task, however many."""
        store = self._store(datastore_id)
        entries = finished(self._connection, browse.search(self._connection, store.browser, _top(store), below=True))
        return [_record(store, entry) for entry in entries if _is_volume(entry)]

    def create(self, datastore_id: str, spec: VolumeSpec) -> VolumeRecord | Job[VolumeRecord]:
        """See the contract.

        Raises:
            InvalidRequest: the size is not whole kilobytes.
        """
        size = to_unit(spec.size, KiB, field="size")
        return TaskJob(self._connection, self._create(self._store(datastore_id), spec, size))

    def _create(self, store: Store, spec: VolumeSpec, kilobytes: int) -> Work[VolumeRecord]:
        path = Path(store.name, "", f"{spec.name}{_DISK}")
        yield from self._check_free(store, path)
        form = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin" if spec.thin else "preallocated", adapterType="lsiLogic", capacityKb=kilobytes
        )
        manager, where = self._connection.content.virtualDiskManager, datacenter(self._connection)
        try:
            yield manager.CreateVirtualDisk_Task(path.text, where, form)
        except (GeneratorExit, vim.fault.FileAlreadyExists):  # nobody waits any more; or it is somebody else's
            raise
        except BaseException as error:
            yield from self._undo(path, error, disk=True)
            raise
        return _record(store, (yield from self._found(store, path)))

    def delete(self, volume_id: str) -> None:
        """See the contract. A disk goes with all of its files.

        Raises:
            InvalidRequest: the path is none, or a directory's.
        """
        finished(self._connection, self._delete(files.parse(volume_id, "volume")))

    def _delete(self, path: Path) -> Work[None]:
        store = self._store_of(path)
        entry, data = yield from self._opened(store, path)
        # What is called a disk need not be one: then only its own file is there to be deleted.
        yield self._deletion(path, disk=bool(entry.capacity) or data is not None)

    def upload(self, datastore_id: str, name: str, source: BinaryIO, size: int) -> VolumeRecord:
        """See the contract. What is stored is what is sent: only a disk in the format of ESXi's own, descriptor and
        ``-flat.vmdk`` as two files, can be attached afterwards.

        Raises:
            AlreadyExists: the name is taken.
            TaskFailed: ``source`` ends before ``size`` bytes.
            ResourceExhausted: the datastore has no room.
        """
        store = self._store(datastore_id)
        path = Path(store.name, "", name)
        finished(self._connection, self._check_free(store, path))
        try:
            transfers.upload(self._connection, path, source, size)
            entry = finished(self._connection, self._found(store, path))
        except BaseException as error:
            finished(self._connection, self._undo(path, error, disk=False))
            if isinstance(error, BackendError) and size > self._free(datastore_id):
                raise ResourceExhausted(f"the datastore {store.name!r} has no room for {size} bytes") from error
            raise
        return _record(store, entry)

    def download(self, volume_id: str, sink: BinaryIO) -> None:
        """See the contract. A disk's bytes are those that a guest sees: what its ``-flat.vmdk`` has.

        Raises:
            InvalidRequest: the path is none, or a directory's.
        """
        path = files.parse(volume_id, "volume")
        store = self._store_of(path)
        _, data = finished(self._connection, self._opened(store, path))
        transfers.download(self._connection, data or path, sink)

    def _opened(self, store: Store, path: Path) -> Work[tuple[Entry, Path | None]]:
        """A file that is there, and where the data are of a disk that has them in a file of their own."""
        flat = _flat(path)
        there = yield from self._look(store, path, *(() if flat is None else (flat,)))
        if path.name not in there:
            raise NotFound(f"there is no file {path.text}")
        if there[path.name].is_directory:
            refuse("volume", path.text, "a file, not a directory")
        return there[path.name], flat if flat is not None and flat.name in there else None

    def _look(self, store: Store, path: Path, *others: Path) -> Work[dict[str, Entry]]:
        """What of these, which are in one directory, is there, by name."""
        patterns = [browse.literal(each.name) for each in (path, *others)]
        try:
            entries = yield from browse.search(self._connection, store.browser, path.parent, patterns)
        except vim.fault.FileNotFound:  # of the directory
            return {}
        return {entry.name: entry for entry in entries}

    def _found(self, store: Store, path: Path) -> Work[Entry]:
        there = yield from self._look(store, path)
        if path.name not in there:
            raise NotFound(f"there is no file {path.text}")
        return there[path.name]

    def _check_free(self, store: Store, path: Path) -> Work[None]:
        if path.name in (yield from self._look(store, path)):
            raise AlreadyExists(f"there is a file {path.text} already")

    def _deletion(self, path: Path, *, disk: bool) -> Any:
        content, where = self._connection.content, datacenter(self._connection)
        if disk:
            return content.virtualDiskManager.DeleteVirtualDisk_Task(path.text, where)
        return content.fileManager.DeleteDatastoreFile_Task(path.text, where)

    def _undo(self, path: Path, error: BaseException, *, disk: bool) -> Work[None]:
        """Delete what came to be of a file that was not there. What stays is in a note of the error."""
        try:
            with suppress(vim.fault.FileNotFound):
                yield self._deletion(path, disk=disk)
        except Exception:
            tell(self._connection, error, f"left on the host: {path.text}; delete it if nothing uses it")

    def _store(self, datastore_id: str) -> Store:
        found = self._connection.properties.one("Datastore", datastore_id, browse.STORE)
        return browse.store(found)

    def _store_of(self, path: Path) -> Store:
        store = browse.stores(self._connection).get(path.store)
        if store is None:
            raise NotFound(f"there is no datastore {path.store!r}, where {path.text} would be")
        return store

    def _free(self, datastore_id: str) -> int:
        found = self._connection.properties.one("Datastore", datastore_id, ("summary.freeSpace",))
        return number(found.values.get("summary.freeSpace")) or 0


def _flat(path: Path) -> Path | None:
    """Where the data of a disk are."""
    stem, disk, _ = path.name.rpartition(_DISK)
    return path._replace(name=f"{stem}-flat{_DISK}") if disk else None


def _top(store: Store) -> str:
    return f"[{store.name}]"


def _is_volume(entry: Entry) -> bool:
    """Whether it is one: names that begin with a dot are the system's own, such as ``.sdd.sf``."""
    if entry.is_directory or any(part.startswith(".") for part in entry.path.split("/")):
        return False
    return not (_PART.search(entry.name) or _OF_A_VM.search(entry.name))


def _record(store: Store, entry: Entry) -> VolumeRecord:
    """Of a disk, hosts tell the capacity in kilobytes. What it shares blocks with only VMs that have it tell."""
    path = f"[{store.name}] {entry.path}"
    is_disk = entry.kind == "VmDiskFileInfo"
    return VolumeRecord(
        id=path,
        name=entry.path.removesuffix(_DISK) if is_disk else entry.path,
        path=path,
        datastore_id=store.id,
        size=entry.size if entry.capacity is None else entry.capacity,
        allocated=entry.size,
        format=DiskFormat.VMDK.value if is_disk else "iso" if entry.name.endswith(".iso") else "",
    )
