"""What VMs do, and what they are told, on a simulated host."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("winrm", reason="no Python module winrm (pywinrm)")

from hyperkit import DiskSpec, MiB, PowerState
from hyperkit.backends.hyperv.errors import MethodFailed, translate
from hyperkit.backends.hyperv.power import Power
from hyperkit.backends.hyperv.states import power
from hyperkit.backends.hyperv.wsman import Instance, WSManFault
from hyperkit.clock import VirtualClock
from hyperkit.errors import AgentUnavailable, InvalidState, NotFound
from hyperkit.jobs import Job
from hyperkit.records import PowerRecord
from hyperkit.states import PowerAction, StateReason
from hyperkit.work import finished
from tests.backends.hyperv.conftest import Connect
from tests.beds.hyperv_sim import HyperVSim

A, S, R = PowerAction, PowerState, StateReason


@pytest.fixture
def vm(sim: HyperVSim) -> str:
    """A VM with a guest."""
    return sim.fake.host.vms.create("web1", memory=64 * MiB, disks=[DiskSpec(size=8 * MiB)]).id


@pytest.fixture
def verbs(sim: HyperVSim, connect: Connect) -> Power:
    return Power(connect(sim))


def do(verbs: Power, vm: str, action: PowerAction) -> PowerRecord:
    done = verbs.act(vm, action)
    return finished(done, 1, VirtualClock()) if isinstance(done, Job) else done


def test_verbs_lead_where_they_say(sim: HyperVSim, verbs: Power, vm: str) -> None:
    for action, state in (
        (A.START, S.RUNNING),
        (A.PAUSE, S.PAUSED),
        (A.RESUME, S.RUNNING),
        (A.RESET, S.RUNNING),
        (A.SUSPEND, S.SUSPENDED),
        (A.START, S.RUNNING),
        (A.SUSPEND, S.SUSPENDED),
        (A.DISCARD, S.OFF),
        (A.START, S.RUNNING),
        (A.STOP, S.OFF),
    ):
        assert do(verbs, vm, action) == PowerRecord(state=state)
        assert verbs.read(vm).state is sim.fake.host.vms.get(vm).state is state


def test_ids_are_compared_without_case(verbs: Power, vm: str) -> None:
    assert verbs.read(vm.lower()) == verbs.read(vm.upper()) == PowerRecord(state=S.OFF)


def test_what_is_there_already_is_no_failure(verbs: Power, vm: str) -> None:
    assert do(verbs, vm, A.STOP).state is S.OFF
    do(verbs, vm, A.START)
    assert do(verbs, vm, A.START).state is S.RUNNING


def test_what_the_state_forbids_says_which_it_is(verbs: Power, vm: str) -> None:
    with pytest.raises(MethodFailed, match="it is off") as caught:
        do(verbs, vm, A.PAUSE)
    assert isinstance(translate(caught.value), InvalidState)


def test_a_state_that_comes_late_is_waited_for(sim: HyperVSim, verbs: Power, vm: str) -> None:
    sim.systems.late[vm] = 3
    job: Any = verbs.act(vm, A.START)
    told = []
    while not (status := job.poll()).done:
        told.append(status.progress.phase)
    assert status.result == PowerRecord(state=S.RUNNING)
    assert "waiting for the state" in told


def test_a_vm_that_is_gone(verbs: Power) -> None:
    with pytest.raises(WSManFault) as caught:
        verbs.read("00000000-0000-4000-8000-00000000DEAD")
    assert isinstance(translate(caught.value), NotFound)
    with pytest.raises(WSManFault) as caught:
        do(verbs, "00000000-0000-4000-8000-00000000DEAD", A.START)
    assert isinstance(translate(caught.value), NotFound)


# Guests


def test_a_guest_is_asked(sim: HyperVSim, verbs: Power, vm: str) -> None:
    do(verbs, vm, A.START)
    assert do(verbs, vm, A.REBOOT).state is S.RUNNING
    assert do(verbs, vm, A.SHUTDOWN).state is S.OFF
    assert sim.fake.host.vms.get(vm).state is S.OFF


@pytest.mark.parametrize("answer", [32780, 32782, 32775])
def test_a_guest_that_is_not_ready_is_asked_again_by_whoever_waits(
    sim: HyperVSim, verbs: Power, vm: str, answer: int
) -> None:
    do(verbs, vm, A.START)
    sim.systems.answers = answer
    assert do(verbs, vm, A.SHUTDOWN).state is S.RUNNING
    if answer != 32782:
        with pytest.raises(AgentUnavailable):
            do(verbs, vm, A.REBOOT)


def test_a_guest_where_somebody_is_logged_on(sim: HyperVSim, verbs: Power, vm: str) -> None:
    do(verbs, vm, A.START)
    sim.systems.answers = 32781
    with pytest.raises(MethodFailed, match="logged on"):
        do(verbs, vm, A.SHUTDOWN)


def test_a_vm_without_the_service(sim: HyperVSim, verbs: Power) -> None:
    bare = sim.fake.host.vms.create("bare", memory=64 * MiB).start().id
    assert do(verbs, bare, A.SHUTDOWN).state is S.RUNNING
    with pytest.raises(AgentUnavailable, match="none"):
        do(verbs, bare, A.REBOOT)


# Numbers


@pytest.mark.parametrize(
    ("number", "health", "status", "state", "reason"),
    [
        (2, 5, [2], S.RUNNING, R.NORMAL),
        (4, 5, [2], S.RUNNING, R.SHUTTING_DOWN),
        (10, 5, [2], S.RUNNING, R.STARTING),
        (32773, 5, [2], S.RUNNING, R.SAVING),
        (9, 25, [6], S.PAUSED, R.IO_ERROR),
        (32785, 25, [6], S.PAUSED, R.IO_ERROR),
        (32782, 25, [6], S.OFF, R.UNREACHABLE),
        (3, 25, [6], S.OFF, R.NORMAL),
        (2, 5, [2, 32774], S.RUNNING, R.MIGRATING),
        (2, 5, [2, 32768], S.RUNNING, R.SNAPSHOTTING),
        (32768, 5, [2], S.UNKNOWN, R.UNKNOWN),
        (0, 5, [], S.UNKNOWN, R.UNKNOWN),
        (12345, 5, [2], S.UNKNOWN, R.UNKNOWN),
    ],
)
def test_numbers(number: int, health: int, status: list[int], state: PowerState, reason: StateReason) -> None:
    values = {
        "EnabledState": [str(number)],
        "HealthState": [str(health)],
        "OperationalStatus": [str(each) for each in status],
    }
    assert power(Instance("Msvm_ComputerSystem", values)) == PowerRecord(state=state, reason=reason)
