"""Breaking a connection to libvirtd at a chosen call: a fault that is exact, for every call of an operation."""

from __future__ import annotations

import enum
import socket
import struct
import threading
from contextlib import suppress

from benchmarks.rpc_proxy import KEEPALIVE_PROGRAM, FrameCounter, RpcProxy, pump, sender
from tests.beds.libvirt_qemu.errors import BedFailure
from tests.beds.libvirt_qemu.host import LibvirtHost

_PATIENCE = 120
"""Seconds for a daemon to come back."""


class Fault(enum.Enum):
    """What becomes of a call."""

    UNSENT = "the connection breaks before the daemon gets it"
    UNANSWERED = "the daemon does it, and the connection breaks before the answer comes"
    KILLED = "the daemon is killed as it gets it, and started again"


class CuttingProxy(RpcProxy):
    """Stands before a host's libvirtd, and lets one fault happen each time that it is told to."""

    def __init__(self, host: LibvirtHost) -> None:
        super().__init__(host.home / "run/libvirt-sock")
        self._host = host
        self._fault: Fault | None = None
        self._left = 0
        self._up = threading.Event()
        self._up.set()

    def break_at(self, number: int, fault: Fault) -> None:
        """Break the `number`-th call from now on."""
        with self._lock:
            self._fault, self._left = fault, number

    def rest(self) -> bool:
        """Break nothing any more; whether the fault came. On return the daemon runs."""
        with self._lock:
            came, self._fault = self._fault is None, None
        if not self._up.wait(_PATIENCE):
            raise BedFailure(f"libvirtd of {self._host.name} did not come back")
        return came

    def due(self, program: int, procedure: int) -> Fault | None:
        """Count a call; the fault if this is the one."""
        self._called(program, procedure)
        with self._lock:
            self._left -= 1
            if self._left or self._fault is None:
                return None
            fault, self._fault = self._fault, None
            if fault is Fault.KILLED:
                self._up.clear()
            return fault

    def restart(self) -> None:
        self._host.restart_libvirtd()
        self._up.set()

    def _serve(self, client: socket.socket, daemon: socket.socket) -> None:
        line = _Line(self, client, daemon)
        self._spawn(pump, client, line.to_daemon, FrameCounter(line.called).feed)
        self._spawn(pump, daemon, line.to_client, lambda _data: None)


class _Line:
    """One connection through the proxy."""

    def __init__(self, proxy: CuttingProxy, client: socket.socket, daemon: socket.socket) -> None:
        self._proxy = proxy
        self._ends = (client, daemon)
        self._send_daemon, self._send_client = sender(daemon), sender(client)
        self._fault: Fault | None = None

    def called(self, program: int, procedure: int) -> None:
        self._fault = self._proxy.due(program, procedure) or self._fault

    def to_daemon(self, data: bytes, descriptors: list[int]) -> None:
        if self._fault is Fault.UNSENT:
            self._cut()
            return
        self._send_daemon(data, descriptors)
        if self._fault is Fault.KILLED:
            self._fault = None
            self._proxy.restart()

    def to_client(self, data: bytes, descriptors: list[int]) -> None:
        ping = len(data) >= 8 and struct.unpack_from(">I", data, 4)[0] == KEEPALIVE_PROGRAM
        if self._fault is Fault.UNANSWERED and data and not ping:
            self._cut()
            return
        self._send_client(data, descriptors)

    def _cut(self) -> None:
        for end in self._ends:
            with suppress(OSError):  # whoever hung up before us
                end.shutdown(socket.SHUT_RDWR)
