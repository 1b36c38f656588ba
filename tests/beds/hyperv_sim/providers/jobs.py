"""Jobs: each look at one brings it on, and what it does is done at its end."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from tests.beds.hyperv_sim.rows import Ref, Repository, Result, Row

RUNNING, COMPLETED, TERMINATED, EXCEPTION, WITH_WARNINGS = 4, 7, 8, 10, 32768
STARTED = 4096
_TERMINATE, _KILL = 4, 5
_INVALID_STATE = 32775


@attrs.define
class Job:
    """What goes on.

    Attributes:
        ends_at: percent at which it is over: less than 100 is a failure, with the code and words.
        vanishes_at: percent at which the host forgets it.
        warns: whether it ends with warnings.
    """

    number: int
    kind: str
    caption: str
    work: Callable[[], object]
    step: int = 25
    cancellable: bool = True
    ends_at: int = 100
    code: int = 0
    words: str = ""
    vanishes_at: int | None = None
    warns: bool = False
    percent: int = 0
    state: int = RUNNING

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, {"InstanceID": f"JOB-{self.number:04X}"})

    def look(self) -> None:
        """Go on a little."""
        if self.state != RUNNING:
            return
        self.percent = min(self.percent + self.step, self.ends_at)
        if self.percent < self.ends_at:
            return
        if self.code:
            self.state = EXCEPTION
            return
        self.work()
        self.state = WITH_WARNINGS if self.warns else COMPLETED

    def row(self) -> Row:
        over = self.state != RUNNING
        return Row(
            self.kind,
            {
                **self.ref.keys,
                "Caption": self.caption,
                "JobState": self.state,
                "JobStatus": "Error" if self.state == EXCEPTION else "OK",
                "PercentComplete": self.percent,
                "Cancellable": self.cancellable and not over,
                "ErrorCode": self.code if over else 0,
                "ErrorDescription": self.words if over and self.code else None,
            },
        )


class Jobs:
    """All jobs of a host.

    Attributes:
        next: what the next job is to be like, besides what it does (see `Job`).
    """

    def __init__(self, repository: Repository) -> None:
        self._jobs: dict[int, Job] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self.next: dict[str, Any] = {}
        for kind in ("Msvm_ConcreteJob", "Msvm_StorageJob"):
            repository.serve(kind, lambda kind=kind: self._rows(kind), {"RequestStateChange": self._change})  # type: ignore[misc]

    def begin(self, caption: str, work: Callable[[], object], kind: str = "Msvm_ConcreteJob") -> Result:
        """What a method answers that goes on."""
        with self._lock:
            job = Job(next(self._numbers), kind, caption, work, **self.next)
            self.next = {}
            self._jobs[job.number] = job
        return STARTED, {"Job": job.ref}

    def _rows(self, kind: str) -> Iterator[Row]:
        with self._lock:
            for job in [each for each in self._jobs.values() if each.kind == kind]:
                job.look()
                if job.vanishes_at is not None and job.percent >= job.vanishes_at:
                    del self._jobs[job.number]
                else:
                    yield job.row()

    def _change(self, row: Row, given: dict[str, Any]) -> Result:
        with self._lock:
            job = next(each for each in self._jobs.values() if each.ref.keys["InstanceID"] == row.get("InstanceID"))
            if job.state != RUNNING or not job.cancellable or given["RequestedState"] not in (_TERMINATE, _KILL):
                return _INVALID_STATE, {}
            job.state, job.code, job.words = TERMINATED, 32772, "Der Vorgang wurde abgebrochen."
        return 0, {}
