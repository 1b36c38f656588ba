"""Files in pools: made, moved and deleted."""

from __future__ import annotations

import io
import os
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperkit.clock import SystemClock
from hyperkit.driver import Target
from hyperkit.errors import AlreadyExists, InvalidRequest, InvalidState, NotFound, TaskFailed, Unsupported
from hyperkit.jobs import Job
from hyperkit.records import VolumeRecord
from hyperkit.specs import DiskFormat, VolumeSpec
from hyperkit.units import MiB
from tests.beds.libvirt_qemu import LibvirtHost, missing

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import images
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.volumes import Volumes

QCOW2 = b"QFI\xfb\0\0\0\3" + bytes(12) + b"\0\0\0\x10" + b"\0\0\0\0\0\x10\0\0" + bytes(68) + b"\0\0\0\x68"
"""The header of an image, and nothing behind it."""

needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))


@pytest.fixture(scope="module")
def host() -> Iterator[LibvirtHost]:
    with LibvirtHost() as host:
        yield host


@pytest.fixture(scope="module")
def connection(host: LibvirtHost) -> Iterator[Connection]:
    connection = Connection(Target(url=host.uri, scheme="qemu+unix"))
    yield connection
    connection.close()


@pytest.fixture
def volumes(connection: Connection) -> Volumes:
    return Volumes(connection)


@pytest.fixture(scope="module")
def store(connection: Connection) -> str:
    return str(connection.conn.storagePoolLookupByName("default").UUIDString())


def made(result: VolumeRecord | Job[VolumeRecord]) -> VolumeRecord:
    if isinstance(result, VolumeRecord):
        return result
    while not (status := result.poll()).done:
        result.wait(10, SystemClock())
    if status.error:
        raise status.error
    assert status.result is not None
    return status.result


