"""Disk images as files of the host, made and looked at through libvirt's storage API alone.

Nothing here touches a local file, so all of it works on a remote host too. A path that lies in no pool is
seen through a pool of its directory that exists for the length of a look.
"""

from __future__ import annotations

import errno
import itertools
import posixpath
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import attrs
import libvirt

from hyperkit.backends.libvirt.datastores import DIRECTORIES, LOOK, find_pool, refresh
from hyperkit.backends.libvirt.find_image import Found, find
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, InvalidRequest, NotFound, ResourceExhausted, Unsupported
from hyperkit.jobs import Progress
from hyperkit.specs import DiskFormat, DiskSpec
from hyperkit.units import KiB, format_size

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

FORMATS = (DiskFormat.QCOW2, DiskFormat.RAW)
"""What new images can be, the default first. libvirt makes VMDKs that cannot grow, and VHDs of another size."""

_LARGEST_QCOW2 = 2**51
"""Bytes of a disk: what QEMU's clusters of 64 KiB and its largest table of them make."""
_LARGEST_RAW = 2**60
"""More than what any host's file systems allow, each its own size; those say so then."""

_NAMES = {DiskFormat.VHD: "vpc"}


@attrs.frozen
class Image:
    """A disk image.

    Attributes:
        path: absolute, without dots.
        size: bytes a guest sees.
        format: None where libvirt has a format that hyperkit has no word for.
        base: the image it shares blocks with.
        created: whether `Images.make` made it now.
    """

    path: str
    size: int
    format: DiskFormat | None
    base: str | None = None
    created: bool = False


@attrs.frozen
class _Making:
    """A file in the making: its pool, its name, and about how many bytes it will take, 0 if nobody knows."""

    pool: Any
    name: str
    total: int
    copies: bool

    @property
    def phase(self) -> str:
        return "copying" if self.copies else "writing"


