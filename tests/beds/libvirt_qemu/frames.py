"""Frames that one guest sends and another hears, byte by byte: what a switch really lets through.

Each frame carries a mark and a number. A frame that must not arrive is followed by one that must: once that is heard,
the first is known to be lost, and not merely late, since a wire keeps its order.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import shutil
import struct
import tempfile
import time
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tests.beds.libvirt_qemu.errors import BedFailure
from tests.beds.libvirt_qemu.guest_build import command

MARK = b"hyperkit"
_SOURCE = Path(__file__).with_name("frames.c")
_CHUNK = 48 * 1024  # of a file: in base64, what the agent takes as one message
_numbers = itertools.count(1)

Frame = bytes
"""A whole one, from its destination on; `numbered` puts the mark and number at its end."""


def missing_compiler() -> str | None:
    """Why the guests' program cannot be built here."""
    return None if shutil.which("gcc") else "no program gcc"


@functools.cache
def program() -> bytes:
    """The guests' program, which needs no library."""
    with tempfile.TemporaryDirectory() as directory:
        built = Path(directory) / "frames"
        command("gcc", "-static", "-Os", "-s", "-o", built, _SOURCE)
        return built.read_bytes()


class GuestWire:
    """One guest's NIC: says and hears frames. By libvirt's agent call, without hyperkit."""

    def __init__(self, domain: Any, nic: str = "eth0", timeout: float = 120) -> None:
        self._domain = domain
        self._nic = nic
        self._timeout = timeout
        self._wait(lambda: self._agent("guest-ping") == {}, "an agent")
        if self.run("ls /run").find("frames") < 0:
            self._upload("/run/frames", program())
        self.run("chmod 755 /run/frames; ip link set $0 up; touch /run/heard-$0", nic)
        self.run("/run/frames hear $0 $1 >/run/heard-$0 2>/dev/null </dev/null &", nic, MARK.hex())
        self._wait(lambda: "listening" in self.run("cat /run/heard-$0", nic), "a listener")

    def run(self, script: str, *arguments: str) -> str:
        """Run a script in the guest's shell and return what it prints; it must succeed."""
        said, code = self.attempt(script, *arguments)
        if code:
            raise BedFailure(f"{script!r} in {self._domain.name()} ended with {code}: {said}")
        return said

    def attempt(self, script: str, *arguments: str) -> tuple[str, int]:
        """What a script prints, and its exit code."""
        asked = {"path": "/bin/sh", "arg": ["-c", script, *arguments], "capture-output": True}
        pid = self._agent("guest-exec", **asked)["pid"]
        status = self._wait(lambda: self._ended(pid), f"an end of {script!r}")
        said = b"".join(base64.b64decode(status.get(part, "")) for part in ("out-data", "err-data"))
        return said.decode(errors="replace"), int(status["exitcode"])

    def send(self, frames: Iterable[Frame]) -> None:
        """Send frames as they are."""
        self.run('nic=$0; exec /run/frames send $nic "$@"', self._nic, *(frame.hex() for frame in frames))

    def wait_until_heard(self, number: int) -> set[int]:
        """The numbers of all frames that were heard so far; this one is among them.

        Raises:
            BedFailure: it is not heard.
        """
        return self._wait(lambda: found if number in (found := self.heard()) else None, f"frame {number}")  # type: ignore[no-any-return]

    def heard(self) -> set[int]:
        """The numbers of all frames that were heard so far."""
        return {int(line, 16) for line in self.run("cat /run/heard-$0", self._nic).split()[1:]}

    def _ended(self, pid: int) -> Any:
        status = self._agent("guest-exec-status", pid=pid)
        return status if status["exited"] else None

    def _upload(self, path: str, content: bytes) -> None:
        handle = self._agent("guest-file-open", path=path, mode="w")
        for at in range(0, len(content), _CHUNK):
            piece = base64.b64encode(content[at : at + _CHUNK]).decode()
            self._agent("guest-file-write", handle=handle, **{"buf-b64": piece})
        self._agent("guest-file-close", handle=handle)

    def _agent(self, name: str, **arguments: Any) -> Any:
        import libvirt
        import libvirt_qemu

        asked = json.dumps({"execute": name, "arguments": arguments})
        try:
            return json.loads(libvirt_qemu.qemuAgentCommand(self._domain, asked, 20, 0))["return"]
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_OPERATION_INVALID):
                raise
            return None  # it is not up yet

    def _wait(self, look: Any, what: str) -> Any:
        deadline = time.monotonic() + self._timeout
        while not (found := look()):
            if time.monotonic() > deadline:
                raise BedFailure(f"{self._domain.name()}: no {what} within {self._timeout} s")
            time.sleep(0.1)
        return found


