"""What tests arrange in a running simulator, and what they see behind its scenes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.beds.vcsim.errors import BedFailure

_TIMEOUT = 60.0


@dataclass(frozen=True)
class Calls:
    """What went over the wire since the last reset. The counts are of SOAP requests, the bytes of all."""

    methods: Mapping[str, int]
    requests: int
    received: int
    sent: int


class Operations:
    """Speaks to the simulator's second port."""

    def __init__(self, url: str) -> None:
        self._url = url

    def do(self, operation: str, **arguments: Any) -> Any:
        """Raises BedFailure with the simulator's words where it refuses."""
        request = urllib.request.Request(f"{self._url}/{operation}", json.dumps(arguments).encode())
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                raise BedFailure(f"{operation}: {error.read().decode().strip()}") from None


class Faults:
    """Makes calls go wrong.

    `method` is a SOAP method's name as on the wire (``PowerOnVM_Task``), or ``*``. `count` is how many calls go wrong
    (-1 for all), after `skip` that do not. Rules are tried in the order in which they were made.
    """

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def drop(self, method: str = "*", *, count: int = 1, skip: int = 0) -> None:
        """The connection breaks before the call is executed."""
        self._add(method, "drop", count, skip)

    def lose_answer(self, method: str = "*", *, count: int = 1, skip: int = 0) -> None:
        """The call is executed, then the connection breaks."""
        self._add(method, "lose_answer", count, skip)

    def http(self, method: str = "*", *, status: int = 503, count: int = 1, skip: int = 0) -> None:
        """The server answers with an HTTP error, and executes nothing."""
        self._add(method, "http", count, skip, status=status)

    def delay(self, method: str = "*", *, seconds: float, count: int = 1, skip: int = 0) -> None:
        """The call is executed late."""
        self._add(method, "delay", count, skip, seconds=seconds)

    def expire(self, method: str = "*", *, count: int = 1, skip: int = 0) -> None:
        """The caller's session ends just before the call, which is thus refused with NotAuthenticated."""
        self._add(method, "expire", count, skip)

    def fault(self, method: str, fault: str, *, count: int = 1, skip: int = 0) -> None:
        """The call raises the vim or vmodl fault of that name, such as ``HostNotConnected``."""
        self._add(method, "fault", count, skip, fault=fault)

    def task_fault(self, method: str, fault: str, *, count: int = 1, skip: int = 0) -> None:
        """The task that the call begins does nothing, and ends with the fault."""
        self._add(method, "task_fault", count, skip, fault=fault)

    def slow_task(self, method: str, *, seconds: float, count: int = 1, skip: int = 0) -> None:
        """The task runs for a time, with progress, and does its work at the end, unless it is cancelled before."""
        self._add(method, "slow", count, skip, seconds=seconds)

    def clear(self) -> None:
        """No more faults."""
        self._operations.do("clear_faults")

    def _add(self, method: str, kind: str, count: int, skip: int, **more: Any) -> None:
        self._operations.do("fail", method=method, kind=kind, count=count, skip=skip, **more)


class Control:
    """Reaches behind vSphere's interface."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    def calls(self) -> Calls:
        """What went over the wire since the last reset."""
        return Calls(**self._operations.do("calls"))

    def reset_calls(self) -> Calls:
        """The same, and counts anew."""
        return Calls(**self._operations.do("reset_calls"))

    def expire_sessions(self) -> None:
        """Nobody is logged in any more."""
        self._operations.do("expire")

    def sessions(self) -> int:
        """How many are logged in."""
        return int(self._operations.do("sessions"))

    def close_idle(self) -> int:
        """Closes connections on which no request is under way; returns how many."""
        return int(self._operations.do("close_idle"))
