"""What the conformance suite does not ask: the toy's own."""

from __future__ import annotations

from pathlib import Path

import hyperkit_toy
import pytest
from hyperkit_toy.errors import ERRNOS, translate
from hyperkit_toy.store import ToyError

import hyperkit
from hyperkit import BackendError, Cancelled, ConnectionFailed, DiskSpec, MiB, NotFound, ResourceExhausted, Unsupported
from hyperkit.testing import Faults


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"toy://{tmp_path}"


def test_vms_survive_a_reconnect(url: str) -> None:
    with hyperkit.connect(url) as host:
        vm = host.vms.create("web1", memory=64 * MiB, disks=[DiskSpec(size=8 * MiB)]).start()
    with hyperkit.connect(url) as again:
        assert again.vms.one(name="web1").record == vm.record


def test_a_create_copies_its_base_in_steps_and_can_be_cancelled(url: str, tmp_path: Path) -> None:
    host = hyperkit.connect(url)
    base = tmp_path / "images" / "base.raw"
    base.write_bytes(b"hyperkit" * MiB)
    task = host.vms.begin_create("web1", disks=[DiskSpec(base=str(base), linked=False)])
    assert not task.done
    assert task.progress.total_bytes == 8 * MiB
    vm = task.result()
    assert Path(vm.disks[0].path).read_bytes() == base.read_bytes()
    task = host.vms.begin_create("web2", disks=[DiskSpec(base=str(base), linked=False)])
    assert not task.done
    task.cancel()
    with pytest.raises(Cancelled):
        task.result()
    assert {path.name for path in base.parent.iterdir()} == {"base.raw", Path(vm.disks[0].path).name}


def test_what_it_lacks_is_refused_with_its_own_reason(url: str) -> None:
    with pytest.raises(Unsupported, match="a toy forgets what was"):
        hyperkit.connect(url).vms.create("web1").snapshots.create("clean")


@pytest.mark.parametrize("number", sorted(ERRNOS))
def test_the_systems_errors_are_mapped(number: int) -> None:
    assert type(translate(OSError(number, "no"))) is ERRNOS[number]


def test_the_vendors_errors_go_through_the_table(url: str) -> None:
    faults = Faults()
    host = hyperkit.connect(url, wrap=[faults])
    faults.fail("vms.list", ToyError("missing", "gone"))
    faults.fail("vms.list", OSError(28, "disk full"))
    faults.fail("vms.list", ToyError("a reason of next year", "what?"))
    for expected in (NotFound, ResourceExhausted, BackendError):
        with pytest.raises(expected):
            host.vms.list()


def test_a_directory_that_is_not_there_is_no_host(tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed):
        hyperkit.connect(f"toy://{tmp_path}/none")
    with pytest.raises(hyperkit.InvalidRequest):
        hyperkit.connect("toy://elsewhere/path")
    assert hyperkit_toy.CAPABILITIES.bios
    assert not hyperkit_toy.CAPABILITIES.snapshots
