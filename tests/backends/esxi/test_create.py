"""Creating VMs on a simulated host: where they go, what is refused, and that nothing stays of what fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import AlreadyExists, BootDevice, DiskSpec, Host, HyperkitError, InvalidRequest, MiB, NicSpec, NotFound
from hyperkit.errors import Cancelled, ConnectionLost, ResourceExhausted
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


def files(sim: Vcsim) -> set[str]:
    return {str(path.relative_to(root)) for root in sim.datastores.values() for path in root.rglob("*")}


def disk(sim: Vcsim, host: Host, name: str = "image", size: int = 16 * MiB) -> str:
    """The path of a disk that no VM has, made by a VM that is gone."""
    vm = host.vms.create(f"maker-of-{name}", disks=[DiskSpec(size=size, name=name)])
    path = vm.disks[0].path
    vm.delete(disks="none")
    return path


def test_a_vms_files_are_in_a_directory_of_its_name(sim: Vcsim, host: Host) -> None:
    spec = [DiskSpec(size=8 * MiB), DiskSpec(size=8 * MiB, name="data"), DiskSpec(size=8 * MiB)]
    vm = host.vms.create("web1", disks=spec)
    assert [each.path for each in vm.disks] == [
        f"[{STORE}] web1/web1.vmdk",
        f"[{STORE}] web1/data.vmdk",
        f"[{STORE}] web1/web1_1.vmdk",
    ]
    assert {"web1/web1.vmx", "web1/web1.vmdk", "web1/data.vmdk", "web1/web1_1.vmdk"} <= files(sim)


def test_a_directory_that_is_there_stays_as_it_is(sim: Vcsim, host: Host) -> None:
    theirs = sim.datastores[STORE] / "taken"
    theirs.mkdir()
    (theirs / "taken.vmdk").write_bytes(b"somebody's")
    vm = host.vms.create("taken", disks=[DiskSpec(size=8 * MiB)])
    assert vm.disks[0].path == f"[{STORE}] taken_1/taken_1.vmdk"
    vm.delete()
    assert (theirs / "taken.vmdk").read_bytes() == b"somebody's"
    (theirs / "taken.vmdk").unlink()
    theirs.rmdir()


@pytest.mark.parametrize(
    "name", ["50% off", "a%2fb", "[x]", "großer Rechner", "日本語", "x" * 80, "it-is.fine_", "+&;"]
)
def test_names_come_back_as_they_were_given(sim: Vcsim, host: Host, name: str) -> None:
    if "&" in name:
        with pytest.raises(InvalidRequest):
            host.vms.create(name)
        return
    before = files(sim)
    vm = host.vms.create(name, disks=[DiskSpec(size=8 * MiB)])
    assert (vm.name, host.vms.get(vm.id).name) == (name, name)
    vm.delete()
    assert files(sim) == before


@pytest.mark.parametrize("name", ["a/b", "x" * 81, 'quo"te', "it's", "tab\t", "", " a"])
def test_names_that_no_host_takes_are_refused_before_any_call(sim: Vcsim, host: Host, name: str) -> None:
    sim.control.reset_calls()
    with pytest.raises(InvalidRequest):
        host.vms.create(name)
    assert sim.control.calls().requests == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"memory": 513 * MiB},
        {"disks": [DiskSpec(path="/images/data.qcow2")]},
        {"disks": [DiskSpec(path="[ds] a/../../b.vmdk")]},
        {"iso": "debian.iso"},
        {"disks": [DiskSpec(base="[ds] a.vmdk", linked=False, size=8 * MiB + 512)]},
    ],
)
def test_what_cannot_be_is_refused_before_any_call(sim: Vcsim, host: Host, fields: dict[str, Any]) -> None:
    sim.control.reset_calls()
    with pytest.raises(InvalidRequest):
        host.vms.create("v", **fields)
    assert sim.control.calls().requests == 0


def test_two_disks_of_one_name_are_refused(sim: Vcsim, host: Host) -> None:
    sim.control.reset_calls()
    with pytest.raises(AlreadyExists):
        host.vms.create("v", disks=[DiskSpec(size=8 * MiB, name="a"), DiskSpec(size=8 * MiB, name="a")])
    assert sim.control.calls().requests == 0


def test_a_name_that_is_taken_leaves_nothing(sim: Vcsim, host: Host) -> None:
    host.vms.create("v", disks=[DiskSpec(size=8 * MiB)])
    before = files(sim)
    with pytest.raises(AlreadyExists):
        host.vms.create("v", disks=[DiskSpec(size=8 * MiB)])
    assert (len(list(host.vms)), files(sim)) == (1, before)


def test_of_a_name_that_is_taken_nothing_is_copied(sim: Vcsim, host: Host) -> None:
    image = disk(sim, host)
    host.vms.create("v")
    sim.control.reset_calls()
    with pytest.raises(AlreadyExists):
        host.vms.create("v", disks=[DiskSpec(base=image, linked=False)])
    assert not {"CopyVirtualDisk_Task", "MakeDirectory"} & sim.control.calls().methods.keys()


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"iso": f"[{STORE}] nowhere/debian.iso"}, NotFound),
        ({"iso": f"[{STORE}] debian.iso"}, NotFound),
        ({"iso": "[elsewhere] debian.iso"}, NotFound),
        ({"disks": [DiskSpec(path=f"[{STORE}] nowhere.vmdk")]}, NotFound),
        ({"disks": [DiskSpec(base=f"[{STORE}] nowhere.vmdk", linked=False)]}, NotFound),
        ({"iso": f"[{STORE}] directory"}, InvalidRequest),
        ({"disks": [DiskSpec(path=f"[{STORE}] directory")]}, InvalidRequest),
        ({"disks": [DiskSpec(size=8 * MiB), DiskSpec(path=f"[{STORE}] directory/notes.txt")]}, InvalidRequest),
    ],
)
def test_files_are_looked_for_before_anything_is_made(
    sim: Vcsim, host: Host, fields: dict[str, Any], error: type[HyperkitError]
) -> None:
    directory = sim.datastores[STORE] / "directory"
    directory.mkdir(exist_ok=True)
    (directory / "notes.txt").write_text("x")
    before = files(sim)
    with pytest.raises(error) as caught:
        host.vms.create("v", **fields)
    asked = fields.get("iso") or fields["disks"][-1].path or fields["disks"][-1].base
    assert asked in str(caught.value)
    assert (list(host.vms), files(sim)) == ([], before)


STEPS = ("MakeDirectory", "CopyVirtualDisk_Task", "ExtendVirtualDisk_Task", "CreateVM_Task", "ReconfigVM_Task")
"""The calls of a create that uses all there are, in order; the last is for the boot order."""


def whole(image: str, own: str) -> dict[str, Any]:
    return {
        "disks": [DiskSpec(size=8 * MiB), DiskSpec(base=image, linked=False, size=32 * MiB), DiskSpec(path=own)],
        "nics": [NicSpec()],
        "boot_order": [BootDevice.NETWORK, BootDevice.DISK],
    }


@pytest.fixture
def given(sim: Vcsim, host: Host) -> dict[str, Any]:
    return whole(disk(sim, host), disk(sim, host, "own"))


def test_a_create_that_uses_all_steps_works(sim: Vcsim, host: Host, given: dict[str, Any]) -> None:
    sim.control.reset_calls()
    vm = host.vms.create("v", **given)
    assert set(STEPS) <= sim.control.calls().methods.keys()
    assert [each.size for each in vm.disks] == [8 * MiB, 32 * MiB, 16 * MiB]
    assert [each.created for each in vm.disks] == [True, True, False]
    assert vm.record.boot_order == (BootDevice.NETWORK, BootDevice.DISK)


@pytest.mark.parametrize("step", STEPS)
def test_a_create_that_fails_leaves_nothing(sim: Vcsim, host: Host, given: dict[str, Any], step: str) -> None:
    before = files(sim)
    if step.endswith("_Task"):
        sim.faults.task_fault(step, "NoDiskSpace")
    else:
        sim.faults.fault(step, "NoDiskSpace")
    with pytest.raises(ResourceExhausted):
        host.vms.create("v", **given)
    assert (list(host.vms), files(sim)) == ([], before)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("mishap", ["drop", "lose_answer"])
def test_a_create_whose_connection_breaks_leaves_nothing_or_says_so(
    sim: Vcsim, host: Host, given: dict[str, Any], step: str, mishap: str
) -> None:
    before = files(sim)
    getattr(sim.faults, mishap)(step)
    with pytest.raises(ConnectionLost) as caught:
        host.vms.create("v", **given)
    assert not list(host.vms)
    left = files(sim) - before
    assert before <= files(sim)
    notes = " ".join(getattr(caught.value, "__notes__", ()))
    assert all(name in notes for name in left)
    assert bool(left) == ("left on the host" in notes)
    if step != "MakeDirectory":  # of a directory nobody can tell whose it is
        assert not left
    for name in left:
        (sim.datastores[STORE] / name).rmdir()


def test_what_cannot_be_taken_back_is_named(sim: Vcsim, host: Host, given: dict[str, Any]) -> None:
    sim.faults.task_fault("CreateVM_Task", "NoDiskSpace")
    sim.faults.task_fault("DeleteDatastoreFile_Task", "CannotDeleteFile", count=-1)
    with pytest.raises(ResourceExhausted) as caught:
        host.vms.create("v", **given)
    assert f"left on the host: [{STORE}] v;" in " ".join(caught.value.__notes__)
    sim.faults.clear()
    for path in sorted((sim.datastores[STORE] / "v").rglob("*"), reverse=True):
        path.unlink()
    (sim.datastores[STORE] / "v").rmdir()


def test_a_vm_that_cannot_be_taken_back_keeps_its_disks_and_is_named(
    sim: Vcsim, host: Host, given: dict[str, Any]
) -> None:
    sim.faults.task_fault("ReconfigVM_Task", "NoDiskSpace")
    sim.faults.task_fault("Destroy_Task", "TaskInProgress")
    with pytest.raises(ResourceExhausted) as caught:
        host.vms.create("v", **given)
    assert "VM 'v'" in " ".join(caught.value.__notes__)
    (vm,) = host.vms
    assert all(each.path.partition("] ")[2] in files(sim) for each in vm.disks)


def test_a_create_that_is_cancelled_leaves_nothing(sim: Vcsim, host: Host, given: dict[str, Any]) -> None:
    before = files(sim)
    sim.faults.slow_task("CopyVirtualDisk_Task", seconds=30)
    task = host.vms.begin_create("v", **given)
    assert not task.done
    task.cancel()
    with pytest.raises(Cancelled):
        task.result(timeout=20)
    assert (list(host.vms), files(sim)) == ([], before)


def test_a_create_costs_as_few_calls_as_it_can(sim: Vcsim, host: Host) -> None:
    host.vms.create("first", disks=[DiskSpec(size=8 * MiB)], nics=[NicSpec()])
    sim.control.reset_calls()
    host.vms.create("second", disks=[DiskSpec(size=8 * MiB)], nics=[NicSpec()])
    calls = sim.control.calls()
    # MACs of all VMs; machines, datastores, networks; a directory, the VM, its task and what it became.
    assert calls.methods["MakeDirectory"] == calls.methods["CreateVM_Task"] == 1
    assert calls.requests <= 11


def test_a_datastore_of_its_own_for_a_disk(sim: Vcsim, host: Host) -> None:
    store = host.datastores.one(name=STORE)
    vm = host.vms.create("v", disks=[DiskSpec(size=8 * MiB, datastore=store)])
    assert vm.disks[0].path == f"[{STORE}] v/v.vmdk"
    assert Path(sim.datastores[STORE] / "v" / "v.vmdk").is_file()
