"""Changing virtual machines."""

from __future__ import annotations

import pytest

from hyperkit.errors import AlreadyExists, InvalidState
from hyperkit.records import changed
from hyperkit.specs import BootDevice, NicSpec
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import ALLOCATION, allocations, disks, notes
from hyperkit.units import MiB


@behaviour("vms.configure", "What was changed is in the record returned and in the next read.")
def test_what_was_changed_is_in_the_record_and_in_the_next_read(bed: Bed) -> None:
    vm = bed.vm(cpus=1)
    name = bed.name_for("renamed") if bed.host.capabilities.rename else vm.name
    vm.configure(name=name, cpus=2)
    assert (vm.name, vm.cpus) == (name, 2)
    assert (bed.seen(vm).name, bed.seen(vm).cpus) == (name, 2)
    assert (bed.backdoor.shape(vm.id).name, bed.backdoor.shape(vm.id).cpus) == (name, 2)


@behaviour("vms.configure", "A field that was not named stays as it was.")
def test_a_field_that_was_not_named_stays_as_it_was(bed: Bed) -> None:
    able = bed.host.capabilities
    vm = bed.vm(
        cpus=2,
        disks=disks(bed),
        nics=[NicSpec(), NicSpec()],
        notes=notes(bed, "as they were"),
        autostart=able.autostart,
        guest_os="debian12" if able.guest_os else "",
    )
    before = bed.seen(vm).record
    vm.configure(cpus=1)
    assert bed.seen(vm).record == changed(before, cpus=1, max_cpus=1)
    if able.rename:
        name = bed.name_for("renamed")
        vm.rename(name)
        assert bed.seen(vm).record == changed(before, name=name, cpus=1, max_cpus=1)


@behaviour("vms.configure", "CPUs and memory of a VM that is off go up and down.")
def test_cpus_and_memory_of_a_vm_that_is_off_go_up_and_down(bed: Bed) -> None:
    vm = bed.vm(cpus=2, memory=64 * MiB)
    for cpus, memory in ((4, 128 * MiB), (1, 32 * MiB)):
        vm.configure(cpus=cpus, memory=memory)
        there = bed.seen(vm).record
        assert (there.cpus, there.max_cpus) == (cpus, cpus)
        assert (there.memory, there.max_memory) == (memory, memory)
        assert (bed.backdoor.shape(vm.id).cpus, bed.backdoor.shape(vm.id).memory) == (cpus, memory)


@behaviour("vms.configure", "A rename keeps the id.", requires=("rename",))
def test_a_rename_keeps_the_id(bed: Bed) -> None:
    vm = bed.vm()
    vm_id, old, new = vm.id, vm.name, bed.name_for("renamed")
    vm.rename(new)
    assert vm.id == vm_id
    assert bed.second.vms.one(name=new).id == vm_id
    assert bed.second.vms.find(name=old) == []
    assert bed.backdoor.shape(vm_id).name == new


@behaviour(
    "vms.configure",
    "A rename to a name that is taken is AlreadyExists where names must be unique.",
    requires=("rename", "unique_vm_names"),
)
def test_a_rename_to_a_name_that_is_taken_is_already_exists(bed: Bed) -> None:
    vm, other = bed.vm(), bed.vm()
    with pytest.raises(AlreadyExists):
        vm.rename(other.name)
    assert bed.seen(vm).name == vm.name != other.name


@behaviour(
    "vms.configure",
    "Notes and autostart change while the VM runs, and the change outlives a restart of the VM.",
    requires=("notes", "autostart"),
)
def test_notes_and_autostart_change_while_the_vm_runs(bed: Bed) -> None:
    vm = bed.running(notes="before", autostart=False)
    vm.configure(notes="after", autostart=True)
    assert (bed.seen(vm).notes, bed.seen(vm).record.autostart) == ("after", True)
    vm.stop().start()
    assert (bed.seen(vm).notes, bed.seen(vm).record.autostart) == ("after", True)


@behaviour(
    "vms.configure",
    "A change that the running VM cannot take is refused, and none of it is done.",
    requires=("notes",),
)
def test_a_change_that_the_running_vm_cannot_take_is_refused(bed: Bed) -> None:
    vm = bed.running(cpus=1, notes="before")
    with pytest.raises(InvalidState):
        vm.configure(notes="after", max_cpus=8)
    there = bed.seen(vm)
    assert (there.notes, there.record.max_cpus) == ("before", 1)
    # Nor is it done when the VM is started again.
    vm.stop()
    there = bed.seen(vm)
    assert (there.notes, there.record.max_cpus) == ("before", 1)


@behaviour(
    "vms.configure",
    "Boot order, guest OS hint and allocations of a VM that is off can be changed.",
    requires=(f"boot_order|guest_os|{ALLOCATION}",),
)
def test_boot_order_guest_os_and_allocations_can_be_changed(bed: Bed) -> None:
    able = bed.host.capabilities
    vm = bed.vm(disks=disks(bed), nics=[NicSpec()], cpus=2, memory=64 * MiB)
    cpu, memory = allocations(able, cpus=2, memory=64 * MiB)
    order = (BootDevice.NETWORK, BootDevice.DISK) if able.boot_order else (BootDevice.DISK,)
    guest_os = "debian12" if able.guest_os else ""
    vm.configure(boot_order=order, guest_os=guest_os, cpu_allocation=cpu, memory_allocation=memory)
    there = bed.seen(vm).record
    assert (there.boot_order, there.guest_os) == (order, guest_os)
    assert (there.cpu_allocation, there.memory_allocation) == (cpu, memory)


@behaviour(
    "vms.configure",
    "Tags that are given take the place of all that were there, while the VM runs too.",
    requires=("tags",),
)
def test_tags_take_the_place_of_those_that_were_there(bed: Bed) -> None:
    vm = bed.vm(tags=["web", "old"])
    vm.configure(tags=["web", "new"])
    assert bed.seen(vm).tags == ("new", "web")
    vm.start().configure(tags=["hot"])
    assert bed.seen(vm).tags == ("hot",)
    vm.stop()
    assert bed.seen(vm).tags == ("hot",)
    vm.start().configure(tags=[])
    assert bed.seen(vm).tags == ()
