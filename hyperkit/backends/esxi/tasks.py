"""Tasks of a host as jobs: several in a row, waited for by WaitForUpdatesEx, cancelled by CancelTask."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from hyperkit.backends.esxi.elements import Element
from hyperkit.clock import Clock
from hyperkit.jobs import Job, JobStatus

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

T = TypeVar("T")

Work = Generator[Any, Element | None, T]
"""Long work as it is written: a generator that yields each ``vim.Task`` that it started, gets that task's result
(an element, or None), and returns what the job results in. A task that fails is raised where it was yielded, as the
vendor's fault; so is `Cancelled`. What must be undone stands in ``except`` and ``finally``, and may yield tasks too.
"""


class TaskJob(Job[T]):
    """Carries out a `Work`: to its first task at once, on from task to task as it is polled."""

    def __init__(self, connection: Connection, work: Work[T]) -> None:
        raise AssertionError("under construction")

    def poll(self) -> JobStatus[T]:
        raise AssertionError("under construction")

    def wait(self, seconds: float, clock: Clock) -> None:
        raise AssertionError("under construction")

    def cancel(self) -> None:
        raise AssertionError("under construction")


def finished(connection: Connection, work: Work[T]) -> T:
    """Carry out a `Work` to its end, for the primitives that return a record.

    Raises:
        Exception: what the work raises.
    """
    raise AssertionError("under construction")
