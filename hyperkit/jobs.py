"""Jobs: what a backend returns when the host works on after the call.

A primitive returns its record when it is done, or a `Job` when it is not. `hyperkit.tasks` waits for it;
nothing else does.
"""

from __future__ import annotations

import contextvars
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, Generic, TypeVar

import attrs

from hyperkit.clock import Clock
from hyperkit.errors import Cancelled, InvalidState, TaskFailed

T = TypeVar("T")


@attrs.frozen
class Progress:
    """How far a job is.

    Attributes:
        fraction: 0.0 to 1.0; None while the host does not say.
        phase: what it is doing, in a word or two.
        done_bytes: bytes moved so far, for jobs that move data.
        total_bytes: bytes to move in all, None if unknown.
    """

    fraction: float | None = None
    phase: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None


FINISHED = Progress(fraction=1.0, phase="done")


@attrs.frozen
class JobStatus(Generic[T]):
    """One look at a job. Once ``done``, exactly one of ``result`` and ``error`` means something."""

    done: bool
    progress: Progress = Progress()
    result: T | None = None
    error: Exception | None = None


class Job(ABC, Generic[T]):
    """Work that goes on at the host."""

    where: ClassVar[str] = "at the host"
    """Who goes on with it when nobody waits any more, for the error."""

    @abstractmethod
    def poll(self) -> JobStatus[T]:
        """Look once, without waiting. A vendor's exception may be raised or be in ``error``."""

    def wait(self, seconds: float, clock: Clock) -> None:
        """Let up to ``seconds`` pass; return early if the host can tell that something changed."""
        clock.sleep(seconds)

    def cancel(self) -> None:
        """Ask the host to give up; the job then ends with `Cancelled`, or normally if it was too late."""
        raise InvalidState("this job cannot be cancelled; it runs to its end", wanted="cancel")

    def join(self) -> None:
        """Wait until nothing of it runs in this process: a connection is not closed under a call."""


class DoneJob(Job[T]):
    """A job that was done at once, for ``begin_*`` on a host that answers with the result."""

    def __init__(self, result: T) -> None:
        self._status = JobStatus(True, FINISHED, result)

    def poll(self) -> JobStatus[T]:
        return self._status

    def cancel(self) -> None:
        """Too late: nothing happens."""


class ThreadJob(Job[T]):
    """A vendor call that blocks until the work is done, run on one named thread that ends with it.

    libvirt has no job object: a call such as ``managedSave`` returns when the memory is on disk. The thread
    is what lets a caller have a timeout, progress and cancel; it makes exactly one call, in the context variables
    of whoever made the job. A program that ends waits for it: a call that is cut off leaves half of what it makes.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[], T],
        *,
        progress: Callable[[], Progress] | None = None,
        abort: Callable[[], None] | None = None,
    ) -> None:
        self._call = call
        self._read_progress = progress
        self._abort = abort
        self._cancelled = False
        self._ended = threading.Event()
        self._status: JobStatus[T] | None = None
        self._lock = threading.Lock()
        self._over = False
        self._afterwards: list[Callable[[], None]] = []
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name=f"hyperkit-{name}", daemon=False)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._status = JobStatus(True, FINISHED, self._call())
        except BaseException as error:
            # SystemExit in a thread ends nothing but the thread, and would leave the caller waiting for ever.
            ours = error if isinstance(error, Exception) else TaskFailed(f"the call was ended by {error!r}")
            self._status = JobStatus(True, error=ours)
        finally:
            with self._lock:
                self._over = True
            for work in self._afterwards:
                work()
            self._ended.set()

    def afterwards(self, work: Callable[[], None]) -> None:
        """Have something done after the call, by its thread and before the job ends; at once if it is over.

        ``work`` raises nothing.
        """
        with self._lock:
            over = self._over
            if not over:
                self._afterwards.append(work)
        if over:
            work()

    def poll(self) -> JobStatus[T]:
        if self._ended.is_set() and self._status is not None:
            if self._cancelled and self._status.error is not None:
                cancelled = Cancelled("the job was cancelled")
                cancelled.__cause__ = self._status.error
                return JobStatus(True, error=cancelled)
            return self._status
        progress = Progress()
        if self._read_progress is not None:
            # The host may have no answer any more while the call returns: the call says how it went.
            with suppress(Exception):
                progress = self._read_progress()
        return JobStatus(False, progress)

    def wait(self, seconds: float, clock: Clock) -> None:
        """Real time, whatever the clock: the thread is real."""
        del clock
        self._ended.wait(seconds)

    def join(self) -> None:
        self._thread.join()

    def cancel(self) -> None:
        if self._ended.is_set():
            return
        if self._abort is None:
            super().cancel()
        else:
            self._cancelled = True
            self._abort()
