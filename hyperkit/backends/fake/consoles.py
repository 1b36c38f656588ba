"""Screens, keyboards and serial ports of the fake."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.fake.world import Machine, World
from hyperkit.errors import Busy
from hyperkit.guest_records import DisplayRecord
from hyperkit.specs import KeySpec
from hyperkit.streams import HELD, ByteStream


class FakeConsoles:
    """See `hyperkit.driver.ConsolePort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def screenshot(self, vm_id: str) -> bytes:
        with self._world.lock:
            return self._world.machine(vm_id).inside.screen

    def send_keys(self, vm_id: str, keys: KeySpec) -> None:
        with self._world.lock:
            self._world.machine(vm_id).inside.pressed.extend(keys.chords)

    def displays(self, vm_id: str) -> Sequence[DisplayRecord]:
        with self._world.lock:
            self._world.machine(vm_id)
            return [DisplayRecord(kind="vnc", host="127.0.0.1", port=5900 + list(self._world.machines).index(vm_id))]

    def serial(self, vm_id: str, take: bool) -> ByteStream:
        with self._world.lock:
            machine = self._world.machine(vm_id)
            held = machine.inside.line
            if held is not None:
                if not take:
                    raise Busy(HELD)
                held.lose()
            machine.inside.line = FakeStream(self._world, machine)
            return machine.inside.line


class FakeStream(ByteStream):
    """A serial port that is open."""

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._machine = machine
        self._came = b""
        self._ended = False
        self._lost = False

    def receive(self, data: bytes) -> None:
        """The guest wrote something."""
        self._came += data

    def end(self) -> None:
        """There is no more to come."""
        self._ended = True

    def lose(self) -> None:
        """Somebody else took it."""
        self._lost = True

    def read(self, size: int) -> bytes | None:
        with self._world.lock:
            self._check_held()
            if not self._came:
                return b"" if self._ended else None
            data, self._came = self._came[:size], self._came[size:]
            return data

    def write(self, data: bytes) -> None:
        with self._world.lock:
            self._check_held()
            if not self._ended:
                self._machine.inside.hear(data)

    def close(self) -> None:
        with self._world.lock:
            self._ended = True
            if self._machine.inside.line is self:
                self._machine.inside.line = None

    def _check_held(self) -> None:
        if self._lost:
            raise Busy("somebody else took this serial console")
