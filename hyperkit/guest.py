"""Guest: what runs in a VM, as far as an agent inside tells it and does what it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyperkit.checks import flag
from hyperkit.clock import Clock
from hyperkit.driver import GuestPort
from hyperkit.errors import (
    AgentUnavailable,
    Busy,
    CommandFailed,
    ConnectionFailed,
    ConnectionLost,
    HyperkitError,
    InvalidState,
    NotFound,
    Timeout,
    Unsupported,
)
from hyperkit.guest_records import CommandResult, GuestRecord
from hyperkit.jobs import Job, JobStatus, Progress
from hyperkit.specs import CommandSpec
from hyperkit.states import PowerState
from hyperkit.tasks import Task, wait_until

if TYPE_CHECKING:
    from hyperkit.vm import VM

_ANSWER = 5.0
"""Seconds for an answer that takes an agent no work."""
_WAITS_ON = frozenset({PowerState.RUNNING, PowerState.PAUSED, PowerState.SLEEPING, PowerState.UNKNOWN})
"""The states in which a guest's memory is kept, and what it began may come to its end."""


class Guest:
    """What runs in a VM. It is reached through an agent in it, which has to be installed and to have started.

    Every verb raises:
        InvalidState: the VM does not run.
        AgentUnavailable: nobody in it answers: it boots, or has no agent; the error says what to install.
        Timeout: there is an agent, and it does not answer. What it was asked for it may still do.
        Unsupported: the host, the VM or its agent cannot do this.
    """

    __slots__ = ("_vm",)

    def __init__(self, vm: VM) -> None:
        self._vm = vm

    def __repr__(self) -> str:
        return f"<Guest of {self._vm.label}>"

    def ping(self, *, timeout: float = _ANSWER) -> None:
        """Return if the agent answers within ``timeout`` seconds, give or take a few."""
        port = self._port("guest_agent", "ping")
        self._vm._call(port.ping, self._vm.id, timeout)

    def wait_until_ready(self, *, timeout: float | None = 120) -> None:
        """Wait until the agent answers.

        Raises:
            Timeout: it does not within ``timeout`` seconds; the cause is what was the matter last.
            InvalidState: the VM does not run, or stopped meanwhile.
        """
        last: HyperkitError | None = None

        def answers() -> bool | None:
            nonlocal last
            try:
                self.ping()
            except (AgentUnavailable, Timeout) as error:
                last = error
                return None
            return True

        what = f"an agent in {self._vm.label} that answers"
        try:
            wait_until(answers, clock=self._vm.host.clock, timeout=timeout, what=what)
        except Timeout as error:
            raise error from last

    def info(self, *, timeout: float = _ANSWER) -> GuestRecord:
        """Its host name, system, time zone, users and file systems.

        Args:
            timeout: seconds for each of the handful of questions.
        """
        port = self._port("guest_agent", "describe the guest of")
        return self._vm._call(port.info, self._vm.id, timeout)

    # Commands

    def run(
        self,
        argv: Iterable[str],
        *,
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float | None = 60,
        check: bool = False,
    ) -> CommandResult:
        """Run a command in it and wait for its end. No shell is involved unless it is the command.

        None of its arguments, environment, input and output is ever logged.

        Args:
            argv: the program and its arguments.
            input: what it reads.
            env: its whole environment, else the agent's own.
            timeout: seconds; None waits for ever.
            check: raise if it fails.

        Raises:
            CommandFailed: ``check``, and its exit code is not 0; the error has its result.
            NotFound: the guest has no such program.
            Timeout: it goes on in the guest.
            TaskFailed: nobody knows how it ended: its output was too large, or the agent began anew.
        """
        flag("check", check)
        task = self.begin_run(argv, input=input, env=env)
        result = task.result(timeout)
        if check and not result.ok:
            how = f"signal {result.signal}" if result.exit_code is None else f"exit code {result.exit_code}"
            raise CommandFailed(
                f"{task.what} ended with {how}; error.result has what it said",
                result=result,
                backend=self._vm.host.url,
                operation="guests.execute",
                resource=self._vm.label,
            )
        return result

    def begin_run(
        self, argv: Iterable[str], *, input: bytes = b"", env: Mapping[str, str] | None = None
    ) -> Task[CommandResult]:
        """`run`, without waiting for its end. A command cannot be cancelled by its task."""
        command = CommandSpec(argv, input, env)
        port = self._port("guest_exec", "run a command in")
        job = self._vm._call(port.execute, self._vm.id, command)
        return self._vm._task(f"run {command.argv[0]!r} in", _CommandJob(self._vm, job), lambda result: result)

    # File systems

    def freeze(self, *, timeout: float = 60) -> int:
        """Have it flush its file systems and hold every write, until `thaw`. `frozen` does both.

        Returns how many are frozen. A guest may have none that can be, as one that booted from memory: then it is 0,
        nothing is held, and the guest is not frozen.

        Args:
            timeout: seconds for the flushing. If it fails, the guest is thawed, should it be frozen by then.

        Raises:
            InvalidState: it is frozen already.
        """
        port = self._port("guest_freeze", "freeze")
        try:
            return self._vm._call(port.freeze, self._vm.id, timeout)
        except (InvalidState, NotFound, Unsupported):
            raise  # refused, or there was nobody to be asked: nothing has changed
        except BaseException as error:
            self._thaw_after(error, 0)  # what was not answered may still be done
            raise

    def thaw(self, *, timeout: float = 60) -> None:
        """Let it write on; it is asked until it does. One that is not frozen has nothing to do.

        Raises:
            Timeout: it does not within ``timeout`` seconds: it may be frozen still.
        """
        self._port("guest_freeze", "thaw")
        self._thaw(timeout, froze=False)

    @contextmanager
    def frozen(self, *, timeout: float = 60) -> Iterator[int]:
        """Freeze its file systems for the length of a ``with``, and thaw them at its end, however that comes.

        ::

            with vm.guest.frozen():
                copy_the_disks(vm)

        Its value is what `freeze` returns.
        """
        count = self.freeze(timeout=timeout)
        try:
            yield count
        except BaseException as error:
            self._thaw_after(error, timeout)
            raise
        self._thaw(timeout)

    def _thaw_after(self, error: BaseException, timeout: float) -> None:
        """Thaw, and let a failure to do so hide nothing."""
        try:
            self._thaw(timeout)
        except HyperkitError as stuck:
            error.add_note(f"file systems of {self._vm.label} may be frozen still, see vm.guest.thaw(): {stuck}")

    def _thaw(self, timeout: float, *, froze: bool = True) -> None:
        """Ask until it is done; also an agent that is gone, if it ``froze``: it may come back."""
        vm, port = self._vm, self._guests("guest_freeze")

        def thawed() -> bool | None:
            try:
                vm._call(port.thaw, vm.id, _ANSWER)
            except (Busy, ConnectionFailed, ConnectionLost, InvalidState, Timeout) as error:
                # What was frozen is gone with a guest's memory.
                if not self._keeps_memory():
                    return True
                if isinstance(error, AgentUnavailable) and not froze:
                    raise
                return None
            return True

        what = f"{vm.label} to let its file systems be written; they may be frozen still"
        wait_until(thawed, clock=vm.host.clock, timeout=timeout, what=what)

    def _keeps_memory(self) -> bool:
        try:
            return self._vm._look() in _WAITS_ON
        except (ConnectionLost, ConnectionFailed):
            return True

    # Ports

    def _port(self, needs: str, wanted: str) -> GuestPort:
        """The port, if the host has the capability and the VM runs."""
        port = self._guests(needs)
        self._vm._must_run(wanted)
        return port

    def _guests(self, needs: str) -> GuestPort:
        host = self._vm.host
        port = host.driver.guests
        if port is None or not getattr(host.capabilities, needs):
            host.capabilities.refuse(needs, host.url)
        return port


class _CommandJob(Job[CommandResult]):
    """A command that goes on while its agent is silent, or its VM paused; it is over once the guest is."""

    where = "in the guest"

    def __init__(self, vm: VM, inner: Job[CommandResult]) -> None:
        self._vm = vm
        self._inner = inner

    def poll(self) -> JobStatus[CommandResult]:
        status = self._inner.poll()
        if not isinstance(status.error, (InvalidState, Timeout)):
            return status
        if self._vm._look() in _WAITS_ON:
            return JobStatus(False, Progress(phase="waiting for the agent"))
        stopped = self._vm._invalid_state("run", "the command ended with the guest of")
        stopped.__cause__ = status.error
        return JobStatus(True, error=stopped)

    def wait(self, seconds: float, clock: Clock) -> None:
        self._inner.wait(seconds, clock)

    def cancel(self) -> None:
        self._inner.cancel()
