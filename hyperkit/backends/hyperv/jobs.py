"""Jobs of the host: asked how far they are, by the reference that the host gave, until they are over.

A job's own class tells what it is about: ``Msvm_ConcreteJob``, ``Msvm_StorageJob``, ``Msvm_MigrationJob``. The host
forgets jobs a few minutes after their end, and sometimes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import attrs

from hyperkit import work
from hyperkit.backends.hyperv.errors import MethodFailed
from hyperkit.backends.hyperv.wsman import Client, Instance, Output, Reference, WSManFault
from hyperkit.errors import Cancelled, InvalidState, TaskFailed
from hyperkit.jobs import Progress

T = TypeVar("T")

Work: TypeAlias = "work.Work[Output | Until, Instance | None, T]"
"""Yields each `Output` whose job may go on, and gets the job as it was last seen: None if there was none to look at.
An `Until` is waited for likewise.
"""

_COMPLETED, _TERMINATED, _KILLED, _EXCEPTION, _WITH_WARNINGS = 7, 8, 9, 10, 32768
_OVER = (_COMPLETED, _TERMINATED, _KILLED, _EXCEPTION, _WITH_WARNINGS)
"""Values of ``JobState``."""
_TERMINATE = 4
"""A job's ``RequestedState``."""


@attrs.frozen
class Until:
    """What is to come true after a job's end, such as a state that the host is on its way to.

    Attributes:
        true: looks.
        phase: what is waited for, in a few words.
    """

    true: Callable[[], bool]
    phase: str


def done(output: Output, method: str) -> Output:
    """A method that is done, or has begun a job.

    Raises:
        MethodFailed: it refused.
    """
    if output.code and not output.goes_on:
        raise MethodFailed(method, output.code)
    return output


class _Waiting(work.Step[Instance | None]):
    """What is waited for until it is so."""

    def __init__(self, until: Until) -> None:
        self._until = until
        self._given_up = False

    def look(self) -> bool:
        return self._given_up or self._until.true()

    def result(self) -> Instance | None:
        if self._given_up:
            raise Cancelled("nobody waits for it any more; the host goes on")
        return None

    @property
    def progress(self) -> Progress:
        return Progress(phase=self._until.phase)

    def cancel(self) -> None:
        self._given_up = True


class _Step(work.Step[Instance | None]):
    """What a method began."""

    def __init__(self, client: Client, output: Output) -> None:
        self._client = client
        self._job: Reference | None = output.job if output.goes_on else None
        self._seen: Instance | None = None
        self._cancelled = False
        self._gone = output.goes_on and output.job is None

    def look(self) -> bool:
        if self._job is None or self._gone:
            return True
        try:
            self._seen = self._client.get(self._job)
        except WSManFault as fault:
            if not fault.is_not_found:
                raise
            self._gone = True
        return self._gone or self._state in _OVER

    @property
    def _state(self) -> int:
        return (self._seen.number("JobState") if self._seen is not None else None) or 0

    def result(self) -> Instance | None:
        if self._gone and self._state not in _OVER:
            raise TaskFailed("the host has forgotten the job: how it ended is unknown")
        job = self._seen
        if job is None:
            return None
        code = job.number("ErrorCode") or 0
        # A job that is completed can have failed all the same.
        if self._state in (_COMPLETED, _WITH_WARNINGS) and not code:
            return job
        if self._cancelled and self._state in (_TERMINATED, _KILLED, _EXCEPTION):
            raise Cancelled("the job was cancelled")
        raise MethodFailed(job.text("Caption") or "the job", code or 32768, _words(job))

    @property
    def progress(self) -> Progress:
        if self._seen is None:
            return Progress()
        percent = self._seen.number("PercentComplete")
        fraction = None if percent is None else min(max(percent, 0), 100) / 100
        return Progress(fraction=fraction, phase=self._seen.text("JobStatus") or self._seen.text("Caption"))

    def cancel(self) -> None:
        if self._job is None or self._state in _OVER:
            return
        if self._seen is not None and not self._seen.flag("Cancellable"):
            raise InvalidState("the host cannot cancel this job; it runs to its end", wanted="cancel")
        try:
            output = self._client.invoke(self._job, "RequestStateChange", RequestedState=_TERMINATE)
        except WSManFault as fault:
            if fault.is_not_found:
                return  # it is over for long
            raise
        if output.code not in (0, 4096):
            raise InvalidState("the host cannot cancel this job; it runs to its end", wanted="cancel")
        self._cancelled = True


def _words(job: Instance) -> str:
    """What a job says of its failure: the summary, and the description if that says more."""
    summary, told = job.text("ErrorSummaryDescription").strip(), job.text("ErrorDescription").strip()
    return told if summary in told else f"{summary} {told}".strip()


class JobOf(work.WorkJob["Output | Until", Instance | None, T]):
    """Carries out a `Work`.

    Raises:
        Exception: what the work raises before its first job.
    """

    def __init__(self, client: Client, steps: Work[T]) -> None:
        super().__init__(steps, lambda begun: _Waiting(begun) if isinstance(begun, Until) else _Step(client, begun))
