"""QEMU's guest agent, asked through libvirt with a time limit for each question.

libvirt's own calls (``virDomainGetGuestInfo``, ``virDomainFSFreeze``, ``virDomainShutdown``) wait for ever for an agent
that hangs, a shutdown for a minute, and hold up whoever asks next. Their limit, ``virDomainAgentSetResponseTimeout``,
is the domain's: it would end the freeze of somebody else's backup too. So the agent's own commands are sent, each with
a limit of its own. What they mean: https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import libvirt
import libvirt_qemu

from hyperkit.backends.libvirt import errors
from hyperkit.errors import BackendError, Unsupported

MOST = 4 * 1024 * 1024 - 1024
"""Bytes of a question: libvirt's protocol carries texts of 4 MiB (``VIR_NET_MESSAGE_STRING_MAX``)."""

BROKE_OFF = "disappeared while executing"
"""What libvirt says of an agent that ended before it answered."""


def ask(domain: Any, command: str, seconds: float, **arguments: Any) -> Any:
    """What the agent returns.

    libvirt gives one that was late before five seconds more, to find back into step (``qemu_agent.c``).
    """
    question = {"execute": command, **({"arguments": arguments} if arguments else {})}
    return tell(domain, json.dumps(question), seconds)


def tell(domain: Any, question: str, seconds: float) -> Any:
    """`ask`, of a question that is JSON already."""
    answer = json.loads(libvirt_qemu.qemuAgentCommand(domain, question, max(1, math.ceil(seconds)), 0))
    with sense():
        return answer["return"]


def ask_if_able(domain: Any, command: str, seconds: float) -> Any:
    """`ask`, and None if the agent is too old for this command, or was told not to answer it."""
    try:
        return ask(domain, command, seconds)
    except libvirt.libvirtError as error:
        # Not of a VM that has no channel to an agent at all.
        refused = error.get_error_code() == libvirt.VIR_ERR_INTERNAL_ERROR
        if not refused or not isinstance(errors.translate(error), Unsupported):
            raise
        return None


def ask_to_stop(domain: Any, mode: str) -> bool:
    """Whether there was an agent to ask for a shutdown; ``mode`` is ``powerdown`` or ``reboot``.

    It does not answer that: once it has begun it is silent or gone, and so may be the VM.
    """
    there = False
    try:
        ask(domain, "guest-ping", 1)
        there = True
        ask(domain, "guest-shutdown", 1, mode=mode)
    except libvirt.libvirtError as error:
        code = error.get_error_code()
        if errors.is_lost(error) or code == libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return there and code in (libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_OPERATION_INVALID)
    return True


@contextmanager
def sense() -> Iterator[None]:
    """To be round what takes an answer apart: an agent is a program of the guest's, which may say anything."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BackendError("the guest's agent answered something that no agent should") from error
