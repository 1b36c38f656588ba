"""Names of port calls as tests write them: ``vms.create``, or a pattern such as ``vms.*``."""

from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cache

from hyperkit.driver import PORTS, operations
from hyperkit.errors import InvalidRequest

ALL = tuple(f"{port}.{method}" for port in PORTS for method in operations(port))
"""Every operation of the contract, in its order."""


def _may_be_a_job(operation: str) -> bool:
    port, _, method = operation.partition(".")
    # The contract's annotations are text, since it defers their evaluation.
    return "Job[" in str(getattr(PORTS[port], method).__annotations__["return"])


JOBS = tuple(operation for operation in ALL if _may_be_a_job(operation))
"""The operations that a host may answer with a job."""


@cache
def matching(pattern: str, among: tuple[str, ...] = ALL) -> frozenset[str]:
    """The operations that a name or pattern means.

    Raises:
        InvalidRequest: it means none; the error lists those there are.
    """
    found = frozenset(operation for operation in among if fnmatchcase(operation, pattern))
    if not found:
        kind = "port call" if among is ALL else "port call that may be a job"
        raise InvalidRequest(
            f"no {kind} is called {pattern!r}; there are {', '.join(among)}", field="operation", value=pattern
        )
    return found
