"""Mutants of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hyperkit.driver import Change, Driver, Occurrence
from hyperkit.records import VMRecord
from hyperkit.specs import SnapshotSpec
from hyperkit.states import PowerState
from tests.conformance.mutants.kit import Call, edit, port, world

Sink = Callable[[Change | Occurrence], None]


@port("test_a_vm_that_is_created_changed_and_deleted_is_reported_so", "events.subscribe")
def tells_of_no_deletion(driver: Driver, call: Call, sink: Sink) -> Any:
    return call(lambda told: None if isinstance(told, Change) and not told.after else sink(told))


@port("test_a_change_of_state_tells_the_states_before_and_after", "events.subscribe")
def confuses_before_and_after(driver: Driver, call: Call, sink: Sink) -> Any:
    return call(lambda told: sink(Change(told.after, told.before) if isinstance(told, Change) else told))


@port("test_nothing_is_reported_while_nothing_changes", "vms.get")
def tells_of_a_vm_that_is_looked_at(driver: Driver, call: Call, vm_id: str) -> VMRecord:
    record: VMRecord = call(vm_id)
    for sink in world(driver).sinks:
        sink(Change(None, record))
    return record


@port("test_a_reset_is_reported_once_and_is_no_change_of_state", "events.subscribe")
def tells_of_a_reboot_as_often_as_libvirt_does(driver: Driver, call: Call, sink: Sink) -> Any:
    def twice(told: Change | Occurrence) -> None:
        for _ in range(2 if isinstance(told, Occurrence) else 1):
            sink(told)

    return call(twice)


@port("test_a_snapshot_of_a_vm_that_runs_is_reported_as_no_pause", "snapshots.create")
def tells_that_the_cpus_stand_still_for_a_snapshot(driver: Driver, call: Call, vm_id: str, spec: SnapshotSpec) -> Any:
    edit(driver, vm_id, state=PowerState.PAUSED)
    edit(driver, vm_id, state=PowerState.RUNNING)
    return call(vm_id, spec)


@port("test_a_stop_and_a_start_right_after_each_other_are_both_reported", "events.subscribe")
def misses_a_start_that_did_not_last(driver: Driver, call: Call, sink: Sink) -> Any:
    def all_but_starts(told: Change | Occurrence) -> None:
        if not isinstance(told, Change) or not told.after or told.after.state is not PowerState.RUNNING:
            sink(told)

    return call(all_but_starts)
