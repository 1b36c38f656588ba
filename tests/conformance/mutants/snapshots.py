"""Mutants of snapshots."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import attrs
import pytest

from hyperkit.driver import Driver
from hyperkit.errors import AlreadyExists, NotFound
from hyperkit.records import SnapshotRecord, VMRecord, changed
from hyperkit.snapshot import SnapshotCollection
from hyperkit.specs import SnapshotChange, SnapshotSpec
from hyperkit.states import PowerAction, PowerState
from tests.conformance.mutants.kit import Call, edit, layer, machine, port, world

# Listing


@port("test_a_new_vm_has_no_snapshots", "snapshots.list")
def takes_the_vm_itself_for_a_snapshot(driver: Driver, call: Call, vm_id: str) -> Sequence[SnapshotRecord]:
    now = SnapshotRecord(
        id="now", vm_id=vm_id, name="You are here", created=driver.clock.utcnow(), state=PowerState.OFF
    )
    return [*call(vm_id), now]


@port("test_the_snapshots_of_one_vm_are_not_those_of_another", "snapshots.list")
def lists_the_snapshots_of_all_vms(driver: Driver, call: Call, vm_id: str) -> Sequence[SnapshotRecord]:
    return [saved.record for vm in world(driver).machines.values() for saved in vm.snapshots.values()]


@port("test_at_most_one_snapshot_is_current", "snapshots.list")
def calls_every_snapshot_current(driver: Driver, call: Call, vm_id: str) -> Sequence[SnapshotRecord]:
    return [changed(record, current=True) for record in call(vm_id)]


# Taking


@port("test_a_new_snapshot_is_current_and_a_child_of_the_one_that_was", "snapshots.create")
def makes_every_snapshot_a_root(driver: Driver, call: Call, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord:
    record: SnapshotRecord = call(vm_id, spec)
    saved = machine(driver, vm_id).snapshots[record.id]
    saved.record = changed(saved.record, parent_id=None)
    return record


@port("test_name_description_and_time_of_a_snapshot_are_kept", "snapshots.list")
def tells_the_time_without_its_zone(driver: Driver, call: Call, vm_id: str) -> Sequence[SnapshotRecord]:
    return [changed(record, created=record.created.replace(tzinfo=None)) for record in call(vm_id)]


@port("test_a_snapshots_name_that_is_taken_is_already_exists", "snapshots.create")
def replaces_a_snapshot_of_the_same_name(driver: Driver, call: Call, vm_id: str, spec: SnapshotSpec) -> Any:
    assert driver.snapshots
    for record in driver.snapshots.list(vm_id):
        if record.name == spec.name:
            driver.snapshots.delete(vm_id, record.id, False)
    return call(vm_id, spec)


@port("test_two_snapshots_of_one_vm_may_have_one_name", "snapshots.create")
def refuses_a_snapshots_name_that_is_taken_everywhere(
    driver: Driver, call: Call, vm_id: str, spec: SnapshotSpec
) -> Any:
    if any(saved.record.name == spec.name for saved in machine(driver, vm_id).snapshots.values()):
        raise AlreadyExists(f"there is a snapshot {spec.name!r}")
    return call(vm_id, spec)


@port("test_taking_a_snapshot_leaves_the_vm_in_the_state_it_was_in", "snapshots.create")
def leaves_the_vm_paused(driver: Driver, call: Call, vm_id: str, spec: SnapshotSpec) -> Any:
    record = call(vm_id, spec)
    if machine(driver, vm_id).record.state is PowerState.RUNNING:
        driver.vms.set_power(vm_id, PowerAction.PAUSE)
    return record


@port("test_a_running_vms_snapshot_keeps_its_memory", "snapshots.create")
def never_keeps_memory(driver: Driver, call: Call, vm_id: str, spec: SnapshotSpec) -> Any:
    return call(vm_id, attrs.evolve(spec, memory=False))


@layer("test_memory_of_a_vm_that_is_off_cannot_be_kept")
def keeps_memory_that_is_not_there(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.snapshot._HAS_MEMORY", frozenset(PowerState))


@layer("test_a_suspended_vm_is_not_snapshotted")
def takes_the_disks_of_a_suspended_vm(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SnapshotCollection, "_decided", lambda self, spec: changed(spec, memory=False))


@port("test_a_quiesced_snapshot_is_of_the_disks_alone", "snapshots.create")
def keeps_memory_that_was_quiesced(driver: Driver, call: Call, vm_id: str, spec: SnapshotSpec) -> Any:
    return changed(call(vm_id, spec), memory=True)


@layer("test_a_paused_vms_guest_cannot_be_quiesced")
def takes_a_pause_for_quiet(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SnapshotCollection, "_decided", lambda self, spec: changed(spec, memory=False))


# Renaming


@port("test_a_snapshots_name_and_description_change", "snapshots.update")
def forgets_the_description(
    driver: Driver, call: Call, vm_id: str, snapshot_id: str, change: SnapshotChange
) -> SnapshotRecord:
    record: SnapshotRecord = call(vm_id, snapshot_id, changed(change, description=None))
    return record if change.description is None else changed(record, description=change.description)


@port("test_a_snapshots_new_name_that_another_one_has_is_already_exists", "snapshots.update")
def writes_the_description_before_it_looks(
    driver: Driver, call: Call, vm_id: str, snapshot_id: str, change: SnapshotChange
) -> Any:
    call(vm_id, snapshot_id, changed(change, name=None))
    return call(vm_id, snapshot_id, change)


@port("test_a_snapshot_keeps_its_new_name_over_a_revert", "snapshots.revert")
def gives_a_snapshot_its_first_name_again(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> VMRecord:
    assert driver.snapshots
    record: VMRecord = call(vm_id, snapshot_id)
    driver.snapshots.update(vm_id, snapshot_id, SnapshotChange(name="first name"))
    return record


# Reverting


@port("test_a_revert_brings_back_the_cpus_and_memory", "snapshots.revert")
def reverts_the_disks_and_not_the_configuration(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> VMRecord:
    before = machine(driver, vm_id).record
    call(vm_id, snapshot_id)
    return edit(driver, vm_id, cpus=before.cpus, memory=before.memory)


@port("test_a_revert_to_a_snapshot_of_a_vm_that_was_off_leaves_it_off", "snapshots.revert")
def lets_a_vm_run_on_that_ran(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> VMRecord:
    before = machine(driver, vm_id).record
    call(vm_id, snapshot_id)
    return edit(driver, vm_id, state=before.state)


@port("test_a_revert_to_a_snapshot_with_memory_leaves_the_vm_in_that_state", "snapshots.revert")
def boots_where_it_should_run_on(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> Any:
    record = call(vm_id, snapshot_id)
    world(driver).boot(machine(driver, vm_id))
    return record


@port("test_a_revert_to_a_running_vms_snapshot_without_memory_leaves_it_off", "snapshots.revert")
def starts_a_vm_that_ran(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> VMRecord:
    call(vm_id, snapshot_id)
    return edit(driver, vm_id, state=machine(driver, vm_id).snapshots[snapshot_id].record.state)


@port("test_a_revert_keeps_the_vms_name_notes_tags_and_autostart", "snapshots.revert")
def brings_back_the_notes_too(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> VMRecord:
    call(vm_id, snapshot_id)
    return edit(driver, vm_id, notes=machine(driver, vm_id).snapshots[snapshot_id].vm.notes)


@port("test_a_revert_makes_the_snapshot_current", "snapshots.revert")
def forgets_which_snapshot_is_current(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> Any:
    before = machine(driver, vm_id).current
    record = call(vm_id, snapshot_id)
    machine(driver, vm_id).current = before
    return record


@port("test_a_revert_keeps_every_snapshot", "snapshots.revert")
def drops_the_snapshots_that_came_later(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> Any:
    record = call(vm_id, snapshot_id)
    snapshots = machine(driver, vm_id).snapshots
    for later in list(snapshots)[list(snapshots).index(snapshot_id) + 1 :]:
        del snapshots[later]
    return record


@port("test_a_revert_of_a_suspended_vm_discards_its_saved_memory", "snapshots.revert")
def keeps_saved_memory_over_a_revert(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> VMRecord:
    before = machine(driver, vm_id).record
    record: VMRecord = call(vm_id, snapshot_id)
    return edit(driver, vm_id, state=before.state) if before.state is PowerState.SUSPENDED else record


@port("test_a_revert_brings_back_the_content_of_the_disks", "snapshots.revert")
def reverts_the_configuration_and_not_the_disks(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> Any:
    volumes = [world(driver).volumes[disk.path] for disk in machine(driver, vm_id).record.disks]
    before = [volume.data for volume in volumes]
    record = call(vm_id, snapshot_id)
    for volume, data in zip(volumes, before, strict=True):
        volume.data = data
    return record


@port("test_a_revert_to_a_running_vms_disks_brings_back_their_content", "snapshots.revert")
def reverts_the_first_disk_only(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> Any:
    volumes = [world(driver).volumes[disk.path] for disk in machine(driver, vm_id).record.disks[1:]]
    before = [volume.data for volume in volumes]
    record = call(vm_id, snapshot_id)
    for volume, data in zip(volumes, before, strict=True):
        volume.data = data
    return record


@port("test_a_revert_exchanges_disks_that_were_attached_and_detached_since", "snapshots.revert")
def keeps_the_disks_there_are(driver: Driver, call: Call, vm_id: str, snapshot_id: str) -> VMRecord:
    before = machine(driver, vm_id).record
    call(vm_id, snapshot_id)
    return edit(driver, vm_id, disks=before.disks)


# Deleting


@port("test_deleting_a_snapshot_keeps_the_content_of_the_disks", "snapshots.delete")
def merges_what_a_snapshot_holds_into_its_children(
    driver: Driver, call: Call, vm_id: str, snapshot_id: str, children: bool
) -> None:
    snapshots = machine(driver, vm_id).snapshots
    data = {path: volume.data for path, volume in snapshots[snapshot_id].data.items()}
    for saved in snapshots.values():
        if saved.record.parent_id == snapshot_id:
            for path, volume in saved.data.items():
                volume.data = data[path]
    call(vm_id, snapshot_id, children)


@port("test_deleting_a_snapshot_of_a_running_vms_disks_keeps_their_content", "snapshots.delete")
def merges_what_the_vm_runs_on_into_what_stays(
    driver: Driver, call: Call, vm_id: str, snapshot_id: str, children: bool
) -> None:
    for saved in machine(driver, vm_id).snapshots.values():
        for path, volume in saved.data.items():
            volume.data = world(driver).volumes[path].data
    call(vm_id, snapshot_id, children)


@port("test_deleting_a_snapshot_keeps_its_children", "snapshots.delete")
def deletes_the_children_too(driver: Driver, call: Call, vm_id: str, snapshot_id: str, children: bool) -> None:
    call(vm_id, snapshot_id, True)


@port("test_deleting_a_snapshot_with_its_children_deletes_the_tree_below_it", "snapshots.delete")
def forgets_the_children(driver: Driver, call: Call, vm_id: str, snapshot_id: str, children: bool) -> None:
    call(vm_id, snapshot_id, False)


@port("test_deleting_the_current_snapshot_makes_its_parent_current", "snapshots.delete")
def has_no_current_snapshot_after_a_delete(
    driver: Driver, call: Call, vm_id: str, snapshot_id: str, children: bool
) -> None:
    call(vm_id, snapshot_id, children)
    machine(driver, vm_id).current = None


@port("test_deleting_a_snapshot_leaves_the_vm_as_it_is", "snapshots.delete")
def reverts_before_it_deletes(driver: Driver, call: Call, vm_id: str, snapshot_id: str, children: bool) -> None:
    assert driver.snapshots
    driver.snapshots.revert(vm_id, snapshot_id)
    call(vm_id, snapshot_id, children)


@port("test_a_snapshot_id_that_the_vm_does_not_have_is_not_found", "snapshots.delete")
def deletes_a_snapshot_that_is_not_there(
    driver: Driver, call: Call, vm_id: str, snapshot_id: str, children: bool
) -> None:
    with suppress(NotFound):
        call(vm_id, snapshot_id, children)


@port("test_a_file_that_a_snapshot_needs_is_not_deleted", "snapshots.held")
def knows_of_no_file_that_snapshots_need(driver: Driver, call: Call) -> dict[str, set[str]]:
    return {}
