"""Changing virtual machines while they run: CPUs, memory, their control, and the name."""

from __future__ import annotations

import pytest

from hyperkit.errors import InvalidState
from hyperkit.specs import ChangeFields
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import (
    CPU_ALLOCATION,
    MEMORY_ALLOCATION,
    allocations,
    notes,
    now_and_after_a_restart,
)
from hyperkit.units import GiB, MiB
from hyperkit.vm import VM


def _small(bed: Bed) -> VM:
    """A VM that runs with one CPU and one gigabyte, and can have two of each."""
    return bed.running(
        cpus=1, max_cpus=2 if bed.host.capabilities.cpu_ceiling else 1, memory=GiB, max_memory=_room(bed)
    )


def _room(bed: Bed) -> int:
    # Gigabytes: less is no full block to some guests, and to some hosts no step.
    return 2 * GiB if bed.host.capabilities.memory_ceiling else GiB


def _grown(bed: Bed, *, cpus: int, memory: int) -> ChangeFields:
    """What of it the host can add to a running VM."""
    able, more = bed.host.capabilities, ChangeFields()
    if able.hot_cpu_add:
        more["cpus"] = cpus
    if able.hot_memory_add:
        more["memory"] = memory
    return more


@behaviour(
    "vms.configure",
    "CPUs are added while the VM runs, and are there after a restart.",
    requires=("hot_cpu_add",),
)
def test_cpus_are_added_while_the_vm_runs(bed: Bed) -> None:
    vm = bed.running(cpus=1, max_cpus=2 if bed.host.capabilities.cpu_ceiling else 1)
    assert vm.configure(cpus=2).cpus == 2
    for _ in now_and_after_a_restart(vm):
        assert bed.seen(vm).cpus == 2
        assert bed.backdoor.shape(vm.id).cpus == 2
        assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "vms.configure",
    "CPUs are removed while the VM runs, and are gone after a restart.",
    requires=("hot_cpu_add", "hot_cpu_remove"),
    facts=("guest",),
)
def test_cpus_are_removed_while_the_vm_runs(bed: Bed) -> None:
    vm = bed.booted(cpus=1, max_cpus=2 if bed.host.capabilities.cpu_ceiling else 1)
    vm.configure(cpus=2)
    assert vm.configure(cpus=1).cpus == 1
    for _ in now_and_after_a_restart(vm):
        assert bed.seen(vm).cpus == 1
        assert bed.backdoor.shape(vm.id).cpus == 1
        assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "vms.configure",
    "Memory is added while the VM runs, and is there after a restart.",
    requires=("hot_memory_add",),
)
def test_memory_is_added_while_the_vm_runs(bed: Bed) -> None:
    vm = bed.running(memory=GiB, max_memory=_room(bed))
    assert vm.configure(memory=2 * GiB).memory == 2 * GiB
    for _ in now_and_after_a_restart(vm):
        assert bed.seen(vm).memory == 2 * GiB
        assert bed.backdoor.shape(vm.id).memory == 2 * GiB
        assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "vms.configure",
    "Memory is removed while the VM runs, and is gone after a restart.",
    requires=("hot_memory_add", "hot_memory_remove"),
    facts=("guest",),
)
def test_memory_is_removed_while_the_vm_runs(bed: Bed) -> None:
    vm = bed.booted(memory=GiB, max_memory=_room(bed))
    vm.configure(memory=2 * GiB)
    assert vm.configure(memory=GiB).memory == GiB
    for _ in now_and_after_a_restart(vm):
        assert bed.seen(vm).memory == GiB
        assert bed.backdoor.shape(vm.id).memory == GiB
        assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "vms.configure",
    "Memory that a running VM cannot lose is InvalidState, which names the sizes it can have.",
    requires=("hot_memory_add", "hot_memory_remove", "!hot_memory_remove_any"),
)
def test_memory_that_a_running_vm_cannot_lose_is_invalid_state(bed: Bed) -> None:
    vm = bed.running(memory=GiB, max_memory=_room(bed))
    for memory in (3 * GiB // 2, 2 * GiB):
        vm.configure(memory=memory)
    assert bed.seen(vm).record.dimms == (GiB // 2, GiB // 2)
    for memory in (GiB // 2, 5 * GiB // 4):
        with pytest.raises(InvalidState, match=r"1\.5 GiB or 1 GiB"):
            vm.configure(memory=memory, notes=notes(bed, "not kept"))
    for _ in now_and_after_a_restart(vm):
        assert (bed.seen(vm).memory, bed.seen(vm).notes) == (2 * GiB, "")
        assert bed.backdoor.shape(vm.id).memory == 2 * GiB
    assert bed.seen(vm).record.dimms == ()  # it began with all of it


@behaviour(
    "vms.configure",
    "A paused VM, whose guest cannot let go of them, loses neither CPUs nor memory: InvalidState.",
    requires=("pause", "hot_cpu_add|hot_memory_add"),
)
def test_a_paused_vm_loses_neither_cpus_nor_memory(bed: Bed) -> None:
    more = _grown(bed, cpus=2, memory=2 * GiB)
    vm = _small(bed).configure(**more).pause()
    for field, less in (("cpus", ChangeFields(cpus=1)), ("memory", ChangeFields(memory=GiB))):
        if field in more:
            with pytest.raises(InvalidState):
                vm.configure(**less)
    shape = bed.backdoor.shape(vm.id)
    assert (shape.cpus, shape.memory) == (more.get("cpus", 1), more.get("memory", GiB))


@behaviour(
    "vms.configure",
    "What was added while the VM ran can be taken away once it is off.",
    requires=("hot_cpu_add|hot_memory_add",),
)
def test_what_was_added_while_the_vm_ran_can_be_taken_away(bed: Bed) -> None:
    vm = _small(bed)
    vm.configure(**_grown(bed, cpus=2, memory=2 * GiB)).stop()
    vm.configure(cpus=1, memory=GiB // 2)
    there = bed.seen(vm.start()).record
    assert (there.cpus, there.memory, there.dimms) == (1, GiB // 2, ())
    assert (bed.backdoor.shape(vm.id).cpus, bed.backdoor.shape(vm.id).memory) == (1, GiB // 2)


@behaviour(
    "vms.configure",
    "Reservation, limit and shares of CPU change while the VM runs, and the change outlives a restart.",
    requires=("hot_allocation", CPU_ALLOCATION),
)
def test_reservation_limit_and_shares_of_cpu_change_while_the_vm_runs(bed: Bed) -> None:
    vm = bed.running(cpus=2, memory=64 * MiB)
    cpu, _ = allocations(bed.host.capabilities, cpus=2, memory=64 * MiB)
    vm.configure(cpu_allocation=cpu)
    for _ in now_and_after_a_restart(vm):
        assert bed.seen(vm).record.cpu_allocation == bed.backdoor.allocations(vm.id)[0] == cpu
        assert bed.seen(vm).state is PowerState.RUNNING


@behaviour(
    "vms.configure",
    "Reservation, limit and shares of memory change while the VM runs, and the change outlives a restart.",
    requires=("hot_allocation", MEMORY_ALLOCATION),
)
def test_reservation_limit_and_shares_of_memory_change_while_the_vm_runs(bed: Bed) -> None:
    vm = bed.running(memory=GiB)  # which is also enough for what runs it
    _, memory = allocations(bed.host.capabilities, cpus=1, memory=GiB)
    vm.configure(memory_allocation=memory)
    for _ in now_and_after_a_restart(vm):
        assert bed.seen(vm).record.memory_allocation == bed.backdoor.allocations(vm.id)[1] == memory
        assert bed.seen(vm).state is PowerState.RUNNING


@behaviour("vms.configure", "A VM is renamed while it runs.", requires=("hot_rename",))
def test_a_vm_is_renamed_while_it_runs(bed: Bed) -> None:
    vm = bed.running()
    vm_id, name = vm.id, bed.name_for("renamed")
    vm.rename(name)
    for _ in now_and_after_a_restart(vm):
        assert bed.second.vms.one(name=name).id == vm_id
        assert bed.backdoor.shape(vm_id).name == name
        assert bed.backdoor.power_state(vm_id) is PowerState.RUNNING
