"""What a conformance bed has of its guest: a way into it that is not hyperkit, and commands to run."""

from __future__ import annotations

from typing import Protocol

import attrs


class Inside(Protocol):
    """Looks into the guest of `Bed.guest`, and does things to it, without hyperkit."""

    def hostname(self, vm_id: str) -> str:
        """What the guest calls itself."""
        ...

    def hang_agent(self, vm_id: str) -> None:
        """Let the guest's agent answer no more."""
        ...

    def frozen(self, vm_id: str) -> bool:
        """Whether its file systems are frozen."""
        ...

    def typed(self, vm_id: str) -> str:
        """What was typed on its keyboard: the lines that were ended with Enter."""
        ...

    def heard(self, vm_id: str) -> str:
        """What came in through its serial port: the lines that were ended."""
        ...

    def say(self, vm_id: str, line: str) -> None:
        """Have it write a line to its serial port."""
        ...

    def screen(self, vm_id: str) -> tuple[int, int]:
        """The width and height of its screen."""
        ...

    def displays(self, vm_id: str) -> set[tuple[str, int | None]]:
        """The protocols and ports of its displays."""
        ...


@attrs.frozen(kw_only=True)
class Commands:
    """Commands of `Bed.guest`, as one would give them to `Guest.run`.

    Attributes:
        copy: writes what it reads.
        fail: writes ``good`` and a newline to its output, ``bad`` and a newline to its errors, and exits with 3.
        environment: writes its environment, a ``NAME=value`` a line.
        kill: is ended by signal 9.
        slow: takes two seconds or more, and then writes ``done``.
    """

    copy: tuple[str, ...]
    fail: tuple[str, ...]
    environment: tuple[str, ...]
    kill: tuple[str, ...]
    slow: tuple[str, ...]