def arriving(sender: GuestWire, receiver: GuestWire, frames: Mapping[str, Frame], control: Frame) -> set[str]:
    """Send frames, and last the control, which must arrive; the names of those that arrived too."""
    numbers = {name: next(_numbers) for name in frames}
    last = next(_numbers)
    sender.send([*(numbered(frame, numbers[name]) for name, frame in frames.items()), numbered(control, last)])
    heard = receiver.wait_until_heard(last)
    return {name for name, number in numbers.items() if number in heard}


def sent(sender: GuestWire, frame: Frame) -> int:
    """Send a frame of which nobody says yet whether it arrives; its number."""
    number = next(_numbers)
    sender.send([numbered(frame, number)])
    return number


def numbered(frame: Frame, number: int) -> Frame:
    """A frame with the mark, its number, and as long as the shortest that Ethernet has."""
    return (frame + MARK + struct.pack("!H", number)).ljust(60, b"\0")


# Frames


def ethernet(
    source: str, kind: int, payload: bytes = b"", to: str = "ff:ff:ff:ff:ff:ff", vlan: int | None = None
) -> Frame:
    """A frame to everybody, of some kind (its EtherType), tagged if it has a VLAN."""
    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return b"\xff" * 6 + _mac(source) + tag + struct.pack("!H", kind) + payload


def plain(source: str, vlan: int | None = None) -> Frame:
    """A frame of a kind that no rule is about: IEEE's number for experiments."""
    return ethernet(source, 0x88B5, vlan=vlan)


def arp(source: str, address: str, sender: str | None = None, vlan: int | None = None) -> Frame:
    """Somebody tells that an address is theirs; ``sender`` is whom the message itself names."""
    own = ip_address(address).packed
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + _mac(sender or source) + own + bytes(6) + own
    return ethernet(source, 0x0806, body, vlan=vlan)


def udp(source: str, address: str, to: str, port: int, from_port: int = 40000, vlan: int | None = None) -> Frame:
    """A packet of UDP; IPv4 or IPv6 as the addresses are."""
    return _ip(source, address, to, 17, struct.pack("!HHHH", from_port, port, _ROOM + 8, 0), vlan)


def tcp(source: str, address: str, to: str, port: int) -> Frame:
    """The first packet of a TCP connection."""
    return _ip(source, address, to, 6, struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 5 << 4, 2, 1024, 0, 0))


def icmp(source: str, address: str, to: str, kind: int | None = None) -> Frame:
    """An echo request, or a message of another type."""
    six = ip_address(address).version == 6
    echo = 128 if six else 8
    return _ip(source, address, to, 58 if six else 1, struct.pack("!BBHI", echo if kind is None else kind, 0, 0, 0))


_ROOM = len(MARK) + 2


def _ip(source: str, address: str, to: str, protocol: int, body: bytes, vlan: int | None = None) -> Frame:
    own, theirs = ip_address(address), ip_address(to)
    length = len(body) + _ROOM
    if own.version == 6:
        head = struct.pack("!IHBB", 6 << 28, length, protocol, 255) + own.packed + theirs.packed
        return ethernet(source, 0x86DD, head + body, vlan=vlan)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, 64, protocol, 0) + own.packed + theirs.packed
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    check = ~(total + (total >> 16)) & 0xFFFF
    return ethernet(source, 0x0800, head[:10] + struct.pack("!H", check) + head[12:] + body, vlan=vlan)


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
