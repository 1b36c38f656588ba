"""The guest of a seeded VM: how it behaves, and what is inside it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from hyperkit import checks
from hyperkit.backends.fake.inside import Agent, Scripted
from hyperkit.backends.fake.world import Machine
from hyperkit.errors import HyperkitError, InvalidRequest
from hyperkit.guest_records import CommandResult, GuestRecord
from hyperkit.png import as_png
from hyperkit.records import has_guest

BEHAVIOUR = ("deaf", "shutdown_seconds", "boot_seconds")
INSIDE = ("agent", "info", "commands", "screen", "replies")
_COMMAND = ("exit_code", "stdout", "stderr", "signal", "seconds")
_INFO = tuple(field.name for field in attrs.fields(GuestRecord) if field.name not in ("users", "filesystems"))


GUEST = (*BEHAVIOUR, *INSIDE)
"""What a guest can be told to be."""


def change(machine: Machine, data: Mapping[str, Any]) -> None:
    """Let the guest of a machine be as ``data`` says, and else as it was.

    Raises:
        InvalidRequest: an unknown key or an unacceptable value, and nothing was changed; or there is nothing to boot.
    """
    known(data, GUEST)
    if data and not has_guest(machine.record):
        checks.refuse("", dict(data), "this VM has nothing to boot: give it a disk, a kernel, an ISO or a container")
    deaf = data.get("deaf", machine.deaf)
    checks.flag("deaf", deaf)
    shutdown_seconds = seconds(data, "shutdown_seconds", machine.shutdown_seconds) or 0.0
    boot_seconds = seconds(data, "boot_seconds", machine.boot_seconds)
    inside = machine.inside
    agent = checks.member("agent", data.get("agent", inside.agent), Agent)
    info = _info(data["info"], machine.record.name) if "info" in data else inside.info
    commands = {**inside.commands, **scripts(data.get("commands", {}))}
    screen = _screen(data["screen"]) if "screen" in data else inside.screen
    replies = {**inside.replies, **_replies(data.get("replies", {}))}
    machine.deaf, machine.shutdown_seconds, machine.boot_seconds = deaf, shutdown_seconds, boot_seconds
    inside.agent, inside.info, inside.commands = agent, info, commands
    inside.screen, inside.replies = screen, replies


@contextmanager
def at(where: str) -> Iterator[None]:
    """Tell whatever error comes where in the seed it was."""
    try:
        yield
    except HyperkitError as error:
        if isinstance(error, InvalidRequest):
            error.field = f"{where}.{error.field}" if error.field else where
        inner = error.resource.removeprefix("seed ")
        error.resource = f"seed {where}.{inner}" if error.resource.startswith("seed ") else f"seed {where}"
        raise


def known(data: object, names: Iterable[str]) -> None:
    """Refuse keys that there are none of."""
    if not isinstance(data, Mapping):
        checks.refuse("", data, "a dict of fields")
    for name in data:
        if name not in names:
            raise InvalidRequest(f"no key {name!r}; there are {', '.join(names)}", field=str(name), value=data[name])


def seconds(data: Mapping[str, Any], name: str, default: float | None) -> float | None:
    """A duration, if it is given."""
    if name not in data:
        return default
    value = data[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        checks.refuse(name, value, "seconds, 0 or more")
    return float(value)


def _info(data: Any, name: str) -> GuestRecord:
    known(data, _INFO)
    return GuestRecord(**{"hostname": name, **data})


def scripts(data: object) -> dict[str, Scripted]:
    """Commands, by command line or program, and what becomes of them."""
    if not isinstance(data, Mapping):
        checks.refuse("commands", data, "a dict of what each command does")
    return {command: _command(f"commands[{command!r}]", answer) for command, answer in data.items()}


def _command(field: str, answer: Any) -> Scripted:
    if isinstance(answer, Mapping):
        known(answer, _COMMAND)
        signal = answer.get("signal")
        result = CommandResult(
            answer.get("exit_code", 0 if signal is None else None),
            _bytes(f"{field}.stdout", answer.get("stdout", b"")),
            _bytes(f"{field}.stderr", answer.get("stderr", b"")),
            signal=signal,
        )
        return Scripted(result, seconds(answer, "seconds", 0.0) or 0.0)
    if isinstance(answer, bool) or not (isinstance(answer, (str, bytes, int, CommandResult)) or callable(answer)):
        wanted = f"what it says, its exit code, a dict of {', '.join(_COMMAND)}, or a function of its CommandSpec"
        checks.refuse(field, answer, wanted)
    return Scripted(answer)


def _replies(data: object) -> dict[str, str]:
    texts = isinstance(data, Mapping) and all(isinstance(text, str) for pair in data.items() for text in pair)
    if not texts:
        checks.refuse("replies", data, "a dict of what is said to each line")
    return dict(data)  # type: ignore[call-overload,no-any-return]  # it is a mapping


def _screen(data: object) -> bytes:
    picture = _bytes("screen", data)
    try:
        as_png(picture)
    except ValueError as error:
        raise InvalidRequest(f"screen: {error}", field="screen", value=picture) from error
    return picture


def _bytes(field: str, value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        checks.refuse(field, value, "text or bytes")
    return value
