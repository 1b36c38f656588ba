"""The proxy: it counts calls and nothing else, passes everything on, and can be slow."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.rpc_proxy import CALL, CALL_WITH_FDS, KEEPALIVE_PROGRAM, REPLY_WITH_FDS, FrameCounter, RpcProxy

REMOTE_PROGRAM = 0x20008086
REPLY, EVENT, STREAM = 1, 2, 3


def frame(procedure: int, kind: int = CALL, *, program: int = REMOTE_PROGRAM, body: bytes = b"") -> bytes:
    return struct.pack(">IIIIiII", 28 + len(body), program, 1, procedure, kind, 7, 0) + body


def with_fds(procedure: int, count: int) -> bytes:
    """A frame that announces descriptors; each comes on a byte of its own after it."""
    return frame(procedure, CALL_WITH_FDS, body=struct.pack(">I", count) + b"body")


CONVERSATION = b"".join(
    [
        frame(1, body=b"x" * 1000),
        frame(2, REPLY),
        frame(3),
        frame(4, EVENT),
        frame(5, STREAM, body=b"\0" * 77),
        frame(1, program=KEEPALIVE_PROGRAM),
        with_fds(6, 2) + b"\0\0",
        frame(7, REPLY_WITH_FDS, body=struct.pack(">I", 1)) + b"\0",
        frame(3),
    ]
)


@pytest.mark.parametrize("piece", [1, 3, 27, 28, 29, 100, 10_000])
def test_calls_are_counted_however_they_are_cut(piece: int) -> None:
    seen: list[int] = []
    counter = FrameCounter(lambda _program, procedure: seen.append(procedure))
    for start in range(0, len(CONVERSATION), piece):
        counter.feed(CONVERSATION[start : start + piece])
    assert seen == [1, 3, 6, 3]


Serve = Callable[[socket.socket], None]


@contextmanager
def daemon(path: Path, serve: Serve) -> Iterator[None]:
    """Somebody who listens, for one client."""
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            with suppress(OSError), closing(listener.accept()[0]) as client:
                serve(client)

        thread = threading.Thread(target=accept)
        thread.start()
        yield
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def echo(client: socket.socket) -> None:
    while data := client.recv(65536):
        client.sendall(data)


def connect(proxy: RpcProxy) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(proxy.path))
    return client


def receive(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


@pytest.mark.parametrize("delay", [0.0, 0.01])
def test_bytes_come_through_unchanged_and_calls_are_counted_once(tmp_path: Path, delay: float) -> None:
    # What echoes back is the same frames: calls count on the way to the daemon only.
    with (
        daemon(tmp_path / "d", echo),
        RpcProxy(tmp_path / "d", delay=delay) as proxy,
        closing(connect(proxy)) as client,
    ):

        def talk() -> None:
            client.sendall(CONVERSATION)
            assert receive(client, len(CONVERSATION)) == CONVERSATION

        assert proxy.count(talk) == 4
        assert proxy.count(talk) == 4
        assert proxy.calls == {(REMOTE_PROGRAM, 1): 2, (REMOTE_PROGRAM, 3): 4, (REMOTE_PROGRAM, 6): 2}
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_a_delay_is_added_each_way(tmp_path: Path) -> None:
    with daemon(tmp_path / "d", echo), RpcProxy(tmp_path / "d", delay=0.2) as proxy, closing(connect(proxy)) as client:
        started = time.monotonic()
        client.sendall(frame(1))
        receive(client, 28)
        assert time.monotonic() - started >= 0.4  # a lower bound holds on any machine


def test_descriptors_come_through_on_their_own_bytes(tmp_path: Path) -> None:
    texts: list[bytes] = []

    def serve(client: socket.socket) -> None:
        head = with_fds(6, 2)
        # Read as libvirt does: the frame first, without an eye for descriptors, then a byte for each.
        assert receive(client, len(head)) == head
        for _ in range(2):
            _data, (descriptor,), _flags, _address = socket.recv_fds(client, 1, 1)
            with os.fdopen(descriptor, "rb") as file:
                texts.append(file.read())
        client.sendall(frame(6, REPLY))

    with daemon(tmp_path / "d", serve), RpcProxy(tmp_path / "d") as proxy, closing(connect(proxy)) as client:
        client.sendall(with_fds(6, 2))
        for text in ("one", "two"):
            (tmp_path / text).write_text(text)
            with open(tmp_path / text, "rb") as file:
                socket.send_fds(client, [b"\0"], [file.fileno()])
        assert receive(client, 28) == frame(6, REPLY)
        assert proxy.calls.total() == 1
    assert texts == [b"one", b"two"]


def test_a_client_of_a_dead_daemon_is_hung_up_on(tmp_path: Path) -> None:
    with RpcProxy(tmp_path / "nobody") as proxy, closing(connect(proxy)) as client:
        assert client.recv(1) == b""


def test_the_end_of_the_proxy_hangs_up_and_leaves_nothing(tmp_path: Path) -> None:
    with daemon(tmp_path / "d", echo):
        with RpcProxy(tmp_path / "d") as proxy:
            client = connect(proxy)
            client.sendall(frame(1))
            receive(client, 28)
            directory = proxy.path.parent
        with closing(client):
            assert client.recv(1) == b""
    assert not directory.exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "rpc-proxy"]
