"""Tasks: the only wait loop, and what somebody who holds a task can do with it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import hyperkit
from hyperkit import (
    Cancelled,
    DiskSpec,
    GiB,
    HyperkitError,
    InvalidRequest,
    InvalidState,
    NotFound,
    PowerState,
    Progress,
    SystemClock,
    Task,
    TaskFailed,
    Timeout,
    VirtualClock,
)
from hyperkit.clock import Clock
from hyperkit.datastore import VolumeCollection
from hyperkit.jobs import DoneJob, Job, JobStatus
from hyperkit.snapshot import Snapshot, SnapshotCollection
from hyperkit.tasks import as_job, wait_until
from hyperkit.vm import VM
from hyperkit.vms import VMCollection


class Recorded(VirtualClock):
    """A virtual clock that remembers each sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        super().sleep(seconds)


def after(looks: int, found: object = True) -> Callable[[], object]:
    """Something that comes at the Nth look."""
    countdown = iter(range(looks))
    return lambda: found if next(countdown) == looks - 1 else None


# wait_until


def test_what_is_there_at_once_costs_no_time() -> None:
    clock = Recorded()
    assert wait_until(lambda: "x", clock=clock, timeout=0, what="x") == "x"
    assert clock.sleeps == []


@pytest.mark.parametrize("found", [0, "", False, []])
def test_only_none_means_not_yet(found: object) -> None:
    assert wait_until(lambda: found, clock=Recorded(), timeout=0, what="x") == found


def test_pauses_grow_from_20_ms_to_a_second() -> None:
    clock = Recorded()
    wait_until(after(16), clock=clock, timeout=None, what="x")
    assert len(clock.sleeps) == 15
    assert clock.sleeps[0] == 0.02
    for shorter, longer in zip(clock.sleeps, clock.sleeps[1:], strict=False):
        assert longer == pytest.approx(min(shorter * 1.5, 1.0))
    assert clock.sleeps[-1] == 1.0


@pytest.mark.parametrize("timeout", [-1, "5", float("nan")])
def test_a_timeout_is_seconds(timeout: float) -> None:
    with pytest.raises(InvalidRequest, match="timeout="):
        wait_until(lambda: True, clock=VirtualClock(), timeout=timeout, what="it")


@pytest.mark.parametrize("timeout", [0, 0.0])
def test_without_time_it_looks_once(timeout: float) -> None:
    clock, looks = Recorded(), []
    with pytest.raises(Timeout):
        wait_until(lambda: looks.append(1), clock=clock, timeout=timeout, what="x")
    assert (len(looks), clock.sleeps) == (1, [])


def test_the_timeout_is_kept_exactly_and_looked_at_the_end() -> None:
    clock = Recorded()
    seen: list[float] = []
    with pytest.raises(Timeout, match=r"^waited 2\.5 s for VM 'web1' to be off$"):
        wait_until(lambda: seen.append(clock.monotonic()), clock=clock, timeout=2.5, what="VM 'web1' to be off")
    assert clock.monotonic() == pytest.approx(2.5)
    assert seen[-1] == pytest.approx(2.5)
    assert max(clock.sleeps) <= 1.0


def test_what_comes_at_the_last_moment_is_taken() -> None:
    clock = Recorded()
    assert wait_until(lambda: clock.monotonic() >= 2.5 or None, clock=clock, timeout=2.5, what="x") is True


def test_a_pause_of_ones_own_takes_the_place_of_sleep() -> None:
    clock = Recorded()
    paused: list[float] = []
    wait_until(after(3), clock=clock, timeout=None, what="x", pause=paused.append)
    assert paused == pytest.approx([0.02, 0.03])
    assert clock.sleeps == []


# Tasks


class Scripted(Job[str]):
    """A job that gives one status after another, and stays at the last."""

    def __init__(self, *script: JobStatus[str] | Exception) -> None:
        self.script = list(script)
        self.polls = 0
        self.cancelled = 0

    def poll(self) -> JobStatus[str]:
        self.polls += 1
        status = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(status, Exception):
            raise status
        return status

    def cancel(self) -> None:
        self.cancelled += 1
        self.script = [JobStatus(True, error=Cancelled("given up"))]


