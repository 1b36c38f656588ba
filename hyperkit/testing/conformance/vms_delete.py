"""Deleting virtual machines, and the disks that go with them."""

from __future__ import annotations

import pytest

from hyperkit.errors import Busy, InvalidState, NotFound
from hyperkit.specs import DiskSpec
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import delete_volume
from hyperkit.units import MiB


@behaviour("vms.delete", "A deleted VM is listed no more, and its id is NotFound.")
def test_a_deleted_vm_is_listed_no_more(bed: Bed) -> None:
    vm, other = bed.vm(), bed.vm()
    vm.delete()
    assert vm.id not in bed.backdoor.vm_ids()
    assert other.id in bed.backdoor.vm_ids()
    assert vm not in bed.second.vms
    with pytest.raises(NotFound):
        bed.second.vms.get(vm.id)


@behaviour("vms.delete", "A VM that runs is not deleted unless force is asked for.")
def test_a_vm_that_runs_is_not_deleted_unless_force_is_asked_for(bed: Bed) -> None:
    vm = bed.running()
    with pytest.raises(InvalidState):
        vm.delete()
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    vm.delete(force=True)
    assert vm.id not in bed.backdoor.vm_ids()


@behaviour("vms.delete", "A disk that hyperkit created is deleted with the VM by default.", requires=("disks",))
def test_a_disk_that_hyperkit_created_is_deleted_with_the_vm(bed: Bed) -> None:
    before = bed.backdoor.files()
    vm = bed.vm(disks=[DiskSpec(size=8 * MiB), DiskSpec(size=8 * MiB)])
    assert len(bed.backdoor.files() - before) == 2
    bed.seen(vm).delete()
    assert bed.backdoor.files() == before


@behaviour("vms.delete", "A disk that hyperkit did not create stays unless it is named.", requires=("disks",))
def test_a_disk_that_hyperkit_did_not_create_stays(bed: Bed) -> None:
    path = bed.image()
    bed.vm(disks=[DiskSpec(path=path)]).delete()
    assert path in bed.backdoor.files()


@behaviour("vms.delete", "A disk that is named is deleted, whoever created it.", requires=("disks",))
def test_a_disk_that_is_named_is_deleted(bed: Bed) -> None:
    path = bed.image()
    vm = bed.vm(disks=[DiskSpec(path=path), DiskSpec(size=8 * MiB)])
    created = vm.disks[1].path
    vm.delete(disks=[path])
    assert path not in bed.backdoor.files()
    assert created in bed.backdoor.files()


@behaviour("vms.delete", "All disks are deleted if all are to be, whoever created them.", requires=("disks",))
def test_all_disks_are_deleted_if_all_are_to_be(bed: Bed) -> None:
    before = bed.backdoor.files()
    vm = bed.vm(disks=[DiskSpec(path=bed.image()), DiskSpec(size=8 * MiB), DiskSpec(path=bed.image())])
    assert len(bed.backdoor.files() - before) == 3
    vm.delete(disks="all")
    assert bed.backdoor.files() == before


@behaviour("vms.delete", "No disk is deleted if none is to be.", requires=("disks",))
def test_no_disk_is_deleted_if_none_is_to_be(bed: Bed) -> None:
    vm = bed.vm(disks=[DiskSpec(size=8 * MiB)])
    path = vm.disks[0].path
    vm.delete(disks="none")
    assert vm.id not in bed.backdoor.vm_ids()
    assert path in bed.backdoor.files()


@behaviour(
    "vms.delete",
    "A disk that another VM uses, or whose base it is, is not deleted, and neither is the VM.",
    requires=("disks",),
)
def test_a_disk_that_another_vm_uses_is_not_deleted(bed: Bed) -> None:
    vm = bed.vm(disks=[DiskSpec(size=8 * MiB)])
    path = vm.disks[0].path
    linked = [DiskSpec(base=path)] if bed.host.capabilities.linked_disks else []
    for uses_it in (DiskSpec(path=path), *linked):
        other = bed.vm(disks=[uses_it])
        with pytest.raises(Busy, match=other.name):
            vm.delete()
        assert path in bed.backdoor.files()
        assert vm.id in bed.backdoor.vm_ids()
        other.delete()


@behaviour(
    "vms.delete",
    "A disk that another image begins from is not deleted, though no VM has that image.",
    requires=("disks", "linked_disks", "attach"),
)
def test_a_disk_that_another_image_begins_from_is_not_deleted(bed: Bed) -> None:
    vm = bed.vm(disks=[DiskSpec(size=8 * MiB)])
    path = vm.disks[0].path
    other = bed.vm(disks=[DiskSpec(base=path)])
    image = other.disks[0].path
    other.delete(disks="none")
    with pytest.raises(Busy, match="base"):
        vm.delete()
    assert {path, image} <= bed.backdoor.files()
    assert vm.id in bed.backdoor.vm_ids()
    delete_volume(bed, image)
    vm.delete()
    assert path not in bed.backdoor.files()


@behaviour("vms.delete", "A VM with snapshots is deleted with them.", requires=("snapshots",))
def test_a_vm_with_snapshots_is_deleted_with_them(bed: Bed) -> None:
    before = bed.backdoor.files()
    vm = bed.vm(disks=[DiskSpec(size=8 * MiB)])
    vm.snapshots.create("first")
    vm.snapshots.create("second")
    vm.delete()
    assert vm.id not in bed.backdoor.vm_ids()
    assert bed.backdoor.files() == before


@behaviour(
    "vms.delete",
    "Files that a running VM's snapshots began are deleted with the VM, and what they began from is not.",
    requires=("snapshots", "snapshot_running_disks"),
)
def test_files_that_a_running_vms_snapshots_began_are_deleted(bed: Bed) -> None:
    foreign, read_only = bed.image(), bed.host.capabilities.read_only_disks
    before = bed.backdoor.files()
    vm = bed.running(disks=[DiskSpec(size=8 * MiB), DiskSpec(path=foreign, read_only=read_only)])
    vm.snapshots.create("first", memory=False)
    second = vm.snapshots.create("second", memory=False)
    second.revert()
    vm.delete()
    assert vm.id not in bed.backdoor.vm_ids()
    assert bed.backdoor.files() == before


@behaviour("vms.delete", "A suspended VM is deleted with its memory.", requires=("suspend",))
def test_a_suspended_vm_is_deleted_with_its_memory(bed: Bed) -> None:
    vm = bed.running().suspend()
    vm.delete()
    assert vm.id not in bed.backdoor.vm_ids()
    # Memory that was left behind would be found by a VM of the same name.
    heir = bed.host.vms.create(vm.name, **bed.fields())
    assert bed.backdoor.power_state(heir.id) is PowerState.OFF
    assert heir.start().state is PowerState.RUNNING
