"""A way into the guests of a vSphere simulator, which is what the simulator remembers of them."""

from __future__ import annotations

from tests.beds.vcsim import Vcsim
from tests.beds.vcsim.control import Key

_PLAIN = "abcdefghijklmnopqrstuvwxyz1234567890\n\x1b\b\t -=[]\\\0;'`,./"
_SHIFTED = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()\n\x1b\b\t _+{}|\0:"~<>?'
_FIRST = 0x04
"""A keyboard of the USB-IF's HID Usage Tables, page 7, on a guest with the US layout: from the usage 4 on."""


class VsphereInside:
    """What the guests of the bed's image heard and tell."""

    def __init__(self, sim: Vcsim) -> None:
        self._control = sim.control

    def hostname(self, vm_id: str) -> str:
        return self._control.host_name(vm_id)

    def hang_agent(self, vm_id: str) -> None:
        self._control.guest(vm_id, tools="hung")

    def typed(self, vm_id: str) -> str:
        return "".join(map(_character, self._control.keys(vm_id)))

    def screen(self, vm_id: str) -> tuple[int, int]:
        return self._control.screen(vm_id)

    def frozen(self, vm_id: str) -> bool:
        raise AssertionError(f"Tools freeze the guest of {vm_id} for a snapshot alone: there is no such capability")

    def heard(self, vm_id: str) -> str:
        raise AssertionError(f"{vm_id} has no serial console: there is no such capability")

    def say(self, vm_id: str, line: str) -> None:
        raise AssertionError(f"{vm_id} has no serial console to say {line!r} on: there is no such capability")

    def displays(self, vm_id: str) -> set[tuple[str, int | None]]:
        raise AssertionError(f"{vm_id} has no display to connect to: there is no such capability")


def _character(key: Key) -> str:
    assert key.code & 0xFFFF == 0x07
    assert set(key.modifiers) <= {"leftShift", "rightShift"}
    return (_SHIFTED if key.modifiers else _PLAIN)[(key.code >> 16) - _FIRST]
