"""Taking and deleting snapshots."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hyperkit.errors import AlreadyExists, Busy, InvalidState, NotFound
from hyperkit.records import VMRecord, changed
from hyperkit.snapshot import Snapshot
from hyperkit.specs import DiskSpec
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import RUNNING_SNAPSHOT, delete_volume
from hyperkit.units import MiB
from hyperkit.vm import VM

DISK = DiskSpec(size=8 * MiB)


def tree(bed: Bed, vm: VM) -> dict[str, str | None]:
    """The VM's snapshots, each with its parent: as a second connection reads them, and as they are."""
    there = bed.seen(vm).snapshots.list()
    names: dict[str | None, str] = {snapshot.id: snapshot.name for snapshot in there}
    read = {snapshot.name: names.get(snapshot.record.parent_id) for snapshot in there}
    assert read == bed.backdoor.snapshots(vm.id)
    return read


def current(bed: Bed, vm: VM) -> list[str]:
    """The names of the snapshots that claim to be current."""
    return [snapshot.name for snapshot in bed.seen(vm).snapshots if snapshot.current]


def branches(vm: VM) -> tuple[Snapshot, Snapshot, Snapshot, Snapshot]:
    """``root`` with the children ``left`` (current) and ``right``; ``leaf`` is the child of ``right``."""
    root = vm.snapshots.create("root")
    right = vm.snapshots.create("right")
    leaf = vm.snapshots.create("leaf")
    root.revert()
    return root, vm.snapshots.create("left"), right, leaf


def whole(record: VMRecord) -> VMRecord:
    """A VM's record with each disk by the file that it began as: snapshots begin more, and take them along."""
    disks = tuple(changed(disk, path=disk.files[-1], chain=()) for disk in record.disks)
    return changed(record, disks=disks)