@needs_bed
class TestOnQemu:
    @pytest.mark.parametrize("form", [DiskFormat.QCOW2, DiskFormat.RAW])
    @pytest.mark.parametrize("thin", [True, False])
    def test_create(self, volumes: Volumes, store: str, form: DiskFormat, thin: bool) -> None:
        spec = VolumeSpec(f"data-{thin}.{form}", 16 * MiB, form, thin)
        volume = made(volumes.create(store, spec))
        assert (volume.name, volume.size, volume.format) == (spec.name, 16 * MiB, form)
        assert (volume.allocated >= 16 * MiB) is not thin
        assert volume in volumes.list(store)

    def test_taken(self, volumes: Volumes, store: str, host: LibvirtHost) -> None:
        made(volumes.create(store, VolumeSpec("taken", MiB)))
        (host.images / "unknown").write_text("keep")
        for name in ("taken", "unknown"):
            with pytest.raises(AlreadyExists):
                made(volumes.create(store, VolumeSpec(name, 2 * MiB)))
            with pytest.raises(AlreadyExists):
                volumes.upload(store, name, io.BytesIO(b"x"), 1)
        assert (host.images / "unknown").read_text() == "keep"
        assert next(each for each in volumes.list(store) if each.name == "taken").size == MiB

    def test_format(self, volumes: Volumes, store: str) -> None:
        with pytest.raises(Unsupported):
            volumes.create(store, VolumeSpec("v.vhdx", MiB, DiskFormat.VHDX))

    def test_list_is_as_things_are_now(self, volumes: Volumes, store: str, host: LibvirtHost) -> None:
        (host.images / "new.iso").write_bytes(b"0" * 4096)
        (host.images / "directory").mkdir()
        names = {each.name for each in volumes.list(store)}
        assert "new.iso" in names
        assert "directory" not in names
        (host.images / "new.iso").unlink()
        assert "new.iso" not in {each.name for each in volumes.list(store)}

    def test_a_linked_image_names_its_base(self, volumes: Volumes, store: str, host: LibvirtHost) -> None:
        base, overlay = host.images / "b.qcow2", host.images / "o.qcow2"
        for command in (["8M"], ["-b", str(base), "-F", "qcow2"]):
            target = base if command == ["8M"] else overlay
            options = [] if command == ["8M"] else command
            subprocess.run(["qemu-img", "create", "-qf", "qcow2", *options, str(target), "8M"], check=True)
        assert next(each for each in volumes.list(store) if each.name == "o.qcow2").base == str(base)

    def test_delete(self, volumes: Volumes, store: str) -> None:
        volume = made(volumes.create(store, VolumeSpec("bye", MiB)))
        volumes.delete(volume.id)
        assert not Path(volume.path).exists()
        for wrong in (volume.id, "nonsense"):
            with pytest.raises(NotFound, match=wrong):
                volumes.delete(wrong)

    @pytest.mark.parametrize("size", [0, 1, 256 * 1024, 3 * MiB + 17])
    def test_there_and_back(self, volumes: Volumes, store: str, size: int) -> None:
        data = os.urandom(size)
        volume = volumes.upload(store, f"up-{size}.iso", io.BytesIO(data + b"more"), size)
        assert Path(volume.path).read_bytes() == data
        assert volume.size == size
        sink = io.BytesIO()
        volumes.download(volume.id, sink)
        assert sink.getvalue() == data

    def test_an_uploaded_image_keeps_its_format(self, volumes: Volumes, store: str, tmp_path: Path) -> None:
        image = tmp_path / "i.qcow2"
        subprocess.run(["qemu-img", "create", "-qf", "qcow2", str(image), "64M"], check=True)
        with image.open("rb") as source:
            volume = volumes.upload(store, "i.qcow2", source, image.stat().st_size)
        assert (volume.format, volume.size) == ("qcow2", 64 * MiB)
        sink = io.BytesIO()
        volumes.download(volume.id, sink)
        assert sink.getvalue() == image.read_bytes()

    def test_an_upload_that_breaks_off_leaves_no_file(self, volumes: Volumes, store: str, host: LibvirtHost) -> None:
        class Broken(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                if self.tell_ > MiB:
                    raise OSError("cable")
                self.tell_ += size
                return b"x" * size

            tell_ = 0

        with pytest.raises(TaskFailed, match="3 of 10"):
            volumes.upload(store, "short", io.BytesIO(b"abc"), 10)
        with pytest.raises(OSError, match="cable"):
            volumes.upload(store, "broken", Broken(), 10 * MiB)  # type: ignore[arg-type]
        assert not (host.images / "short").exists()
        assert not (host.images / "broken").exists()
        assert volumes.upload(store, "short", io.BytesIO(b"abc"), 3).size == 3

    def test_an_image_cut_within_its_header_is_not_uploaded(
        self, volumes: Volumes, store: str, host: LibvirtHost, connection: Connection
    ) -> None:
        for size in (8, 40, 103):
            with pytest.raises(InvalidRequest, match="cut short"):
                volumes.upload(store, "bad.qcow2", io.BytesIO(QCOW2[:size]), size)
            assert not (host.images / "bad.qcow2").exists()
        assert volumes.upload(store, "least.qcow2", io.BytesIO(QCOW2), 104).format == "qcow2"
        assert connection.conn.storagePoolLookupByName("default").isActive()

    def test_beside_a_file_that_cannot_be_read(
        self, volumes: Volumes, store: str, host: LibvirtHost, connection: Connection
    ) -> None:
        made(volumes.create(store, VolumeSpec("before", MiB)))
        bad = host.images / "bad.qcow2"
        bad.write_bytes(QCOW2[:40])
        try:
            assert "before" in {each.name for each in volumes.list(store)}
            with pytest.raises(InvalidState, match=rf"{host.images} looks .* not a readable image"):
                volumes.upload(store, "x", io.BytesIO(b"abc"), 3)
            assert not (host.images / "x").exists()
        finally:
            bad.unlink()
        assert {"before", "bad.qcow2"} & {each.name for each in volumes.list(store)} == {"before"}

    def test_what_cannot_be_read_back_nor_deleted_is_named(
        self, volumes: Volumes, store: str, host: LibvirtHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Without the check of its beginning, this is what libvirt makes of such a file.
        monkeypatch.setattr("hyperkit.backends.libvirt.volumes._QCOW2_HEADER", 8)
        with pytest.raises(TaskFailed, match=rf"{host.images}/lost\.qcow2") as caught:
            volumes.upload(store, "lost.qcow2", io.BytesIO(QCOW2[:40]), 40)
        lost = host.images / "lost.qcow2"
        # libvirt looks by itself after an upload; only before that does it know the file, so as to delete it.
        assert ("it was removed" in str(caught.value)) is not lost.exists()
        lost.unlink(missing_ok=True)
        volumes.list(store)

    def test_progress_of_a_thick_one(self, volumes: Volumes, store: str, monkeypatch: pytest.MonkeyPatch) -> None:
        go = threading.Event()
        real = images._create

        def slow(*args: Any, **options: Any) -> Any:
            go.wait(10)
            return real(*args, **options)

        monkeypatch.setattr(images, "_create", slow)
        job = volumes.create(store, VolumeSpec("slow", MiB, thin=False))
        assert isinstance(job, Job)
        deadline = time.monotonic() + 10
        while job.poll().progress.phase != "writing":
            assert time.monotonic() < deadline
        go.set()
        assert made(job).size == MiB

    def test_a_sink_that_fails(self, volumes: Volumes, store: str) -> None:
        class Full(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError("full")

        volume = volumes.upload(store, "big", io.BytesIO(b"1" * 8 * MiB), 8 * MiB)
        with pytest.raises(OSError, match="full"):
            volumes.download(volume.id, Full())
        sink = io.BytesIO()
        volumes.download(volume.id, sink)
        assert sink.getvalue() == b"1" * 8 * MiB

    def test_memory_is_bounded(self, volumes: Volumes, store: str) -> None:
        class Zeros(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                return bytes(size or 0)

        class Hole(io.BytesIO):
            def write(self, data: Any) -> int:
                return len(data)

        tracemalloc.start()
        volume = volumes.upload(store, "large", Zeros(), 64 * MiB)
        volumes.download(volume.id, Hole())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * MiB


def test_on_the_test_driver() -> None:
    connection = Connection(Target(url="test:///default", scheme="test"))
    volumes = Volumes(connection)
    store = connection.conn.listAllStoragePools(0)[0].UUIDString()
    volume = made(volumes.create(store, VolumeSpec("v.qcow2", MiB)))
    assert volume in volumes.list(store)
    with pytest.raises(AlreadyExists):
        volumes.create(store, VolumeSpec("v.qcow2", MiB))
    volumes.delete(volume.id)
    assert volumes.list(store) == []
    with pytest.raises(NotFound):
        volumes.list("nonsense")
