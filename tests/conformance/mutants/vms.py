"""Mutants of reading, changing and deleting VMs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from hyperkit.backends.fake.vms import FakeVMs
from hyperkit.backends.fake.world import Machine, World
from hyperkit.disk import DisksToDelete, files_to_delete
from hyperkit.driver import Driver
from hyperkit.errors import InvalidState
from hyperkit.records import VMRecord, VolumeRecord, changed
from hyperkit.specs import VMChange
from hyperkit.states import PowerAction, PowerState
from hyperkit.vm import VM
from tests.conformance.mutants.kit import Call, edit, layer, machine, nothing, port, world

# Reading


@port("test_every_vm_is_listed_once", "vms.list")
def reads_only_the_first_page(driver: Driver, call: Call) -> Sequence[VMRecord]:
    return list(call()[:1])


@port("test_a_listed_record_equals_the_one_that_get_returns", "vms.list")
def leaves_the_disks_out_of_a_list_to_be_quick(driver: Driver, call: Call) -> Sequence[VMRecord]:
    return [changed(record, disks=()) for record in call()]


@layer("test_a_vm_that_vanishes_while_the_list_is_read_is_left_out")
def reads_the_ids_first_and_trusts_them(patch: pytest.MonkeyPatch) -> None:
    delete = FakeVMs.delete

    def one_by_one(self: FakeVMs) -> list[VMRecord]:
        ids = list(self._world.machines)
        time.sleep(0.003)
        return [self.get(vm_id) for vm_id in ids]

    def slowly(self: FakeVMs, vm_id: str, volumes: Sequence[str]) -> object:
        time.sleep(0.002)
        return delete(self, vm_id, volumes)

    patch.setattr(FakeVMs, "list", one_by_one)
    patch.setattr(FakeVMs, "delete", slowly)


@port("test_an_id_that_no_vm_has_is_not_found", "vms.get")
def finds_some_vm_for_every_id(driver: Driver, call: Call, vm_id: str) -> VMRecord:
    return next((m.record for m in world(driver).machines.values() if m.record.id >= vm_id), driver.vms.list()[0])


@port("test_a_record_does_not_change_after_it_was_returned", "vms.configure")
def changes_the_record_it_gave_away(driver: Driver, call: Call, vm_id: str, change: VMChange) -> VMRecord:
    record = machine(driver, vm_id).record
    record.__dict__.update(change.fields())
    return record


# Changing


@port("test_what_was_changed_is_in_the_record_and_in_the_next_read", "vms.configure")
def returns_the_change_and_forgets_it(driver: Driver, call: Call, vm_id: str, change: VMChange) -> VMRecord:
    return changed(machine(driver, vm_id).record, **change.fields())


@port("test_a_field_that_was_not_named_stays_as_it_was", "vms.configure")
def defines_the_vm_anew_without_its_notes(driver: Driver, call: Call, vm_id: str, change: VMChange) -> VMRecord:
    call(vm_id, change)
    return edit(driver, vm_id, notes=change.notes or "")


@port("test_cpus_and_memory_of_a_vm_that_is_off_go_up_and_down", "vms.configure")
def raises_the_ceiling_and_never_lowers_it(driver: Driver, call: Call, vm_id: str, change: VMChange) -> VMRecord:
    before = machine(driver, vm_id).record
    after = call(vm_id, change)
    return edit(driver, vm_id, max_memory=max(before.max_memory, after.max_memory))


@port("test_a_rename_keeps_the_id", "vms.configure")
def makes_another_vm_of_the_new_name(driver: Driver, call: Call, vm_id: str, change: VMChange) -> VMRecord:
    old = machine(driver, vm_id)
    world(driver).remove(old)
    return world(driver).add(Machine(changed(old.record, id=world(driver).new_id(), **change.fields())))


@layer("test_a_rename_to_a_name_that_is_taken_is_already_exists")
def looks_for_the_name_only_at_create(patch: pytest.MonkeyPatch) -> None:
    def configure(self: FakeVMs, vm_id: str, change: VMChange) -> VMRecord:
        return self._world.update(self._world.machine(vm_id), **change.fields())

    patch.setattr(FakeVMs, "configure", configure)


@port("test_tags_take_the_place_of_those_that_were_there", "vms.configure")
def adds_tags_to_those_that_are_there(driver: Driver, call: Call, vm_id: str, change: VMChange) -> Any:
    there = set(machine(driver, vm_id).record.tags)
    return call(vm_id, attrs.evolve(change, tags=sorted(there | set(change.tags or ()))))


@layer("test_notes_and_autostart_change_while_the_vm_runs")
def loses_at_a_restart_what_changed_while_it_ran(patch: pytest.MonkeyPatch) -> None:
    configure, set_power = FakeVMs.configure, FakeVMs.set_power
    lasting: dict[str, str] = {}

    def only_live(self: FakeVMs, vm_id: str, change: VMChange) -> VMRecord:
        before = self.get(vm_id)
        if before.state is PowerState.RUNNING:
            lasting.setdefault(vm_id, before.notes)
        return configure(self, vm_id, change)

    def from_what_was_defined(self: FakeVMs, vm_id: str, action: PowerAction) -> Any:
        if action is PowerAction.START and vm_id in lasting:
            configure(self, vm_id, VMChange(notes=lasting.pop(vm_id)))
        return set_power(self, vm_id, action)

    patch.setattr(FakeVMs, "configure", only_live)
    patch.setattr(FakeVMs, "set_power", from_what_was_defined)


@layer("test_a_change_that_the_running_vm_cannot_take_is_refused")
def changes_one_field_after_the_other(patch: pytest.MonkeyPatch) -> None:
    configure = VM.configure

    def one_by_one(self: VM, **fields: Any) -> VM:
        for name, value in fields.items():
            configure(self, **{name: value})
        return self

    patch.setattr(VM, "configure", one_by_one)


@port("test_boot_order_guest_os_and_allocations_can_be_changed", "vms.configure")
def takes_the_boot_order_for_fixed(driver: Driver, call: Call, vm_id: str, change: VMChange) -> VMRecord:
    record: VMRecord = call(vm_id, attrs.evolve(change, boot_order=None))
    return record


# Deleting


@port("test_a_deleted_vm_is_listed_no_more", "vms.delete")
def does_not_delete(driver: Driver, call: Call, vm_id: str, volumes: Sequence[str]) -> None:
    return None


@layer("test_a_vm_that_runs_is_not_deleted_unless_force_is_asked_for")
def does_not_look_whether_it_runs(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.states.HOLD_POWER", frozenset())


@port("test_a_disk_that_hyperkit_created_is_deleted_with_the_vm", "vms.delete")
def deletes_only_the_first_disk(driver: Driver, call: Call, vm_id: str, volumes: Sequence[str]) -> None:
    call(vm_id, volumes[:1])


@layer("test_a_disk_that_hyperkit_did_not_create_stays")
def deletes_every_disk_by_default(patch: pytest.MonkeyPatch) -> None:
    def whole(vm: VM, disks: DisksToDelete) -> tuple[str, ...]:
        return files_to_delete(vm, "all" if disks == "created" else disks)

    patch.setattr("hyperkit.deleting.files_to_delete", whole)


@layer("test_a_disk_that_is_named_is_deleted")
def deletes_only_what_it_created_even_if_told_otherwise(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.deleting.files_to_delete", lambda vm, disks: files_to_delete(vm, "created"))


@port("test_all_disks_are_deleted_if_all_are_to_be", "vms.delete")
def keeps_what_hyperkit_did_not_create(driver: Driver, call: Call, vm_id: str, volumes: Sequence[str]) -> None:
    created = {disk.path for disk in machine(driver, vm_id).record.disks if disk.created}
    call(vm_id, [path for path in volumes if path in created])


@layer("test_no_disk_is_deleted_if_none_is_to_be")
def takes_none_for_the_default(patch: pytest.MonkeyPatch) -> None:
    def default(vm: VM, disks: DisksToDelete) -> tuple[str, ...]:
        return files_to_delete(vm, "created" if disks == "none" else disks)

    patch.setattr("hyperkit.deleting.files_to_delete", default)


@layer("test_a_disk_that_another_vm_uses_is_not_deleted")
def deletes_the_base_of_another_vms_disk(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.deleting.check_unused", nothing)


@port("test_a_disk_that_another_image_begins_from_is_not_deleted", "volumes.list")
def forgets_what_an_image_begins_from(driver: Driver, call: Call, datastore_id: str) -> Sequence[VolumeRecord]:
    return [changed(volume, base=None) for volume in call(datastore_id)]


@port("test_a_vm_with_snapshots_is_deleted_with_them", "vms.delete")
def refuses_a_vm_that_has_snapshots(driver: Driver, call: Call, vm_id: str, volumes: Sequence[str]) -> None:
    count = len(machine(driver, vm_id).snapshots)
    if count:
        raise InvalidState(f"cannot delete inactive domain with {count} snapshots")
    call(vm_id, volumes)


@port("test_files_that_a_running_vms_snapshots_began_are_deleted", "vms.delete")
def deletes_what_its_snapshots_began_from(driver: Driver, call: Call, vm_id: str, volumes: Sequence[str]) -> None:
    call(vm_id, [disk.path for disk in machine(driver, vm_id).record.disks])


@layer("test_a_suspended_vm_is_deleted_with_its_memory")
def leaves_saved_memory_for_the_next_vm_of_the_name(patch: pytest.MonkeyPatch) -> None:
    remove, add = World.remove, World.add
    saved: set[str] = set()

    def without_its_memory(self: World, gone: Machine) -> None:
        if gone.record.state is PowerState.SUSPENDED:
            saved.add(gone.record.name)
        remove(self, gone)

    def with_what_it_finds(self: World, new: Machine) -> VMRecord:
        if new.record.name in saved:
            new.record = changed(new.record, state=PowerState.SUSPENDED)
        return add(self, new)

    patch.setattr(World, "remove", without_its_memory)
    patch.setattr(World, "add", with_what_it_finds)
