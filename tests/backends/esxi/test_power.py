"""Power verbs on a simulated host: what they cost, and guests and VMs that do not go along."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import Host, InvalidState, NotFound, PowerState, Timeout
from hyperkit.errors import AgentUnavailable, Busy, Cancelled, PermissionDenied, ResourceExhausted
from tests.beds.vcsim import Vcsim, missing


@pytest.fixture(scope="module", params=["esx", "vcenter"])
def a_sim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(request.param) as sim:
        yield sim


@pytest.fixture
def sim(a_sim: Vcsim) -> Iterator[Vcsim]:
    yield a_sim
    a_sim.faults.clear()


@pytest.fixture
def host(sim: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as host:
        yield host
        sim.faults.clear()
        for vm in host.vms:
            vm.delete(force=True)


def test_a_verb_costs_the_look_before_it_and_one_at_its_task(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v")
    for verb, method, state in (
        (vm.start, "PowerOnVM_Task", PowerState.RUNNING),
        (vm.reset, "ResetVM_Task", PowerState.RUNNING),
        (vm.suspend, "SuspendVM_Task", PowerState.SUSPENDED),
        (vm.start, "PowerOnVM_Task", PowerState.RUNNING),
        (vm.stop, "PowerOffVM_Task", PowerState.OFF),
    ):
        sim.control.reset_calls()
        verb()
        assert sim.control.calls().methods == {"RetrievePropertiesEx": 2, method: 1}
        assert (vm.state, host.vms.get(vm.id).state) == (state, state)


def test_saved_memory_is_discarded_by_switching_off(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v").start().suspend()
    sim.control.reset_calls()
    assert vm.discard_suspended().state is PowerState.OFF
    assert sim.control.calls().methods["PowerOffVM_Task"] == 1


def test_a_guest_without_tools_is_asked_again_until_it_has_them(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v").start()
    sim.faults.fault("ShutdownGuest", "ToolsUnavailable", count=2)
    sim.control.reset_calls()
    with pytest.raises(Timeout, match="runs on"):
        vm.shutdown(timeout=0.2, resend=0.1)
    assert vm.state is PowerState.RUNNING
    assert sim.control.calls().methods["ShutdownGuest"] >= 2
    sim.faults.fault("ShutdownGuest", "ToolsUnavailable", count=-1)
    assert vm.shutdown(timeout=0.2, resend=0.1, force=True).state is PowerState.OFF


def test_a_guest_without_tools_does_not_reboot_and_says_so(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v").start()
    sim.faults.fault("RebootGuest", "ToolsUnavailable")
    with pytest.raises(AgentUnavailable):
        vm.reboot()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("InsufficientMemoryResourcesFault", ResourceExhausted),
        ("InsufficientResourcesFault", ResourceExhausted),
        ("TaskInProgress", Busy),
        ("InvalidPowerState", InvalidState),
        ("NoPermission", PermissionDenied),
        ("ManagedObjectNotFound", NotFound),
    ],
)
def test_a_start_that_fails_says_why(sim: Vcsim, host: Host, fault: str, error: type[Exception]) -> None:
    vm = host.vms.create("v")
    sim.faults.task_fault("PowerOnVM_Task", fault)
    with pytest.raises(error):
        vm.start()
    assert vm.refresh().state is PowerState.OFF


def test_a_vm_that_was_deleted_behind_our_back_is_not_found(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v")
    with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as other:
        other.vms.get(vm.id).delete()
    for call in (vm.start, vm.stop, vm.refresh, vm.delete, lambda: vm.configure(notes="x")):
        with pytest.raises(NotFound):
            call()


def test_a_start_tells_how_far_it_is_and_can_be_cancelled(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v")
    sim.faults.slow_task("PowerOnVM_Task", seconds=20)
    task = vm.begin_start()
    assert not task.done
    task.cancel()
    with pytest.raises(Cancelled):
        task.result(timeout=10)
    assert vm.refresh().state is PowerState.OFF


def test_who_waits_for_a_start_is_told_the_question_and_others_see_it_as_its_phase(
    sim: Vcsim, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lxml import etree

    from hyperkit.backends.esxi.tasks import TaskJob

    info: Any = etree.fromstring(
        '<val xmlns="urn:vim25"><id>7</id><text>Was it moved or copied?</text><choice>'
        "<choiceInfo><key>1</key><label>I moved it</label><summary/></choiceInfo>"
        "<choiceInfo><key>2</key><label>I copied it</label><summary/></choiceInfo>"
        "<defaultIndex>1</defaultIndex></choice></val>"
    )
    vm = host.vms.create("v")
    sim.faults.slow_task("PowerOnVM_Task", seconds=3)
    monkeypatch.setattr(TaskJob, "question", property(lambda job: info))
    task = vm.begin_start()
    assert not task.done  # a look is not a wait
    started = time.monotonic()
    with pytest.raises(InvalidState, match=r"moved or copied\?.*answer\(\) takes '1' \(I moved it\), '2'"):
        task.result()
    assert time.monotonic() - started < 2.5
