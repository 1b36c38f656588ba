"""Questions that VMs wait for an answer to, and what deleted snapshots leave behind."""

from __future__ import annotations

import pytest

from hyperkit.errors import InvalidRequest, InvalidState
from hyperkit.specs import DiskSpec
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.units import MiB
from hyperkit.vm import VM

TEXT = "The disk is full. <Retry> & go on?"
CHOICES = {"0": "Cancel", "1": "Retry"}


def waiting(bed: Bed) -> VM:
    """A VM that runs and waits for an answer."""
    vm = bed.running()
    bed.backdoor.ask(vm.id, TEXT, CHOICES)
    return vm


@behaviour(
    "upkeep.answer",
    "A question that a VM waits for is in its record, with the answers there are.",
    requires=("questions",),
    facts=("asks",),
)
def test_a_question_that_a_vm_waits_for_is_in_its_record(bed: Bed) -> None:
    vm, other = waiting(bed), bed.running()
    question = bed.seen(vm).question
    assert question is not None
    assert TEXT in question.text
    assert dict(question.choices) == CHOICES
    assert question.id
    assert bed.seen(other).question is None
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "upkeep.answer",
    "A question that was answered is there no more, and the VM goes on.",
    requires=("questions",),
    facts=("asks",),
)
def test_a_question_that_was_answered_is_there_no_more(bed: Bed) -> None:
    for choice in ("1", "Retry"):
        vm = waiting(bed)
        assert vm.answer(choice).question is None
        assert bed.seen(vm).question is None
        assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "upkeep.answer",
    "An answer that the question does not have is InvalidRequest, which names those it has.",
    requires=("questions",),
    facts=("asks",),
)
def test_an_answer_that_the_question_does_not_have_is_refused(bed: Bed) -> None:
    vm = waiting(bed)
    with pytest.raises(InvalidRequest, match=r"'0'.*Cancel.*'1'.*Retry"):
        vm.answer("Ignore")
    assert bed.seen(vm).question is not None


@behaviour("upkeep.answer", "An answer to a VM that waits for none is InvalidState.", requires=("questions",))
def test_an_answer_to_a_vm_that_waits_for_none_is_refused(bed: Bed) -> None:
    vm = bed.running()
    with pytest.raises(InvalidState):
        vm.answer("1")
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "upkeep.consolidate",
    "A VM whose deleted snapshots left files behind says so, and no more once it is consolidated.",
    requires=("snapshot_consolidation",),
    facts=("leaves_behind",),
)
def test_a_vm_whose_snapshots_left_files_behind_says_so(bed: Bed) -> None:
    vm, other = bed.vm(disks=[DiskSpec(size=8 * MiB)]), bed.vm()
    bed.backdoor.leave_behind(vm.id)
    assert bed.seen(vm).record.consolidation_needed
    assert not bed.seen(other).record.consolidation_needed
    assert not vm.consolidate().record.consolidation_needed
    assert not bed.seen(vm).record.consolidation_needed
    assert [bed.backdoor.disk_size(disk.path) for disk in bed.seen(vm).disks] == [8 * MiB]


@behaviour(
    "upkeep.consolidate",
    "Consolidating a VM that does not need it changes nothing.",
    requires=("snapshot_consolidation",),
)
def test_consolidating_a_vm_that_does_not_need_it_changes_nothing(bed: Bed) -> None:
    vm = bed.running(disks=[DiskSpec(size=8 * MiB)])
    shape, files, record = bed.backdoor.shape(vm.id), bed.backdoor.files(), bed.seen(vm).record
    assert vm.consolidate() is vm
    assert bed.seen(vm).record == record
    assert (bed.backdoor.shape(vm.id), bed.backdoor.files()) == (shape, files)
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
