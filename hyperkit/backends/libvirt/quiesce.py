"""A guest whose file systems are flushed and held while its disks are taken.

libvirt does that too, with the snapshot. But it waits for ever for an agent that hangs, and when it ends in the middle
nobody thaws the guest. So the agent is asked here, with limits, and told to thaw however the snapshot ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from hyperkit.backends.libvirt import agent, errors
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.undo import insist, note
from hyperkit.errors import AgentUnavailable, InvalidState

_ANSWER = 5.0
"""Seconds for an answer that takes an agent no work."""
_FLUSHING = 60.0
"""Seconds for a guest to write what it has not written yet."""


def check_agent(domain: Any) -> None:
    """See that a guest can be quiesced. One call.

    Raises:
        AgentUnavailable: its agent does not answer.
        InvalidState: somebody else has frozen it, who is the one to thaw it.
    """
    if _asked(domain, "guest-fsfreeze-status", _ANSWER) == "frozen":
        raise _not_quiesced(domain, "somebody froze its file systems already; vm.guest.thaw() ends that")


@contextmanager
def quiesced(connection: Connection, domain: Any) -> Iterator[None]:
    """To be round what takes the disks of a domain that runs. One call, and three to thaw.

    Raises:
        AgentUnavailable: its agent does not freeze it.
    """
    vm_id, name = domain.UUIDString(), domain.name()

    def thaw() -> None:
        now = connection.domain(vm_id)
        if now.isActive():  # else what was frozen is gone with its memory
            agent.ask(now, "guest-fsfreeze-thaw", _ANSWER)

    stuck = f"file systems of VM {name!r} may be frozen still, see vm.guest.thaw()"
    try:
        _asked(domain, "guest-fsfreeze-freeze", _FLUSHING)
        yield
    except BaseException as error:
        if insist(connection, thaw, always=True) is not None:
            note(connection, error, stuck)
        raise
    failed = insist(connection, thaw, always=True)
    if failed is not None:
        note(connection, failed, f"the snapshot was taken, and {stuck}")
        raise failed


def _asked(domain: Any, command: str, seconds: float) -> Any:
    try:
        return agent.ask(domain, command, seconds)
    except libvirt.libvirtError as error:
        if errors.is_lost(error):
            raise
        raise _not_quiesced(domain, f"its guest's agent does not answer ({error})", AgentUnavailable) from error


def _not_quiesced(domain: Any, why: str, kind: type[InvalidState] = InvalidState) -> InvalidState:
    return kind(
        f"cannot quiesce VM {domain.name()!r}: {why}; no snapshot was taken. Let the guest run qemu-guest-agent, or "
        "take it with quiesce=False, as after a power cut",
        current="no agent" if kind is AgentUnavailable else "not quiesced",
        wanted="quiesced snapshot",
        allowed=("snapshot with quiesce=False",),
    )
