"""What is inside a fake's machines: an agent, programs, a screen, a keyboard and a serial port; tests script them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import attrs

from hyperkit.errors import NotFound
from hyperkit.guest_records import CommandResult, GuestRecord
from hyperkit.keyboard import TYPED, Chord
from hyperkit.png import from_rgb
from hyperkit.specs import CommandSpec

if TYPE_CHECKING:
    from hyperkit.backends.fake.consoles import FakeStream

Program = Callable[[CommandSpec], "str | bytes | int | CommandResult"]
Answer = str | bytes | int | CommandResult | Program
"""What a command says, its exit code, both, or a function that makes one of these."""

_TYPES = {chord: character for character, chord in TYPED.items()}
_SCREEN = from_rgb(64, 40, bytes(64 * 40 * 3))


@attrs.frozen
class Boot:
    """One boot of a machine: no other one in its world has this number.

    Attributes:
        number: which one.
        at: the clock's time when it began; in a snapshot's memory, how long before (negative).
        cpus: how many it began with; 0 is unknown.
    """

    number: int = 0
    at: float = 0.0
    cpus: int = 0


class Agent(StrEnum):
    """What has become of a guest's agent."""

    ANSWERS = "answers"
    ABSENT = "absent"
    HANGS = "hangs"


@attrs.define
class Scripted:
    """A command that a test made up: what becomes of it, after how many seconds."""

    answer: Answer
    seconds: float = 0.0


@attrs.define
class Inside:
    """What is inside one machine; it outlives a power cut, but for what is frozen.

    Attributes:
        agent: whether anybody answers.
        info: what the agent tells; None is what a fake guest is.
        commands: what can be run besides `PROGRAMS`, by the whole command line or by the program alone.
        screen: what it shows, a PNG or a PPM.
        replies: what it says on its serial port to a line that it reads there.
        pressed: the keys that were pressed, in order.
        heard: what was written to its serial port.
        frozen_in: the number of the boot whose file systems are frozen.
        line: who reads its serial port.
    """

    agent: Agent = Agent.ANSWERS
    info: GuestRecord | None = None
    commands: dict[str, Scripted] = attrs.field(factory=dict)
    screen: bytes = _SCREEN
    replies: dict[str, str] = attrs.field(factory=dict)
    pressed: list[Chord] = attrs.field(factory=list)
    heard: bytes = b""
    frozen_in: int | None = None
    line: FakeStream | None = None

    @property
    def typed(self) -> str:
        """The text that was typed; keys that type nothing are left out."""
        return "".join(_TYPES.get(chord, "") for chord in self.pressed)

    def again(self) -> Inside:
        """The same in another machine, where nobody typed or read anything yet."""
        return Inside(self.agent, self.info, dict(self.commands), self.screen, dict(self.replies))

    def say(self, text: str | bytes) -> None:
        """Write to the serial port. Nobody will know what was said while nobody read."""
        if self.line is not None:
            self.line.receive(text.encode() if isinstance(text, str) else text)

    def hear(self, data: bytes) -> None:
        """Read from the serial port, as a terminal does: what comes is echoed, and a line may have its reply."""
        before = self.heard.count(b"\n")
        self.heard += data.replace(b"\r", b"\n")
        self.say(data.replace(b"\r", b"\n").replace(b"\n", b"\r\n"))
        for line in self.heard.split(b"\n")[before:-1]:
            self.say(self.replies.get(line.decode(errors="replace"), "").replace("\n", "\r\n"))

    def hang_up(self) -> None:
        """The machine has stopped: its serial port leads nowhere any more."""
        if self.line is not None:
            self.line.end()
            self.line = None

    def command(self, spec: CommandSpec, everywhere: Mapping[str, Scripted]) -> Scripted:
        """What becomes of a command; ``everywhere`` are those of all guests.

        Raises:
            NotFound: the guest does not have the program.
        """
        program = spec.argv[0]
        for commands in (self.commands, everywhere):
            for key in (shlex.join(spec.argv), program):
                if key in commands:
                    return commands[key]
        name = PurePosixPath(program).name
        if name == "sleep":
            return Scripted(0, float(spec.argv[1]))
        if name not in PROGRAMS:
            raise NotFound(f"the guest has no program {program!r}")
        return Scripted(PROGRAMS[name])


def result_of(answer: Answer, spec: CommandSpec) -> CommandResult:
    """A scripted answer in full."""
    if callable(answer):
        answer = answer(spec)
    if isinstance(answer, CommandResult):
        return answer
    if isinstance(answer, int):
        return CommandResult(answer)
    return CommandResult(0, answer.encode() if isinstance(answer, str) else answer)


PROGRAMS: dict[str, Program] = {
    "true": lambda _spec: 0,
    "false": lambda _spec: 1,
    "echo": lambda spec: " ".join(spec.argv[1:]) + "\n",
    "cat": lambda spec: spec.input,
    "env": lambda spec: "".join(f"{name}={value}\n" for name, value in spec.env or (("PATH", "/bin"),)),
}
"""What every fake guest can run, besides ``sleep``."""
