"""Questions that a VM waits for an answer to, and what deleted snapshots leave behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hyperkit import VM, DiskSpec, Host, InvalidRequest, InvalidState, MiB, Timeout, Unsupported, VMChanged, to_dict
from hyperkit.records import AgentState
from hyperkit.testing import Fake, fake_host
from tests.unit.support import refusal

CHOICES = {"0": "Cancel", "1": "Retry", "2": "Retry"}


@pytest.fixture
def vm(hyperkit_fake: Fake) -> VM:
    """A VM that waits for an answer."""
    vm = hyperkit_fake.host.vms.create("web1", disks=[DiskSpec(size=MiB)]).start()
    hyperkit_fake.ask(vm, "No space. Retry?", CHOICES, default="0")
    return vm.refresh()


def test_a_question_is_told_whole(vm: VM) -> None:
    question = vm.question
    assert question is not None
    assert (question.text, dict(question.choices), question.default) == ("No space. Retry?", CHOICES, "0")
    assert to_dict(vm)["question"]["choices"] == CHOICES
    assert [each.name for each in vm.host.vms.find(lambda each: each.question is not None)] == ["web1"]


def test_who_waits_does_not_obey(vm: VM) -> None:
    with pytest.raises(Timeout):
        vm.shutdown(timeout=5)
    assert vm.answer("0").shutdown(timeout=5).state.value == "off"


def test_an_answer_is_a_choice_or_what_people_call_it(vm: VM) -> None:
    assert vm.answer("Cancel").question is None


@pytest.mark.parametrize("choice", ["Retry", "retry", "3", "", 0, None])
def test_what_is_no_answer_or_may_be_two_is_refused_with_those_there_are(vm: VM, choice: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"one of '0' \(Cancel\), '1' \(Retry\), '2' \(Retry\)") as refused:
        vm.answer(choice)
    assert (refused.value.field, refused.value.value) == ("choice", choice)
    assert vm.refresh().question is not None


def test_who_waits_for_nothing_is_not_answered(vm: VM) -> None:
    vm.answer("1")
    with pytest.raises(InvalidState, match=r"VM 'web1' on fake://.* waits for no answer"):
        vm.answer("1")


def test_another_question_is_not_answered_by_mistake(vm: VM, hyperkit_fake: Fake) -> None:
    first = vm.question
    assert first is not None
    hyperkit_fake.ask("web1", "Something else?", {"1": "Format the disk"})
    upkeep = vm.host.driver.upkeep
    assert upkeep is not None
    assert refusal(InvalidState, lambda: upkeep.answer(vm.id, first.id, "1"))
    assert vm.refresh().question != first


def test_a_question_ends_with_the_power(vm: VM) -> None:
    vm.stop()
    assert vm.refresh().question is None


def test_a_question_is_no_part_of_a_snapshot(vm: VM) -> None:
    snapshot = vm.snapshots.create("asked")
    vm.answer("1")
    assert snapshot.revert().question is None


def test_a_question_and_its_answer_are_events(vm: VM, hyperkit_fake: Fake) -> None:
    events = hyperkit_fake.host.events.stream(timeout=1)
    vm.answer("1")
    (event,) = events
    assert isinstance(event, VMChanged)
    assert event.fields == ("question",)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda fake: fake.ask("off", "?", {"0": "Yes"}),
        lambda fake: fake.ask("on", "?", {}),
        lambda fake: fake.ask("on", "?", ["Yes"]),
        lambda fake: fake.ask("on", "?", {"0": 1}),
        lambda fake: fake.ask("on", None, {"0": "Yes"}),
        lambda fake: fake.ask("on", "?", {"0": "Yes"}, default="1"),
    ],
)
def test_a_wrong_question_is_refused(hyperkit_fake: Fake, wrong: Callable[[Fake], object]) -> None:
    hyperkit_fake.seed(vms=["off", {"name": "on", "state": "running"}])
    assert refusal(InvalidRequest, lambda: wrong(hyperkit_fake))


def test_a_question_keeps_what_it_was_asked_with(vm: VM, hyperkit_fake: Fake) -> None:
    choices = {"a": "One"}
    hyperkit_fake.ask(vm, "?", choices)
    choices["b"] = "Two"
    question = vm.refresh().question
    assert question is not None
    assert dict(question.choices) == {"a": "One"}


# What deleted snapshots leave


def test_what_snapshots_left_is_merged(hyperkit_fake: Fake) -> None:
    vm = hyperkit_fake.host.vms.create("web1", disks=[DiskSpec(size=MiB)])
    hyperkit_fake.leave_behind("web1")
    assert hyperkit_fake.host.vms.find(consolidation_needed=True) == [vm]
    assert vm.consolidate() is vm
    assert not vm.record.consolidation_needed
    assert not vm.consolidate().record.consolidation_needed


def test_merging_may_be_slow() -> None:
    with fake_host(jobs="polls:3") as fake:
        vm = fake.host.vms.create("web1")
        fake.leave_behind(vm)
        task = vm.begin_consolidate()
        assert task.progress.phase == "consolidating"
        assert vm.refresh().record.consolidation_needed
        assert not task.result().record.consolidation_needed


@pytest.mark.parametrize(
    ("capability", "ask"),
    [
        ("questions", lambda fake, vm: vm.answer("1")),
        ("questions", lambda fake, vm: fake.ask(vm, "?", {"0": "Yes"})),
        ("snapshot_consolidation", lambda fake, vm: vm.consolidate()),
        ("snapshot_consolidation", lambda fake, vm: fake.leave_behind(vm)),
    ],
)
@pytest.mark.parametrize("profile", ["libvirt", "hyperv"])
def test_hosts_that_know_no_such_thing(profile: str, capability: str, ask: Callable[[Fake, VM], object]) -> None:
    with fake_host(profile=profile) as fake:
        vm = fake.host.vms.create("web1").start()
        with pytest.raises(Unsupported) as refused:
            ask(fake, vm)
        assert refused.value.capability == capability


# The agent, as the host knows it


def test_the_host_knows_of_the_agent_unasked() -> None:
    with fake_host() as fake:
        fake.seed(vms=[{"name": "web1", "disks": [{"size": "1 MiB"}], "guest": {"boot_seconds": 10}}, "empty"])
        vm, host = fake.host.vms.one("web1"), fake.host
        assert host.vms.one("empty").start().agent is AgentState.MISSING
        assert vm.start().refresh().agent is AgentState.STOPPED
        fake.clock.advance(10)
        assert agents(host) == {"web1": AgentState.RUNNING, "empty": AgentState.MISSING}
        fake.guest(vm, agent="hangs")
        assert vm.refresh().agent is AgentState.STOPPED
        fake.guest(vm, agent="absent")
        assert vm.refresh().agent is AgentState.MISSING
    with fake_host(without=["guest_agent"]) as fake:
        assert fake.host.vms.create("web1").agent is AgentState.UNKNOWN


def agents(host: Host) -> dict[str, AgentState]:
    """What the host tells of each, in one list."""
    return {vm.name: vm.agent for vm in host.vms}


def test_an_agent_that_comes_and_goes_is_no_event() -> None:
    with fake_host() as fake:
        fake.seed(vms=[{"name": "web1", "disks": [{"size": "1 MiB"}], "state": "running"}])
        before = fake.host.vms.one("web1").record
        fake.guest("web1", agent="hangs")
        after = fake.host.vms.one("web1").record
        assert before.agent is not after.agent
        assert before == after
