"""What an agent in a guest tells and does."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import libvirt

from hyperkit.backends.libvirt import agent, errors
from hyperkit.backends.libvirt.addresses import addresses
from hyperkit.backends.libvirt.late import Patience
from hyperkit.checks import refuse
from hyperkit.errors import NotFound, TaskFailed, Timeout
from hyperkit.guest_records import CommandResult, FilesystemRecord, GuestRecord, UserRecord
from hyperkit.jobs import FINISHED, Job, JobStatus, Progress
from hyperkit.records import AddressRecord
from hyperkit.specs import CommandSpec

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

_SECONDS = 5.0
"""How long an agent may take to begin a command, and to tell how far it is."""
_LONG_ANSWER = 60.0
"""How long the output of a command may take: the agent tells it once, and what comes too late is lost."""
_NO_PROGRAM = "No such file or directory"
"""Of GLib's g_spawn_async(), which the agent calls."""
_BYTES_PER_SECOND = 100_000
"""Of input, at the least: agents read their line in small pieces."""


class Guests:
    """See `hyperkit.driver.GuestPort`. Of a VM that was made without the agent's channel, libvirt says so."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._patience = Patience(connection.leave)

    def addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        """Four or five calls; see `hyperkit.backends.libvirt.addresses`."""
        return self._connection.repeat(lambda: addresses(self._connection.domain(vm_id), self._patience))

    def ping(self, vm_id: str, timeout: float) -> None:
        """Two calls."""
        self._connection.repeat(lambda: agent.ask(self._connection.domain(vm_id), "guest-ping", timeout))

    def info(self, vm_id: str, timeout: float) -> GuestRecord:
        """Six calls: the agent has a command for each thing."""
        return self._connection.repeat(lambda: _info(self._connection.domain(vm_id), timeout))

    def execute(self, vm_id: str, command: CommandSpec) -> Job[CommandResult]:
        """Two calls, and three at each look."""
        arguments: dict[str, Any] = {
            "path": command.argv[0],
            "arg": command.argv[1:],
            "capture-output": True,
            "input-data": base64.b64encode(command.input).decode(),
        }
        if command.env is not None:
            arguments["env"] = [f"{name}={value}" for name, value in command.env]
        question = json.dumps({"execute": "guest-exec", "arguments": arguments})
        if len(question) > agent.MOST:
            refuse(
                "input", f"{len(command.input)} bytes", "about 3 MB in all, with the arguments: libvirt carries no more"
            )
        seconds = _SECONDS + len(question) / _BYTES_PER_SECOND
        try:
            answer = agent.tell(self._connection.domain(vm_id), question, seconds)
        except libvirt.libvirtError as error:
            if _NO_PROGRAM in str(error):
                raise NotFound(f"the guest has no program {command.argv[0]!r} (libvirt: {error})") from error
            raise
        with agent.sense():
            return _Command(self._connection, vm_id, int(answer["pid"]))

    def freeze(self, vm_id: str, timeout: float) -> int:
        """Two calls."""
        try:
            count = agent.ask(self._connection.domain(vm_id), "guest-fsfreeze-freeze", timeout)
        except libvirt.libvirtError as error:
            if agent.BROKE_OFF in str(error):
                raise Timeout(f"the guest's agent ended while it froze the file systems ({error})") from error
            raise
        with agent.sense():
            return int(count)

    def thaw(self, vm_id: str, timeout: float) -> None:
        """Two calls."""
        self._connection.repeat(lambda: agent.ask(self._connection.domain(vm_id), "guest-fsfreeze-thaw", timeout))


def _info(domain: Any, timeout: float) -> GuestRecord:
    names = ("guest-get-host-name", "guest-get-osinfo", "guest-get-timezone", "guest-get-users", "guest-get-fsinfo")
    host, system, zone, users, filesystems = (agent.ask_if_able(domain, name, timeout) for name in names)
    with agent.sense():
        host, system, zone = host or {}, system or {}, zone or {}
        return GuestRecord(
            hostname=str(host.get("host-name", "")),
            os_id=str(system.get("id", "")),
            os_name=str(system.get("pretty-name") or system.get("name", "")),
            os_version=str(system.get("version-id", "")),
            kernel=str(system.get("kernel-release", "")),
            arch=str(system.get("machine", "")),
            timezone=str(zone.get("zone", "")),
            utc_offset=int(zone["offset"]) if "offset" in zone else None,
            users=tuple(_user(each) for each in users or ()),
            filesystems=tuple(_filesystem(each) for each in filesystems or ()),
        )


def _user(user: dict[str, Any]) -> UserRecord:
    since = user.get("login-time")
    return UserRecord(
        name=str(user["user"]),
        domain=str(user.get("domain", "")),
        since=None if since is None else datetime.fromtimestamp(since, UTC),
    )


def _filesystem(filesystem: dict[str, Any]) -> FilesystemRecord:
    size, used = filesystem.get("total-bytes"), filesystem.get("used-bytes")
    return FilesystemRecord(
        mountpoint=str(filesystem["mountpoint"]),
        type=str(filesystem.get("type", "")),
        size=None if size is None else int(size),
        used=None if used is None else int(used),
    )


_LOST = {
    "Unable to encode message payload": "it ended, and said more than libvirt carries, which is some 3 MB; let it write"
    " to a file",
    agent.BROKE_OFF: "the guest's agent broke off: the guest reset, the agent ended, or the command said"
    " more than 10 MB, after which libvirt talks to no agent until that, or the VM, is started again",
    "Invalid parameter 'pid'": "the guest's agent does not know it any more: it began anew, or answered too late",
}
"""Why nobody can tell any more how a command ended, by libvirt's words."""


class _Command(Job[CommandResult]):
    """A process in a guest. The agent tells how it ended once, and has no word for ending it."""

    def __init__(self, connection: Connection, vm_id: str, pid: int) -> None:
        self._connection = connection
        self._vm_id = vm_id
        self._pid = pid
        self._status: JobStatus[CommandResult] | None = None

    def poll(self) -> JobStatus[CommandResult]:
        if self._status is None:
            self._status = self._ask()
        return self._status or JobStatus(False, Progress(phase="running"))

    def _look(self, domain: Any) -> Any:
        agent.ask(domain, "guest-ping", _SECONDS)  # one that hangs is to be known soon
        return agent.ask(domain, "guest-exec-status", _LONG_ANSWER, pid=self._pid)

    def _ask(self) -> JobStatus[CommandResult] | None:
        try:
            look = self._connection.beside(lambda: self._look(self._connection.domain(self._vm_id)))
            said = self._connection.repeat(look)
        except libvirt.libvirtError as error:
            why = next((why for words, why in _LOST.items() if words in str(error)), None)
            if why is None:
                raise
            failed = TaskFailed(f"nobody knows how the command ended: {why}")
            failed.__cause__ = errors.translate(error)
            return JobStatus(True, error=failed)
        with agent.sense():
            if not said["exited"]:
                return None
            signal = said.get("signal")
            result = CommandResult(
                int(said["exitcode"]) if signal is None else None,
                base64.b64decode(said.get("out-data", "")),
                base64.b64decode(said.get("err-data", "")),
                signal=signal,
                truncated=bool(said.get("out-truncated") or said.get("err-truncated")),
            )
            return JobStatus(True, FINISHED, result)
