"""Task: a handle on work in progress, and the only wait loop in the code base."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from hyperkit import checks
from hyperkit.clock import Clock
from hyperkit.errors import HyperkitError, TaskFailed, Timeout
from hyperkit.jobs import DoneJob, Job, JobStatus, Progress

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_serial = itertools.count(1)


def wait_until(
    poll: Callable[[], T | None],
    *,
    clock: Clock,
    timeout: float | None,
    what: str,
    pause: Callable[[float], None] | None = None,
) -> T:
    """Call ``poll`` until it returns something; the pauses between grow from 20 ms to a second.

    Args:
        poll: looks once; None means not yet.
        timeout: seconds; None waits for ever. It is looked at least once, also at 0.
        what: what is awaited, for the error (``VM 'web1' to be off``).
        pause: lets time pass, perhaps returning early; default: the clock's sleep.

    Raises:
        Timeout: it did not come in time.
    """
    checks.timeout(timeout)
    deadline = None if timeout is None else clock.monotonic() + timeout
    length = _FIRST_PAUSE
    while True:
        found = poll()
        if found is not None:
            return found
        left = length if deadline is None else deadline - clock.monotonic()
        if left <= 0:
            raise Timeout(f"waited {round(timeout or 0, 3):g} s for {what}")
        (pause or clock.sleep)(min(length, left))
        length = min(length * 1.5, _LONGEST_PAUSE)


class Task(Generic[T_co]):
    """Work that a ``begin_*`` method started. It goes on whether or not anybody looks.

    There is no hidden thread: progress is looked up, and callbacks are called, inside `done`, `progress`,
    `wait` and `result`.
    """

    def __init__(
        self, job: Job[Any], *, what: str, clock: Clock, finish: Callable[[Any], T_co], resource: str = ""
    ) -> None:
        self.id = f"task-{next(_serial)}"
        self.what = what
        """What is being done, in words (``create VM 'web1'``)."""
        self._job = job
        self._resource = resource
        self._clock = clock
        self._finish = finish
        self._callbacks: list[Callable[[Progress], None]] = []
        self._status: JobStatus[Any] = JobStatus(False)
        self._result: T_co | None = None
        self._error: HyperkitError | None = None

    def __repr__(self) -> str:
        if self._error is not None:
            state = f"failed: {type(self._error).__name__}"
        elif self._status.done or isinstance(self._job, DoneJob):
            state = "done"
        else:
            fraction = self._status.progress.fraction
            state = "running" if fraction is None else f"running {fraction:.0%}"
        return f"<Task {self.id} {self.what!r} {state}>"

    def _look(self) -> JobStatus[Any]:
        if self._status.done:
            return self._status
        before = self._status.progress
        try:
            status = self._job.poll()
        except HyperkitError as error:
            status = JobStatus(True, before, error=error)
        if status.done:
            self._conclude(status)
        self._status = status
        if status.progress != before:
            for callback in tuple(self._callbacks):
                callback(status.progress)
        return status

    def _conclude(self, status: JobStatus[Any]) -> None:
        if status.error is None:
            self._result = self._finish(status.result)
        elif isinstance(status.error, HyperkitError):
            self._error = status.error.located(resource=self._resource)
        else:
            self._error = TaskFailed(f"{self.what} failed: {status.error}", resource=self._resource)
            self._error.__cause__ = status.error

    @property
    def done(self) -> bool:
        """Whether it has ended, well or badly. Looks at the host."""
        return self._look().done

    @property
    def progress(self) -> Progress:
        """How far it is. Looks at the host."""
        return self._look().progress

    def on_progress(self, callback: Callable[[Progress], None]) -> None:
        """Have ``callback`` called at each change that a look finds, in the thread that looks."""
        if not callable(callback):
            checks.refuse("callback", callback, "a function that takes a Progress")
        self._callbacks.append(callback)

    def cancel(self) -> None:
        """Ask the host to give it up. `result` then raises `Cancelled`, unless it was too late.

        Raises:
            InvalidState: this host cannot cancel this job.
        """
        if not self._status.done:
            self._job.cancel()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, whatever it is.

        Raises:
            Timeout: it goes on after ``timeout`` seconds.
        """
        if self._status.done:
            return
        wait_until(
            lambda: True if self._look().done else None,
            clock=self._clock,
            timeout=timeout,
            what=f"{self.what}; it goes on {self._job.where}",
            pause=lambda seconds: self._job.wait(seconds, self._clock),
        )

    def result(self, timeout: float | None = None) -> T_co:
        """Wait for the end and return what the blocking method would have returned, or raise what it would.

        Raises:
            Timeout: it goes on after ``timeout`` seconds.
            Cancelled: `cancel` was in time.
            HyperkitError: why it failed.
        """
        self.wait(timeout)
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set by _conclude whenever there is no error


def as_job(result: Any) -> Job[Any]:
    """What a port returned, as a job: itself, or one that is done."""
    return result if isinstance(result, Job) else DoneJob(result)


def waited(begin: Callable[[], Task[T_co]], timeout: float | None) -> T_co:
    """Begin something and wait for its end; a timeout that is none is refused before anything is begun."""
    checks.timeout(timeout)
    return begin().result(timeout)
