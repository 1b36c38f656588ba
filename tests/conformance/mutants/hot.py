"""Mutants of changes to a running VM: each does them to what runs, and forgets them for the next start."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hyperkit.backends.fake.vms import FakeVMs
from hyperkit.disk import Disk
from hyperkit.driver import Driver
from hyperkit.nic import Nic
from hyperkit.records import VMRecord
from hyperkit.specs import VMChange
from hyperkit.states import PowerAction, PowerState
from tests.conformance.mutants.kit import Call, layer, nothing, port


def loses(test: str, *fields: str) -> None:
    """A mutant whose VMs have these fields, at each start, as they had them at the first."""

    def mutant(patch: pytest.MonkeyPatch) -> None:
        set_power = FakeVMs.set_power
        defined: dict[str, VMRecord] = {}

        def as_it_was_first_started(self: FakeVMs, vm_id: str, action: PowerAction) -> Any:
            if action is PowerAction.START:
                first = defined.setdefault(vm_id, self.get(vm_id))
                self._world.update(self._world.machine(vm_id), **{name: getattr(first, name) for name in fields})
            return set_power(self, vm_id, action)

        patch.setattr(FakeVMs, "set_power", as_it_was_first_started)

    mutant.__name__ = f"loses_its_{'_and_'.join(fields)}_at_the_restart"
    layer(test)(mutant)


loses("test_cpus_are_added_while_the_vm_runs", "cpus")
loses("test_memory_is_added_while_the_vm_runs", "memory")
loses("test_reservation_limit_and_shares_of_cpu_change_while_the_vm_runs", "cpu_allocation")
loses("test_reservation_limit_and_shares_of_memory_change_while_the_vm_runs", "memory_allocation")
loses("test_a_vm_is_renamed_while_it_runs", "name")
loses("test_a_disk_is_attached_to_a_running_vm", "disks")
loses("test_a_disk_is_detached_from_a_running_vm", "disks")
loses("test_a_disk_of_a_running_vm_grows", "disks")
loses("test_an_iso_is_exchanged_while_the_vm_runs", "cdroms")
loses("test_a_nic_is_attached_to_a_running_vm", "nics")
loses("test_a_nic_is_detached_from_a_running_vm", "nics")
loses("test_a_running_vms_nic_changes_switch_and_link", "nics")
loses("test_a_running_vms_nic_changes_its_isolation_policy", "nics")
loses("test_a_running_vms_nic_is_unplugged_and_plugged_in", "nics")


def regains(test: str, field: str) -> None:
    """A mutant whose VMs start with as much as they ever had."""

    def mutant(patch: pytest.MonkeyPatch) -> None:
        configure, set_power = FakeVMs.configure, FakeVMs.set_power
        most: dict[str, int] = {}

        def noting(self: FakeVMs, vm_id: str, change: VMChange) -> VMRecord:
            record = configure(self, vm_id, change)
            most[vm_id] = max(most.get(vm_id, 0), getattr(record, field))
            return record

        def with_the_most(self: FakeVMs, vm_id: str, action: PowerAction) -> Any:
            if action is PowerAction.START and vm_id in most:
                self._world.update(self._world.machine(vm_id), **{field: most[vm_id]})
            return set_power(self, vm_id, action)

        patch.setattr(FakeVMs, "configure", noting)
        patch.setattr(FakeVMs, "set_power", with_the_most)

    mutant.__name__ = f"regains_its_{field}_at_the_restart"
    layer(test)(mutant)


regains("test_cpus_are_removed_while_the_vm_runs", "cpus")
regains("test_memory_is_removed_while_the_vm_runs", "memory")


@layer("test_memory_that_a_running_vm_cannot_lose_is_invalid_state")
def takes_memory_for_something_without_parts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.change._misfit", nothing)
    patch.setattr("hyperkit.backends.fake.vms.changed_dimms", lambda record, _memory: record.dimms)


@layer("test_a_paused_vm_loses_neither_cpus_nor_memory")
def expects_a_guest_to_act_while_it_is_paused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.change._why_not", nothing)


@port("test_what_was_added_while_the_vm_ran_can_be_taken_away", "vms.configure")
def keeps_the_dimms_of_a_vm_that_is_off(driver: Driver, call: Call, vm_id: str, change: VMChange) -> VMRecord:
    before: VMRecord = driver.vms.get(vm_id)
    least = before.memory if before.state is PowerState.OFF else 0
    memory = None if change.memory is None else max(least, change.memory)
    record: VMRecord = call(vm_id, attrs.evolve(change, memory=memory))
    return record


@layer("test_a_paused_vms_disk_stays_attached")
def detaches_a_disk_that_vanishes_when_the_vm_runs_on(patch: pytest.MonkeyPatch) -> None:
    ready = Disk._ready
    patch.setattr(Disk, "_ready", lambda disk, hot, **_: ready(disk, hot))


@layer("test_a_paused_vms_nic_stays_attached")
def detaches_a_nic_that_vanishes_when_the_vm_runs_on(patch: pytest.MonkeyPatch) -> None:
    ready = Nic._ready
    patch.setattr(Nic, "_ready", lambda nic, hot, **_: ready(nic, hot))


@layer("test_a_nic_keeps_its_address_unless_the_vm_is_off")
def changes_an_address_that_the_guest_has_seen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.nic.require_off", nothing)
