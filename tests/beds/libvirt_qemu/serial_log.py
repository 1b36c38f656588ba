"""Reading what a guest says on its serial port."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import NamedTuple

from tests.beds.libvirt_qemu.errors import BedFailure

_BEAT = re.compile(r"^HB (\d+) (\d+\.\d+)\r?$", re.MULTILINE)
_POLL = 0.05


class Beat(NamedTuple):
    """One heartbeat, five a second: counted from the guest's boot, with the guest's own uptime in seconds."""

    number: int
    uptime: float


class SerialLog:
    """The file a domain's `<serial><log file=.../></serial>` names; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self) -> str:
        """Everything the guest has said, complete lines only."""
        if not self.path.exists():
            return ""
        said = self.path.read_text(errors="replace")
        return said[: said.rfind("\n") + 1]

    def beats(self) -> list[Beat]:
        """All heartbeats, over every boot the log holds."""
        return [Beat(int(number), float(uptime)) for number, uptime in _BEAT.findall(self.text())]

    def last(self) -> Beat | None:
        """The newest heartbeat."""
        beats = self.beats()
        return beats[-1] if beats else None

    def wait_for_beat(self, timeout: float = 60) -> Beat:
        """Wait for a heartbeat that is not there yet: the guest is alive now."""
        known = len(self.beats())
        deadline = time.monotonic() + timeout
        while len(beats := self.beats()) <= known:
            self._check(deadline, "no heartbeat", timeout)
        return beats[-1]

    def wait_for(self, text: str, timeout: float = 60, *, since: int = 0) -> str:
        """Wait for a line that contains `text`, after the first `since` lines of the log, and return it."""
        deadline = time.monotonic() + timeout
        while True:
            for line in self.text().splitlines()[since:]:
                if text in line:
                    return line
            self._check(deadline, f"no {text!r}", timeout)

    def _check(self, deadline: float, what: str, timeout: float) -> None:
        if time.monotonic() > deadline:
            said = "\n".join(self.text().splitlines()[-20:])
            raise BedFailure(f"{what} in {self.path} within {timeout} s; the guest's last words:\n{said}")
        time.sleep(_POLL)
