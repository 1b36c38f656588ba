"""Snapshots on simulated hosts: deep trees, what they hold, and what a revert that fails half-way says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import VM, DiskSpec, Host, HyperkitError, MiB, NotFound
from hyperkit.errors import AgentUnavailable, Cancelled, ResourceExhausted
from tests.beds.vcsim import Vcsim, missing


@pytest.fixture(scope="module", params=["esx", "vcenter"])
def a_sim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(request.param) as sim:
        yield sim


@pytest.fixture
def sim(a_sim: Vcsim) -> Vcsim:
    a_sim.faults.clear()
    return a_sim


@pytest.fixture
def host(sim: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as host:
        yield host
        sim.faults.clear()
        for vm in host.vms:
            vm.delete(disks="all", force=True)


@pytest.fixture
def vm(host: Host) -> VM:
    return host.vms.create("web1", disks=[DiskSpec(size=8 * MiB)], tags=["web"])


def test_a_deep_tree_is_read_whole_with_one_call(sim: Vcsim, vm: VM) -> None:
    made = [vm.snapshots.create(f"level {level}") for level in range(30)]
    sim.control.reset_calls()
    there = vm.snapshots.list()
    assert sim.calls().requests == 1
    assert [(each.id, each.record.parent_id) for each in there] == [
        (each.id, above and above.id) for above, each in zip([None, *made], made, strict=False)
    ]
    assert [each.id for each in there if each.current] == [made[-1].id]
    made[0].delete(children=True)
    assert vm.snapshots.list() == []


def test_a_wide_tree_has_parents_before_children(vm: VM) -> None:
    root = vm.snapshots.create("root")
    for number in range(12):
        root.revert()
        vm.snapshots.create(f"branch {number}")
        vm.snapshots.create(f"leaf {number}")
    seen: set[str] = set()
    for each in vm.snapshots.list():
        assert each.record.parent_id is None or each.record.parent_id in seen
        seen.add(each.id)
    assert len(seen) == 25


@pytest.mark.parametrize("name", ["50% off", "a%2fb", "%", "é 日本", "[x] (y)"])
def test_names_and_descriptions_are_kept_character_for_character(vm: VM, name: str) -> None:
    snapshot = vm.snapshots.create(name, description="50% <off> & 'more'")
    assert (snapshot.name, snapshot.description) == (name, "50% <off> & 'more'")
    snapshot.configure(name=f"{name}!", description="")
    (there,) = vm.snapshots.list()
    assert (there.name, there.description) == (f"{name}!", "")


def test_names_need_not_differ(vm: VM) -> None:
    one, other = vm.snapshots.create("same"), vm.snapshots.create("same")
    one.delete()
    assert vm.snapshots.list() == [other]


def test_the_snapshot_of_another_vm_is_not_found(host: Host, vm: VM) -> None:
    other = host.vms.create("other")
    theirs = other.snapshots.create("theirs")
    snapshots = host.driver.snapshots
    assert snapshots is not None
    for verb in (
        lambda: snapshots.revert(vm.id, theirs.id),
        lambda: snapshots.delete(vm.id, theirs.id, True),
        lambda: snapshots.update(vm.id, theirs.id, hyperkit.specs.SnapshotChange(name="mine")),
    ):
        with pytest.raises(NotFound):
            verb()
    assert [each.name for each in other.snapshots] == ["theirs"]


def test_files_that_are_held_are_read_with_one_call(sim: Vcsim, host: Host, vm: VM) -> None:
    host.vms.create("other", disks=[DiskSpec(size=8 * MiB)])
    vm.snapshots.create("one")
    assert host.driver.snapshots is not None
    host.vms.list()
    host.driver.snapshots.held()  # the view of all VMs is made once
    sim.control.reset_calls()
    held = host.driver.snapshots.held()
    assert sim.calls().requests == 1
    assert held["[LocalDS_0] web1/web1.vmdk"] == {vm.id}
    assert {owner for owners in held.values() for owner in owners} == {vm.id}


def test_a_revert_keeps_what_was_created_then_and_the_tags_of_now(vm: VM) -> None:
    snapshot = vm.snapshots.create("then")
    later = vm.disks.attach(DiskSpec(size=8 * MiB))
    vm.configure(tags=["db"], notes="now")
    snapshot.revert()
    (disk,) = vm.refresh().disks
    assert (disk.created, vm.record.tags, vm.notes) == (True, ("db",), "now")
    assert not vm.disks.attach(DiskSpec(path=later.path)).created


def test_a_revert_that_cannot_keep_the_notes_says_so(sim: Vcsim, vm: VM) -> None:
    snapshot = vm.snapshots.create("then")
    vm.configure(notes="now")
    sim.faults.task_fault("ReconfigVM_Task", "NoDiskSpace")
    with pytest.raises(ResourceExhausted) as failed:
        snapshot.revert()
    assert "was reverted" in "".join(failed.value.__notes__)


def test_a_revert_of_nothing_different_is_one_task(sim: Vcsim, vm: VM) -> None:
    snapshot = vm.snapshots.create("then")
    sim.control.reset_calls()
    snapshot.revert()
    calls = sim.calls().methods
    assert calls["RevertToSnapshot_Task"] == 1
    assert "ReconfigVM_Task" not in calls


def test_a_guest_without_tools_is_not_quiesced_silently(sim: Vcsim, vm: VM) -> None:
    vm.start()
    with pytest.raises(AgentUnavailable, match=r"open-vm-tools.*quiesce=False") as caught:
        vm.snapshots.create("quiet", quiesce=True)
    assert (caught.value.current, caught.value.wanted) == ("no agent", "quiesced snapshot")
    assert vm.snapshots.list() == []
    sim.control.guest(vm.id, tools="running")
    assert not vm.snapshots.create("quiet", quiesce=True).memory


def test_a_snapshot_that_is_being_taken_is_cancelled(sim: Vcsim, vm: VM) -> None:
    sim.faults.slow_task("CreateSnapshot_Task", seconds=30)
    task = vm.snapshots.begin_create("slow")
    task.cancel()
    with pytest.raises(Cancelled):
        task.result(10)
    assert vm.snapshots.list() == []


def test_a_snapshot_that_fails_is_an_error_with_the_hosts_own(sim: Vcsim, vm: VM) -> None:
    sim.faults.task_fault("CreateSnapshot_Task", "TooManySnapshotLevels")
    with pytest.raises(HyperkitError) as failed:
        vm.snapshots.create("one too many")
    assert type(failed.value.__cause__).__name__.endswith("TooManySnapshotLevels")
