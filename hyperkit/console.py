"""Console: a VM's screen, keyboard and serial port, for whoever would sit in front of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hyperkit import keyboard
from hyperkit.checks import flag, refuse, whole
from hyperkit.driver import ConsolePort
from hyperkit.errors import InvalidState
from hyperkit.guest_records import DisplayRecord
from hyperkit.keyboard import Chord
from hyperkit.png import as_png
from hyperkit.specs import KeySpec
from hyperkit.states import PowerState
from hyperkit.streams import ByteStream
from hyperkit.tasks import wait_until

if TYPE_CHECKING:
    from hyperkit.vm import VM

_AT_ONCE = 64
"""Presses in one call: QEMU drops what comes after 1,024 events of keys that wait, some five for each."""
_POWERED = (PowerState.RUNNING, PowerState.PAUSED)
_SIZE = 65536


class Console:
    """A VM's screen, keyboard and serial port. It needs nothing of the guest, which may be a boot loader.

    Every verb raises:
        InvalidState: the VM does not run; it may be paused for all but the keys.
        Unsupported: the host cannot, or the VM was made without the device.
    """

    __slots__ = ("_vm",)

    def __init__(self, vm: VM) -> None:
        self._vm = vm

    def __repr__(self) -> str:
        return f"<Console of {self._vm.label}>"

    def screenshot(self) -> bytes:
        """What is on its screen, as a PNG."""
        port = self._port("screenshot", "take a picture of", *_POWERED)
        return as_png(self._vm._call(port.screenshot, self._vm.id))

    def press(self, *keys: str) -> None:
        """Press keys together, such as ``press("ctrl", "alt", "delete")``, and let go of them.

        Args:
            keys: their names in `hyperkit.keyboard.KEYS`; upper case is no different.

        Raises:
            InvalidRequest: no key has that name; the error has the nearest ones.
        """
        if not keys:
            refuse("keys", keys, "at least one key, such as 'enter'")
        self._send([keyboard.chord(keys)])

    def type(self, text: str) -> None:
        r"""Type a text, as on a keyboard with the US layout, at 25 characters a second; ``\n`` is Enter.

        Raises:
            InvalidRequest: a character that this layout does not have.
        """
        self._send(keyboard.chords(text))

    def displays(self) -> list[DisplayRecord]:
        """Where its displays listen, for a VNC or SPICE client; empty if it has none."""
        port = self._port("display", "tell the displays of", *_POWERED)
        return list(self._vm._call(port.displays, self._vm.id))

    def serial(self, *, take: bool = False) -> SerialConsole:
        """Open its first serial port. What the guest wrote before is not seen.

        Args:
            take: take it from whoever reads it now.

        Raises:
            Busy: somebody reads it, and ``take`` is false.
        """
        flag("take", take)
        port = self._port("serial_console", "open the serial console of", *_POWERED)
        return SerialConsole(self._vm, self._vm._call(port.serial, self._vm.id, take))

    def _send(self, chords: Sequence[Chord]) -> None:
        port = self._port("send_keys", "press keys of", PowerState.RUNNING)
        rest = iter(chords)
        while part := tuple(itertools.islice(rest, _AT_ONCE)):
            keys = KeySpec(part)
            self._vm._call(port.send_keys, self._vm.id, keys)
            # Each key goes down and up, and hosts do not tell when that is done.
            self._vm.host.clock.sleep(2 * keys.hold * sum(map(len, part)))

    def _port(self, needs: str, wanted: str, *states: PowerState) -> ConsolePort:
        """The port, if the host has the capability and the VM is in one of these states."""
        host = self._vm.host
        port = host.driver.consoles
        if port is None or not getattr(host.capabilities, needs):
            host.capabilities.refuse(needs, host.url)
        self._vm._must_run(wanted, *states)
        return port


class SerialConsole:
    """A VM's serial port while it is open: bytes both ways, in the guest's own time.

    Use it in a ``with``, or `close` it: it is one reader's at a time.
    """

    def __init__(self, vm: VM, stream: ByteStream) -> None:
        self._vm = vm
        self._stream = stream
        self._kept = b""
        self._closed = False

    def __repr__(self) -> str:
        return f"<SerialConsole of {self._vm.label}{' closed' if self._closed else ''}>"

    def read(self, size: int = _SIZE, *, timeout: float | None = None) -> bytes:
        """What the guest wrote: at least one byte, at most ``size``; none at the end, which comes with the VM's.

        Raises:
            Timeout: nothing came within ``timeout`` seconds.
            Busy: somebody else took the console.
            InvalidState: it was closed.
        """
        whole("size", size, least=1)
        self._check_open()
        if not self._kept:
            self._kept = self._receive(timeout, "its guest to write")
        data, self._kept = self._kept[:size], self._kept[size:]
        return data

    def read_until(self, mark: bytes, *, timeout: float | None = None) -> bytes:
        """What the guest wrote, to the first ``mark`` and with it; the rest stays to be read.

        Raises:
            Timeout: it did not come within ``timeout`` seconds. What came instead stays to be read.
            InvalidState: the console ended before it came, or was closed.
        """
        if not isinstance(mark, bytes) or not mark:
            refuse("mark", type(mark).__name__, "bytes, such as b'login: '")
        clock = self._vm.host.clock
        deadline = None if timeout is None else clock.monotonic() + timeout
        while (at := self._kept.find(mark)) < 0:
            left = None if deadline is None else max(deadline - clock.monotonic(), 0)
            data = self._receive(left, f"{mark!r} from its guest")
            if not data:
                raise InvalidState(f"the serial console of {self._vm.label} ended before {mark!r} came", wanted="read")
            self._kept += data
        end = at + len(mark)
        data, self._kept = self._kept[:end], self._kept[end:]
        return data

    def write(self, data: bytes) -> None:
        """Send bytes to the guest.

        Raises:
            InvalidState: the console ended, or was closed.
        """
        if not isinstance(data, bytes):
            refuse("data", type(data).__name__, "bytes; 'text'.encode() makes them of text")
        self._check_open()
        self._vm._call(self._stream.write, data)

    def close(self) -> None:
        """Leave it to others; a second time does no harm. A read in another thread finds the end."""
        self._closed = True
        self._vm._call(self._stream.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receive(self, timeout: float | None, what: str) -> bytes:
        self._check_open()
        clock = self._vm.host.clock
        return wait_until(
            lambda: self._vm._call(self._stream.read, _SIZE),
            clock=clock,
            timeout=timeout,
            what=f"{self._vm.label}: {what}",
            pause=lambda seconds: self._stream.wait(seconds, clock),
        )

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidState(f"the serial console of {self._vm.label} was closed; open it again", wanted="use")
