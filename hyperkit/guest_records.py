"""What is reported of a guest, of a command in it and of its display: records like those of `hyperkit.records`."""

from __future__ import annotations

from datetime import datetime

import attrs


def _length(data: bytes) -> str:
    return f"<{len(data)} bytes>"


@attrs.frozen(slots=False, kw_only=True)
class UserRecord:
    """Somebody who is logged in to a guest."""

    name: str
    domain: str = ""
    since: datetime | None = None


@attrs.frozen(slots=False, kw_only=True)
class FilesystemRecord:
    """A file system that a guest has mounted; what is used moves by itself, and is not compared."""

    mountpoint: str
    type: str = ""
    size: int | None = None
    used: int | None = attrs.field(default=None, eq=False)


@attrs.frozen(slots=False, kw_only=True)
class GuestRecord:
    """A guest, as its own agent tells it; empty is what it did not tell.

    Attributes:
        hostname: what it calls itself.
        os_id: a short id of its system: ``ID`` of os-release on Linux (``debian``), ``mswindows`` on Windows.
        os_name: the system's name for people.
        os_version: as the system counts them (``12``).
        kernel: the kernel's release (``6.1.0-56-amd64``).
        arch: as ``uname -m`` says it.
        timezone: its abbreviation or name, in the guest's words.
        utc_offset: seconds east of UTC, now.
        users: who is logged in.
        filesystems: what is mounted, of disks.
    """

    hostname: str = ""
    os_id: str = ""
    os_name: str = ""
    os_version: str = ""
    kernel: str = ""
    arch: str = ""
    timezone: str = ""
    utc_offset: int | None = None
    users: tuple[UserRecord, ...] = ()
    filesystems: tuple[FilesystemRecord, ...] = ()


@attrs.frozen(slots=False)
class CommandResult:
    """How a command in a guest ended. What it said may be secret, and is not in its repr.

    Attributes:
        exit_code: None if a signal ended it.
        stdout: what it wrote to its standard output.
        stderr: what it wrote to its standard error.
        signal: the number of the signal that ended it.
        truncated: whether it said more than the host kept.
    """

    exit_code: int | None
    stdout: bytes = attrs.field(default=b"", repr=_length)
    stderr: bytes = attrs.field(default=b"", repr=_length)
    signal: int | None = attrs.field(default=None, kw_only=True)
    truncated: bool = attrs.field(default=False, kw_only=True)

    @property
    def ok(self) -> bool:
        """Whether it ended well: with exit code 0."""
        return self.exit_code == 0

    @property
    def text(self) -> str:
        r"""Its standard output, as UTF-8; a byte that is none stands for itself (``\xff``)."""
        return self.stdout.decode(errors="backslashreplace")


@attrs.frozen(slots=False, kw_only=True)
class DisplayRecord:
    """Where a running VM's display listens. Its password is for the host alone to know.

    Attributes:
        kind: the protocol: ``vnc``, ``spice``, ``rdp``.
        host: the address on the host that it listens at: ``127.0.0.1`` is for the host alone, ``0.0.0.0`` is all.
        port: None if it listens at none.
        tls_port: the one that is encrypted from the start.
        websocket: the one for browsers.
        socket: the path of a unix socket on the host.
    """

    kind: str
    host: str | None = None
    port: int | None = None
    tls_port: int | None = None
    websocket: int | None = None
    socket: str | None = None

    @property
    def url(self) -> str | None:
        """The same in one word, as virt-viewer takes it; None if nothing listens."""
        if self.socket is not None:
            return f"{self.kind}+unix://{self.socket}"
        if self.host is None or (self.port is None and self.tls_port is None):
            return None
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.kind}://{host}{port}" + ("" if self.tls_port is None else f"?tls-port={self.tls_port}")
