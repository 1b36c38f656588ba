"""Tasks of a host as jobs: several in a row, waited for by WaitForUpdatesEx, cancelled by CancelTask.

A task that is done when it is first looked at costs one round trip besides the call that started it. One that goes on
costs, besides, a filter, an answer for each of its changes, and the end of the filter.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from pyVmomi import vim, vmodl

from hyperkit.backends.esxi.collectors import Watch
from hyperkit.backends.esxi.elements import Element, number, text
from hyperkit.backends.esxi.faults import fault_in
from hyperkit.backends.esxi.scope import Ref
from hyperkit.clock import Clock, SystemClock
from hyperkit.errors import Cancelled, InvalidState, TaskFailed
from hyperkit.jobs import FINISHED, Job, JobStatus, Progress

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

T = TypeVar("T")

Work = Generator[Any, Element | None, T]
"""Long work as it is written: a generator that yields each ``vim.Task`` that it started, gets that task's result
(an element, or None), and returns what the job results in. A task that fails is raised where it was yielded, as the
vendor's fault; so is `Cancelled`. What must be undone stands in ``except`` and ``finally``, and may yield tasks too.
"""

_INFO = ("info.state", "info.progress", "info.descriptionId", "info.error", "info.result")
_ENTITY = "info.entity"
_OVER = ("success", "error")
_QUESTION = "runtime.question"


class _Followed:
    """One task at the host, as far as it was looked at."""

    def __init__(self, connection: Connection, task: Any) -> None:
        self._connection = connection
        self.task = task
        self._ref = Ref(kind="Task", id=task._moId)
        self._values: dict[str, Element | None] | None = None
        self.question: Element | None = None
        self._watch: Watch | None = None
        self.gone = False

    def look(self, seconds: int) -> None:
        """See how it is; with time to spend, wait for a change, unless that is the first look."""
        try:
            if self._values is None:
                self._read()
            else:
                self._follow(seconds)
        except vmodl.fault.ManagedObjectNotFound as error:
            if error.obj is None or error.obj._moId == self._ref.id:
                self.gone = True
            # Else the collector went, or the VM that the task is about: it is looked at anew.
            self.leave()
        except (vim.fault.NotAuthenticated, vmodl.fault.RequestCanceled):
            self.leave()

    def _read(self) -> None:
        found = self._connection.properties.one("Task", self._ref.id, (*_INFO, _ENTITY))
        self._values = dict(found.values)

    def _follow(self, seconds: int) -> None:
        if self._watch is None:
            wanted: dict[Ref, tuple[str, ...]] = {self._ref: _INFO}
            entity = (self._values or {}).get(_ENTITY)
            if entity is not None and entity.get("type") == "VirtualMachine":
                wanted[Ref(kind="VirtualMachine", id=entity.text or "")] = (_QUESTION,)
            self._watch = Watch(self._connection, wanted)
            seconds = 0
        for update in self._watch.next(seconds):
            if update.ref != self._ref:
                self.question = update.values.get(_QUESTION, self.question)
            elif update.gone:
                self.gone = True
            elif self._values is not None:
                self._values.update(update.values)

    def leave(self) -> None:
        """Look at it anew the next time."""
        watch, self._watch, self._values = self._watch, None, None
        if watch is not None:
            watch.close()

    @property
    def values(self) -> Mapping[str, Element | None]:
        return self._values or {}

    @property
    def state(self) -> str:
        """As TaskInfoState has it: queued, running, success, error."""
        return text(self.values.get("info.state"))

    @property
    def progress(self) -> Progress:
        percent = number(self.values.get("info.progress"))
        phase = text(self.values.get("info.descriptionId"))
        if self.question is not None:
            phase = f"waits for an answer to: {text(self.question, 'text')}"
        elif self.state == "queued":
            phase = f"{phase} (queued)".strip()
        return Progress(fraction=None if percent is None else min(max(percent, 0), 100) / 100, phase=phase)


class TaskJob(Job[T]):
    """Carries out a `Work`: to its first task at once, on from task to task as it is polled.

    Raises:
        Exception: what the work raises before its first task.
    """

    def __init__(self, connection: Connection, work: Work[T]) -> None:
        self._connection = connection
        self._work = work
        self._lock = threading.Lock()
        self._looked = False
        self._cancel = False
        self._status: JobStatus[T] | None = None
        self._current: _Followed | None = None
        self._step(work.send, None)

    def _step(self, onwards: Callable[[Any], Any], outcome: Any) -> None:
        """Let the work go on with what came of its task, to the next or its end."""
        try:
            task = onwards(outcome)
        except StopIteration as end:
            self._current, self._status = None, JobStatus(True, FINISHED, end.value)
            return
        except BaseException:
            self._current = None
            raise
        self._current = _Followed(self._connection, task)
        if self._cancel:
            with suppress(vmodl.MethodFault):
                task.CancelTask()

    def poll(self) -> JobStatus[T]:
        with self._lock:
            if self._status is None:
                try:
                    self._go_on()
                except Exception as error:
                    self._status = JobStatus(True, error=error)
            if self._status is not None:
                return self._status
            progress = self._current.progress if self._current is not None else Progress()
            return JobStatus(False, progress)

    def _go_on(self) -> None:
        """Look at the task, and on to the next as long as one after another is done."""
        while (followed := self._current) is not None:
            if not self._looked:
                try:
                    followed.look(0)
                except Exception as error:  # the host is not reached: how the task ends is unknown to the work
                    self._step(self._work.throw, error)
                    continue
            self._looked = False
            if followed.gone:
                failure: Exception = TaskFailed("the host has forgotten the task: how it ended is unknown")
            elif followed.state == "success":
                result = followed.values.get("info.result")
                followed.leave()
                self._step(self._work.send, result)
                continue
            elif followed.state == "error":
                failure = self._failure(fault_in(followed.values.get("info.error"), self._connection.stub))
            else:
                return
            followed.leave()
            self._step(self._work.throw, failure)

    def _failure(self, fault: Exception) -> Exception:
        if not isinstance(fault, vmodl.fault.RequestCanceled):
            return fault
        self._cancel = False  # what the work undoes is not to be cancelled
        cancelled = Cancelled("the task was cancelled")
        cancelled.__cause__ = fault
        return cancelled

    def wait(self, seconds: float, clock: Clock) -> None:
        """Until something changes. Real time, in whole seconds, whatever the clock: the host is what waits."""
        del clock
        with self._lock:
            if self._current is None or self._status is not None:
                return
            self._current.look(max(1, min(round(seconds), self._connection.longest_wait)))
            self._looked = True

    @property
    def question(self) -> Element | None:
        """What the VM waits for an answer to that the task is about, as last seen while it was followed."""
        return self._current.question if self._current is not None else None

    def cancel(self) -> None:
        followed = self._current
        if followed is None:
            return
        try:
            followed.task.CancelTask()
        except vmodl.fault.ManagedObjectNotFound:
            return  # it is over for long
        except (vmodl.fault.NotSupported, vim.fault.InvalidState) as error:
            now = self._connection.properties.one("Task", followed.task._moId, _INFO[:1]).values
            if text(now.get("info.state")) not in _OVER:
                raise InvalidState("the host cannot cancel this task; it runs to its end", wanted="cancel") from error
        self._cancel = True


def finished(connection: Connection, work: Work[T]) -> T:
    """Carry out a `Work` to its end, for the primitives that return a record.

    Raises:
        Exception: what the work raises.
    """
    job = TaskJob(connection, work)
    clock = SystemClock()
    while not (status := job.poll()).done:
        job.wait(connection.longest_wait, clock)
    if status.error is not None:
        raise status.error
    return status.result  # type: ignore[return-value]  # set whenever there is no error
