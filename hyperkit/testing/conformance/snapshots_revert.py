"""Reverting to snapshots."""

from __future__ import annotations

from hyperkit.specs import DiskSpec
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.snapshots import current, tree
from hyperkit.testing.conformance.wanted import notes, tags
from hyperkit.units import MiB

DISK = DiskSpec(size=8 * MiB)


@behaviour("snapshots.revert", "A revert brings back the CPUs and memory the VM had.", requires=("snapshots",))
def test_a_revert_brings_back_the_cpus_and_memory(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK], cpus=2, memory=64 * MiB)
    snapshot = vm.snapshots.create("small")
    vm.configure(cpus=4, memory=128 * MiB)
    assert (snapshot.revert().cpus, vm.memory) == (2, 64 * MiB)
    shape = bed.backdoor.shape(vm.id)
    assert (shape.cpus, shape.memory) == (2, 64 * MiB)


@behaviour("snapshots.revert", "A revert to a snapshot of a VM that was off leaves it off.", requires=("snapshots",))
def test_a_revert_to_a_snapshot_of_a_vm_that_was_off_leaves_it_off(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    snapshot = vm.snapshots.create("off")
    vm.start()
    assert snapshot.revert().state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour(
    "snapshots.revert",
    "A revert to a snapshot with memory leaves the VM in the state it was taken in.",
    requires=("snapshots", "snapshot_memory"),
)
def test_a_revert_to_a_snapshot_with_memory_leaves_the_vm_in_that_state(bed: Bed) -> None:
    vm = bed.booted(disks=[DISK])
    before = bed.boot_of(vm)
    running = vm.snapshots.create("running")
    paused = vm.pause().snapshots.create("paused") if bed.host.capabilities.pause else None
    vm.stop()
    assert running.revert().state is PowerState.RUNNING
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.boot_of(vm) == before
    if paused is not None:
        assert paused.revert().state is PowerState.PAUSED
        assert bed.backdoor.power_state(vm.id) is PowerState.PAUSED
        vm.resume()
        assert bed.boot_of(vm) == before


@behaviour(
    "snapshots.revert",
    "A revert to a snapshot of a running VM without memory leaves it off.",
    requires=("snapshots", "snapshot_running_disks"),
)
def test_a_revert_to_a_running_vms_snapshot_without_memory_leaves_it_off(bed: Bed) -> None:
    vm = bed.running(disks=[DISK])
    snapshot = vm.snapshots.create("disks", memory=False)
    assert snapshot.revert().state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour(
    "snapshots.revert",
    "A revert to a snapshot of a running VM's disks brings back their content.",
    requires=("snapshots", "snapshot_running_disks"),
    facts=("content",),
)
def test_a_revert_to_a_running_vms_disks_brings_back_their_content(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK, DISK])
    bed.backdoor.write(vm.disks[1].path, MiB, b"before")
    snapshot = vm.start().snapshots.create("disks", memory=False)
    for after in (b"after!", b"again!"):
        vm.stop()
        bed.backdoor.write(bed.seen(vm).disks[1].path, MiB, after)
        vm.start()
        snapshot.revert()
        assert bed.backdoor.read(bed.seen(vm).disks[1].path, MiB, 6) == b"before"


@behaviour(
    "snapshots.revert",
    "A revert takes away a disk that was attached since, and its file stays; one that was detached is back.",
    requires=("snapshots", "attach"),
)
def test_a_revert_exchanges_disks_that_were_attached_and_detached_since(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK, DiskSpec(size=16 * MiB)])
    before = [(disk.id, disk.size, disk.created) for disk in vm.disks]
    snapshot = vm.snapshots.create("first")
    vm.disks[1].detach()
    attached = vm.disks.attach(DiskSpec(size=4 * MiB)).path
    snapshot.revert()
    there = bed.seen(vm)
    assert [(disk.id, disk.size, disk.created) for disk in there.disks] == before
    assert bed.backdoor.shape(vm.id).disks == {disk.path for disk in there.disks}
    assert attached in bed.backdoor.files()


@behaviour("snapshots.revert", "A revert keeps the VM's name, notes, tags and autostart.", requires=("snapshots",))
def test_a_revert_keeps_the_vms_name_notes_tags_and_autostart(bed: Bed) -> None:
    able, name = bed.host.capabilities, bed.name_for("renamed")
    vm = bed.vm(disks=[DISK], notes=notes(bed, "before"), tags=tags(bed, "before"), autostart=False)
    snapshot = vm.snapshots.create("first")
    vm.configure(name=name, notes=notes(bed, "after"), tags=tags(bed, "after"), autostart=able.autostart)
    for reverted in (snapshot.revert(), bed.seen(vm)):
        assert (reverted.name, reverted.notes) == (name, notes(bed, "after"))
        assert reverted.tags == tags(bed, "after")
        assert reverted.record.autostart is able.autostart
    assert bed.backdoor.shape(vm.id).name == name
    assert bed.seen(vm).snapshots.one(name="first") == snapshot


@behaviour(
    "snapshots.revert",
    "A revert makes the snapshot current, so that the next one is its child.",
    requires=("snapshots",),
)
def test_a_revert_makes_the_snapshot_current(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first = vm.snapshots.create("first")
    vm.snapshots.create("second")
    first.revert()
    assert current(bed, vm) == ["first"]
    vm.snapshots.create("third")
    assert tree(bed, vm) == {"first": None, "second": "first", "third": "first"}


@behaviour("snapshots.revert", "A revert keeps every snapshot.", requires=("snapshots",))
def test_a_revert_keeps_every_snapshot(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    first = vm.snapshots.create("first")
    vm.snapshots.create("second")
    third = vm.snapshots.create("third")
    before = {"first": None, "second": "first", "third": "second"}
    first.revert()
    assert tree(bed, vm) == before
    third.revert()
    assert tree(bed, vm) == before


@behaviour(
    "snapshots.revert",
    "A revert of a suspended VM discards its saved memory.",
    requires=("snapshots", "suspend"),
)
def test_a_revert_of_a_suspended_vm_discards_its_saved_memory(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    snapshot = vm.snapshots.create("off")
    vm.start().suspend()
    assert snapshot.revert().state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour(
    "snapshots.revert",
    "A revert brings back the content of the disks.",
    requires=("snapshots",),
    facts=("content",),
)
def test_a_revert_brings_back_the_content_of_the_disks(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    bed.backdoor.write(vm.disks[0].path, MiB, b"before")
    snapshot = vm.snapshots.create("before")
    # Where a snapshot begins a new file, that is the disk now.
    bed.backdoor.write(bed.seen(vm).disks[0].path, MiB, b"after!")
    snapshot.revert()
    assert bed.backdoor.read(bed.seen(vm).disks[0].path, MiB, 6) == b"before"
