"""Keys of a keyboard by name, and how a text is typed on one with the US layout.

The guest decides what a key means: on a guest with another layout, `TYPED` types something else.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from hyperkit.checks import refuse

Chord = tuple[str, ...]
"""Keys that are held down together, pressed in this order."""

_ROWS = (
    (2, "1234567890-="),
    (16, "qwertyuiop[]"),
    (30, "asdfghjkl;'`"),
    (43, "\\zxcvbnm,./"),
)
_NAMED = {
    "esc": 1,
    "backspace": 14,
    "tab": 15,
    "enter": 28,
    "ctrl": 29,
    "shift": 42,
    "alt": 56,
    "space": 57,
    "capslock": 58,
    **{f"f{number}": 58 + number for number in range(1, 11)},
    "f11": 87,
    "f12": 88,
    "numlock": 69,
    "scrolllock": 70,
    "right_shift": 54,
    "right_ctrl": 97,
    "right_alt": 100,
    "print": 99,
    "home": 102,
    "up": 103,
    "pageup": 104,
    "left": 105,
    "right": 106,
    "end": 107,
    "down": 108,
    "pagedown": 109,
    "insert": 110,
    "delete": 111,
    "pause": 119,
    "super": 125,
    "right_super": 126,
    "menu": 127,
}

KEYS: Mapping[str, int] = MappingProxyType(
    {**{key: first + index for first, row in _ROWS for index, key in enumerate(row)}, **_NAMED}
)
"""The keys, each with its number in Linux (``input-event-codes.h``); what prints is called by what it prints."""

_ALSO = {"escape": "esc", "return": "enter", "control": "ctrl", "del": "delete", "windows": "super", "meta": "super"}
_SHIFTED = dict(zip('~!@#$%^&*()_+{}|:"<>?', "`1234567890-=[]\\;',./", strict=True))

TYPED: Mapping[str, Chord] = MappingProxyType(
    {
        **{key: (key,) for _, row in _ROWS for key in row},
        **{key.upper(): ("shift", key) for _, row in _ROWS for key in row if key.isalpha()},
        **{character: ("shift", key) for character, key in _SHIFTED.items()},
        " ": ("space",),
        "\n": ("enter",),
        "\t": ("tab",),
    }
)
"""What to press for each character."""


def chord(keys: Iterable[object]) -> Chord:
    """Keys to hold down together, by their names in `KEYS`.

    Raises:
        InvalidRequest: a name that no key has; the error has the nearest ones.
    """
    return tuple(_named(key) for key in keys)


def chords(text: object) -> tuple[Chord, ...]:
    """What to press, one after another, to type a text. It may be a password, and is in no error.

    Raises:
        InvalidRequest: a character that the US layout does not have.
    """
    if not isinstance(text, str):
        refuse("text", type(text).__name__, "text is a string")
    for character in text:
        if character not in TYPED:
            refuse("text", "…", f"one of its characters, U+{ord(character):04X}, is on no key of the US layout")
    return tuple(TYPED[character] for character in text)


def _named(key: object) -> str:
    name = key.lower() if isinstance(key, str) else ""
    name = _ALSO.get(name, name)
    if name not in KEYS:
        parts = [part for part in re.split("[+-]", name) if part]
        if len(parts) > 1 and all(_ALSO.get(part, part) in KEYS for part in parts):
            refuse("keys", key, f"the name of one key; did you mean press({', '.join(map(repr, parts))})?")
        near = difflib.get_close_matches(name, KEYS, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "such as 'enter', 'f1' or 'a'"
        refuse("keys", key, f"the name of a key, {hint}")
    return name
