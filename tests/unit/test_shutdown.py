"""`VM.shutdown` and its twin: ask, ask again, give up."""

from __future__ import annotations

import pytest

import hyperkit
from hyperkit import VM, Cancelled, KernelBoot, PowerState, Timeout
from hyperkit.testing import Calls


def running(*, seconds: float = 0.0, deaf: bool = False) -> tuple[VM, Calls]:
    """A VM whose guest takes so long to shut down, or never listens."""
    calls = Calls()
    host = hyperkit.connect("fake://", wrap=[calls])
    vm = host.vms.create("web1", kernel=KernelBoot("/vmlinuz")).start()
    machine = host.native.machines[vm.id]  # type: ignore[attr-defined]
    machine.shutdown_seconds, machine.deaf = seconds, deaf
    calls.clear()
    return vm, calls


def test_a_guest_that_obeys_at_once_is_asked_once() -> None:
    vm, calls = running()
    assert vm.begin_shutdown().done
    assert vm.state is PowerState.OFF
    assert [call.operation for call in calls] == ["vms.power", "vms.set_power"]


def test_the_twin_does_not_wait() -> None:
    vm, _ = running(seconds=30)
    before = vm.host.clock.monotonic()
    task = vm.begin_shutdown()
    assert not task.done
    assert vm.host.clock.monotonic() == before
    assert task.progress.phase == "waiting for the guest"
    assert task.result(timeout=60) is vm
    assert vm.state is PowerState.OFF


@pytest.mark.parametrize(("resend", "requests"), [(10, 6), (25, 3), (1000, 1)])
def test_a_deaf_guest_is_asked_again(resend: float, requests: int) -> None:
    vm, calls = running(deaf=True)
    with pytest.raises(Timeout, match="runs on"):
        vm.shutdown(timeout=59, resend=resend)
    assert calls.count("vms.set_power") == requests
    assert vm.refresh().state is PowerState.RUNNING


def test_a_cancelled_shutdown_asks_no_more_and_the_vm_runs_on() -> None:
    vm, calls = running(deaf=True)
    task = vm.begin_shutdown()
    task.cancel()
    with pytest.raises(Cancelled):
        task.result(timeout=100)
    assert calls.count("vms.set_power") == 1
    assert vm.refresh().state is PowerState.RUNNING


def test_a_guest_that_was_off_before_the_cancel_is_off() -> None:
    vm, _ = running(seconds=5)
    task = vm.begin_shutdown()
    vm.host.clock.sleep(6)
    task.cancel()
    assert task.result(timeout=0).state is PowerState.OFF
