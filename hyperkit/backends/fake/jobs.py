"""Jobs of the fake: when they end, and what they are until then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeVar

import attrs

from hyperkit.clock import Clock
from hyperkit.errors import Cancelled, InvalidRequest
from hyperkit.jobs import Job, JobStatus, Progress

T = TypeVar("T")


@attrs.frozen
class JobMode:
    """When jobs end: at once, at the Nth look, or after some time of the clock."""

    polls: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> JobMode:
        """``now``, ``polls:3`` or ``seconds:2.5``."""
        kind, _, count = text.partition(":")
        try:
            if text == "now":
                return cls()
            if kind == "polls" and int(count) > 0:
                return cls(polls=int(count))
            if kind == "seconds" and float(count) > 0:
                return cls(seconds=float(count))
        except ValueError:
            pass
        raise InvalidRequest(f"jobs={text!r}: choose 'now', 'polls:3' or 'seconds:2.5'", field="jobs", value=text)


class FakeJob(Job[T]):
    """Work that is done when enough looks or seconds have gone by; cancelled before that, it never was."""

    def __init__(
        self, phase: str, work: Callable[[], T], mode: JobMode, clock: Clock, lock: AbstractContextManager[object]
    ) -> None:
        self._mode = mode
        self._phase = phase
        self._work = work
        self._clock = clock
        self._lock = lock
        self._began = clock.monotonic()
        self._looks = 0
        self._status: JobStatus[T] | None = None

    def poll(self) -> JobStatus[T]:
        with self._lock:
            if self._status is not None:
                return self._status
            self._looks += 1
            if self._mode.polls:
                fraction = self._looks / self._mode.polls
            else:
                fraction = (self._clock.monotonic() - self._began) / self._mode.seconds
            if fraction < 1:
                return JobStatus(False, Progress(fraction, self._phase))
            try:
                self._status = JobStatus(True, Progress(1.0, self._phase), self._work())
            except Exception as error:
                self._status = JobStatus(True, Progress(fraction=None, phase=self._phase), error=error)
            return self._status

    def cancel(self) -> None:
        with self._lock:
            if self._status is None:
                cancelled = Cancelled(f"{self._phase} was cancelled")
                self._status = JobStatus(True, Progress(None, self._phase), error=cancelled)
