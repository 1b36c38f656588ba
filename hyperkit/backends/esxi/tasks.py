"""Tasks of a host as jobs: several in a row, waited for by WaitForUpdatesEx, cancelled by CancelTask.

A task that is done when it is first looked at costs one round trip besides the call that started it. One that goes on
costs, besides, a filter, an answer for each of its changes, and the end of the filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pyVmomi import vim, vmodl

from hyperkit import work
from hyperkit.backends.esxi.collectors import Watch
from hyperkit.backends.esxi.elements import Element, number, text
from hyperkit.backends.esxi.faults import fault_in
from hyperkit.backends.esxi.scope import Ref
from hyperkit.clock import Clock, SystemClock
from hyperkit.errors import Cancelled, InvalidState, TaskFailed
from hyperkit.jobs import Progress

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

T = TypeVar("T")

Work = work.Work[Any, Element | None, T]
"""Yields each ``vim.Task`` that it started, and gets that task's result: an element, or None."""

_INFO = ("info.state", "info.progress", "info.descriptionId", "info.error", "info.result")
_ENTITY = "info.entity"
_OVER = ("success", "error")
_QUESTION = "runtime.question"


class _Followed(work.Step[Element | None]):
    """One task at the host, as far as it was looked at."""

    def __init__(self, connection: Connection, task: Any) -> None:
        self._connection = connection
        self._task = task
        self._ref = Ref(kind="Task", id=task._moId)
        self._values: dict[str, Element | None] | None = None
        self._watch: Watch | None = None
        self._waited = False
        self._gone = False
        self.question: Element | None = None

    def look(self) -> bool:
        if self._waited:
            self._waited = False
        else:
            self._see(0)
        return self._gone or self._state in _OVER

    def wait(self, seconds: float, clock: Clock) -> None:
        """Until something changes. Real time, in whole seconds, whatever the clock: the host is what waits."""
        del clock
        self._see(max(1, min(round(seconds), self._connection.longest_wait)))
        self._waited = True

    def _see(self, seconds: int) -> None:
        """See how it is; with time to spend, wait for a change, unless that is the first look."""
        try:
            if self._values is None:
                self._read()
            else:
                self._follow(seconds)
        except vmodl.fault.ManagedObjectNotFound as error:
            if error.obj is None or error.obj._moId == self._ref.id:
                self._gone = True
            # Else the collector went, or the VM that the task is about: it is looked at anew.
            self._forget()
        except (vim.fault.NotAuthenticated, vmodl.fault.RequestCanceled):
            self._forget()

    def _read(self) -> None:
        found = self._connection.properties.one("Task", self._ref.id, (*_INFO, _ENTITY))
        self._values = dict(found.values)

    def _follow(self, seconds: int) -> None:
        if self._watch is None:
            wanted: dict[Ref, tuple[str, ...]] = {self._ref: _INFO}
            entity = self._told.get(_ENTITY)
            if entity is not None and entity.get("type") == "VirtualMachine":
                wanted[Ref(kind="VirtualMachine", id=entity.text or "")] = (_QUESTION,)
            self._watch = Watch(self._connection, wanted)
            seconds = 0
        for update in self._watch.next(seconds):
            if update.ref != self._ref:
                self.question = update.values.get(_QUESTION, self.question)
            elif update.gone:
                self._gone = True
            elif self._values is not None:
                self._values.update(update.values)

    def _forget(self) -> None:
        """Look at it anew the next time."""
        self.leave()
        self._values = None

    def leave(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    @property
    def _told(self) -> Mapping[str, Element | None]:
        return self._values or {}

    @property
    def _state(self) -> str:
        """As TaskInfoState has it: queued, running, success, error."""
        return text(self._told.get("info.state"))

    def result(self) -> Element | None:
        if self._gone:
            raise TaskFailed("the host has forgotten the task: how it ended is unknown")
        if self._state == "success":
            return self._told.get("info.result")
        fault = fault_in(self._told.get("info.error"), self._connection.stub)
        if isinstance(fault, vmodl.fault.RequestCanceled):
            raise Cancelled("the task was cancelled") from fault
        raise fault

    @property
    def progress(self) -> Progress:
        percent = number(self._told.get("info.progress"))
        phase = text(self._told.get("info.descriptionId"))
        if self.question is not None:
            phase = f"waits for an answer to: {text(self.question, 'text')}"
        elif self._state == "queued":
            phase = f"{phase} (queued)".strip()
        return Progress(fraction=None if percent is None else min(max(percent, 0), 100) / 100, phase=phase)

    def cancel(self) -> None:
        try:
            self._task.CancelTask()
        except vmodl.fault.ManagedObjectNotFound:
            return  # it is over for long
        except (vmodl.fault.NotSupported, vim.fault.InvalidState) as error:
            now = self._connection.properties.one("Task", self._ref.id, _INFO[:1]).values
            if text(now.get("info.state")) not in _OVER:
                raise InvalidState("the host cannot cancel this task; it runs to its end", wanted="cancel") from error


class TaskJob(work.WorkJob[Any, Element | None, T]):
    """Carries out a `Work` of tasks.

    Raises:
        Exception: what the work raises before its first task.
    """

    def __init__(self, connection: Connection, steps: Work[T]) -> None:
        super().__init__(steps, lambda task: _Followed(connection, task))

    @property
    def question(self) -> Element | None:
        """What the VM waits for an answer to that the task is about, as last seen while it was followed."""
        return self.current.question if isinstance(self.current, _Followed) else None


def finished(connection: Connection, steps: Work[T]) -> T:
    """Carry out a `Work` to its end, for the primitives that return a record.

    Raises:
        Exception: what the work raises.
    """
    return work.finished(TaskJob(connection, steps), connection.longest_wait, SystemClock())
