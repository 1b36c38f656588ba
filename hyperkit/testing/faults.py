"""Faults: what can go wrong at a host, on purpose."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import attrs

from hyperkit import checks
from hyperkit.clock import Clock
from hyperkit.driver import Driver
from hyperkit.errors import Cancelled, ConnectionLost
from hyperkit.instrument import intercept
from hyperkit.jobs import Job, JobStatus, Progress
from hyperkit.tasks import wait_until
from hyperkit.testing.operations import JOBS, matching

When = Callable[..., bool]
Failure = Exception | type[Exception]

_LOOKS = 3
"""How often a job that is to fail is looked at until it has."""


@attrs.define(eq=False)
class Fault:
    """One thing that goes wrong; `hits` tells how often it did."""

    operations: frozenset[str]
    act: Callable[[Clock, Callable[[], Any]], Any] = attrs.field(repr=False)
    after: int = 0
    times: int | None = None
    when: When | None = attrs.field(default=None, repr=False)
    seen: int = 0
    """Calls that it could have hit."""
    hits: int = 0
    """Calls that it did hit."""

    def is_due(self, operation: str, args: tuple[Any, ...]) -> bool:
        """Whether it hits this call, which is counted."""
        if operation not in self.operations or (self.when is not None and not self.when(*args)):
            return False
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.hits < self.times)


class Faults:
    """Makes calls of a backend's ports fail, wait or hang: of any backend, and from any number of threads.

    ::

        faults = Faults()
        host = hyperkit.connect("fake://", wrap=[faults])
        faults.fail("vms.set_power", ResourceExhausted("no memory"), after=2)

    It stands below the translation of errors: give it the vendor's own exceptions (``libvirt.libvirtError``) and the
    code under test gets what `hyperkit` makes of them. Operations are named as in the contract (``vms.create``), or by
    a pattern (``vms.*``). Of several faults that are due, the first that was named acts; every delay does.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._delays: list[Fault] = []
        self._lock = threading.Lock()

    def __call__(self, driver: Driver) -> Driver:
        """Put this around a backend; `hyperkit.connect` calls it."""

        def around(operation: str, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
            if not self._faults and not self._delays:
                return method(*args)
            with self._lock:
                delays = [self._hit(delay) for delay in self._delays if delay.is_due(operation, args)]
                due = [fault for fault in self._faults if fault.is_due(operation, args)]
                fault = self._hit(due[0]) if due else None
            # Outside the lock: an act may take time, and other threads have calls of their own.
            for delay in delays:
                delay.act(driver.clock, lambda: None)
            return fault.act(driver.clock, lambda: method(*args)) if fault else method(*args)

        return intercept(driver, around)

    @staticmethod
    def _hit(fault: Fault) -> Fault:
        fault.hits += 1
        return fault

    def fail(
        self,
        operation: str,
        error: Failure | None = None,
        *,
        after: int = 0,
        times: int | None = 1,
        when: When | None = None,
        lost: bool = False,
        at: float | None = None,
    ) -> Fault:
        """Let calls fail.

        Args:
            operation: which, as a name or pattern.
            error: what they raise, each a copy of its own.
            after: how many succeed before that.
            times: how many fail: one, unless you say more; None is all from then on. A host whose every call of a kind
                fails would not let the code under test clean up either.
            when: called with the call's arguments (``lambda vm_id, action: action == "start"``): whether it counts.
            lost: the call takes effect, to the end of its job, and then the answer is lost: ``error``, by default
                `ConnectionLost`.
            at: the call returns a job, which fails at this fraction and leaves the host as it was. For operations that
                may be jobs; of a pattern, those are meant.

        Raises:
            InvalidRequest: there is no such operation, or the arguments make no sense together.
        """
        if error is None and lost:
            error = ConnectionLost("the connection broke before the answer came; whether it took effect is unknown")
        if not (isinstance(error, Exception) or (isinstance(error, type) and issubclass(error, Exception))):
            checks.refuse("error", error, "an exception, such as ResourceExhausted('no memory')")
        _copy(error)  # a class that cannot be made without arguments is told now, not within the code under test
        if at is None:
            act = _lose(error) if lost else _raise(error)
            return self._add(self._faults, Fault(matching(operation), act), after, times, when)
        if lost:
            checks.refuse("lost", lost, "the answer is lost, or its job fails (at=), not both")
        fraction = _fraction(at)

        def fail_later(_clock: Clock, _call: Callable[[], Any]) -> Any:
            return _FailingJob(fraction, _copy(error))

        return self._add(self._faults, Fault(matching(operation, JOBS), fail_later), after, times, when)

    def hang(
        self,
        operation: str,
        *,
        at: float = 0.0,
        after: int = 0,
        times: int | None = 1,
        when: When | None = None,
    ) -> Fault:
        """Let calls, one unless you say more, return a job that does nothing: it stands still until it is cancelled.

        Raises:
            InvalidRequest: there is no such operation, or it is never a job.
        """
        fraction = _fraction(at)
        fault = Fault(matching(operation, JOBS), lambda _clock, _call: _HangingJob(fraction))
        return self._add(self._faults, fault, after, times, when)

    def delay(
        self,
        operation: str,
        seconds: float,
        *,
        after: int = 0,
        times: int | None = None,
        when: When | None = None,
    ) -> Fault:
        """Let calls take this much longer by the host's clock, which on the fake costs no time.

        Raises:
            InvalidRequest: there is no such operation.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
            checks.refuse("seconds", seconds, "a number, 0 or more")
        fault = Fault(matching(operation), lambda clock, _call: clock.sleep(seconds))
        return self._add(self._delays, fault, after, times, when)

    def clear(self) -> None:
        """Let everything work again. A job that hangs, hangs on."""
        with self._lock:
            self._faults.clear()
            self._delays.clear()

    def _add(self, to: list[Fault], fault: Fault, after: int, times: int | None, when: When | None) -> Fault:
        checks.whole("after", after, least=0)
        if times is not None:
            checks.whole("times", times, least=1)
        if when is not None and not callable(when):
            checks.refuse("when", when, "a function of the call's arguments")
        fault.after, fault.times, fault.when = after, times, when
        with self._lock:
            to.append(fault)
        return fault

    def __repr__(self) -> str:
        return f"<Faults: {len(self._faults)} faults, {len(self._delays)} delays>"


def _fraction(at: object) -> float:
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 <= at < 1:
        checks.refuse("at", at, "a fraction of the job, from 0.0 to below 1.0")
    return float(at)


def _copy(error: Failure) -> Exception:
    """An exception of the call's own: errors are told where they happened, and that must not stick."""
    if isinstance(error, type):
        return error()
    try:
        return copy.copy(error)
    except Exception:  # a vendor's exception may be made from other arguments than it keeps
        return error


def _raise(error: Failure) -> Callable[[Clock, Callable[[], Any]], Any]:
    def act(_clock: Clock, _call: Callable[[], Any]) -> Any:
        raise _copy(error)

    return act


def _lose(error: Failure) -> Callable[[Clock, Callable[[], Any]], Any]:
    def act(clock: Clock, call: Callable[[], Any]) -> Any:
        result = call()
        if isinstance(result, Job):
            # A host works on without anybody looking; the fake's jobs do their work when they are looked at.
            wait_until(
                lambda: True if result.poll().done else None,
                clock=clock,
                timeout=None,
                what="a job whose answer gets lost",
                pause=lambda seconds: result.wait(seconds, clock),
            )
        raise _copy(error)

    return act


class _FailingJob(Job[Any]):
    """A job that begins well."""

    def __init__(self, at: float, error: Exception) -> None:
        self._at = at
        self._error = error
        self._looks = 0

    def poll(self) -> JobStatus[Any]:
        self._looks = min(self._looks + 1, _LOOKS)
        progress = Progress(self._at * (self._looks - 1) / (_LOOKS - 1), "failing")
        return JobStatus(True, progress, error=self._error) if self._looks == _LOOKS else JobStatus(False, progress)

    def cancel(self) -> None:
        if self._looks < _LOOKS:
            self._looks, self._error = _LOOKS, Cancelled("the job was cancelled")


class _HangingJob(Job[Any]):
    """A job that stands still."""

    def __init__(self, at: float) -> None:
        self._status: JobStatus[Any] = JobStatus(False, Progress(at, "hanging"))

    def poll(self) -> JobStatus[Any]:
        return self._status

    def cancel(self) -> None:
        self._status = JobStatus(True, self._status.progress, error=Cancelled("the job was cancelled"))
