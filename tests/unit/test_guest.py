"""`vm.guest`: waiting for it, commands, and freezing that surely ends."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import hyperkit
from hyperkit import (
    VM,
    AgentUnavailable,
    Busy,
    CommandFailed,
    ConnectionLost,
    InvalidRequest,
    InvalidState,
    KernelBoot,
    NotFound,
    PermissionDenied,
    PowerState,
    TaskFailed,
    Timeout,
    Unsupported,
)
from hyperkit.backends.fake.guests import is_frozen
from hyperkit.guest_records import CommandResult
from hyperkit.specs import CommandSpec
from hyperkit.testing import Fake, fake_host


def running(fake: Fake, **guest: Any) -> VM:
    fake.seed(vms=[{"name": "web1", "state": "running", "disks": [{"size": "1 GiB"}], "guest": guest}])
    vm = fake.host.vms.one(name="web1")
    fake.calls.clear()
    return vm


# Whether somebody answers


def test_a_guest_that_boots_is_waited_for() -> None:
    with fake_host() as fake:
        vm = running(fake, boot_seconds=30)
        with pytest.raises(AgentUnavailable, match="VM 'web1': no agent answers"):
            vm.guest.ping()
        vm.guest.wait_until_ready(timeout=60)
        assert 30 <= fake.clock.monotonic() < 32
        vm.guest.ping()


def test_the_wait_ends_with_the_time_or_with_the_vm() -> None:
    with fake_host() as fake:
        vm = running(fake, agent="absent")
        with pytest.raises(Timeout, match="waited 20 s for an agent in VM 'web1'") as late:
            vm.guest.wait_until_ready(timeout=20)
        assert isinstance(late.value.__cause__, AgentUnavailable)
        vm.stop()
        with pytest.raises(InvalidState, match=r"cannot ping VM 'web1' on fake.*: it is off") as refused:
            vm.guest.wait_until_ready(timeout=20)
        assert not isinstance(refused.value, AgentUnavailable)
        assert "start" in refused.value.allowed


def test_an_agent_that_comes_to_its_senses_is_ready() -> None:
    with fake_host() as fake:
        vm = running(fake, agent="hangs")
        with pytest.raises(Timeout, match="VM 'web1': the guest's agent did not answer within 3 s"):
            vm.guest.ping(timeout=3)
        with pytest.raises(Timeout, match="waited 20 s"):
            vm.guest.wait_until_ready(timeout=20)
        fake.guest("web1", agent="answers")
        vm.guest.wait_until_ready(timeout=20)


def test_a_host_without_agents_says_so_before_anything_else() -> None:
    with fake_host(without=["guest_agent", "guest_exec", "guest_freeze", "guest_addresses"]) as fake:
        vm = running(fake)
        for verb in (vm.guest.ping, vm.guest.info, vm.guest.freeze, vm.guest.thaw, vm.guest.frozen().__enter__):
            with pytest.raises(Unsupported):
                verb()
        with pytest.raises(Unsupported, match="guest_exec"):
            vm.guest.run(["true"])
        assert fake.calls.count() == 0


# Commands


def test_run_and_check() -> None:
    with fake_host() as fake:
        vm = running(fake, commands={"false": {"exit_code": 3, "stderr": "s3cret"}, "die": {"signal": 15}})
        assert vm.guest.run(["echo", "a"], check=True).text == "a\n"
        assert vm.guest.run(["false"]) == CommandResult(3, b"", b"s3cret")
        with pytest.raises(CommandFailed, match="run 'false' in VM 'web1' ended with exit code 3; error") as failed:
            vm.guest.run(["false", "--password=s3cret"], check=True)
        assert failed.value.result.stderr == b"s3cret"
        assert "s3cret" not in str(failed.value) + repr(failed.value)
        assert pickle.loads(pickle.dumps(failed.value)).result.exit_code == 3
        with pytest.raises(CommandFailed, match="signal 15"):
            vm.guest.run(["die"], check=True)


def test_a_command_that_takes_long_goes_on() -> None:
    with fake_host() as fake:
        vm = running(fake, commands={"backup": {"stdout": "ok", "seconds": 100}})
        with pytest.raises(Timeout, match="run 'backup' in VM 'web1'; it goes on"):
            vm.guest.run(["backup"], timeout=10)
        task = vm.guest.begin_run(["backup"])
        with pytest.raises(InvalidState, match="cannot be cancelled"):
            task.cancel()
        assert task.result(timeout=101).text == "ok"


def test_a_silent_agent_or_a_pause_delays_a_command_and_ends_it_not() -> None:
    with fake_host() as fake:
        vm = running(fake, commands={"backup": {"stdout": "ok", "seconds": 10}})
        task = vm.guest.begin_run(["backup"])
        fake.guest("web1", agent="hangs")
        assert not task.done
        assert task.progress.phase == "waiting for the agent"
        fake.guest("web1", agent="answers")
        vm.pause()
        fake.clock.advance(20)
        assert not task.done
        vm.resume()
        assert task.result(timeout=0).text == "ok"


def test_a_command_ends_with_its_vm() -> None:
    with fake_host() as fake:
        vm = running(fake, commands={"backup": {"seconds": 10}})
        task = vm.guest.begin_run(["backup"])
        vm.stop()
        with pytest.raises(InvalidState, match=r"the command ended with the guest of VM 'web1'.*it is off"):
            task.result(timeout=60)


def test_a_command_of_an_earlier_boot_is_lost() -> None:
    with fake_host() as fake:
        vm = running(fake, commands={"backup": {"seconds": 10}})
        task = vm.guest.begin_run(["backup"])
        vm.reset()
        with pytest.raises(TaskFailed, match="booted anew"):
            task.result(timeout=60)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("uname -r",), "argv"),
        (([],), "argv"),
        (([""],), "argv"),
        ((["a", 1],), r"argv\[1\]"),
        ((["a", "s3cret\0"],), r"argv\[1\]"),
        ((["a"], "s3cret"), "input"),
        ((["a"], b"", "s3cret"), "env"),
        ((["a"], b"", {"A=": "s3cret"}), "env"),
        ((["a"], b"", {"A": 7}), r"env\['A'\]"),
        ((["a"], b"", {"A": "s3cret\0"}), r"env\['A'\]"),
    ],
)
def test_what_is_no_command_is_refused_without_its_secrets(arguments: tuple[Any, ...], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}=") as refused:
        CommandSpec(*arguments)
    assert "s3cret" not in str(refused.value) + repr(refused.value.value)


def test_a_repr_has_the_program_alone() -> None:
    spec = CommandSpec(["login", "s3cret"], b"s3cret", {"PW": "s3cret"})
    assert repr(spec) == "CommandSpec(argv=<'login' and 1 arguments>, input=<6 bytes>, env=<1 variables>)"
    result = CommandResult(0, b"s3cret", b"s3cret")
    assert "s3cret" not in repr(result)


# Freezing


def frozen(vm: VM) -> bool:
    return is_frozen(vm.host.native.machines[vm.id])  # type: ignore[attr-defined]


def test_frozen_thaws_when_all_is_well_and_when_it_is_not() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with vm.guest.frozen():
            assert frozen(vm)
        assert not frozen(vm)
        with pytest.raises(KeyboardInterrupt), vm.guest.frozen():
            raise KeyboardInterrupt
        assert not frozen(vm)


def test_thawing_is_tried_until_it_succeeds() -> None:
    with fake_host() as fake:
        vm = running(fake)
        fake.faults.fail("guests.thaw", ConnectionLost("gone"), times=2)
        fake.faults.fail("guests.thaw", lost=True)
        fake.faults.fail("guests.thaw", Timeout("late"))
        with vm.guest.frozen():
            pass
        assert not frozen(vm)
        assert fake.calls.count("guests.thaw") == 5


def hang_and_fail(fake: Fake) -> None:
    fake.guest("web1", agent="hangs")
    raise ZeroDivisionError


def test_an_error_within_is_not_hidden_by_a_guest_that_does_not_thaw() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with pytest.raises(ZeroDivisionError) as caught, vm.guest.frozen(timeout=10):
            hang_and_fail(fake)
        assert "file systems of VM 'web1' may be frozen still" in caught.value.__notes__[0]
        with pytest.raises(Timeout, match="may be frozen still"):
            vm.guest.thaw(timeout=10)
        fake.guest("web1", agent="answers")
        vm.guest.thaw()
        assert not frozen(vm)


def test_a_freeze_whose_answer_is_lost_is_thawed() -> None:
    with fake_host() as fake:
        vm = running(fake)
        for lost in (Timeout("late"), ConnectionLost("gone")):
            fake.faults.fail("guests.freeze", lost, lost=True)
            with pytest.raises(type(lost)):
                vm.guest.freeze()
            assert not frozen(vm)
        fake.faults.fail("guests.freeze", lost=True)
        fake.faults.fail("guests.thaw", Timeout("late"), times=None)
        with pytest.raises(ConnectionLost) as caught:
            vm.guest.freeze()
        assert "may be frozen still" in caught.value.__notes__[0]


@pytest.mark.parametrize("error", [PermissionDenied("no"), Unsupported("no")])
def test_a_freeze_that_is_refused_says_why(error: Exception) -> None:
    with fake_host() as fake:
        vm = running(fake)
        fake.faults.fail("guests.freeze", error)
        with pytest.raises(type(error)):
            vm.guest.freeze()
        assert not frozen(vm)


def test_what_somebody_else_froze_stays_frozen() -> None:
    with fake_host() as fake:
        vm = running(fake)
        vm.guest.freeze()
        with pytest.raises(InvalidState, match="frozen"), vm.guest.frozen():
            pass
        assert frozen(vm)


@pytest.mark.parametrize("verb", ["stop", "suspend"])
def test_a_vm_that_is_off_at_the_end_has_nothing_frozen(verb: str) -> None:
    with fake_host() as fake:
        vm = running(fake)
        with vm.guest.frozen():
            getattr(vm, verb)()
        assert vm.state in (PowerState.OFF, PowerState.SUSPENDED)


def test_a_paused_vm_at_the_end_is_told_to_be_resumed() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with pytest.raises(Timeout, match="may be frozen still"), vm.guest.frozen(timeout=10):
            vm.pause()
        assert frozen(vm)
        vm.resume().guest.thaw()
        assert not frozen(vm)


def test_a_vm_that_vanishes_is_not_found() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with pytest.raises(NotFound), vm.guest.frozen():
            fake.connect().vms.get(vm.id).delete(force=True)


def test_a_busy_host_is_asked_again_to_thaw() -> None:
    with fake_host() as fake:
        vm = running(fake)
        fake.faults.fail("guests.thaw", Busy("another call holds the agent"), times=3)
        with vm.guest.frozen():
            pass
        assert not frozen(vm)


def test_a_guest_that_nobody_can_ask_is_not_said_to_be_frozen() -> None:
    with fake_host() as fake:
        vm = running(fake, agent="absent")
        for verb in (vm.guest.freeze, vm.guest.thaw):
            began = fake.clock.monotonic()
            with pytest.raises(AgentUnavailable) as refused:
                verb(timeout=60)
            assert fake.clock.monotonic() == began
            assert not hasattr(refused.value, "__notes__")


def test_an_agent_that_goes_while_it_is_frozen_is_waited_for() -> None:
    with fake_host() as fake:
        vm = running(fake)
        fake.faults.fail("guests.thaw", AgentUnavailable("it begins anew"), times=3)
        with vm.guest.frozen():
            pass
        assert not frozen(vm)


def test_a_guest_without_file_systems_of_its_own_says_0_and_is_not_frozen() -> None:
    with fake_host() as fake:
        assert running(fake).guest.freeze() == 1
        vm = fake.host.vms.create("live", kernel=KernelBoot("/boot/vmlinuz")).start()
        with vm.guest.frozen() as count:
            assert (count, frozen(vm)) == (0, False)
        assert vm.guest.freeze() == vm.guest.freeze() == 0


def test_info_is_what_the_seed_says() -> None:
    with fake_host() as fake:
        vm = running(fake, info={"os_id": "debian", "os_version": "12"})
        assert (vm.guest.info().hostname, vm.guest.info().os_id) == ("web1", "debian")
        assert hyperkit.to_dict(vm.guest.info())["users"] == []
        with pytest.raises(InvalidRequest, match="no key 'os'"):
            fake.guest("web1", info={"os": "debian"})
