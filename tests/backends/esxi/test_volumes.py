"""Files in a simulated host's datastores."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import Datastore, DiskSpec, Host, HyperkitError, InvalidRequest, MiB, NotFound
from hyperkit.errors import AlreadyExists, ResourceExhausted, TaskFailed
from tests.beds.vcsim import Vcsim, missing

STORE = "LocalDS_0"


@pytest.fixture(scope="module", params=["esx", "vcenter"])
def a_sim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(request.param) as sim:
        yield sim


@pytest.fixture
def sim(a_sim: Vcsim) -> Iterator[Vcsim]:
    yield a_sim
    a_sim.faults.clear()


@pytest.fixture
def host(sim: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as host:
        yield host
        sim.faults.clear()
        for vm in host.vms:
            vm.delete(disks="all", force=True)
        for volume in host.datastores.one(name=STORE).volumes:
            volume.delete()


@pytest.fixture
def store(host: Host) -> Datastore:
    return host.datastores.one(name=STORE)


def files(sim: Vcsim) -> set[Path]:
    return {path.relative_to(root) for root in sim.datastores.values() for path in root.rglob("*")}


class Endless(io.RawIOBase):
    """Zeros, which nobody has in memory."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return bytes(size)


@pytest.mark.parametrize("name", ["a b%20#.iso", "x'[1]&+ü;=.img", "%2f", "..."])
def test_any_name_goes_there_and_back(sim: Vcsim, host: Host, store: Datastore, tmp_path: Path, name: str) -> None:
    del host
    data = bytes(range(256)) * 3 + b"odd"
    if "'" in name or "&" in name:  # refused for new names, and allowed for what is there
        (sim.datastores[STORE] / name).write_bytes(data)
        volume = next(each for each in store.volumes if each.name == name)
    else:
        volume = store.volumes.upload(io.BytesIO(data), name, size=len(data))
        assert (sim.datastores[STORE] / name).read_bytes() == data
    assert volume.download(tmp_path / "back").read_bytes() == data
    volume.delete()
    assert not (sim.datastores[STORE] / name).exists()


def test_memory_does_not_grow_with_the_file(store: Datastore, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        volume = store.volumes.upload(cast(BinaryIO, Endless()), "large.iso", size=64 * MiB)
        volume.download(tmp_path / "back")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (tmp_path / "back").stat().st_size == 64 * MiB
    assert peak < 8 * MiB


def test_an_upload_that_breaks_off_or_is_refused_leaves_nothing(sim: Vcsim, store: Datastore) -> None:
    before = files(sim)
    with pytest.raises(TaskFailed, match="1000 of 2000"):
        store.volumes.upload(io.BytesIO(bytes(1000)), "short.iso", size=2000)
    assert files(sim) == before


def test_an_upload_leaves_a_file_of_its_name_as_it_was(sim: Vcsim, store: Datastore) -> None:
    store.volumes.upload(io.BytesIO(b"one"), "a.iso", size=3)
    with pytest.raises(AlreadyExists):
        store.volumes.upload(io.BytesIO(b"two"), "a.iso", size=3)
    assert (sim.datastores[STORE] / "a.iso").read_bytes() == b"one"


def test_a_session_that_has_ended_is_renewed_before_a_transfer(sim: Vcsim, store: Datastore, tmp_path: Path) -> None:
    sim.control.expire_sessions()
    volume = store.volumes.upload(io.BytesIO(b"one"), "a.iso", size=3)
    sim.control.expire_sessions()
    assert volume.download(tmp_path / "back").read_bytes() == b"one"


def test_a_disk_is_one_volume_and_goes_with_all_its_files(sim: Vcsim, store: Datastore, tmp_path: Path) -> None:
    volume = store.volumes.create("data", 8 * MiB)
    assert [each.path for each in store.volumes] == [volume.path] == [f"[{STORE}] data.vmdk"]
    assert volume.download(tmp_path / "raw").stat().st_size == 8 * MiB  # what a guest sees, not the descriptor
    volume.delete()
    assert not {path for path in files(sim) if "data" in str(path)}


def test_what_is_called_a_disk_and_is_none_can_be_deleted(sim: Vcsim, store: Datastore) -> None:
    volume = store.volumes.upload(io.BytesIO(b"KDMV"), "sparse.vmdk", size=4)
    volume.delete()
    assert not {path for path in files(sim) if "sparse" in str(path)}


def test_a_vms_own_files_are_no_volumes(host: Host, store: Datastore) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB)])
    vm.start()
    assert [each.path for each in store.volumes] == [vm.disks[0].path]


def test_a_list_is_a_call_and_a_task_however_many(sim: Vcsim, host: Host, store: Datastore) -> None:
    for number in range(30):
        (sim.datastores[STORE] / f"{number}.iso").write_bytes(b"x")
    sim.control.reset_calls()
    assert len(host.driver.volumes.list(store.id)) == 30
    assert sim.control.calls().requests <= 4


def test_a_full_datastore_is_said_to_be_full_and_nothing_stays(sim: Vcsim, store: Datastore) -> None:
    before = files(sim)
    sim.faults.task_fault("CreateVirtualDisk_Task", "NoDiskSpace")
    with pytest.raises(ResourceExhausted):
        store.volumes.create("data", 8 * MiB, thin=False)
    assert files(sim) == before


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("[LocalDS_0] none.iso", NotFound),
        ("[LocalDS_0] none/none.iso", NotFound),
        ("[elsewhere] a.iso", NotFound),
        ("[LocalDS_0] ../../etc/passwd", InvalidRequest),
        ("/etc/passwd", InvalidRequest),
        ("[LocalDS_0] dir", InvalidRequest),
    ],
)
def test_what_is_no_file_is_neither_deleted_nor_read(
    sim: Vcsim, host: Host, path: str, error: type[HyperkitError]
) -> None:
    directory = sim.datastores[STORE] / "dir"
    directory.mkdir(exist_ok=True)
    with pytest.raises(error):
        host.driver.volumes.delete(path)
    with pytest.raises(error):
        host.driver.volumes.download(path, io.BytesIO())
    assert directory.is_dir()
    directory.rmdir()
