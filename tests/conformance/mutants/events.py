"""Mutants of events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hyperkit.driver import Change, Driver
from hyperkit.records import VMRecord
from tests.conformance.mutants.kit import Call, port, world

Sink = Callable[[Change], None]


@port("test_a_vm_that_is_created_changed_and_deleted_is_reported_so", "events.subscribe")
def tells_of_no_deletion(driver: Driver, call: Call, sink: Sink) -> Any:
    return call(lambda change: sink(change) if change.after else None)


@port("test_a_change_of_state_tells_the_states_before_and_after", "events.subscribe")
def confuses_before_and_after(driver: Driver, call: Call, sink: Sink) -> Any:
    return call(lambda change: sink(Change(change.after, change.before)))


@port("test_nothing_is_reported_while_nothing_changes", "vms.get")
def tells_of_a_vm_that_is_looked_at(driver: Driver, call: Call, vm_id: str) -> VMRecord:
    record: VMRecord = call(vm_id)
    for sink in world(driver).sinks:
        sink(Change(None, record))
    return record
