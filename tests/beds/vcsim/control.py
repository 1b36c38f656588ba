"""What tests arrange in a running simulator, and what they see behind its scenes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, Unpack

from tests.beds.vcsim.errors import BedFailure

_TIMEOUT = 60.0


@dataclass(frozen=True)
class Calls:
    """What went over the wire since the last reset. The counts are of SOAP requests, the bytes of all."""

    methods: Mapping[str, int]
    requests: int
    received: int
    sent: int


class Guest(TypedDict, total=False):
    """What is in a VM. There is nothing to begin with, and no VMware Tools.

    Attributes:
        tools: what there is of VMware Tools while the VM runs. Of hung ones the heartbeat has ended.
        host_name: what Tools report.
        addresses: what Tools report, of the first card; "1@10.0.0.1" is one of the second.
        full_name: what Tools report of the guest's operating system.
        shutdown: seconds until the guest has done what it is asked for; negative, it never does.
        ignore: so many requests are not heard.
    """

    tools: Literal["none", "stopped", "hung", "old", "running"]
    host_name: str
    addresses: Sequence[str]
    full_name: str
    shutdown: float
    ignore: int


@dataclass(frozen=True)
class Key:
    """A key pressed: a USB HID code as PutUsbScanCodes has it, and the modifiers held, such as ``leftShift``."""

    code: int
    modifiers: tuple[str, ...]


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

    def guest(self, vm: str, **settings: Unpack[Guest]) -> None:
        """Sets what is in a VM, by name or id, at once; what is not named stays."""
        self._operations.do("guest", vm=vm, **settings)

    def install(self, disk: str, **settings: Unpack[Guest]) -> None:
        """Puts a guest on a disk, by its datastore path: VMs with that disk, a copy or a child of it boot it."""
        self._operations.do("install", disk=disk, **settings)

    def connection(
        self, vm: str, state: Literal["connected", "disconnected", "orphaned", "inaccessible", "invalid"]
    ) -> None:
        """Sets a VM's connection state. One that is inaccessible or invalid has no configuration."""
        self._operations.do("connection", vm=vm, state=state)

    def ask(self, vm: str, text: str, choices: Sequence[str], *, default: int = 0) -> str:
        """Blocks a VM on a question; its id. The choices' keys are "0", "1" and so on."""
        return str(self._operations.do("ask", vm=vm, text=text, choices=list(choices), default=default))

    def answer(self, vm: str) -> str:
        """The key of the last choice made on a VM's question; empty for none."""
        return str(self._operations.do("machine", vm=vm)["answer"])

    def boots(self, vm: str) -> int:
        """How often a VM has been started or restarted."""
        return int(self._operations.do("machine", vm=vm)["boots"])

    def boot(self, vm: str) -> int:
        """Which of its boots a VM's guest is in: a snapshot with memory brings back that of then."""
        return int(self._operations.do("machine", vm=vm)["boot"])

    def keys(self, vm: str) -> list[Key]:
        """What was typed into a VM."""
        pressed = self._operations.do("machine", vm=vm)["keys"] or []
        return [Key(each["code"], tuple(each["modifiers"])) for each in pressed]

    def host_name(self, vm: str) -> str:
        """What the guest calls itself."""
        return str(self._operations.do("machine", vm=vm)["host_name"])

    def screen(self, vm: str) -> tuple[int, int]:
        """How wide and high the guest's screen is."""
        width, height = self._operations.do("machine", vm=vm)["screen"]
        return width, height

    def power(self, vm: str, state: Literal["poweredOn", "poweredOff", "suspended"]) -> None:
        """A VM changes its state by itself."""
        self._operations.do("power", vm=vm, state=state)

    def fail_consolidation(self, vm: str, fails: bool = True) -> None:
        """Removing a snapshot leaves the disks' files unmerged from now on, until ConsolidateVMDisks."""
        self._operations.do("consolidation", vm=vm, fails=fails)

    def free(self, datastore: str, size: int) -> None:
        """A datastore has this many bytes left."""
        self._operations.do("free", datastore=datastore, bytes=size)

    def restrict(self, restricted: bool = True) -> None:
        """The licence is a free one: every method that changes something is refused with RestrictedVersion."""
        self._operations.do("host", restricted=restricted)

    def page_limit(self, objects: int) -> None:
        """The most objects in a page of RetrievePropertiesEx, whatever is asked for; 0 for no such limit."""
        self._operations.do("host", page_limit=objects)

    def product(
        self,
        line: Literal["", "esx", "embeddedEsx", "vpx"] = "",
        *,
        version: str = "",
        api_version: str = "",
    ) -> None:
        """What the host says it is; what is empty stays."""
        self._operations.do("host", product=line, version=version, api_version=api_version)
