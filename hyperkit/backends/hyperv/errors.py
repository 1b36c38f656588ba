"""What Hyper-V says went wrong, as our errors: faults of WS-Management, return values of methods, jobs that failed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hyperkit.backends.hyperv.wsman.faults import (
    ACCESS_DENIED,
    INVALID_CLASS,
    INVALID_NAMESPACE,
    NO_NAMESPACE,
    WSManFault,
)
from hyperkit.errors import (
    AlreadyExists,
    BackendError,
    Busy,
    ConnectionFailed,
    ConnectionLost,
    HyperkitError,
    InvalidRequest,
    InvalidState,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TaskFailed,
    Timeout,
    Unsupported,
)


class MethodFailed(Exception):  # noqa: N818  as `WSManFault`: what the host says
    """A method's return value, or a job's error code.

    Attributes:
        method: ``Msvm_VirtualSystemManagementService.DefineSystem``, or what the job did.
        code: the number.
        reason: the host's words, in its own language; a method has none.
    """

    def __init__(self, method: str, code: int, reason: str = "") -> None:
        super().__init__(method, code, reason)
        self.method = method
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        meaning = _MEANINGS.get(self.code, "")
        said = self.reason.strip().rstrip(".") or meaning or "no words of the host's"
        return f"{self.method} failed: {said} ({self.code}{f', {meaning}' if meaning and meaning != said else ''})"


_MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        1: "not supported",
        2: "failed",
        3: "timeout",
        4: "invalid parameter",
        5: "invalid state",
        6: "incompatible parameters, or in use",
        4097: "invalid state transition",
        4098: "use of a timeout is not supported",
        4099: "busy",
        32768: "failed",
        32769: "access denied",
        32770: "not supported",
        32771: "status unknown",
        32772: "timeout",
        32773: "invalid parameter",
        32774: "system in use",
        32775: "invalid state",
        32776: "incorrect data type",
        32777: "system not available",
        32778: "out of memory",
        32779: "file not found, or in use",
        32780: "not ready, or insufficient resources",
        32781: "locked",
        32782: "shutdown in progress",
        32784: "not compatible",
        32787: "the chain of virtual disks does not fit together",
        32788: "object exists",
        32789: "object not found",
    }
)
"""Of Hyper-V's methods (their pages in Microsoft's win32 documentation); which of them a page lists says little about
which of them come.
"""

_KINDS: Mapping[int, type[HyperkitError]] = MappingProxyType(
    {
        1: Unsupported,
        3: Timeout,
        4: InvalidRequest,
        5: InvalidState,
        6: Busy,
        4097: InvalidState,
        4098: Unsupported,
        4099: Busy,
        32769: PermissionDenied,
        32770: Unsupported,
        32772: Timeout,
        32773: InvalidRequest,
        32774: Busy,
        32775: InvalidState,
        32776: InvalidRequest,
        32777: Busy,
        32778: ResourceExhausted,
        32780: Busy,
        32781: InvalidState,
        32782: InvalidState,
        32784: Unsupported,
        32788: AlreadyExists,
        32789: NotFound,
    }
)

_FILES: Mapping[int, type[HyperkitError]] = MappingProxyType(
    {2: PermissionDenied, 9: NotFound, 10: AlreadyExists, 14: Busy, 15: Busy, 17: PermissionDenied, 21: InvalidRequest}
)
"""Of ``CIM_DataFile`` and ``Win32_Directory``, which count otherwise."""

_NEEDS_RIGHTS = "the account needs to be in the host's group Hyper-V Administrators, or Administrators"


def translate(error: Exception) -> HyperkitError | None:
    """A fault or a failure of Hyper-V's, as ours; None if it is neither."""
    if isinstance(error, WSManFault):
        return _fault(error)
    if isinstance(error, MethodFailed):
        return _failure(error)
    return None


def _fault(fault: WSManFault) -> HyperkitError:
    text = str(fault)
    if NO_NAMESPACE in fault.codes or fault.wmi == INVALID_NAMESPACE:
        return ConnectionFailed(f"the host has no Hyper-V, or one older than Windows Server 2012 R2: {text}")
    if fault.is_denied or fault.wmi == ACCESS_DENIED:
        return PermissionDenied(f"{text}: {_NEEDS_RIGHTS}")
    if fault.is_not_found:
        return NotFound(text)
    if fault.wmi == INVALID_CLASS:
        return Unsupported(f"this version of Windows does not have it: {text}")
    if fault.is_timeout:
        return ConnectionLost(
            f"the host did not answer in time, and whether it did what it was asked is unknown: {text}"
        )
    if fault.is_quota:
        return ResourceExhausted(f"a quota of WinRM's is used up: {text}")
    return BackendError(text)


def _failure(failure: MethodFailed) -> HyperkitError:
    of_a_file = failure.method.startswith(("CIM_DataFile.", "Win32_Directory."))
    kind = (_FILES if of_a_file else _KINDS).get(failure.code, TaskFailed)
    return kind(str(failure))
