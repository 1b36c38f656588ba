"""Disk images: what libvirt is told, and what lies on the disk afterwards."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from hyperkit.errors import AlreadyExists, InvalidRequest, NotFound, ResourceExhausted, Unsupported
from hyperkit.specs import DiskFormat, DiskSpec
from hyperkit.units import GiB, MiB, TiB
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt.datastores import LOOK  # noqa: E402
from hyperkit.backends.libvirt.images import Images  # noqa: E402

needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))


def info(path: str | Path) -> dict[str, Any]:
    """What qemu-img sees."""
    done = subprocess.run(["qemu-img", "info", "--output=json", str(path)], capture_output=True, check=True)
    return dict(json.loads(done.stdout))


def image(path: Path, format: str = "qcow2", size: int = 64 * MiB, *options: str) -> Path:
    subprocess.run(["qemu-img", "create", "-q", "-f", format, *options, str(path), str(size)], check=True)
    return path


@pytest.fixture(scope="module")
def host() -> Iterator[LibvirtHost]:
    with LibvirtHost() as host:
        yield host


@pytest.fixture
def conn(host: LibvirtHost) -> Iterator[Any]:
    libvirt.registerErrorHandler(lambda *_: None, None)
    conn = libvirt.open(host.uri)
    yield conn
    leftover = [pool.name() for pool in conn.listAllStoragePools() if pool.name().startswith(LOOK)]
    conn.close()
    assert leftover == []


@pytest.fixture
def images(conn: Any) -> Images:
    return Images(SimpleNamespace(conn=conn, kind="QEMU"))  # type: ignore[arg-type]


@pytest.fixture
def outside(tmp_path: Path, host: LibvirtHost) -> Path:
    """A directory in no pool."""
    return tmp_path


@needs_bed
class TestNew:
    def test_empty(self, images: Images, host: LibvirtHost) -> None:
        made = images.make("empty", 0, DiskSpec(size=1 * GiB))
        assert made.path == str(host.images / "empty-0.qcow2")
        assert (made.size, made.format, made.base, made.created) == (1 * GiB, DiskFormat.QCOW2, None, True)
        seen = info(made.path)
        assert (seen["format"], seen["virtual-size"]) == ("qcow2", 1 * GiB)
        assert seen["format-specific"]["data"]["compat"] == "1.1"
        assert images.inspect(made.path, "path").size == 1 * GiB

    def test_raw_thin_and_thick(self, images: Images) -> None:
        thin = images.make("r", 0, DiskSpec(size=64 * MiB, format=DiskFormat.RAW))
        thick = images.make("r", 1, DiskSpec(size=64 * MiB, format=DiskFormat.RAW, thin=False))
        assert Path(thin.path).stat().st_blocks == 0
        assert Path(thick.path).stat().st_blocks * 512 >= 64 * MiB

    def test_thick_qcow2_takes_its_space(self, images: Images) -> None:
        thick = images.make("thick", 0, DiskSpec(size=64 * MiB, thin=False))
        assert Path(thick.path).stat().st_blocks * 512 >= 64 * MiB

    def test_thick_without_room(self, images: Images, host: LibvirtHost) -> None:
        with pytest.raises(ResourceExhausted, match="free, 8192 TiB wanted"):
            images.make("huge", 0, DiskSpec(size=8192 * TiB, thin=False))
        assert not list(host.images.glob("huge*"))

    def test_names(self, images: Images, host: LibvirtHost) -> None:
        (host.images / "taken.qcow2").write_text("mine")  # unknown to the pool
        with pytest.raises(AlreadyExists, match=r"taken\.qcow2"):
            images.make("vm", 0, DiskSpec(size=MiB, name="taken"))
        assert (host.images / "taken.qcow2").read_text() == "mine"
        known = images.make("known", 0, DiskSpec(size=MiB, name="known")).path
        for name in ("taken", "known"):
            for linked in (True, False):
                with pytest.raises(AlreadyExists, match=name):
                    images.make("vm", 0, DiskSpec(base=known, name=name, linked=linked))
        first = images.make("same", 0, DiskSpec(size=MiB))
        second = images.make("same", 0, DiskSpec(size=MiB))
        assert first.path != second.path
        assert images.make("Wëb; rm -rf %s,=x" + "ä" * 60, 0, DiskSpec(size=MiB)).created
        long = DiskSpec(size=MiB, name="x")
        object.__setattr__(long, "name", "€" * 100)  # 300 bytes, past our own check of characters
        with pytest.raises(InvalidRequest, match="255"):
            images.make("vm", 0, long)

    @pytest.mark.parametrize("form", [DiskFormat.QCOW2, DiskFormat.RAW])
    def test_a_size_that_no_image_has(self, images: Images, host: LibvirtHost, form: DiskFormat) -> None:
        grown = images.make("grown", 0, DiskSpec(size=MiB, format=form))
        copy = DiskSpec(base=grown.path, linked=False, format=form, size=2**62)
        most = 2**51 + MiB  # for a qcow2; the bed's files have 16 TiB
        specs = [DiskSpec(size=2**62, format=form), DiskSpec(size=most, format=form), copy]
        for spec in specs:
            with pytest.raises(InvalidRequest) as caught:
                images.make("giant", 0, spec)
            assert caught.value.field == "size"
        with pytest.raises(InvalidRequest) as caught:
            images.resize(grown.path, 2**62)
        assert caught.value.field == "size"
        assert not list(host.images.glob("giant*"))
        assert images.inspect(grown.path, "path").size == MiB

    def test_datastore(self, images: Images) -> None:
        for wrong in ("nonsense", "00000000-0000-0000-0000-000000000001"):
            with pytest.raises(NotFound, match="datastore"):
                images.make("vm", 0, DiskSpec(size=MiB, datastore=wrong))

    def test_format(self, images: Images) -> None:
        with pytest.raises(Unsupported):
            images.make("vm", 0, DiskSpec(size=MiB, format=DiskFormat.VHDX))


@needs_bed
class TestFromBase:
    @pytest.fixture
    def base(self, outside: Path) -> Path:
        path = image(outside / "base.qcow2")
        subprocess.run(["qemu-io", "-c", "write -P 7 0 1M", str(path)], check=True, capture_output=True)
        return path

    def test_linked(self, images: Images, base: Path) -> None:
        made = images.make("linked", 0, DiskSpec(base=str(base)))
        seen = info(made.path)
        assert (made.size, made.base) == (64 * MiB, str(base))
        assert seen["backing-filename"] == str(base)
        assert seen["backing-filename-format"] == "qcow2"
        assert images.inspect(made.path, "path").base == str(base)

    def test_linked_raw(self, images: Images) -> None:
        with pytest.raises(InvalidRequest, match="linked disk is qcow2") as caught:
            images.make("raw", 0, DiskSpec(base="/not/looked/at", format=DiskFormat.RAW))
        assert caught.value.field == "format"

    def test_progress_of_a_copy(self, images: Images, outside: Path) -> None:
        base = image(outside / "large.qcow2", size=GiB)
        subprocess.run(["qemu-io", "-c", "write -P 7 0 700M", str(base)], check=True, capture_output=True)
        seen = []
        with ThreadPoolExecutor(1) as pool:
            job = pool.submit(images.make, "progress", 0, DiskSpec(base=str(base), linked=False))
            while not job.done():
                seen.append(images.progress())
                time.sleep(0.01)
        assert job.result().created
        moving = [each for each in seen if each.fraction is not None]
        assert moving
        assert {each.phase for each in moving} == {"copying"}
        assert [each.fraction for each in moving] == sorted(each.fraction or 0 for each in moving)
        assert all(0 < (each.total_bytes or 0) < 800 * MiB for each in moving)
        assert images.progress().phase == ""

    def test_linked_to_raw_and_larger(self, images: Images, outside: Path) -> None:
        raw = image(outside / "base.raw", "raw")
        made = images.make("lraw", 0, DiskSpec(base=str(raw), size=1 * GiB))
        assert info(made.path)["backing-filename-format"] == "raw"
        assert info(made.path)["virtual-size"] == made.size == 1 * GiB

    @pytest.mark.parametrize("form", [DiskFormat.QCOW2, DiskFormat.RAW])
    def test_copied(self, images: Images, base: Path, form: DiskFormat) -> None:
        made = images.make("copied", 0, DiskSpec(base=str(base), linked=False, format=form))
        larger = images.make("copied", 1, DiskSpec(base=str(base), linked=False, format=form, size=128 * MiB))
        for copy, size in ((made, 64 * MiB), (larger, 128 * MiB)):
            seen = info(copy.path)
            assert (copy.base, copy.size, seen["virtual-size"], seen["format"]) == (None, size, size, form)
            assert "backing-filename" not in seen
            read = ["qemu-io", "-r", "-f", form, "-c", "read -P 7 0 1M", copy.path]
            assert b"failed" not in subprocess.run(read, check=True, capture_output=True).stdout

    def test_thick(self, images: Images, base: Path, outside: Path) -> None:
        raw = image(outside / "base.raw", "raw")
        for source, form, size in (
            (base, DiskFormat.QCOW2, 64 * MiB), (raw, DiskFormat.QCOW2, 64 * MiB), (raw, DiskFormat.RAW, 128 * MiB),
        ):  # fmt: skip
            spec = DiskSpec(base=str(source), linked=False, format=form, thin=False, size=size)
            made = images.make("thick-copy", 0, spec)
            assert info(made.path)["virtual-size"] == size
            assert Path(made.path).stat().st_blocks * 512 >= size
        for changes in ({"base": str(base)}, {"format": DiskFormat.QCOW2}):
            with pytest.raises(InvalidRequest, match="all the space"):
                images.make("thick-copy", 0, attrs.evolve(spec, **changes))
        linked = images.make("thick-linked", 0, DiskSpec(base=str(base), thin=False))
        assert Path(linked.path).stat().st_blocks * 512 < MiB

    def test_a_linked_disk_has_the_end_of_a_base_whose_size_is_between_two_kibibytes(
        self, images: Images, outside: Path
    ) -> None:
        size = 3 * MiB + 512
        base = image(outside / "odd.raw", "raw", size)
        end = f"{size - 512} 512"
        subprocess.run(["qemu-io", "-f", "raw", "-c", f"write -P 5 {end}", str(base)], check=True, capture_output=True)
        made = images.make("odd", 0, DiskSpec(base=str(base)))
        assert info(made.path)["virtual-size"] == made.size == size
        read = ["qemu-io", "-r", "-f", "qcow2", "-c", f"read -P 5 {end}", made.path]
        assert b"failed" not in subprocess.run(read, check=True, capture_output=True).stdout

    def test_full(self, images: Images, base: Path, host: LibvirtHost, conn: Any) -> None:
        small = host.home / "small"
        host.run("mkdir", "-p", str(small))
        host.run("mount", "-t", "tmpfs", "-o", "size=512k", "small", str(small))
        pool = conn.storagePoolCreateXML(
            f"<pool type='dir'><name>small</name><target><path>{small}</path></target></pool>", 0
        )
        try:
            for spec in (
                DiskSpec(base=str(base), linked=False, datastore=pool.UUIDString()),
                DiskSpec(base=str(base), linked=False, datastore=pool.UUIDString(), format=DiskFormat.RAW),
                DiskSpec(size=MiB, thin=False, datastore=pool.UUIDString()),
            ):
                with pytest.raises(ResourceExhausted):
                    images.make("full", 0, spec)
                assert host.run("ls", str(small)) == ""
        finally:
            pool.destroy()
            host.run("umount", str(small))

    def test_copy_of_a_linked_image_stands_alone(self, images: Images, base: Path, outside: Path) -> None:
        middle = outside / "middle.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(middle)], check=True
        )
        made = images.make("flat", 0, DiskSpec(base=str(middle), linked=False))
        assert "backing-filename" not in info(made.path)

    def test_too_small(self, images: Images, base: Path, host: LibvirtHost) -> None:
        for linked in (True, False):
            with pytest.raises(InvalidRequest, match="base image") as caught:
                images.make("small", 0, DiskSpec(base=str(base), size=MiB, linked=linked))
            assert caught.value.field == "size"
        assert not list(host.images.glob("small*"))

    def test_a_guest_cannot_pass_its_raw_disk_off_as_a_qcow2(self, images: Images, outside: Path) -> None:
        secret = image(outside / "secret.raw", "raw")
        for name in ("disk.raw", "disk.img", "disk"):
            evil = outside / name
            subprocess.run(
                ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(evil)], check=True
            )
            for linked in (True, False):
                with pytest.raises(InvalidRequest, match="trusted"):
                    images.make("evil", 0, DiskSpec(base=str(evil), linked=linked))
            with pytest.raises(InvalidRequest, match="trusted"):
                images.make("evil", 0, DiskSpec(path=str(evil)))
        assert images.make("evil", 0, DiskSpec(path=str(evil), format=DiskFormat.RAW)).format is DiskFormat.RAW


@needs_bed
class TestExisting:
    def test_in_a_pool_or_not(self, images: Images, outside: Path, host: LibvirtHost) -> None:
        for directory in (outside, host.images):
            path = image(directory / "there.img", size=8 * MiB)
            seen = images.inspect(str(path), "path")
            assert (seen.path, seen.size, seen.format, seen.created) == (str(path), 8 * MiB, DiskFormat.QCOW2, False)

    def test_untidy_path(self, images: Images, outside: Path) -> None:
        path = image(outside / "there.qcow2")
        assert images.inspect(f"{outside}//./there.qcow2", "path").path == str(path)

    def test_nowhere(self, images: Images, outside: Path, host: LibvirtHost) -> None:
        (outside / "file").write_text("")
        for path in (
            outside / "missing.qcow2", outside / "no/such/dir.qcow2", outside / "file/below", host.images / "missing",
            "/missing", "/dev/nothing",
        ):  # fmt: skip
            with pytest.raises(NotFound, match=str(path)):
                images.inspect(str(path), "path")

    def test_directory(self, images: Images, outside: Path, host: LibvirtHost) -> None:
        (host.images / "sub").mkdir(exist_ok=True)
        for path in (outside, f"{outside}/", "/", "/tmp", host.images, host.images / "sub"):
            with pytest.raises(InvalidRequest, match="directory") as caught:
                images.inspect(str(path), "iso")
            assert caught.value.field == "iso"

    def test_relative(self, images: Images) -> None:
        for path in ("disk.qcow2", "/tmp/../etc/passwd"):
            with pytest.raises(InvalidRequest, match="absolute"):
                images.inspect(path, "path")

    def test_a_file_that_its_pool_still_lists(self, images: Images) -> None:
        made = images.make("gone", 0, DiskSpec(size=MiB))
        Path(made.path).unlink()
        for call in (lambda: images.inspect(made.path, "path"), lambda: images.remove(made.path)):
            with pytest.raises(NotFound):
                call()

    def test_many_looks_at_once(self, images: Images, outside: Path) -> None:
        path = str(image(outside / "there.qcow2"))
        with ThreadPoolExecutor(8) as pool:
            seen = list(pool.map(lambda _: images.inspect(path, "path"), range(64)))
        assert {each.path for each in seen} == {path}


@needs_bed
class TestBesideAFileThatCannotBeRead:
    @pytest.fixture
    def bad(self, outside: Path) -> Path:
        bad = image(outside / "bad.qcow2")
        bad.write_bytes(bad.read_bytes()[:40])
        return bad

    def test_outside(self, images: Images, bad: Path) -> None:
        there = image(bad.parent / "there.qcow2")
        (bad.parent / "sub").mkdir()
        for path in (bad, there):
            with pytest.raises(InvalidRequest, match=f"{bad.parent} looks .* not a readable image") as caught:
                images.inspect(str(path), "base")
            assert (caught.value.field, caught.value.value) == ("base", str(path))
        with pytest.raises(NotFound, match="missing"):
            images.inspect(str(bad.parent / "missing"), "path")
        for directory in (bad.parent / "sub", bad.parent):
            with pytest.raises(InvalidRequest, match="this is a directory"):
                images.inspect(str(directory), "path")

    def test_in_a_pool(self, images: Images, bad: Path, host: LibvirtHost, conn: Any) -> None:
        known = images.make("known", 0, DiskSpec(size=MiB)).path
        stray = host.images / "cut.qcow2"
        stray.write_bytes(bad.read_bytes())
        try:
            assert images.inspect(known, "path").size == MiB
            thick = images.make("thick-beside", 0, DiskSpec(size=MiB, thin=False))  # looks at the room first
            assert conn.storagePoolLookupByName("default").isActive()
            images.remove(thick.path)
            images.remove(known)
        finally:
            stray.unlink()


@needs_bed
class TestChange:
    def test_remove(self, images: Images, outside: Path) -> None:
        made = images.make("bye", 0, DiskSpec(size=MiB))
        stray = image(outside / "stray.qcow2")
        for path in (made.path, str(stray)):
            images.remove(path)
            assert not Path(path).exists()
            with pytest.raises(NotFound):
                images.remove(path)

    def test_resize(self, images: Images, outside: Path) -> None:
        stray = image(outside / "stray.qcow2")
        raw = images.make("grow", 1, DiskSpec(size=MiB, format=DiskFormat.RAW)).path
        for path in (images.make("grow", 0, DiskSpec(size=MiB)).path, str(stray), raw):
            assert images.resize(path, 128 * MiB).size == info(path)["virtual-size"] == 128 * MiB
            assert images.resize(path, 128 * MiB).size == 128 * MiB
            with pytest.raises(InvalidRequest, match="smaller"):
                images.resize(path, 64 * MiB)


class TestOnTheTestDriver:
    @pytest.fixture
    def images(self) -> Iterator[Images]:
        conn = libvirt.open("test:///default")
        yield Images(SimpleNamespace(conn=conn, kind="TEST"))  # type: ignore[arg-type]
        conn.close()

    def test_new_linked_copied(self, images: Images) -> None:
        base = images.make("b", 0, DiskSpec(size=2 * MiB))
        assert base.path == "/default-pool/b-0.qcow2"
        assert images.make("l", 0, DiskSpec(base=base.path)).base == base.path
        assert images.make("c", 0, DiskSpec(base=base.path, linked=False)).size == 2 * MiB
        images.remove(base.path)
        with pytest.raises(NotFound):
            images.inspect(base.path, "path")

    def test_without_a_pool(self, images: Images) -> None:
        for pool in images._conn.listAllStoragePools():
            pool.destroy()
        with pytest.raises(NotFound, match="define and start one"):
            images.make("vm", 0, DiskSpec(size=MiB))
