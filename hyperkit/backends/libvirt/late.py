"""Calls that may never come back.

libvirt's calls have no timeout, and some wait for others: for a QEMU that was stopped, for a file on storage that does
not answer. Such a call is made in a thread. One that is late is left behind, with its session, and its answer is not
wanted any more. Until it comes back, it holds one of the daemon's 20 workers. So few of them may be late at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")

PATIENCE = 5.0
"""Seconds until a call is held for one that hangs. A QEMU answers within milliseconds; a host may have thousands."""
_MOST_LATE = 3


class Late(Exception):  # noqa: N818  # news, and no error
    """A call did not come back in time, or was not made since too many did not."""


class Patience:
    """Makes calls of one kind, on one connection."""

    def __init__(self, leave: Callable[[], None]) -> None:
        """``leave`` lets go of the present session: `Connection.leave`."""
        self._leave = leave
        self._late: list[threading.Thread] = []

    @property
    def left(self) -> bool:
        """Whether one more call may be late."""
        self._late = [thread for thread in self._late if thread.is_alive()]
        return len(self._late) < _MOST_LATE

    def call(self, make: Callable[[], T]) -> T:
        """What a call returns, or raises.

        Raises:
            Late: it does neither.
        """
        if not self.left:
            raise Late
        call = _Call(make)
        thread = threading.Thread(target=call.run, name="hyperkit-may-be-late", daemon=True)
        thread.start()
        thread.join(PATIENCE)
        if not call.ended:
            self._late.append(thread)
            self._leave()
            raise Late
        return call.answer()


@attrs.define
class _Call(Generic[T]):
    make: Callable[[], T]
    ended: bool = False
    found: list[T] = attrs.field(factory=list)
    error: Exception | None = None

    def run(self) -> None:
        try:
            self.found.append(self.make())
        except Exception as error:
            self.error = error
        self.ended = True

    def answer(self) -> T:
        if self.error is not None:
            raise self.error
        return self.found[0]