def at(fraction: float, phase: str = "copying") -> JobStatus[str]:
    return JobStatus(False, Progress(fraction, phase))


def done(result: str) -> JobStatus[str]:
    return JobStatus(True, Progress(1.0, "done"), result)


def task_of(job: Job[Any], clock: Clock | None = None) -> Task[str]:
    return Task(job, what="copy disk 'a'", clock=clock or VirtualClock(), finish=lambda result: f"<{result}>")


def test_a_result_is_finished_once_and_kept() -> None:
    finished: list[str] = []

    def finish(result: str) -> str:
        finished.append(result)
        return f"<{result}>"

    job = Scripted(at(0.5), done("x"))
    task = Task(job, what="copy", clock=VirtualClock(), finish=finish)
    assert [task.result(), task.result(0), task.result()] == ["<x>"] * 3
    assert finished == ["x"]
    assert job.polls == 2


def test_none_can_be_a_result() -> None:
    task: Task[None] = Task(DoneJob(None), what="delete", clock=VirtualClock(), finish=lambda _: None)
    assert task.result() is None
    assert task.done


def test_progress_is_told_at_each_change_and_only_then() -> None:
    task = task_of(Scripted(at(0.1), at(0.1), at(0.2), done("x")))
    told: list[float | None] = []
    both: list[float | None] = []
    task.on_progress(lambda progress: told.append(progress.fraction))
    task.on_progress(lambda progress: both.append(progress.fraction))
    assert told == []
    assert task.result() == "<x>"
    task.result()
    assert told == both == [0.1, 0.2, 1.0]


def test_done_and_progress_each_look_once() -> None:
    job = Scripted(at(0.1), at(0.2), done("x"))
    task = task_of(job)
    assert task.progress.fraction == 0.1
    assert [task.done, task.done] == [False, True]
    assert task.progress == Progress(1.0, "done")
    assert job.polls == 3


def test_a_timeout_leaves_the_job_alone() -> None:
    job, clock = Scripted(at(0.5)), VirtualClock()
    task = task_of(job, clock)
    with pytest.raises(Timeout, match=r"^waited 5 s for copy disk 'a'; it goes on at the host$"):
        task.result(timeout=5)
    assert job.cancelled == 0
    job.script = [done("x")]
    assert task.result(timeout=0) == "<x>"


def test_wait_does_not_raise_why_it_failed() -> None:
    task = task_of(Scripted(at(0.5), JobStatus(True, error=NotFound("gone"))))
    task.wait()
    task.wait(0)
    assert task.done
    with pytest.raises(NotFound):
        task.result()


@pytest.mark.parametrize("raised", [True, False])
def test_our_errors_come_as_they_are_each_time(raised: bool) -> None:
    error = NotFound("gone")
    task = task_of(Scripted(at(0.5), error if raised else JobStatus(True, error=error)))
    for _ in range(2):
        with pytest.raises(NotFound) as caught:
            task.result()
        assert caught.value is error
    assert task.done


def test_a_foreign_error_becomes_task_failed_with_its_cause() -> None:
    cause = OSError("disk on fire")
    task = task_of(Scripted(JobStatus(True, error=cause)))
    with pytest.raises(TaskFailed, match=r"^copy disk 'a' failed: disk on fire$") as caught:
        task.result()
    assert caught.value.__cause__ is cause


def test_cancel() -> None:
    job = Scripted(at(0.5))
    task = task_of(job)
    task.cancel()
    assert job.cancelled == 1
    with pytest.raises(Cancelled):
        task.result()


def test_cancelling_what_is_done_does_nothing() -> None:
    job = Scripted(done("x"))
    task = task_of(job)
    assert task.done
    task.cancel()
    assert job.cancelled == 0
    assert task.result() == "<x>"


