"""Jobs of a simulated host, from the method that begins them to their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("winrm", reason="no Python module winrm (pywinrm)")

from hyperkit.backends.hyperv.errors import MethodFailed
from hyperkit.backends.hyperv.jobs import JobOf, Work, done
from hyperkit.backends.hyperv.wsman import Client, Instance, Output, Reference
from hyperkit.clock import VirtualClock
from hyperkit.errors import Cancelled, InvalidState, TaskFailed
from hyperkit.work import finished
from tests.backends.hyperv.conftest import Connect
from tests.beds.hyperv_sim import HyperVSim
from tests.beds.hyperv_sim.rows import Row

SERVICE = Reference("Msvm_VirtualSystemManagementService", {"CreationClassName": "Msvm_VirtualSystemManagementService"})
METHOD = "Msvm_VirtualSystemManagementService.DefineSystem"


@pytest.fixture
def made(sim: HyperVSim) -> list[str]:
    """What the jobs have done; the service's method begins one."""
    done_by_jobs: list[str] = []
    rows = list(sim.repository.all(SERVICE.class_name))

    def define(_row: Row, _given: dict[str, Any]) -> Any:
        return sim.jobs.begin("Defining", lambda: done_by_jobs.append("made"))

    sim.repository.serve(SERVICE.class_name, lambda: rows, {"DefineSystem": define})
    return done_by_jobs


@pytest.fixture
def client(sim: HyperVSim, made: list[str], connect: Connect) -> Any:
    return connect(sim)


def define(client: Client) -> Output:
    return done(client.invoke(SERVICE, "DefineSystem"), METHOD)


def works(client: Client, count: int = 1) -> Work[str]:
    seen: Instance | None = None
    for _ in range(count):
        seen = yield define(client)
    return seen.text("Caption") if seen is not None else "nothing"


def test_a_job_is_looked_at_until_it_is_over(sim: HyperVSim, client: Any, made: list[str]) -> None:
    clock = VirtualClock()
    job = JobOf(client, works(client, 2))
    told = []
    while not (status := job.poll()).done:
        told.append((status.progress.fraction, status.progress.phase))
        job.wait(0.5, clock)
    assert (status.result, status.error, made) == ("Defining", None, ["made", "made"])
    assert told == [(0.25, "OK"), (0.5, "OK"), (0.75, "OK"), (0.25, "OK"), (0.5, "OK"), (0.75, "OK")]
    assert clock.monotonic() == 3.0
    assert sim.record.requests == 2 + 8


def test_a_method_that_is_done_at_once_costs_no_look(sim: HyperVSim, client: Any) -> None:
    def at_once() -> Iterator[Any]:
        seen = yield done(client.invoke(SERVICE, "GetSummaryInformation"), METHOD)
        return seen

    assert finished(JobOf(client, at_once()), 1, VirtualClock()) is None  # type: ignore[arg-type]
    assert sim.record.requests == 1


def test_a_method_that_refuses_is_raised_at_once(sim: HyperVSim, client: Any) -> None:
    rows = list(sim.repository.all(SERVICE.class_name))
    sim.repository.serve(SERVICE.class_name, lambda: rows, {"DefineSystem": lambda _row, _given: (32775, {})})
    with pytest.raises(MethodFailed) as caught:
        JobOf(client, works(client))
    assert str(caught.value) == f"{METHOD} failed: invalid state (32775)"


def test_a_job_that_fails_says_why(sim: HyperVSim, client: Any, made: list[str]) -> None:
    sim.jobs.next = {"ends_at": 60, "code": 32778, "words": "Nicht genügend Arbeitsspeicher."}
    with pytest.raises(MethodFailed, match="Defining failed: Nicht genügend Arbeitsspeicher") as caught:
        finished(JobOf(client, works(client)), 1, VirtualClock())
    assert (caught.value.code, made) == (32778, [])


def test_a_failure_is_raised_where_the_job_began(sim: HyperVSim, client: Any, made: list[str]) -> None:
    def undone() -> Work[str]:
        try:
            yield define(client)
        except MethodFailed:
            yield define(client)
            return "taken back"
        return "done"

    sim.jobs.next = {"ends_at": 10, "code": 32768}
    assert finished(JobOf(client, undone()), 1, VirtualClock()) == "taken back"
    assert made == ["made"]


def test_a_job_that_ends_with_warnings_is_done(sim: HyperVSim, client: Any, made: list[str]) -> None:
    sim.jobs.next = {"warns": True}
    assert finished(JobOf(client, works(client)), 1, VirtualClock()) == "Defining"
    assert made == ["made"]


@pytest.mark.parametrize("when", [0, 50])
def test_a_job_that_vanishes_ended_nobody_knows_how(sim: HyperVSim, client: Any, when: int) -> None:
    sim.jobs.next = {"vanishes_at": when}
    with pytest.raises(TaskFailed, match="forgotten"):
        finished(JobOf(client, works(client)), 1, VirtualClock())


def test_a_job_is_cancelled(sim: HyperVSim, client: Any, made: list[str]) -> None:
    job = JobOf(client, works(client))
    assert not job.poll().done
    job.cancel()
    status = job.poll()
    assert status.done
    assert isinstance(status.error, Cancelled)
    assert made == []


def test_a_job_that_cannot_be_cancelled_goes_on(sim: HyperVSim, client: Any, made: list[str]) -> None:
    sim.jobs.next = {"cancellable": False}
    job = JobOf(client, works(client))
    job.poll()
    with pytest.raises(InvalidState, match="runs to its end"):
        job.cancel()
    assert finished(job, 1, VirtualClock()) == "Defining"
    assert made == ["made"]


def test_cancelling_what_is_over_is_no_error(sim: HyperVSim, client: Any, made: list[str]) -> None:
    sim.jobs.next = {"step": 100}
    job = JobOf(client, works(client))
    assert job.poll().done
    job.cancel()
    assert job.poll().result == "Defining"