class Images:
    """Makes, looks at, grows and deletes disk images.

    A look reads the beginnings of files, so that an image that was cut short behind its header passes for a whole
    one: libvirt has no call that checks one, and to read it all would take as long as to copy it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._making: _Making | None = None

    @property
    def _conn(self) -> Any:
        return self._connection.conn

    def make(self, vm_name: str, index: int, spec: DiskSpec) -> Image:
        """The image a spec asks for: new, or an existing one as it is.

        Raises:
            NotFound: a path, base or datastore that leads nowhere.
            InvalidRequest: a directory, or a size below the base's.
            AlreadyExists: the name asked for is taken.
            ResourceExhausted: the datastore has no room.
        """
        check(spec)
        if spec.path is not None:
            return self.inspect(spec.path, "path", spec.format)
        pool = self.pool(spec.datastore)
        form = creatable(spec.format)
        names = [f"{spec.name}.{form}"] if spec.name else free_names(f"{vm_name}-{index}", form)
        if spec.base is None:
            assert spec.size is not None  # noqa: S101  a spec without path and base has one
            return self.create(pool, names, spec.size, form, thin=spec.thin)
        with find(self._conn, spec.base, "base") as base:
            size = base.size if spec.size is None else spec.size
            if size < base.size:
                refuse("size", size, f"at least the {base.size} bytes of the base image {base.path}")
            if spec.linked:  # always thin: what it shares with its base takes no space
                return self.create(pool, names, size, form, linked=base)
            return self.create(pool, names, size, form, thin=spec.thin, copied=base)

    def inspect(self, path: str, what: str, format: DiskFormat | None = None) -> Image:
        """An existing image. ``what`` is the field the path came in, ``format`` what its owner says it is.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: a directory, or a format that cannot be trusted.
        """
        with find(self._conn, path, what) as found:
            return Image(found.path, found.size, format or found.format(what), found.base)

    def overlay(self, path: str, on: str, format: str) -> None:
        """Make a qcow2 at ``path``, in the directory of the image that it lies ``on``.

        That one's format is what its VM is configured with, in libvirt's word: its content is the guest's, which
        could have written the head of another format there.

        Raises:
            NotFound: there is nothing to lie on.
            AlreadyExists: there is a file at ``path``.
            ResourceExhausted: no room.
        """
        with find(self._conn, on, "path") as found:
            size = found.physical if format == DiskFormat.RAW else found.size
            tree = _volume_tree(posixpath.basename(path), None, DiskFormat.QCOW2, thin=True)
            store = ET.SubElement(tree, "backingStore")
            ET.SubElement(store, "path").text = found.path
            ET.SubElement(store, "format", type=format)
            pool = found.volume.storagePoolLookupByVolume()
            if _create(pool, tree, size, reserve=False, source=None) is None:
                raise AlreadyExists(f"there is a file {path} already")

    def remove(self, path: str) -> None:
        """Delete the file.

        Raises:
            NotFound: there is none.
        """
        with find(self._conn, path, "path") as found:
            found.volume.delete(0)

    def resize(self, path: str, size: int) -> Image:
        """Grow an image that no VM runs on to ``size`` bytes.

        Raises:
            InvalidRequest: it is larger already.
        """
        with find(self._conn, path, "path") as found:
            if size < found.size:
                refuse("size", size, f"a disk is never made smaller, and {found.path} has {found.size} bytes")
            # Looked at before: libvirt grows what the content says, even where that is a guest's invention.
            image = Image(found.path, size, found.format("path"), found.base)
            if size > found.size:
                _check_size(size, image.format)
                with _room(size):
                    found.volume.resize(size, 0)
            return image

    def pool(self, datastore_id: str | None) -> Any:
        """The pool of a datastore; without an id, the one named "default", else the first that can hold files.

        Raises:
            NotFound: there is none.
        """
        if datastore_id is not None:
            return find_pool(self._conn, datastore_id)
        active = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
        pools = {pool.name(): pool for pool in self._conn.listAllStoragePools(active)}
        if "default" in pools:
            return pools["default"]
        for name, pool in sorted(pools.items()):
            if not name.startswith(LOOK) and _kind(pool) in DIRECTORIES:
                return pool
        raise NotFound(
            "no storage pool is active in which disk images could be made; define and start one, "
            "such as `virsh pool-create-as default dir --target /var/lib/libvirt/images`"
        )

    def progress(self) -> Progress:
        """How far this object is with the file it is making now: one object for each job.

        libvirt has nothing to stop it with.
        """
        making = self._making
        if making is None:
            return Progress()
        unknown = Progress(phase=making.phase)
        try:
            done = int(find_pool(self._conn, making.pool.UUIDString()).storageVolLookupByName(making.name).info()[2])
        except libvirt.libvirtError:  # not begun yet; or, for thick files, libvirt shows them when they are there
            return unknown
        if not making.total:
            return unknown
        return Progress(min(done / making.total, 1.0), making.phase, min(done, making.total), making.total)

    def create(
        self,
        pool: Any,
        names: Iterable[str],
        size: int,
        format: DiskFormat,
        *,
        thin: bool = True,
        linked: Found | None = None,
        copied: Found | None = None,
    ) -> Image:
        """A new file in a pool, under the first of ``names`` that is free.

        Raises:
            AlreadyExists: none is.
            ResourceExhausted: no room.
        """
        kind = _kind(pool)
        if kind not in DIRECTORIES:
            refuse("datastore", pool.name(), f"a pool of type {kind} holds no files; choose one that is a directory")
        base = linked or copied
        base_format = base.format("base") if base else None
        if base and not base_format:
            refuse("base", base.path, "an image in a format that hyperkit knows")
        if not thin:
            if copied and (base_format is not format if format is DiskFormat.RAW else size > copied.size):
                refuse("thin", thin, "libvirt takes all the space for copies of raw as raw, or as qcow2 of equal size")
            if format is DiskFormat.QCOW2 and size % KiB:
                refuse("size", size, "a multiple of 1 KiB for a qcow2 that takes its space at once (thin=False)")
            _check_room(self._conn, pool, size)
        _check_size(size, format)
        for name in names:
            if len(name.encode()) > 255:
                refuse("name", name, "a file name of at most 255 bytes")
            # qemu-img is told a size in KiB, rounded up: the rest of a size between two comes by growing.
            by_qemu_img = format is DiskFormat.QCOW2 and copied is None and self._connection.kind != "TEST"
            # What lies on an image of the same size takes it from there: of one that was shorter and grew, QEMU
            # clears the end.
            same = by_qemu_img and linked is not None and size == linked.size
            rest = size % KiB if by_qemu_img and not same else 0
            tree = _volume_tree(name, None if same else size - rest, format, thin=thin)
            if linked and base_format:
                store = ET.SubElement(tree, "backingStore")
                ET.SubElement(store, "path").text = linked.path
                ET.SubElement(store, "format", type=_NAMES.get(base_format, base_format))
            # libvirt's test driver refuses the flag, and takes the space without.
            reserve = format is DiskFormat.QCOW2 and not thin and self._connection.kind != "TEST"
            self._making = _Making(pool, name, size if not thin else copied.content if copied else 0, bool(copied))
            try:
                volume = _create(pool, tree, size, reserve=reserve, source=copied)
            finally:
                self._making = None
            if volume is not None:
                # A copy comes out with its source's size, whatever was asked.
                if copied is not None and size > copied.size:
                    _grow_or_remove(volume, size, thin=thin)
                elif rest:
                    _grow_or_remove(volume, size, thin=True)
                return Image(volume.path(), size, format, linked.path if linked else None, created=True)
        raise AlreadyExists(f"datastore {pool.name()!r} has a file called {name!r} already")


def _kind(pool: Any) -> str:
    return parse(pool.XMLDesc(0)).get("type", "")


def creatable(asked: DiskFormat | None) -> DiskFormat:
    """The format of a new image.

    Raises:
        Unsupported: it is not among `FORMATS`.
    """
    if asked is not None and asked not in FORMATS:
        raise Unsupported(f"cannot create {asked} images, only {' and '.join(FORMATS)}", capability="disk_formats")
    return asked or FORMATS[0]


def check(spec: DiskSpec) -> None:
    """What is wrong with a disk wherever it is made, so that it can be told before anything is.

    Raises:
        InvalidRequest: a linked disk that is not qcow2, or a size that no image has.
        Unsupported: a format in which images are not made.
    """
    if not spec.creates:
        return
    form = creatable(spec.format)
    if spec.base is not None and spec.linked and form is not DiskFormat.QCOW2:
        refuse(
            "format", str(form), "a linked disk is qcow2 here; leave the format out, or ask for a copy (linked=False)"
        )
    if spec.size is not None and spec.thin:  # a thick one that is too large has no room either, which says more
        _check_size(spec.size, form)


def _check_size(size: int, format: DiskFormat | None) -> None:
    if format is DiskFormat.QCOW2 and size > _LARGEST_QCOW2:
        refuse("size", size, f"a qcow2 has at most {format_size(_LARGEST_QCOW2)}")
    if format is DiskFormat.RAW and size > _LARGEST_RAW:
        refuse("size", size, f"a file has at most {format_size(_LARGEST_RAW)}")


def free_names(stem: str, format: DiskFormat) -> Iterator[str]:
    """File names for a VM's disk: the obvious one, then some that nobody else chose."""
    plain = re.sub(r"[^\w.+@=-]", "_", stem.lstrip(".-")).encode()[:200].decode(errors="ignore")
    yield f"{plain}.{format}"
    for _ in itertools.repeat(None, 8):
        yield f"{plain}-{secrets.token_hex(4)}.{format}"


