"""Mutants of questions and of what deleted snapshots leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hyperkit.driver import Driver
from hyperkit.records import VMRecord, changed
from hyperkit.states import PowerAction
from hyperkit.vm import VM
from tests.conformance.mutants.kit import Call, layer, machine, port


@port("test_a_question_that_a_vm_waits_for_is_in_its_record", "vms.get")
def tells_a_question_and_no_answers(driver: Driver, call: Call, vm_id: str) -> VMRecord:
    record: VMRecord = call(vm_id)
    question = record.question and changed(record.question, choices={})
    return changed(record, question=question)


@port("test_a_question_that_was_answered_is_there_no_more", "upkeep.answer")
def switches_off_what_was_answered(driver: Driver, call: Call, vm_id: str, question_id: str, choice: str) -> None:
    call(vm_id, question_id, choice)
    driver.vms.set_power(vm_id, PowerAction.STOP)


@layer("test_an_answer_that_the_question_does_not_have_is_refused")
def takes_the_first_choice_for_every_other(patch: pytest.MonkeyPatch) -> None:
    def first(choices: Mapping[str, str], choice: str) -> str:
        return choice if choice in choices else next(iter(choices))

    patch.setattr("hyperkit.upkeep._meant", first)


@layer("test_an_answer_to_a_vm_that_waits_for_none_is_refused")
def takes_every_answer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VM, "answer", lambda self, choice: self)


@port("test_a_vm_whose_snapshots_left_files_behind_says_so", "upkeep.consolidate")
def merges_nothing(driver: Driver, call: Call, vm_id: str) -> None:
    machine(driver, vm_id)


@port("test_consolidating_a_vm_that_does_not_need_it_changes_nothing", "upkeep.consolidate")
def stops_a_vm_to_consolidate_it(driver: Driver, call: Call, vm_id: str) -> Any:
    driver.vms.set_power(vm_id, PowerAction.STOP)
    return call(vm_id)
