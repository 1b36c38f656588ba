"""Keys as USB keyboards name them: usages of page 7, *Keyboard/Keypad*, of the USB-IF's HID Usage Tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from hyperkit.keyboard import Chord

_PAGE = 0x07

USAGES: Mapping[str, int] = MappingProxyType(
    {
        **{key: 0x04 + index for index, key in enumerate("abcdefghijklmnopqrstuvwxyz1234567890")},
        **{"enter": 0x28, "esc": 0x29, "backspace": 0x2A, "tab": 0x2B, "space": 0x2C},
        **{"-": 0x2D, "=": 0x2E, "[": 0x2F, "]": 0x30, "\\": 0x31, ";": 0x33, "'": 0x34, "`": 0x35},
        **{",": 0x36, ".": 0x37, "/": 0x38, "capslock": 0x39},
        **{f"f{number}": 0x39 + number for number in range(1, 13)},
        **{"print": 0x46, "scrolllock": 0x47, "pause": 0x48, "insert": 0x49, "home": 0x4A, "pageup": 0x4B},
        **{"delete": 0x4C, "end": 0x4D, "pagedown": 0x4E, "right": 0x4F, "left": 0x50, "down": 0x51, "up": 0x52},
        **{"numlock": 0x53, "menu": 0x65},
        **{"ctrl": 0xE0, "shift": 0xE1, "alt": 0xE2, "super": 0xE3},
        **{"right_ctrl": 0xE4, "right_shift": 0xE5, "right_alt": 0xE6, "right_super": 0xE7},
    }
)
"""By the names of `hyperkit.keyboard.KEYS`."""

_MODIFIERS = {
    "ctrl": "leftControl",
    "shift": "leftShift",
    "alt": "leftAlt",
    "super": "leftGui",
    "right_ctrl": "rightControl",
    "right_shift": "rightShift",
    "right_alt": "rightAlt",
    "right_super": "rightGui",
}
"""What PutUsbScanCodes calls the keys that it holds down with another."""


def presses(chord: Chord) -> Iterator[Any]:
    """A chord as ``vim.UsbScanCodeSpec.KeyEvent``: each is one key pressed and let go, with modifiers held.

    So modifiers alone are pressed as keys, the last with the others held; and of several other keys, which cannot be
    held together, one comes after another.
    """
    keys = [key for key in chord if key not in _MODIFIERS] or list(chord[-1:])
    held = {_MODIFIERS[key]: True for key in chord if key in _MODIFIERS and key not in keys}
    for key in keys:
        modifiers = vim.UsbScanCodeSpec.ModifierType(**held) if held else None
        yield vim.UsbScanCodeSpec.KeyEvent(usbHidCode=USAGES[key] << 16 | _PAGE, modifiers=modifiers)
