"""Files in storage pools."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import libvirt

from hyperkit.backends.libvirt.datastores import check_readable, find_pool, refresh
from hyperkit.backends.libvirt.images import Images, creatable
from hyperkit.backends.libvirt.listing import read_each
from hyperkit.backends.libvirt.undo import insist, is_lost, tell
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.checks import refuse
from hyperkit.errors import InvalidState, NotFound, TaskFailed
from hyperkit.jobs import Job, ThreadJob
from hyperkit.records import VolumeRecord
from hyperkit.specs import DiskFormat, VolumeSpec

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

_CHUNK = 256 * 1024
"""Bytes in memory at once while a file is moved; libvirt's own tools use the same."""
_QCOW2_HEADER = 104
"""Bytes of version 3, the least that libvirt reads; it takes a shorter version 2."""


class Volumes:
    """See `hyperkit.driver.VolumePort`. A volume's id is its path."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._images = Images(connection)

    def list(self, datastore_id: str) -> Sequence[VolumeRecord]:
        """A few calls, and one for each file: libvirt has none for all."""
        return self._connection.repeat(lambda: self._list(datastore_id))

    def create(self, datastore_id: str, spec: VolumeSpec) -> VolumeRecord | Job[VolumeRecord]:
        """At once while thin; else a job, since the space is written."""
        images = Images(self._connection)

        def make() -> VolumeRecord:
            form = creatable(spec.format)
            with self._named_if_lost(spec.name):
                made = images.create(self._pool(datastore_id), [spec.name], spec.size, form, thin=spec.thin)
            return self._get(datastore_id, made.path)

        return make() if spec.thin else ThreadJob("volume", make, progress=self._connection.beside(images.progress))

    def delete(self, volume_id: str) -> None:
        """See the contract."""
        self._volume(volume_id).delete(0)

    def upload(self, datastore_id: str, name: str, source: BinaryIO, size: int) -> VolumeRecord:
        """See the contract.

        Raises:
            AlreadyExists: the name is taken.
            TaskFailed: ``source`` ends before ``size`` bytes.
            InvalidRequest: an image that ends within its header, with which libvirt would stop the pool.
            InvalidState: the datastore has such a file already.
        """
        pool = self._pool(datastore_id)
        head = _head(source, size)
        check_readable(self._connection.conn, pool)
        with self._named_if_lost(name):
            path = self._images.create(pool, [name], size, DiskFormat.RAW).path
        volume = pool.storageVolLookupByName(name)
        try:
            if size:  # an upload of 0 bytes means one without end
                self._send(volume, head, source, size)
            # Only now can libvirt see what format the file has; it looks by itself too, at some later time.
            if not refresh(self._connection.conn, pool):
                check_readable(self._connection.conn, pool)
            return self._get(datastore_id, path)
        except BaseException as error:
            left = insist(self._connection, partial(self._images.remove, path))
            if not isinstance(error, (InvalidState, NotFound)):
                if left is not None:
                    tell(self._connection, error, [path])
                raise
            rest = "it was removed" if left is None else "it could not be removed: delete it on the host"
            raise TaskFailed(f"libvirt cannot read {path} back after the upload ({error}); {rest}") from error

    def download(self, volume_id: str, sink: BinaryIO) -> None:
        """See the contract."""
        volume = self._volume(volume_id)
        stream = self._connection.conn.newStream(0)
        volume.download(stream, 0, 0, 0)
        try:
            while chunk := stream.recv(_CHUNK):
                sink.write(chunk)
            stream.finish()
        except BaseException:
            _abort(stream)
            raise

    @contextmanager
    def _named_if_lost(self, name: str) -> Iterator[None]:
        """Whoever loses the session while a file is made is told that it may be there."""
        try:
            yield
        except libvirt.libvirtError as error:
            if is_lost(error):
                tell(self._connection, error, [name])
            raise

    def _list(self, datastore_id: str) -> Sequence[VolumeRecord]:
        pool = self._pool(datastore_id)
        refresh(self._connection.conn, pool)
        found = read_each(
            self._connection,
            pool.listAllVolumes(0),
            lambda volume: _record(volume, datastore_id),
            again=lambda: self._pool(datastore_id).listAllVolumes(0),
            key=lambda volume: str(volume.key()),
        )
        return [record for _, record in found if record is not None]

    def _send(self, volume: Any, head: bytes, source: BinaryIO, size: int) -> None:
        stream = self._connection.conn.newStream(0)
        volume.upload(stream, 0, size, 0)
        try:
            left = size
            while left:
                chunk, head = head or source.read(min(_CHUNK, left)), b""
                if not chunk:
                    raise TaskFailed(f"the upload broke off: {size - left} of {size} bytes came")
                left -= len(chunk)
                while chunk:
                    chunk = chunk[stream.send(chunk) :]
            stream.finish()
        except BaseException:
            _abort(stream)
            raise

    def _pool(self, datastore_id: str) -> Any:
        return find_pool(self._connection.conn, datastore_id)

    def _get(self, datastore_id: str, path: str) -> VolumeRecord:
        record = _record(self._volume(path), datastore_id)
        if record is None:
            raise NotFound(f"{path} is a directory now")
        return record

    def _volume(self, path: str) -> Any:
        """The volume, if its file is there: libvirt deletes one that is gone without a word."""
        try:
            volume = self._connection.conn.storageVolLookupByPath(path)
            volume.info()
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_STORAGE_VOL, libvirt.VIR_ERR_INVALID_ARG):
                raise NotFound(f"no volume with id {path!r}") from error
            raise
        return volume


def _record(volume: Any, datastore_id: str) -> VolumeRecord | None:
    """What there is to know; None of a directory, which is a volume for libvirt."""
    tree = parse(volume.XMLDesc(0))
    if tree.get("type") in ("dir", "netdir"):
        return None
    path = tree.findtext("target/path", "")
    element = tree.find("target/format")
    return VolumeRecord(
        id=path,
        name=tree.findtext("name", ""),
        path=path,
        datastore_id=datastore_id,
        size=int(tree.findtext("capacity", "0")),
        allocated=int(tree.findtext("allocation", "0")),
        format="" if element is None else element.get("type", ""),
        base=tree.findtext("backingStore/path") or None,
    )


def _head(source: BinaryIO, size: int) -> bytes:
    """The first bytes. A qcow2 that has no more of them would stop the pool for good, and could not be deleted."""
    head = b""
    while len(head) < min(size, _QCOW2_HEADER) and (more := source.read(min(size, _QCOW2_HEADER) - len(head))):
        head += more
    if size < _QCOW2_HEADER and head[:4] == b"QFI\xfb" and head[4:8] > b"\0\0\0\2":
        refuse("size", size, f"a qcow2 image has a header of {_QCOW2_HEADER} bytes; this file is cut short")
    return head


def _abort(stream: Any) -> None:
    with suppress(libvirt.libvirtError):  # it broke by itself
        stream.abort()
