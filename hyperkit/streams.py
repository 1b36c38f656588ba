"""ByteStream: what a backend returns for a line that carries bytes both ways, such as a serial console."""

from __future__ import annotations

from abc import ABC, abstractmethod

from hyperkit.clock import Clock

HELD = "somebody reads this serial console; serial(take=True) takes it from them"
"""What a backend says, as `Busy`, of a line that is another reader's."""


class ByteStream(ABC):
    """A line to a guest, open until `close` or until its other end goes."""

    @abstractmethod
    def read(self, size: int) -> bytes | None:
        """What has come so far, ``size`` bytes at most, without waiting: None if nothing has, empty at the end."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send all of it."""

    def wait(self, seconds: float, clock: Clock) -> None:
        """Let up to ``seconds`` pass; return early if the host can tell that something came."""
        clock.sleep(seconds)

    @abstractmethod
    def close(self) -> None:
        """Leave the line to others; a second time does nothing. A `read` of another thread then finds the end."""
