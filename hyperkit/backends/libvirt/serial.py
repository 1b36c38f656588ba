"""A serial console: a stream of libvirt's that one thread reads.

A stream that does not block brings nothing unless the event loop runs, and an application's own may not, or be busy.
One that blocks has no time limit. So a named thread waits in it, in a session of its own, and ends with it; who reads
takes what it has got.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import libvirt

from hyperkit.clock import Clock
from hyperkit.errors import Busy, ConnectionLost, InvalidState
from hyperkit.streams import ByteStream

_PIECE = 16 * 1024
_MOST = 1024 * 1024
"""Bytes kept for a reader that does not come; then the guest has to wait."""


class Serial(ByteStream):
    """See `hyperkit.streams.ByteStream`."""

    def __init__(self, stream: Any, conn: Any) -> None:
        self._stream = stream
        self._conn = conn
        self._changed = threading.Condition()
        self._came = bytearray()
        self._ended = False
        self._closed = False
        self._error: libvirt.libvirtError | None = None
        self._thread = threading.Thread(target=self._receive, name="hyperkit-serial", daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        data = b""
        try:
            while not self._closed:
                data = self._stream.recv(_PIECE)
                if not data:
                    break
                with self._changed:
                    self._came += data
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: len(self._came) < _MOST or self._closed)
        except libvirt.libvirtError as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def read(self, size: int) -> bytes | None:
        with self._changed:
            if self._came:
                data = bytes(self._came[:size])
                del self._came[:size]
                self._changed.notify_all()
                return data
            if not self._ended and not self._closed:
                return None
        if self._error is not None and not self._closed:
            raise self._explained(self._error)
        return b""

    def wait(self, seconds: float, clock: Clock) -> None:
        """Real time, whatever the clock: the guest is real."""
        del clock
        with self._changed:
            self._changed.wait_for(lambda: self._came or self._ended or self._closed, seconds)

    def write(self, data: bytes) -> None:
        if self._ended:
            raise InvalidState("the serial console has ended")
        try:
            while data:
                data = data[self._stream.send(data) :]
        except libvirt.libvirtError as error:
            raise self._explained(error) from error

    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        # Ends the wait of the thread. Of a stream that has ended by itself there is nothing to abort.
        with suppress(libvirt.libvirtError):
            self._stream.abort()
        self._thread.join()
        self._stream = None  # it would keep the session open
        self._conn.close()

    def _explained(self, error: libvirt.libvirtError) -> Exception:
        """The error says no more than that it is over; the session tells whether that is all that is over."""
        try:
            alive = self._conn.isAlive()
        except libvirt.libvirtError:
            alive = False
        if not alive:
            lost: Exception = ConnectionLost(f"the session ended, and the serial console with it: {error}")
        else:
            lost = Busy("somebody else took the serial console")
        lost.__cause__ = error
        return lost