def _volume_tree(name: str, size: int | None, format: DiskFormat, *, thin: bool) -> ET.Element:
    """A new volume; without a size it has that of the image it will lie on, to the byte."""
    tree = ET.Element("volume")
    ET.SubElement(tree, "name").text = name
    if size is not None:
        ET.SubElement(tree, "capacity", unit="bytes").text = str(size)
    ET.SubElement(tree, "allocation", unit="bytes").text = "0" if thin or size is None else str(size)
    target = ET.SubElement(tree, "target")
    ET.SubElement(target, "format", type=format)
    if format is DiskFormat.QCOW2:
        # libvirt's own default is 0.10, which cannot grow once it has snapshots.
        ET.SubElement(target, "compat").text = "1.1"
    return tree


def _create(pool: Any, tree: ET.Element, size: int, *, reserve: bool, source: Found | None) -> Any | None:
    """The new volume; None if its name is taken."""
    flags = libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA if reserve else 0
    text = ET.tostring(tree, "unicode")
    with _room(size):
        try:
            return pool.createXML(text, flags) if source is None else pool.createXMLFrom(text, source.volume, flags)
        except libvirt.libvirtError as error:
            taken = error.get_error_code() == libvirt.VIR_ERR_STORAGE_VOL_EXIST
            # libvirt has no code for a file that the pool does not know of yet, nor for the name of a copy.
            if taken or "already exists" in str(error) or "already in use" in str(error):
                return None
            raise


def _grow_or_remove(volume: Any, size: int, *, thin: bool) -> None:
    try:
        with _room(size):
            volume.resize(size, 0 if thin else libvirt.VIR_STORAGE_VOL_RESIZE_ALLOCATE)
    except BaseException:
        volume.delete(0)
        raise


def _check_room(conn: Any, pool: Any, size: int) -> None:
    """Refuse what will not fit: libvirt would write until the disk is full."""
    refresh(conn, pool)  # if it can; else the figures are from the last time
    free = pool.info()[3]
    if size > free:
        raise ResourceExhausted(f"datastore {pool.name()!r} has {format_size(free)} free, {format_size(size)} wanted")


@contextmanager
def _room(size: int) -> Iterator[None]:
    """A full disk, or too large a file, as our error: qemu-img's words for it come as VIR_ERR_INTERNAL_ERROR."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_int1() == errno.ENOSPC or "No space left on device" in str(error):
            raise ResourceExhausted("no space is left in the datastore") from error
        if error.get_int1() == errno.EFBIG or "too large" in str(error):
            wanted = "less; the file system of the datastore, or the format, has no files of this size"
            raise InvalidRequest(f"size={size} is not accepted: {wanted}", field="size", value=size) from error
        raise
