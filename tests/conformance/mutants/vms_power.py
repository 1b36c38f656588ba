"""Mutants of power verbs."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from hyperkit.backends.fake.vms import FakeVMs
from hyperkit.driver import Driver
from hyperkit.errors import NotFound
from hyperkit.records import PowerRecord, VMRecord
from hyperkit.states import ALLOWED, PowerAction, PowerState, StateReason
from hyperkit.vm import VM
from tests.conformance.mutants.kit import Call, layer, machine, port


def instead(test: str, name: str, asked: PowerAction, done: PowerAction | None) -> None:
    """A mutant that does another action than it was asked for, or none."""

    def mutant(driver: Driver, call: Call, vm_id: str, action: PowerAction) -> Any:
        if action is not asked:
            return call(vm_id, action)
        return call(vm_id, done) if done else driver.vms.power(vm_id)

    mutant.__name__ = name
    port(test, "vms.set_power")(mutant)


_A = PowerAction
instead("test_start_runs_a_vm_that_is_off", "starts_a_vm_paused", _A.START, _A.PAUSE)
instead("test_a_suspended_vms_memory_can_be_discarded", "keeps_the_memory_to_be_discarded", _A.DISCARD, None)
instead("test_reset_begins_afresh", "does_not_press_the_button", _A.RESET, None)
instead("test_reboot_asks_the_guest", "does_not_ask_the_guest_to_reboot", _A.REBOOT, None)
instead("test_shutdown_asks_the_guest", "does_not_ask_the_guest", _A.SHUTDOWN, None)
instead("test_a_guest_that_ignores_a_shutdown_is_a_timeout", "cuts_the_power_at_shutdown", _A.SHUTDOWN, _A.STOP)


@port("test_stop_cuts_the_power", "vms.set_power")
def runs_on_where_the_power_was_cut(driver: Driver, call: Call, vm_id: str, action: PowerAction) -> Any:
    before = machine(driver, vm_id).boot
    result = call(vm_id, action)
    if before.number:
        machine(driver, vm_id).boot = before
    return result


@port("test_pause_keeps_a_running_vm_in_memory", "vms.set_power")
def resets_what_it_resumes(driver: Driver, call: Call, vm_id: str, action: PowerAction) -> Any:
    result = call(vm_id, action)
    return call(vm_id, _A.RESET) if action is _A.RESUME else result


@port("test_suspend_saves_a_running_vm_to_disk", "vms.set_power")
def forgets_the_memory_it_saved(driver: Driver, call: Call, vm_id: str, action: PowerAction) -> Any:
    if action is _A.START and machine(driver, vm_id).record.state is PowerState.SUSPENDED:
        call(vm_id, _A.DISCARD)
    return call(vm_id, action)


@layer("test_a_paused_vm_can_be_suspended")
def suspends_only_what_runs(patch: pytest.MonkeyPatch) -> None:
    less = {**ALLOWED, PowerState.PAUSED: ALLOWED[PowerState.PAUSED] - {PowerAction.SUSPEND}}
    patch.setattr("hyperkit.vm.ALLOWED", less)


@layer("test_a_verb_whose_goal_is_already_reached_changes_nothing")
def complains_that_a_vm_is_as_it_should_be(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.vm.already_there", lambda state, action: False)


@layer("test_a_verb_that_the_state_forbids_is_invalid_state")
def lets_the_host_do_what_the_state_forbids(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.vm.ALLOWED", dict.fromkeys(PowerState, frozenset(PowerAction)))


@layer("test_a_verb_on_a_vm_that_is_gone_is_not_found")
def remembers_vms_that_are_gone(patch: pytest.MonkeyPatch) -> None:
    power = FakeVMs.power
    known: dict[str, PowerRecord] = {}

    def as_last_seen(self: FakeVMs, vm_id: str) -> PowerRecord:
        with contextlib.suppress(NotFound):
            known[vm_id] = power(self, vm_id)
        return known[vm_id]

    patch.setattr(FakeVMs, "power", as_last_seen)


@layer("test_the_power_state_read_alone_is_that_of_the_record")
def never_looks_why(patch: pytest.MonkeyPatch) -> None:
    reason = StateReason.UNKNOWN
    patch.setattr(FakeVMs, "power", lambda self, vm_id: PowerRecord(state=self.get(vm_id).state, reason=reason))


@layer("test_another_connection_sees_the_state_at_once")
def caches_vms_in_each_connection(patch: pytest.MonkeyPatch) -> None:
    get = FakeVMs.get
    cache: dict[tuple[int, str], VMRecord] = {}

    def from_the_cache(self: FakeVMs, vm_id: str) -> VMRecord:
        return cache.setdefault((id(self), vm_id), get(self, vm_id))

    patch.setattr(FakeVMs, "get", from_the_cache)


@layer("test_a_guest_that_ignores_a_shutdown_is_switched_off_by_force")
def does_not_use_force(patch: pytest.MonkeyPatch) -> None:
    shutdown = VM.shutdown
    patch.setattr(VM, "shutdown", lambda vm, *, timeout, force: shutdown(vm, timeout=timeout))