def test_a_job_that_cannot_be_cancelled_says_so() -> None:
    class Stubborn(Job[str]):
        def poll(self) -> JobStatus[str]:
            return at(0.5)

    task = task_of(Stubborn())
    with pytest.raises(InvalidState, match="cannot be cancelled"):
        task.cancel()
    assert not task.done


def test_a_job_can_wake_its_waiter() -> None:
    class Pushed(Scripted):
        waits: list[float] = []

        def wait(self, seconds: float, clock: Clock) -> None:
            self.waits.append(seconds)
            self.script = [done("x")]

    clock = VirtualClock()
    job = Pushed(at(0.5))
    assert task_of(job, clock).result(timeout=60) == "<x>"
    assert len(job.waits) == 1
    assert clock.monotonic() == 0


def test_waiting_without_a_wakeup_lets_the_clock_run() -> None:
    clock = VirtualClock()
    task_of(Scripted(at(0.1), at(0.2), done("x")), clock).result()
    assert clock.monotonic() == pytest.approx(0.02 + 0.03)


@pytest.mark.parametrize(
    ("script", "state"),
    [
        ([JobStatus[str](False)], "running"),
        ([at(0.25)], "running 25%"),
        ([done("x")], "done"),
        ([JobStatus[str](True, error=NotFound("gone"))], "failed: NotFound"),
    ],
)
def test_repr_says_how_it_stands_without_looking(script: list[JobStatus[str]], state: str) -> None:
    job = Scripted(*script)
    task = task_of(job)
    assert repr(task) == f"<Task {task.id} \"copy disk 'a'\" running>"
    assert job.polls == 0
    assert task.done in (True, False)
    assert repr(task) == f"<Task {task.id} \"copy disk 'a'\" {state}>"


def test_ids_differ() -> None:
    assert task_of(DoneJob("a")).id != task_of(DoneJob("a")).id


def test_as_job() -> None:
    job = Scripted(done("x"))
    assert as_job(job) is job
    assert as_job("record").poll() == JobStatus(True, Progress(1.0, "done"), "record")


# Clocks


def test_virtual_time_passes_only_by_waiting_and_never_back() -> None:
    clock = VirtualClock(datetime(2030, 1, 1, tzinfo=UTC))
    assert (clock.monotonic(), clock.utcnow()) == (0, datetime(2030, 1, 1, tzinfo=UTC))
    clock.sleep(90)
    clock.advance(0.5)
    assert clock.monotonic() == 90.5
    assert clock.utcnow() == datetime(2030, 1, 1, 0, 1, 30, 500_000, tzinfo=UTC)
    assert repr(clock) == "VirtualClock(elapsed=90.5)"
    with pytest.raises(ValueError, match="cannot go back"):
        clock.advance(-1)


def test_system_time_is_aware_and_does_not_go_back() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    clock.sleep(0)
    assert clock.monotonic() >= before
    assert clock.utcnow().utcoffset() == timedelta(0)


# Slow verbs


TWINS = [
    (VMCollection, "create"),
    (VM, "start"),
    (VM, "suspend"),
    (VM, "clone"),
    (VM, "consolidate"),
    (VM, "delete"),
    (SnapshotCollection, "create"),
    (Snapshot, "revert"),
    (Snapshot, "delete"),
    (VolumeCollection, "create"),
]
WAITS = {"shutdown", "wait_for", "wait_for_state", "wait_for_address"}
"""They look again and again instead of waiting for one job."""


@pytest.mark.parametrize(("kind", "verb"), TWINS)
def test_slow_verbs_have_a_twin_with_the_same_arguments(kind: type, verb: str) -> None:
    slow = inspect.signature(getattr(kind, verb)).parameters
    twin = inspect.signature(getattr(kind, f"begin_{verb}")).parameters
    assert "timeout" in slow
    assert [p for name, p in slow.items() if name != "timeout"] == list(twin.values())


