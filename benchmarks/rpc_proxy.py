"""A proxy before libvirtd's socket that counts the calls a client makes, and can stand for a slow network.

libvirt's remote protocol frames everything alike, lengths and fields big-endian::

    length (4, itself included) | program | version | procedure | type | serial | status (4 each) | body

A round trip is a frame of type *call*. Replies, events and stream data are no calls, and neither are the pings of the
keepalive program. Bytes pass through unchanged, and so do file descriptors. It listens on a unix socket only, in a
directory of its own, and cannot look into connections encrypted by SASL or TLS.
"""

from __future__ import annotations

import array
import os
import queue
import shutil
import socket
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

KEEPALIVE_PROGRAM = 0x6B656570
CALL, CALL_WITH_FDS, REPLY_WITH_FDS = 0, 4, 5

_HEADER = struct.Struct(">IIIIi")
_HEADER_SIZE = 28
_CHUNK = 1 << 18
_MOST_FDS = 32

Forward = Callable[[bytes, list[int]], None]


class FrameCounter:
    """Reads one direction of a connection, in pieces as they come, and counts the calls in it."""

    def __init__(self, called: Callable[[int, int], None]) -> None:
        """``called`` gets program and procedure of each call, before the piece that begins it is passed on."""
        self._called = called
        self._head = b""
        self._skip = 0

    def feed(self, data: bytes) -> None:
        """Look at the next bytes."""
        while data:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
            wanted = self._wanted() - len(self._head)
            self._head += data[:wanted]
            data = data[wanted:]
            if len(self._head) >= _HEADER_SIZE and len(self._head) == self._wanted():
                self._frame(self._head)
                self._head = b""

    def _wanted(self) -> int:
        """Bytes to be seen before the frame can be told: those with descriptors say how many after the header."""
        if len(self._head) < _HEADER_SIZE or _type(self._head) not in (CALL_WITH_FDS, REPLY_WITH_FDS):
            return _HEADER_SIZE
        return _HEADER_SIZE + 4

    def _frame(self, head: bytes) -> None:
        length, program, _version, procedure, type_ = _HEADER.unpack_from(head)
        # After the frame comes one byte for each descriptor, which carries it.
        descriptors = int.from_bytes(head[_HEADER_SIZE:], "big")
        self._skip = max(0, length - len(head)) + descriptors
        if type_ in (CALL, CALL_WITH_FDS) and program != KEEPALIVE_PROGRAM:
            self._called(program, procedure)


def _type(head: bytes) -> int:
    type_: int = _HEADER.unpack_from(head)[4]
    return type_


class RpcProxy:
    """Stands before a libvirtd socket while it is entered.

    Args:
        target: the daemon's socket.
        delay: seconds added each way, as by a long line: what is under way together arrives together.
    """

    def __init__(self, target: Path, *, delay: float = 0.0) -> None:
        self._target = target
        self._delay = delay
        self._calls: Counter[tuple[int, int]] = Counter()
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="hk-rpc-", dir="/tmp"))  # a socket's path must be short
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        with self._lock:
            sockets = [self._listener, *self._sockets]
        for each in sockets:
            with suppress(OSError):  # whoever hung up before us
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in sockets:
            each.close()
        shutil.rmtree(self._directory)

    @property
    def path(self) -> Path:
        """The socket that clients connect to instead."""
        return self._directory / "libvirt-sock"

    @property
    def uri(self) -> str:
        """A libvirt URI that goes through here."""
        return f"qemu+unix:///system?socket={self.path}"

    @property
    def calls(self) -> Counter[tuple[int, int]]:
        """How often each (program, procedure) was called so far."""
        with self._lock:
            return self._calls.copy()

    def count(self, work: Callable[[], object]) -> int:
        """How many round trips a piece of work takes, if it is all that goes through here."""
        before = self.calls.total()
        work()
        return self.calls.total() - before

    def _called(self, program: int, procedure: int) -> None:
        with self._lock:
            self._calls[program, procedure] += 1

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            daemon = socket.socket(socket.AF_UNIX)
            with self._lock:
                self._sockets += [client, daemon]
            try:
                daemon.connect(str(self._target))
            except OSError:
                client.close()  # what a client of a dead daemon sees
                continue
            self._serve(client, daemon)

    def _serve(self, client: socket.socket, daemon: socket.socket) -> None:
        """Carry one connection."""
        self._spawn(pump, client, self._late(sender(daemon)), FrameCounter(self._called).feed)
        self._spawn(pump, daemon, self._late(sender(client)), lambda _data: None)

    def _late(self, send: Forward) -> Forward:
        """The same, a while later and in another thread, if there is a delay."""
        if not self._delay:
            return send
        line: queue.SimpleQueue[tuple[float, bytes, list[int]]] = queue.SimpleQueue()

        def deliver() -> None:
            while True:
                due, data, descriptors = line.get()
                time.sleep(max(0.0, due - time.monotonic()))
                send(data, descriptors)
                if not data:
                    return

        self._spawn(deliver)
        return lambda data, descriptors: line.put((time.monotonic() + self._delay, data, descriptors))

    def _spawn(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, name="rpc-proxy", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()


def pump(source: socket.socket, forward: Forward, look: Callable[[bytes], None]) -> None:
    """Pass on what comes until nothing does any more; the end itself is passed on as no data."""
    data = b"."
    while data:
        descriptors: list[int] = []
        try:
            data, descriptors = _receive(source)
        except OSError:
            data = b""
        look(data)
        forward(data, descriptors)


def _receive(source: socket.socket) -> tuple[bytes, list[int]]:
    data, ancillary, _flags, _address = source.recvmsg(_CHUNK, socket.CMSG_SPACE(_MOST_FDS * 4))
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) // 4 * 4])
    return data, list(descriptors)


def sender(sink: socket.socket) -> Forward:
    def send(data: bytes, descriptors: list[int]) -> None:
        try:
            if not data:
                sink.shutdown(socket.SHUT_WR)
            elif not descriptors:
                sink.sendall(data)
            else:
                # The kernel ends a read at the byte that carries descriptors: it is the last.
                sink.sendall(data[:-1])
                socket.send_fds(sink, [data[-1:]], descriptors)
        except OSError:
            pass  # it hung up; its own pump tells the other side
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    return send
