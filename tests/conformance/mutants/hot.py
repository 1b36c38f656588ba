"""Mutants of changes to a running VM: each does them to what runs, and forgets them for the next start."""

from __future__ import annotations

from typing import Any

import pytest

from hyperkit.backends.fake.vms import FakeVMs
from hyperkit.records import VMRecord
from hyperkit.states import PowerAction
from tests.conformance.mutants.kit import layer


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
loses("test_reservation_limit_and_shares_change_while_the_vm_runs", "cpu_allocation", "memory_allocation")
loses("test_a_vm_is_renamed_while_it_runs", "name")
loses("test_a_disk_is_attached_to_a_running_vm", "disks")
loses("test_a_disk_is_detached_from_a_running_vm", "disks")
loses("test_a_disk_of_a_running_vm_grows", "disks")
loses("test_an_iso_is_exchanged_while_the_vm_runs", "cdroms")
loses("test_a_nic_is_attached_to_a_running_vm", "nics")
loses("test_a_nic_is_detached_from_a_running_vm", "nics")
loses("test_a_running_vms_nic_changes_switch_and_link", "nics")
loses("test_a_running_vms_nic_changes_its_isolation_policy", "nics")
