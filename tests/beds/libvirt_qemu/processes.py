"""The process tree of a host, seen from outside its PID namespace."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path


def read(path: str | Path) -> bytes:
    """The bytes of a file, none if it, or the process that a file of /proc is about, is not there."""
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def children(pid: int) -> list[int]:
    """The processes whose parent this one is."""
    return [int(child) for child in read(f"/proc/{pid}/task/{pid}/children").split()]


def number_inside(pid: int) -> bytes | None:
    """The number a process has in the innermost PID namespace it lives in."""
    numbers = re.search(rb"^NSpid:.*\t(\d+)$", read(f"/proc/{pid}/status"), re.MULTILINE)
    return numbers and numbers[1]


def kill(pid: int) -> None:
    """kill -9, and wait until the process is reaped."""
    os.kill(pid, signal.SIGKILL)
    while read(f"/proc/{pid}/stat"):
        time.sleep(0.01)
