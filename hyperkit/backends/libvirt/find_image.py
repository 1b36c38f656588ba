"""Finding the file at a path of the host, in a pool or in none, and what libvirt sees in it."""

from __future__ import annotations

import errno
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

import attrs
import libvirt

from hyperkit.backends.libvirt.datastores import end_look, is_unreadable, look_at, unreadable_in
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.checks import refuse
from hyperkit.errors import InvalidRequest, NotFound
from hyperkit.specs import DiskFormat

# By the name of the file, and by what libvirt saw in its first bytes. It has no word for VHDX.
_BY_NAME = {
    ".qcow2": DiskFormat.QCOW2,
    ".raw": DiskFormat.RAW,
    ".iso": DiskFormat.RAW,
    ".vmdk": DiskFormat.VMDK,
    ".vhd": DiskFormat.VHD,
    ".vhdx": DiskFormat.VHDX,
}
_BY_CONTENT = {
    "raw": DiskFormat.RAW,
    "iso": DiskFormat.RAW,
    "qcow2": DiskFormat.QCOW2,
    "vmdk": DiskFormat.VMDK,
    "vpc": DiskFormat.VHD,
}


@attrs.frozen
class Found:
    """A volume that is there, with its description as it was just read."""

    volume: Any
    path: str
    tree: ET.Element

    @property
    def size(self) -> int:
        return int(self.tree.findtext("capacity", "0"))

    @property
    def physical(self) -> int:
        """How long the file is: the size of a raw disk, whatever its content looks like."""
        return int(self.tree.findtext("physical", "")) if self.tree.find("physical") is not None else self.size

    @property
    def content(self) -> int:
        """About how many bytes a copy will take; 0 where most of them may be in its base."""
        return int(self.tree.findtext("allocation", "0")) if self.base is None else 0

    @property
    def base(self) -> str | None:
        return self.tree.findtext("backingStore/path") or None

    def format(self, field: str) -> DiskFormat | None:
        """The format, if name and content do not contradict each other.

        What a guest writes to a raw disk decides what its first bytes look like. Taken for a qcow2, such a
        disk names any file of the host as its base and lets the next guest read it.
        """
        element = self.tree.find("target/format")
        seen = "raw" if element is None else element.get("type", "raw")
        content = _BY_CONTENT.get(seen)
        named = _BY_NAME.get(posixpath.splitext(self.path)[1].lower())
        if named is None:
            if self.base is not None:
                refuse(field, self.path, f"its name does not say that it is a {seen} file, yet it names {self.base} "
                       f"as its base, which a guest could have written; rename it if it is to be trusted")  # fmt: skip
            return content
        # Descriptors of VMDK, fixed VHD and VHDX have nothing at their beginning that libvirt knows.
        if content is not named and (content is not DiskFormat.RAW or named is DiskFormat.QCOW2):
            refuse(field, self.path, f"its name says {named}, its content {seen}; rename it if it is to be trusted")
        return named


@contextmanager
def find(conn: Any, path: str, field: str) -> Iterator[Found]:
    """The volume at a path, for as long as it is needed."""
    if not path.startswith("/") or ".." in path.split("/"):
        refuse(field, path, "an absolute path on the host, without '..'")
    asked, path = path, re.sub("^//", "/", posixpath.normpath(path))
    try:
        volume = conn.storageVolLookupByPath(path)
        # A pool's list may be older than the end of the file; the description is always new.
        found: Found | None = Found(volume, path, parse(volume.XMLDesc(0)))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise
        found = None
    if found is not None:
        yield _file(found, field, asked)
    else:
        with _looked_up(conn, path, field) as found:
            yield _file(found, field, asked)


@contextmanager
def _looked_up(conn: Any, path: str, field: str) -> Iterator[Found]:
    """A volume in no pool, or in one that does not know of it yet.

    Refreshing pools instead would fail whenever one of them has a volume in the making.
    """
    parent, name = posixpath.split(path)
    if path == "/":
        refuse(field, path, "a file; this is a directory")
    if path.startswith(("/dev/", "/proc/", "/sys/")):
        # A look opens every file beside this one, and opening /dev/watchdog may restart the host.
        raise NotFound(f"{path} is in no storage pool; define one that has it (of type logical, disk or iscsi)")
    pool = _look(conn, path, parent, field)
    try:
        try:
            volume = pool.storageVolLookupByName(name)
            found = Found(volume, path, parse(volume.XMLDesc(0)))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
                raise NotFound(f"no file {path} on the host") from error
            raise
        yield found
    finally:
        with suppress(libvirt.libvirtError):  # the session broke: the next one does it
            end_look(pool)


def check_directory(conn: Any, path: str, field: str) -> None:
    """See that a directory is there, as far as the host has storage pools to tell by.

    Raises:
        NotFound: nothing is there.
        InvalidRequest: a file is there, or what is no place for anybody's files.
    """
    if path.split("/")[1] in _OF_THE_KERNEL:
        refuse(field, path, "a directory of files")  # and no look: see _looked_up
    try:
        end_look(look_at(conn, path))
    except libvirt.libvirtError as error:
        if error.get_int1() == errno.ENOENT:
            raise NotFound(f"{field}={path!r}: no such directory on the host") from error
        if error.get_int1() == errno.ENOTDIR:
            refuse(field, path, "a directory; this is a file")
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT and not is_unreadable(error):
            raise


_OF_THE_KERNEL = ("dev", "proc", "sys")


def _look(conn: Any, path: str, parent: str, field: str) -> Any:
    """A look at the directory, or the reason why there can be none."""
    try:
        return look_at(conn, parent)
    except libvirt.libvirtError as error:
        if error.get_int1() in (errno.ENOENT, errno.ENOTDIR):
            raise NotFound(f"no file {path} on the host: there is no directory {parent}") from error
        if not is_unreadable(error):
            raise
        _explain(conn, path, parent, field, error)


def _explain(conn: Any, path: str, parent: str, field: str, reason: Exception) -> NoReturn:
    """What can be told of a path whose directory libvirt cannot read."""
    # A look at the path itself still tells a directory from a file and from nothing. That it is a file which
    # can be read, and only another one of the directory cannot, libvirt tells by no look.
    try:
        end_look(look_at(conn, path))
    except libvirt.libvirtError as error:
        if error.get_int1() == errno.ENOENT:
            raise NotFound(f"no file {path} on the host") from error
        if error.get_int1() == errno.ENOTDIR:
            said = InvalidRequest(f"{field}={path!r} cannot be looked at: {unreadable_in(parent)}", field=field,
                                  value=path)  # fmt: skip
            raise said from reason
        if not is_unreadable(error):
            raise
    refuse(field, path, "a file; this is a directory")


def _file(found: Found, field: str, asked: str) -> Found:
    if found.tree.get("type") in ("dir", "netdir"):
        refuse(field, asked, "a file; this is a directory")
    if asked.endswith("/"):
        raise NotFound(f"no directory {asked} on the host: {found.path} is a file")
    return found
