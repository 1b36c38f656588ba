"""Storage pools as datastores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hyperkit.driver import Target
from hyperkit.errors import InvalidState, NotFound
from tests.beds.libvirt_qemu import LibvirtHost, missing

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.datastores import LOOK, Datastores, check_readable, refresh

CUT_SHORT = b"QFI\xfb\0\0\0\3" + bytes(32)
"""The beginning of a qcow2 of version 3, and not all of its header."""

needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with LibvirtHost() as host:
        connection = Connection(Target(url=host.uri, scheme="qemu+unix"))
        yield connection
        connection.close()


@needs_bed
class TestOnQemu:
    def test_default(self, connection: Connection) -> None:
        (found,) = Datastores(connection).list()
        assert (found.name, found.kind, found.accessible) == ("default", "dir", True)
        assert found.path.endswith("/images")
        assert 0 < found.free <= found.capacity
        assert Datastores(connection).get(found.id) == found

    def test_inactive(self, connection: Connection, tmp_path: Any) -> None:
        pool = connection.conn.storagePoolDefineXML(
            f"<pool type='dir'><name>off</name><target><path>{tmp_path}</path></target></pool>"
        )
        try:
            assert {each.name: each.accessible for each in Datastores(connection).list()} == {
                "default": True,
                "off": False,
            }
            assert not Datastores(connection).get(pool.UUIDString()).accessible
        finally:
            pool.undefine()

    def test_a_pool_whose_directory_is_gone(self, connection: Connection, tmp_path: Any) -> None:
        (tmp_path / "pool").mkdir()
        pool = connection.conn.storagePoolDefineXML(
            f"<pool type='dir'><name>gone</name><target><path>{tmp_path}/pool</path></target></pool>"
        )
        pool.create()
        try:
            (tmp_path / "pool").rmdir()
            assert not Datastores(connection).get(pool.UUIDString()).accessible
        finally:
            pool.undefine()

    def test_a_pool_with_a_file_that_cannot_be_read_goes_on(self, connection: Connection, tmp_path: Any) -> None:
        pool = connection.conn.storagePoolDefineXML(
            f"<pool type='dir'><name>bad</name><target><path>{tmp_path}</path></target></pool>"
        )
        pool.create()
        try:
            (tmp_path / "bad.qcow2").write_bytes(CUT_SHORT)
            assert Datastores(connection).get(pool.UUIDString()).accessible
            with pytest.raises(InvalidState, match=str(tmp_path)):
                check_readable(connection.conn, pool)
            (tmp_path / "bad.qcow2").unlink()
            check_readable(connection.conn, pool)
            assert refresh(connection.conn, pool)
        finally:
            pool.destroy()
            pool.undefine()

    def test_a_pool_that_stops_all_the_same(self, connection: Connection, tmp_path: Any) -> None:
        class Late:
            """The file comes between the look and the refresh."""

            def __init__(self, pool: Any) -> None:
                self.pool = pool

            def refresh(self, flags: int) -> None:
                (tmp_path / "bad.qcow2").write_bytes(CUT_SHORT)
                try:
                    self.pool.refresh(flags)
                finally:
                    if self.mended:
                        (tmp_path / "bad.qcow2").unlink()

            def __getattr__(self, name: str) -> Any:
                return getattr(self.pool, name)

            mended = False

        pool = connection.conn.storagePoolDefineXML(
            f"<pool type='dir'><name>late</name><target><path>{tmp_path}</path></target></pool>"
        )
        pool.create()
        late = Late(pool)
        try:
            late.mended = True
            assert not refresh(connection.conn, late)
            assert pool.isActive()
            late.mended = False
            with pytest.raises(InvalidState, match=f"has stopped: a file in {tmp_path}"):
                refresh(connection.conn, late)
        finally:
            pool.undefine()

    def test_looks_are_not_listed(self, connection: Connection, tmp_path: Any) -> None:
        pool = connection.conn.storagePoolCreateXML(
            f"<pool type='dir'><name>{LOOK}1</name><target><path>{tmp_path}</path></target></pool>", 0
        )
        assert [each.name for each in Datastores(connection).list()] == ["default"]
        pool.destroy()


def test_on_the_test_driver() -> None:
    datastores = Datastores(Connection(Target(url="test:///default", scheme="test")))
    (found,) = datastores.list()
    assert datastores.get(found.id) == found
    for wrong in ("nonsense", "00000000-0000-0000-0000-000000000001"):
        with pytest.raises(NotFound, match=wrong):
            datastores.get(wrong)
