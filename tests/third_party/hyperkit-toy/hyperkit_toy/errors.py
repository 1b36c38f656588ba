"""The vendor's reasons, and what each is in hyperkit."""

from __future__ import annotations

import errno

from hyperkit.errors import (
    AlreadyExists,
    HyperkitError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TaskFailed,
)
from hyperkit_toy.store import ToyError

REASONS: dict[str, type[HyperkitError]] = {
    "missing": NotFound,
    "taken": AlreadyExists,
    "not-an-image": InvalidRequest,
    "too-small": InvalidRequest,
    "broken-off": TaskFailed,
}

ERRNOS: dict[int, type[HyperkitError]] = {
    errno.EACCES: PermissionDenied,
    errno.EPERM: PermissionDenied,
    errno.EROFS: PermissionDenied,
    errno.ENOSPC: ResourceExhausted,
    errno.EDQUOT: ResourceExhausted,
}


def translate(error: Exception) -> HyperkitError | None:
    """Our word for an exception of the vendor's; None lets hyperkit report it as a `BackendError`."""
    if isinstance(error, ToyError):
        kind = REASONS.get(error.reason)
    elif isinstance(error, OSError):
        kind = ERRNOS.get(error.errno or 0)
    else:
        kind = None
    return kind(str(error)) if kind is not None else None
