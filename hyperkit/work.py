"""Long work in several steps that a host carries out by itself, one after another, as one job.

A backend writes such work as a generator. It yields what it started (a task, a job's reference), gets what came of it,
and returns what the whole results in. What must be undone stands in its ``except`` and ``finally``, and may start
steps too.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from hyperkit.clock import Clock
from hyperkit.errors import Cancelled
from hyperkit.jobs import FINISHED, Job, JobStatus, Progress

S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")

Work = Generator[S, R, T]
"""Work whose steps are begun as ``S``, end in an ``R``, and make a ``T``. A step that fails is raised where it was
yielded; so is `Cancelled`.
"""


class Step(ABC, Generic[R]):
    """One step at the host, as far as it was looked at."""

    @abstractmethod
    def look(self) -> bool:
        """See whether it is over, without waiting.

        Raises:
            Exception: the host is not reached. It is raised in the work: how the step ends is unknown to it.
        """

    @abstractmethod
    def result(self) -> R:
        """What came of it, once it is over.

        Raises:
            Exception: the step's failure; `Cancelled` if it was cancelled.
        """

    @property
    @abstractmethod
    def progress(self) -> Progress:
        """As of the last look."""

    @abstractmethod
    def cancel(self) -> None:
        """Ask the host to give up. Too late is no error.

        Raises:
            InvalidState: this step cannot be cancelled, and goes on.
        """

    def wait(self, seconds: float, clock: Clock) -> None:
        """Let up to ``seconds`` pass; return early if the host can tell that something changed.

        Raises:
            Exception: as `look`.
        """
        clock.sleep(seconds)

    def leave(self) -> None:
        """Keep nothing at the host that served to watch it."""


class WorkJob(Job[T], Generic[S, R, T]):
    """Carries out a `Work`: to its first step at once, on from step to step as it is polled.

    Args:
        work: the generator.
        follow: makes a `Step` of what the work yielded.

    Raises:
        Exception: what the work raises before its first step.
    """

    def __init__(self, work: Work[S, R, T], follow: Callable[[S], Step[R]]) -> None:
        self._work = work
        self._follow = follow
        self._lock = threading.Lock()
        self._over = False
        self._looked = False
        self._cancel = False
        self._status: JobStatus[T] | None = None
        self._current: Step[R] | None = None
        self._go(work.send, None)

    @property
    def current(self) -> Step[R] | None:
        """The step that the host is at; None when all are over."""
        return self._current

    def _go(self, onwards: Callable[[Any], S], outcome: Any) -> None:
        """Let the work go on with what came of its step, to the next or its end."""
        try:
            started = onwards(outcome)
        except StopIteration as end:
            self._current, self._status = None, JobStatus(True, FINISHED, end.value)
            return
        except BaseException:
            self._current = None
            raise
        self._current = self._follow(started)
        if self._cancel:
            with suppress(Exception):  # asked of an earlier step; this one runs to its end if it must
                self._current.cancel()

    def poll(self) -> JobStatus[T]:
        with self._lock:
            if self._status is None:
                try:
                    self._go_on()
                except Exception as error:
                    self._status = JobStatus(True, error=error)
            if self._status is not None:
                return self._status
            return JobStatus(False, self._current.progress if self._current is not None else Progress())

    def _go_on(self) -> None:
        """Look at the step, and on to the next as long as one after another is over."""
        while (step := self._current) is not None:
            try:
                if not step.look():
                    return
            except Exception as error:
                self._go(self._work.throw, error)
                continue
            step.leave()
            try:
                result = step.result()
            except Exception as error:
                if isinstance(error, Cancelled):
                    self._cancel = False  # what the work undoes is not to be cancelled
                self._go(self._work.throw, error)
            else:
                self._go(self._work.send, result)

    def wait(self, seconds: float, clock: Clock) -> None:
        with self._lock:
            if self._current is not None and self._status is None:
                self._current.wait(seconds, clock)

    def cancel(self) -> None:
        if (step := self._current) is not None:
            step.cancel()
            self._cancel = True


def finished(job: Job[T], seconds: float, clock: Clock) -> T:
    """Carry a job to its end, for the primitives that return a record.

    Args:
        job: what is waited for.
        seconds: for how long to wait between two looks, at most.
        clock: the time in which that is.

    Raises:
        Exception: what the work raises.
    """
    while not (status := job.poll()).done:
        job.wait(seconds, clock)
    if status.error is not None:
        raise status.error
    return status.result  # type: ignore[return-value]  # set whenever there is no error
