"""Every exception hyperkit raises, and nothing else leaves it.

::

    HyperkitError
      ConnectionFailed            the host could not be reached or refused the session
        AuthenticationFailed      ... because of who asked
      ConnectionLost              the session broke; `retryable`
      NotFound                    no such object on this host
      AlreadyExists               a name, MAC address or path is taken
      Ambiguous                   a label fits several objects
      InvalidState                the object is in a state that does not allow this
        AgentUnavailable          ... since nobody in the guest answers: it boots, or has no agent
      InvalidRequest              a value that no host would accept
      Unsupported                 this host lacks the capability
      ResourceExhausted           no memory, disk space or licence left
      Busy                        another job holds the object; `retryable`
      PermissionDenied            the account may not do this
      TaskFailed                  the host accepted the job, and the job failed
        CommandFailed             ... being a command in a guest, by its own account
      Timeout                     the caller's time ran out; the job may go on
      Cancelled                   the job was cancelled
      BackendError                the vendor said something hyperkit has no word for

An error carries where it happened (`backend`, `operation`, `resource`), whether the same call may
succeed later (`retryable`), and, as ``__cause__``, the vendor's own exception.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any


class HyperkitError(Exception):
    """The root of the tree.

    Attributes:
        backend: where it happened, as a URL without secrets; empty until known.
        operation: the contract's name of the call, such as ``vms.create``; empty until known.
        resource: the object it was about, in words a person reads (``VM 'web1'``); empty if none.
        retryable: whether the same call may succeed later without anybody changing anything.
    """

    retryable: bool = False

    def __init__(self, message: str = "", *, backend: str = "", operation: str = "", resource: str = "") -> None:
        super().__init__(message)
        self.backend = backend
        self.operation = operation
        self.resource = resource

    @property
    def message(self) -> str:
        """What went wrong, without the place it happened at."""
        return str(self.args[0]) if self.args else ""

    def __str__(self) -> str:
        where = f" on {self.backend}" if self.backend and self.backend not in self.message else ""
        about = f"{self.resource}: " if self.resource and self.resource not in self.message else ""
        return f"{about}{self.message}{where}"

    def located(self, *, backend: str = "", operation: str = "", resource: str = "") -> HyperkitError:
        """Fill in what is not known yet, and return this same error."""
        self.backend = self.backend or backend
        self.operation = self.operation or operation
        self.resource = self.resource or resource
        return self


class ConnectionFailed(HyperkitError):
    """The host could not be reached, or refused the session."""


class AuthenticationFailed(ConnectionFailed):
    """The host was reached and refused these credentials."""


class ConnectionLost(HyperkitError):
    """The session broke during a call. Whether the call took effect is unknown: look before repeating."""

    retryable = True


class NotFound(HyperkitError):
    """No such object on this host, or it is gone."""


class AlreadyExists(HyperkitError):
    """A name, MAC address, address or path that must be unique is taken."""


class Ambiguous(HyperkitError):
    """A label fits more than one object; use an id."""


class InvalidState(HyperkitError):
    """The object is in a state that does not allow this.

    Attributes:
        current: the state it is in.
        wanted: what was asked.
        allowed: what may be asked in this state.
    """

    def __init__(
        self,
        message: str = "",
        *,
        current: str = "",
        wanted: str = "",
        allowed: Iterable[str] = (),
        backend: str = "",
        operation: str = "",
        resource: str = "",
    ) -> None:
        super().__init__(message, backend=backend, operation=operation, resource=resource)
        self.current = current
        self.wanted = wanted
        self.allowed = tuple(allowed)

    def __str__(self) -> str:
        allowed = f" (allowed: {', '.join(self.allowed)})" if self.allowed else ""
        return f"{super().__str__()}{allowed}"


class AgentUnavailable(InvalidState):
    """Nobody answers inside the guest: its system is booting, or has no agent. Later it may succeed."""


class InvalidRequest(HyperkitError, ValueError):
    """A value that would not be accepted; raised before the host is touched wherever that can be known.

    Attributes:
        field: the name of the offending field, dotted where nested (``disks[0].size``).
        value: what was given.
    """

    def __init__(
        self,
        message: str = "",
        *,
        field: str = "",
        value: object = None,
        backend: str = "",
        operation: str = "",
        resource: str = "",
    ) -> None:
        super().__init__(message, backend=backend, operation=operation, resource=resource)
        self.field = field
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        """For the way to another process: a value that cannot go there goes as its repr."""
        state = dict(self.__dict__)
        try:
            pickle.dumps(self.value)
        except Exception:
            state["value"] = repr(self.value)
        return type(self), self.args, state


class Unsupported(HyperkitError):
    """This host lacks the capability; asking again will not help.

    Attributes:
        capability: the field of `Capabilities` that is false or too small.
    """

    def __init__(
        self,
        message: str = "",
        *,
        capability: str = "",
        backend: str = "",
        operation: str = "",
        resource: str = "",
    ) -> None:
        super().__init__(message, backend=backend, operation=operation, resource=resource)
        self.capability = capability


class ResourceExhausted(HyperkitError):
    """The host has no memory, disk space, address or licence left for this."""


class Busy(HyperkitError):
    """Another job holds the object; the same call may succeed when it ends."""

    retryable = True


class PermissionDenied(HyperkitError):
    """The account that is connected may not do this."""


class TaskFailed(HyperkitError):
    """The host accepted the job, and the job failed."""


class CommandFailed(TaskFailed):
    """A command ran in a guest and failed, by its own account.

    The message has neither its arguments nor what it said, since both may be secret.

    Attributes:
        result: the exit code and what the command said, as a `CommandResult`.
    """

    def __init__(
        self,
        message: str = "",
        *,
        result: Any = None,
        backend: str = "",
        operation: str = "",
        resource: str = "",
    ) -> None:
        super().__init__(message, backend=backend, operation=operation, resource=resource)
        self.result = result


class Timeout(HyperkitError, TimeoutError):
    """The caller's time ran out. The job on the host is not cancelled by this."""


class Cancelled(HyperkitError):
    """The job was cancelled before it could finish."""


class BackendError(HyperkitError):
    """The vendor said something hyperkit has no word for; its exception is in ``__cause__``."""
