"""Keys by name, and texts as keys."""

from __future__ import annotations

import string

import pytest

from hyperkit import InvalidRequest
from hyperkit.keyboard import KEYS, TYPED, chord, chords
from hyperkit.specs import KeySpec


def test_numbers_are_those_of_linux() -> None:
    """A few of input-event-codes.h, at the ends of each row."""
    known = {"1": 2, "=": 13, "q": 16, "]": 27, "a": 30, "`": 41, "\\": 43, "/": 53, "f1": 59, "f10": 68, "f12": 88}
    known |= {"esc": 1, "enter": 28, "ctrl": 29, "shift": 42, "alt": 56, "space": 57, "delete": 111, "super": 125}
    assert {name: KEYS[name] for name in known} == known
    assert len(set(KEYS.values())) == len(KEYS)


def test_everything_that_prints_can_be_typed() -> None:
    assert set(TYPED) == set(string.printable) - set("\r\x0b\x0c")
    assert all(key in KEYS for keys in TYPED.values() for key in keys)
    assert len(set(TYPED.values())) == len(TYPED)


def test_a_text_is_typed_key_by_key() -> None:
    assert chords("aB 1!\n") == (("a",), ("shift", "b"), ("space",), ("1",), ("shift", "1"), ("enter",))
    assert chords("") == ()


def test_a_character_that_no_key_has_is_refused_without_the_text() -> None:
    with pytest.raises(InvalidRequest, match=r"U\+00E9") as refused:
        chords("s3cré")
    assert "s3cr" not in str(refused.value) + repr(refused.value.value)
    with pytest.raises(InvalidRequest, match="a string"):
        chords(b"bytes")


def test_names_are_forgiving_and_the_unknown_is_met_with_the_nearest() -> None:
    assert chord(["Control", "ALT", "Del", "F4", "A"]) == ("ctrl", "alt", "delete", "f4", "a")
    with pytest.raises(InvalidRequest, match="did you mean 'enter'") as refused:
        chord(["entr"])
    assert refused.value.field == "keys"
    for wrong in ("", "!", "é", 4):
        with pytest.raises(InvalidRequest, match="name of a key"):
            chord([wrong])


def test_a_repr_tells_no_keys() -> None:
    assert repr(KeySpec(chords("s3cret"))) == "KeySpec(chords=<6 presses>, hold=0.02)"