@behaviour("snapshots.list", "A new VM has no snapshots.", requires=("snapshots",))
def test_a_new_vm_has_no_snapshots(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    assert vm.snapshots.list() == []
    assert vm.snapshots.current() is None


@behaviour("snapshots.list", "The snapshots of one VM are not those of another.", requires=("snapshots",))
def test_the_snapshots_of_one_vm_are_not_those_of_another(bed: Bed) -> None:
    one, other = bed.vm(disks=[DISK]), bed.vm(disks=[DISK])
    one.snapshots.create("of one")
    other.snapshots.create("of the other")
    assert tree(bed, one) == {"of one": None}
    assert tree(bed, other) == {"of the other": None}
    assert {snapshot.record.vm_id for snapshot in one.snapshots} == {one.id}


@behaviour("snapshots.list", "At most one snapshot is current.", requires=("snapshots",))
def test_at_most_one_snapshot_is_current(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    vm.snapshots.create("first")
    assert current(bed, vm) == ["first"]
    vm.snapshots.create("second")
    assert current(bed, vm) == ["second"]


@behaviour(
    "snapshots.create", "A new snapshot is current, and its parent is the one that was.", requires=("snapshots",)
)
def test_a_new_snapshot_is_current_and_a_child_of_the_one_that_was(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first = vm.snapshots.create("first")
    second = vm.snapshots.create("second")
    assert second.current
    assert second.parent() == first
    assert tree(bed, vm) == {"first": None, "second": "first"}
    assert current(bed, vm) == ["second"]


@behaviour(
    "snapshots.create",
    "Name, description and time of a snapshot are kept, the time aware and in UTC.",
    requires=("snapshots",),
)
def test_name_description_and_time_of_a_snapshot_are_kept(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    text = "before <the> upgrade &\nafter 東京"
    began = bed.host.clock.utcnow()
    vm.snapshots.create("Before 1.0 (beta)", description=text)
    there = bed.seen(vm).snapshots.one(name="Before 1.0 (beta)")
    assert there.description == text
    assert there.created.utcoffset() == timedelta(0)
    # Hosts count in seconds, and their clocks are not quite ours.
    assert abs(there.created - began) < timedelta(seconds=30)


@behaviour(
    "snapshots.create",
    "A snapshot's name that is taken is AlreadyExists where they must be unique.",
    requires=("snapshots", "unique_snapshot_names"),
)
def test_a_snapshots_name_that_is_taken_is_already_exists(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    vm.snapshots.create("nightly")
    with pytest.raises(AlreadyExists):
        vm.snapshots.create("nightly")
    assert len(bed.seen(vm).snapshots.list()) == 1


@behaviour(
    "snapshots.create",
    "Two snapshots of one VM may have one name where they need not be unique.",
    requires=("snapshots", "!unique_snapshot_names"),
)
def test_two_snapshots_of_one_vm_may_have_one_name(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first = vm.snapshots.create("nightly")
    second = vm.snapshots.create("nightly")
    assert first != second
    assert bed.seen(vm).snapshots.find(name="nightly") == [first, second]


@behaviour(
    "snapshots.create",
    "Taking a snapshot leaves the VM in the state it was in.",
    requires=("snapshots", RUNNING_SNAPSHOT),
)
def test_taking_a_snapshot_leaves_the_vm_in_the_state_it_was_in(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    vm.snapshots.create("off")
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF
    vm.start()
    vm.snapshots.create("running")
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    states = {snapshot.name: snapshot.state for snapshot in bed.seen(vm).snapshots}
    assert states == {"off": PowerState.OFF, "running": PowerState.RUNNING}


@behaviour(
    "snapshots.create",
    "A running VM's snapshot keeps its memory unless told otherwise.",
    requires=("snapshots", "snapshot_memory"),
)
def test_a_running_vms_snapshot_keeps_its_memory(bed: Bed) -> None:
    vm = bed.running(disks=[DISK])
    vm.snapshots.create("with")
    assert [snapshot.memory for snapshot in bed.seen(vm).snapshots] == [True]
    if bed.host.capabilities.snapshot_running_disks:
        other = bed.running(disks=[DISK])
        other.snapshots.create("without", memory=False)
        assert [snapshot.memory for snapshot in bed.seen(other).snapshots] == [False]


@behaviour(
    "snapshots.create",
    "Memory of a VM that is off cannot be kept: InvalidState.",
    requires=("snapshots", "snapshot_memory"),
)
def test_memory_of_a_vm_that_is_off_cannot_be_kept(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    with pytest.raises(InvalidState):
        vm.snapshots.create("impossible", memory=True)
    assert tree(bed, vm) == {}


@behaviour(
    "snapshots.create",
    "A suspended VM is not snapshotted, since its memory would not fit the disks: InvalidState.",
    requires=("snapshots", "suspend"),
)
def test_a_suspended_vm_is_not_snapshotted(bed: Bed) -> None:
    vm = bed.running(disks=[DISK]).suspend()
    with pytest.raises(InvalidState):
        vm.snapshots.create("impossible")
    assert tree(bed, vm) == {}
    assert bed.backdoor.power_state(vm.id) is PowerState.SUSPENDED


@behaviour(
    "snapshots.create",
    "A quiesced snapshot is of the disks alone, and its guest runs on.",
    requires=("snapshots", "snapshot_quiesced", "snapshot_running_disks"),
    facts=("guest",),
)
def test_a_quiesced_snapshot_is_of_the_disks_alone(bed: Bed) -> None:
    vm = bed.booted(disks=[DISK])
    before = bed.boot_of(vm)
    assert not vm.snapshots.create("quiet", quiesce=True).memory
    assert tree(bed, vm) == {"quiet": None}
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.boot_of(vm) == before


@behaviour(
    "snapshots.create",
    "A paused VM's guest cannot be quiesced: InvalidState, and no snapshot is taken.",
    requires=("snapshots", "snapshot_quiesced", "pause"),
)
def test_a_paused_vms_guest_cannot_be_quiesced(bed: Bed) -> None:
    vm = bed.running(disks=[DISK]).pause()
    before = bed.backdoor.files()
    with pytest.raises(InvalidState, match="paused"):
        vm.snapshots.create("impossible", quiesce=True)
    assert tree(bed, vm) == {}
    assert bed.backdoor.files() == before
    assert bed.backdoor.power_state(vm.id) is PowerState.PAUSED


@behaviour(
    "snapshots.update",
    "A snapshot's name and description change, and its id stays.",
    requires=("snapshots", "snapshot_rename"),
)
def test_a_snapshots_name_and_description_change(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first, second = vm.snapshots.create("first", description="as it came"), vm.snapshots.create("second")
    text = "before <the> upgrade &\nafter 東京"
    renamed = first.rename("1.0 (beta)")
    first.configure(description=text)
    assert (renamed.id, renamed.name, renamed.description) == (first.id, "1.0 (beta)", text)
    there = bed.seen(vm).snapshots
    assert [(each.id, each.name, each.description) for each in there] == [
        (first.id, "1.0 (beta)", text),
        (second.id, "second", ""),
    ]
    assert there.get(first.id).record == renamed.record
    assert current(bed, vm) == ["second"]


@behaviour(
    "snapshots.update",
    "A snapshot's new name that another one of the VM has is AlreadyExists where they must be unique.",
    requires=("snapshots", "snapshot_rename", "unique_snapshot_names"),
)
def test_a_snapshots_new_name_that_another_one_has_is_already_exists(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first, second = vm.snapshots.create("first"), vm.snapshots.create("second")
    with pytest.raises(AlreadyExists):
        second.configure(name="first", description="never written")
    assert [(each.name, each.description) for each in bed.seen(vm).snapshots] == [("first", ""), ("second", "")]
    first.rename("first")  # it has that name already


@behaviour(
    "snapshots.update",
    "A snapshot keeps its new name when the VM is reverted to it, and its old name is free.",
    requires=("snapshots", "snapshot_rename"),
)
def test_a_snapshot_keeps_its_new_name_over_a_revert(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first = vm.snapshots.create("old")
    vm.snapshots.create("second")
    first.rename("new")
    vm.snapshots.create("old")
    first.revert()
    assert {each.name: each.id == first.id for each in bed.seen(vm).snapshots} == {
        "new": True,
        "second": False,
        "old": False,
    }
    assert current(bed, vm) == ["new"]


@behaviour(
    "snapshots.delete",
    "Deleting a snapshot keeps its children, which become its parent's.",
    requires=("snapshots",),
)
def test_deleting_a_snapshot_keeps_its_children(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    root, _left, right, _leaf = branches(vm)
    right.delete()
    assert tree(bed, vm) == {"root": None, "left": "root", "leaf": "root"}
    root.delete()
    assert tree(bed, vm) == {"left": None, "leaf": None}


@behaviour(
    "snapshots.delete",
    "Deleting a snapshot with its children deletes the tree below it and nothing else.",
    requires=("snapshots",),
)
def test_deleting_a_snapshot_with_its_children_deletes_the_tree_below_it(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    _root, _left, right, _leaf = branches(vm)
    right.delete(children=True)
    assert tree(bed, vm) == {"root": None, "left": "root"}
    assert current(bed, vm) == ["left"]


@behaviour("snapshots.delete", "Deleting the current snapshot makes its parent current.", requires=("snapshots",))
def test_deleting_the_current_snapshot_makes_its_parent_current(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first, second = vm.snapshots.create("first"), vm.snapshots.create("second")
    second.delete()
    assert current(bed, vm) == ["first"]
    first.delete()
    assert bed.seen(vm).snapshots.list() == []


@behaviour("snapshots.delete", "Deleting a snapshot leaves the VM as it is.", requires=("snapshots",))
def test_deleting_a_snapshot_leaves_the_vm_as_it_is(bed: Bed) -> None:
    vm = bed.vm(cpus=1, disks=[DISK])
    vm.snapshots.create("first")
    vm.configure(cpus=2)
    second = vm.snapshots.create("second")
    vm.configure(cpus=3)
    before = whole(bed.seen(vm).record)
    second.delete()
    assert whole(bed.seen(vm).record) == before
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour(
    "snapshots.delete",
    "Deleting a snapshot keeps the content of the disks, and of the snapshots that stay.",
    requires=("snapshots",),
    facts=("content",),
)
def test_deleting_a_snapshot_keeps_the_content_of_the_disks(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    taken = {}
    for name in ("one", "two", "six"):
        bed.backdoor.write(bed.seen(vm).disks[0].path, MiB, name.encode())
        taken[name] = vm.snapshots.create(name)
    bed.backdoor.write(bed.seen(vm).disks[0].path, MiB, b"now")
    taken["two"].delete()
    assert bed.backdoor.read(bed.seen(vm).disks[0].path, MiB, 3) == b"now"
    for name in ("one", "six", "one"):
        taken[name].revert()
        assert bed.backdoor.read(bed.seen(vm).disks[0].path, MiB, 3) == name.encode()


@behaviour(
    "snapshots.delete",
    "Deleting a snapshot of a running VM's disks keeps their content, and that of the snapshots that stay.",
    requires=("snapshots", "snapshot_running_disks"),
    facts=("content",),
)
def test_deleting_a_snapshot_of_a_running_vms_disks_keeps_their_content(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    taken = {}
    for name in ("one", "two", "six"):
        bed.backdoor.write(bed.seen(vm).disks[0].path, MiB, name.encode())
        taken[name] = vm.start().snapshots.create(name, memory=False)
        vm.stop()
    bed.backdoor.write(bed.seen(vm).disks[0].path, MiB, b"now")
    vm.start()
    taken["two"].delete()  # where a snapshot began a new file, two become one
    vm.stop()
    assert bed.backdoor.read(bed.seen(vm).disks[0].path, MiB, 3) == b"now"
    for name in ("one", "six", "one"):
        taken[name].revert()
        assert bed.backdoor.read(bed.seen(vm).disks[0].path, MiB, 3) == name.encode()


@behaviour("snapshots.delete", "A snapshot id that the VM does not have is NotFound.", requires=("snapshots",))
def test_a_snapshot_id_that_the_vm_does_not_have_is_not_found(bed: Bed) -> None:
    vm, other = bed.vm(disks=[DISK]), bed.vm(disks=[DISK])
    stale, kept = vm.snapshots.create("stale"), other.snapshots.create("of the other")
    bed.seen(vm).snapshots.get(stale.id).delete()
    with pytest.raises(NotFound):
        stale.delete()
    with pytest.raises(NotFound):
        vm.snapshots.get(kept.id)
    assert tree(bed, other) == {"of the other": None}


@behaviour(
    "snapshots.held",
    "A file that a snapshot needs is not deleted, even if no VM has it as a disk: Busy.",
    requires=("snapshots", "attach"),
)
def test_a_file_that_a_snapshot_needs_is_not_deleted(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK, DISK])
    vm.snapshots.create("first")
    path = vm.disks[1].path
    vm.disks[1].detach()
    with pytest.raises(Busy, match=f"snapshot of VM '{vm.name}'"):
        delete_volume(bed, path)
    assert path in bed.backdoor.files()
    vm.delete()
    delete_volume(bed, path)
    assert path not in bed.backdoor.files()
