"""Storage pools as datastores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hyperkit.driver import Target
from hyperkit.errors import NotFound
from tests.beds.libvirt_qemu import LibvirtHost, missing

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.datastores import LOOK, Datastores

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
