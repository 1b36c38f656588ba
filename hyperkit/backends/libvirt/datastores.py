"""Storage pools as datastores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import libvirt

from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.errors import NotFound
from hyperkit.records import DatastoreRecord

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

LOOK = "hyperkit-look-"
"""How the pools that live for one look are called; nobody lists them."""

_GONE = frozenset(
    {
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
    }
)


class Datastores:
    """See `hyperkit.driver.DatastorePort`. A datastore's id is its pool's UUID."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Sequence[DatastoreRecord]:
        """One call, and one for each pool: libvirt has none for all. Sizes are those of each pool's last refresh."""
        return self._connection.repeat(self._list)

    def get(self, datastore_id: str) -> DatastoreRecord:
        """Sizes are those of now, unless a volume is being made in the pool: it refuses a refresh then."""
        return self._connection.repeat(lambda: self._get(datastore_id))

    def _list(self) -> Sequence[DatastoreRecord]:
        found = []
        for pool in self._connection.conn.listAllStoragePools(0):
            with unless_gone():
                record = _record(pool)
                if not record.name.startswith(LOOK):
                    found.append(record)
        return found

    def _get(self, datastore_id: str) -> DatastoreRecord:
        pool = find_pool(self._connection.conn, datastore_id)
        with suppress(libvirt.libvirtError):
            pool.refresh(0)
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


@contextmanager
def unless_gone() -> Iterator[None]:
    """Leave out of a list what vanishes between being listed and being read."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _GONE:
            raise


def _record(pool: Any) -> DatastoreRecord:
    tree = parse(pool.XMLDesc(0))
    return DatastoreRecord(
        id=tree.findtext("uuid", ""),
        name=tree.findtext("name", ""),
        kind=tree.get("type", ""),
        path=tree.findtext("target/path", ""),
        capacity=int(tree.findtext("capacity", "0")),
        free=int(tree.findtext("available", "0")),
        accessible=bool(pool.isActive()),
    )
