"""Storage pools as datastores."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt.errors import asked
from hyperkit.backends.libvirt.listing import read_each, unless_gone
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.errors import Busy, InvalidState, NotFound
from hyperkit.records import DatastoreRecord

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

LOOK = "hyperkit-look-"
"""How the pools that live for one look are called; nobody lists them."""

DIRECTORIES = frozenset({"dir", "fs", "netfs", "vstorage"})
"""Kinds of pool that are a directory of files."""

_LOOKS_AT_ONCE = 64

_alive: set[str] = set()
"""The names of this process's looks that are in use."""
_owner = secrets.token_hex(4)
"""What the names of this process's looks have in common."""


def _after_fork_in_child() -> None:
    global _owner  # noqa: PLW0603
    _owner = secrets.token_hex(4)
    _alive.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)


class Datastores:
    """See `hyperkit.driver.DatastorePort`. A datastore's id is its pool's UUID."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Sequence[DatastoreRecord]:
        """One call, and one for each pool: libvirt has none for all. Sizes are those of each pool's last refresh."""
        return self._connection.repeat(self._list)

    def get(self, datastore_id: str) -> DatastoreRecord:
        """Sizes are those of now, unless a volume is being made in the pool or a file in it cannot be read."""
        return self._connection.repeat(lambda: self._get(datastore_id))

    def _list(self) -> Sequence[DatastoreRecord]:
        pools = self._pools()
        found = read_each(self._connection, pools, _record, again=self._pools, key=lambda pool: str(pool.UUIDString()))
        return [record for _, record in found if not record.name.startswith(LOOK)]

    def _pools(self) -> Sequence[Any]:
        return asked(lambda: self._connection.conn.listAllStoragePools(0), [])

    def _get(self, datastore_id: str) -> DatastoreRecord:
        pool = find_pool(self._connection.conn, datastore_id)
        refresh(self._connection.conn, pool)
        return _record(pool)


def find_pool(conn: Any, datastore_id: str) -> Any:
    """The pool with this UUID.

    Raises:
        NotFound: there is none.
    """
    try:
        return conn.storagePoolLookupByUUIDString(datastore_id)
    except libvirt.libvirtError as error:
        # What is no UUID at all is no argument for libvirt.
        if error.get_error_code() in (libvirt.VIR_ERR_NO_STORAGE_POOL, libvirt.VIR_ERR_INVALID_ARG):
            raise NotFound(f"no datastore with id {datastore_id!r}") from error
        raise


def refresh(conn: Any, pool: Any) -> bool:
    """Let libvirt look at a pool's files again, if that does no harm; False if it still knows the old ones only.

    A pool in which libvirt cannot read one file, such as a qcow2 that ends within its header, is stopped by its
    refresh and cannot be started before the file is gone (seen with 9.0). So a look goes first.

    Raises:
        InvalidState: the pool was stopped all the same.
    """
    try:
        if not pool.isActive():
            return False
        tree = parse(pool.XMLDesc(0))
        if tree.get("type") in DIRECTORIES:
            try:
                end_look(look_at(conn, tree.findtext("target/path", "")))
            except libvirt.libvirtError as error:
                if is_unreadable(error):
                    return False
        pool.refresh(0)
    except (libvirt.libvirtError, Busy):
        # A pool with a volume in the making refuses this, and what it knows is the best there is.
        _restart(pool)
        return False
    return True


def check_readable(conn: Any, pool: Any) -> None:
    """Refuse a pool with a file that libvirt cannot read: it would be stopped, or lose its list, by what follows.

    Raises:
        InvalidState: there is one.
    """
    tree = parse(pool.XMLDesc(0))
    if tree.get("type") not in DIRECTORIES:
        return
    where = tree.findtext("target/path", "")
    try:
        end_look(look_at(conn, where))
    except libvirt.libvirtError as error:
        if is_unreadable(error):
            raise InvalidState(f"storage pool {pool.name()!r} is of no use now: {unreadable_in(where)}") from error
        # What else is wrong will be said of the thing itself.


def _restart(pool: Any) -> None:
    """Start a pool that a refresh stopped, unless its directory or device is what went away."""
    try:
        if not pool.isActive():
            pool.create(0)
    except libvirt.libvirtError as error:
        if is_unreadable(error):
            where = parse(pool.XMLDesc(0)).findtext("target/path", "")
            raise InvalidState(
                f"storage pool {pool.name()!r} has stopped: {unreadable_in(where)}, then start the pool",
                current="inactive",
                wanted="refresh",
            ) from error


def is_unreadable(error: Any) -> bool:
    """Whether a directory has a file that libvirt takes for an image and cannot read: it has no words for that."""
    return bool(error.get_error_code() == libvirt.VIR_ERR_INTERNAL_ERROR and "cause is unknown" in str(error))


def unreadable_in(directory: str) -> str:
    """What to tell of it."""
    return (
        f"a file in {directory} looks like a disk image and is not a readable image (a qcow2 cut short, perhaps), "
        f"with which libvirt reads none of the others; move it away"
    )


def look_at(conn: Any, directory: str) -> Any:
    """A pool of a directory, until `end_look`. It leaves files alone, and libvirt forgets it when it is destroyed.

    Raises:
        Busy: too many are there already.
    """
    for dots in range(1, _LOOKS_AT_ONCE):
        tree = ET.Element("pool", type="dir")
        name = f"{LOOK}{_owner}-{secrets.token_hex(8)}"
        ET.SubElement(tree, "name").text = name
        # libvirt refuses two pools of one directory, but it compares the text of their paths.
        ET.SubElement(ET.SubElement(tree, "target"), "path").text = directory.rstrip("/") + "/." * dots
        _alive.add(name)
        try:
            return conn.storagePoolCreateXML(ET.tostring(tree, "unicode"), 0)
        except libvirt.libvirtError as error:
            _alive.discard(name)
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_FAILED:
                raise
            conflict = error
    raise Busy(f"too many looks into {directory} at once") from conflict


def end_look(pool: Any) -> None:
    """Forget a look. One whose session broke is forgotten by the next session: `end_lost_looks`."""
    _alive.discard(pool.name())
    with unless_gone():
        pool.destroy()


def end_lost_looks(conn: Any) -> None:
    """Forget what a session that broke has left: also a look that libvirt made and could not tell of any more."""
    with suppress(libvirt.libvirtError):
        for pool in conn.listAllStoragePools(0):
            name = pool.name()
            if name.startswith(f"{LOOK}{_owner}-") and name not in _alive:
                pool.destroy()


def _record(pool: Any) -> DatastoreRecord:
    tree = parse(pool.XMLDesc(0))
    return DatastoreRecord(
        id=tree.findtext("uuid", ""),
        name=tree.findtext("name", ""),
        kind=tree.get("type", ""),
        path=tree.findtext("target/path", ""),
        capacity=int(tree.findtext("capacity", "0")),
        free=int(tree.findtext("available", "0")),
        accessible=bool(asked(pool.isActive, True)),
    )
