"""Mutants of what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hyperkit.backends.fake.activity import Activity
from hyperkit.driver import Driver
from hyperkit.metrics import MetricsRecord
from hyperkit.records import changed
from tests.conformance.mutants.kit import Call, layer, nothing, port


def each(call: Call, vm_ids: Sequence[str] | None, **changes: Any) -> list[MetricsRecord]:
    return [changed(record, **changes) for record in call(vm_ids)]


@port("test_all_vms_are_measured_or_those_that_are_named", "metrics.read")
def measures_all_whoever_is_named(driver: Driver, call: Call, vm_ids: Sequence[str] | None) -> Any:
    return call(None)


@port("test_the_time_of_a_reading_is_aware_and_in_utc", "metrics.read")
def tells_the_time_of_nowhere(driver: Driver, call: Call, vm_ids: Sequence[str] | None) -> Any:
    return [changed(record, time=record.time.replace(tzinfo=None)) for record in call(vm_ids)]


@port("test_a_vm_that_is_off_has_used_nothing_and_has_no_memory", "metrics.read")
def measures_a_vm_that_is_off_like_one_that_runs(driver: Driver, call: Call, vm_ids: Sequence[str] | None) -> Any:
    return each(call, vm_ids, cpu_seconds=1.0)


@port("test_a_vm_that_runs_has_the_memory_that_it_was_given", "metrics.read")
def tells_memory_in_kib(driver: Driver, call: Call, vm_ids: Sequence[str] | None) -> Any:
    return [changed(record, memory_assigned=(record.memory_assigned or 0) // 1024) for record in call(vm_ids)]


@layer("test_the_cpu_time_of_a_vm_that_runs_grows")
def counts_no_cpu_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Activity, "go_on", nothing)


@port("test_the_disks_and_nics_measured_have_the_ids_that_the_record_has", "metrics.read")
def numbers_the_nics_by_itself(driver: Driver, call: Call, vm_ids: Sequence[str] | None) -> Any:
    return [
        changed(record, nics=tuple(changed(nic, id=f"vnet{n}") for n, nic in enumerate(record.nics)))
        for record in call(vm_ids)
    ]


@layer("test_a_vm_that_was_started_again_counts_from_zero")
def counts_on_after_a_restart(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Activity, "begin", nothing)