def test_these_are_all_that_can_be_slow() -> None:
    found = {
        (kind, name)
        for kind in (VMCollection, VM, SnapshotCollection, Snapshot, VolumeCollection)
        for name, function in inspect.getmembers(kind, inspect.isfunction)
        if "timeout" in inspect.signature(function).parameters and name not in WAITS
    }
    assert found == set(TWINS)


def test_every_twin_works_on_a_slow_host() -> None:
    host = hyperkit.connect("fake://?jobs=seconds:10")
    clock = host.clock

    def run(task: Task[Any]) -> Any:
        assert not task.done
        before = clock.monotonic()
        result = task.result(timeout=60)
        assert clock.monotonic() - before >= 10
        return result

    vm = run(host.vms.begin_create("web1", disks=[DiskSpec(size=GiB)]))
    assert run(vm.begin_start()).state is PowerState.RUNNING
    clean = run(vm.snapshots.begin_create("clean"))
    assert run(vm.begin_suspend()).state is PowerState.SUSPENDED
    assert run(clean.begin_revert()).state is PowerState.RUNNING
    assert run(vm.begin_clone("web2", snapshot=clean)).name == "web2"
    assert run(clean.begin_delete()) is None
    assert run(vm.begin_consolidate()) is vm
    volume = run(host.datastores.one(name="default").volumes.begin_create("data", GiB))
    assert volume.size == GiB
    vm.stop()
    assert run(vm.begin_delete()) is None
    assert [left.name for left in host.vms] == ["web2"]


def test_cancelling_on_the_fake_leaves_nothing() -> None:
    host = hyperkit.connect("fake://?jobs=polls:3")
    task = host.vms.begin_create("web1", disks=[DiskSpec(size=GiB)])
    assert task.progress.fraction == pytest.approx(1 / 3)
    task.cancel()
    with pytest.raises(Cancelled):
        task.result()
    assert len(host.vms.list()) == 0
    assert len(host.datastores.one(name="default").volumes.list()) == 0


def test_a_failure_at_the_end_of_a_job_is_told_by_the_task() -> None:
    host = hyperkit.connect("fake://?jobs=polls:3")
    first, second = host.vms.begin_create("web1"), host.vms.begin_create("web1")
    assert first.result().name == "web1"
    with pytest.raises(HyperkitError, match="exists already") as caught:
        second.result()
    assert caught.value.operation == "vms.create"
    assert caught.value.backend == host.url


def test_an_error_of_a_job_says_what_it_was_about() -> None:
    failed: JobStatus[str] = JobStatus(True, error=NotFound("no such file"))
    task = Task(Scripted(failed), what="create VM 'a'", clock=VirtualClock(), finish=lambda r: r, resource="VM 'a'")
    with pytest.raises(NotFound) as raised:
        task.result()
    assert raised.value.resource == "VM 'a'"
    broken: JobStatus[str] = JobStatus(True, error=OSError("broken"))
    task = Task(Scripted(broken), what="create VM 'a'", clock=VirtualClock(), finish=lambda r: r, resource="VM 'a'")
    with pytest.raises(TaskFailed) as told:
        task.result()
    assert told.value.resource == "VM 'a'"


@pytest.mark.parametrize("bad", ["60", True, float("nan"), -1])
def test_a_timeout_that_is_none_is_refused_before_anything_is_begun(bad: Any) -> None:
    host = hyperkit.connect("fake://")
    vm = host.vms.create("there").start()
    for call in (
        lambda: host.vms.create("new", timeout=bad),
        lambda: vm.delete(force=True, timeout=bad),
        lambda: vm.suspend(timeout=bad),
        lambda: vm.snapshots.create("s", timeout=bad),
        lambda: vm.shutdown(timeout=bad),
        lambda: vm.clone("copy", timeout=bad),
    ):
        with pytest.raises(InvalidRequest) as caught:
            call()
        assert caught.value.field == "timeout"
    assert [each.name for each in host.vms] == ["there"]
    assert (vm.refresh().state.value, vm.snapshots.list()) == ("running", [])
