"""Time, injectable: the only place hyperkit asks what time it is or sleeps."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the library needs of time."""

    def monotonic(self) -> float:
        """Seconds from some fixed point; never goes back."""
        ...

    def utcnow(self) -> datetime:
        """The time of day, aware, UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class SystemClock:
    """Real time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class VirtualClock:
    """Time that passes only when somebody waits: a test of an hour's timeout takes no time.

    The fake backend runs on one of these unless told otherwise. Threads may share it.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self._elapsed

    def utcnow(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass at once."""
        if seconds < 0:
            raise ValueError(f"time cannot go back: advance({seconds})")
        with self._lock:
            self._elapsed += seconds

    def __repr__(self) -> str:
        return f"VirtualClock(elapsed={self._elapsed:g})"
