"""What to have a guest do: run a command, take keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from hyperkit import checks
from hyperkit.checks import as_tuple as _tuple
from hyperkit.keyboard import Chord


def _argv(value: Iterable[str]) -> tuple[str, ...]:
    # A text is a sequence of texts: whoever gives one meant its words.
    return () if isinstance(value, str) else _tuple(value)


def _pairs(env: Mapping[str, str] | tuple[tuple[str, str], ...] | None) -> tuple[tuple[str, str], ...] | None:
    if env is None:
        return None
    if not isinstance(env, (Mapping, tuple)):
        checks.refuse("env", type(env).__name__, "a dict of strings, or None")
    return tuple(env.items()) if isinstance(env, Mapping) else env


def _program_alone(argv: tuple[str, ...]) -> str:
    return f"<{argv[0]!r} and {len(argv) - 1} arguments>"


@attrs.frozen(slots=False)
class CommandSpec:
    """A command to run in a guest, by no shell. All but the program may be secret, and is in no repr and no error.

    Attributes:
        argv: the program and its arguments. A program without a path is looked for as the agent would.
        input: what it reads.
        env: its whole environment, as a dict; None is the agent's own.
    """

    argv: tuple[str, ...] = attrs.field(converter=_argv, repr=_program_alone)
    input: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} bytes>")
    env: tuple[tuple[str, str], ...] | None = attrs.field(
        default=None, converter=_pairs, repr=lambda env: "None" if env is None else f"<{len(env)} variables>"
    )

    def __attrs_post_init__(self) -> None:
        argv = self.argv
        if not argv or argv[0] == "":
            checks.refuse("argv", "…", "a list of a program and its arguments, such as ['uname', '-r']")
        for index, value in enumerate(argv):
            check_argument(f"argv[{index}]", value)
        if not isinstance(self.input, bytes):
            checks.refuse("input", type(self.input).__name__, "bytes; 'text'.encode() makes them of text")
        for name, value in self.env or ():
            if not isinstance(name, str) or not re.fullmatch(r"[^=\x00]+", name):
                checks.refuse("env", name, "names that are not empty and have no '='")
            check_argument(f"env[{name!r}]", value)


@attrs.frozen(slots=False)
class KeySpec:
    """Keys to press on a guest's keyboard. They may spell a password, and are in no repr.

    Attributes:
        chords: one after another, each of keys held down together, by their names in `hyperkit.keyboard.KEYS`.
        hold: seconds that keys are held down.
    """

    chords: tuple[Chord, ...] = attrs.field(repr=lambda chords: f"<{len(chords)} presses>")
    hold: float = 0.02


def check_argument(field: str, value: object) -> None:
    """What a program can be given: text without a NUL. It may be secret, so the error has its type alone."""
    if not isinstance(value, str):
        checks.refuse(field, type(value).__name__, "a string")
    if "\x00" in value or re.search(r"[\ud800-\udfff]", value):
        checks.refuse(field, "…", "text without NUL or surrogates")
