"""ThreadJob: one blocking call on one thread that ends with it."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from hyperkit import Cancelled, InvalidState, Progress, Task, TaskFailed, Timeout, VirtualClock
from hyperkit.jobs import FINISHED, DoneJob, Job, JobStatus, ThreadJob

CLOCK = VirtualClock()
LONG = 30.0


def ended(job: ThreadJob[object]) -> JobStatus[object]:
    """Its last status, once its thread has ended."""
    job.wait(LONG, CLOCK)
    return job.poll()


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("hyperkit-")}


def test_result() -> None:
    job: ThreadJob[object] = ThreadJob("save", lambda: 42)
    assert ended(job) == JobStatus(True, FINISHED, 42)


def test_an_exception_is_the_job_s_error() -> None:
    error = OSError("disk on fire")

    def fail() -> object:
        raise error

    status = ended(ThreadJob("save", fail))
    assert status.done
    assert status.error is error
    assert status.result is None


def test_even_an_exit_ends_the_job() -> None:
    def leave() -> object:
        raise SystemExit(3)

    status = ended(ThreadJob("save", leave))
    assert status.done
    assert isinstance(status.error, TaskFailed)
    assert "SystemExit(3)" in str(status.error)


def test_it_runs_on_one_named_thread_that_ends() -> None:
    seen: list[str] = []
    go = threading.Event()

    def call() -> object:
        seen.append(threading.current_thread().name)
        return go.wait(LONG)

    job: ThreadJob[object] = ThreadJob("managedSave-web1", call)
    assert not job.poll().done
    assert "hyperkit-managedSave-web1" in threads()
    assert not job._thread.daemon
    go.set()
    assert ended(job).result is True
    job._thread.join(LONG)
    assert seen == ["hyperkit-managedSave-web1"]
    assert not job._thread.is_alive()


def test_progress_is_read_while_it_runs_and_not_after() -> None:
    go = threading.Event()
    looks: list[int] = []

    def progress() -> Progress:
        looks.append(1)
        return Progress(0.25, "saving", 1, 4)

    job: ThreadJob[object] = ThreadJob("save", lambda: go.wait(LONG), progress=progress)
    assert job.poll() == JobStatus(False, Progress(0.25, "saving", 1, 4))
    go.set()
    assert ended(job).progress == FINISHED
    assert looks == [1]


def test_progress_that_cannot_be_read_is_not_known_and_ends_nothing() -> None:
    go = threading.Event()

    def progress() -> Progress:
        raise OSError("the domain is gone")

    job: ThreadJob[object] = ThreadJob("save", lambda: go.wait(LONG), progress=progress)
    assert job.poll() == JobStatus(False, Progress())
    go.set()
    assert ended(job).error is None


def test_without_progress_none_is_known() -> None:
    go = threading.Event()
    job: ThreadJob[object] = ThreadJob("save", lambda: go.wait(LONG))
    assert job.poll().progress == Progress(fraction=None)
    go.set()
    assert ended(job).done


def test_what_is_to_be_done_afterwards_is_done_before_the_job_ends() -> None:
    go = threading.Event()
    done: list[str] = []
    job: ThreadJob[object] = ThreadJob("save", lambda: go.wait(LONG))
    job.afterwards(lambda: done.append(threading.current_thread().name))
    assert done == []
    go.set()
    assert ended(job).done
    assert done == ["hyperkit-save"]
    job.join()
    job.afterwards(lambda: done.append("at once"))
    assert done == ["hyperkit-save", "at once"]


def test_the_call_has_the_context_of_whoever_made_the_job() -> None:
    asker: ContextVar[str] = ContextVar("asker")
    asker.set("me")
    assert ended(ThreadJob("save", asker.get)).result == "me"


def test_cancel_aborts_the_call_and_tells_cancelled() -> None:
    aborted = threading.Event()
    cause = OSError("operation aborted")

    def call() -> object:
        assert aborted.wait(LONG)
        raise cause

    job: ThreadJob[object] = ThreadJob("save", call, abort=aborted.set)
    job.cancel()
    status = ended(job)
    assert isinstance(status.error, Cancelled)
    assert status.error.__cause__ is cause


def test_a_cancel_that_was_too_late_is_a_result() -> None:
    go = threading.Event()
    job: ThreadJob[object] = ThreadJob("save", lambda: go.wait(LONG), abort=go.set)
    job.cancel()
    status = ended(job)
    assert (status.error, status.result) == (None, True)


def test_cancelling_what_has_ended_aborts_nothing() -> None:
    aborted: list[int] = []
    job: ThreadJob[object] = ThreadJob("save", lambda: 1, abort=lambda: aborted.append(1))
    assert ended(job).done
    job.cancel()
    assert aborted == []
    assert job.poll().result == 1


def test_an_error_without_cancel_is_not_cancelled() -> None:
    aborted: list[int] = []

    def fail() -> object:
        raise OSError("disk on fire")

    assert isinstance(ended(ThreadJob("save", fail, abort=lambda: aborted.append(1))).error, OSError)


def test_what_has_no_abort_cannot_be_cancelled() -> None:
    go = threading.Event()
    job: ThreadJob[object] = ThreadJob("save", lambda: go.wait(LONG))
    with pytest.raises(InvalidState, match="cannot be cancelled"):
        job.cancel()
    go.set()
    assert ended(job).result is True


def test_a_task_waits_for_the_thread_though_the_clock_is_virtual() -> None:
    go = threading.Event()
    job: ThreadJob[object] = ThreadJob("save", lambda: go.wait(LONG))
    task: Task[object] = Task(job, what="save", clock=CLOCK, finish=lambda result: result)
    with pytest.raises(Timeout):
        task.result(timeout=0)
    threading.Timer(0.01, go.set).start()
    assert task.result() is True


def test_a_done_job_is_done_and_cannot_be_undone() -> None:
    job: Job[str] = DoneJob("record")
    assert job.poll() == JobStatus(True, FINISHED, "record")
    job.cancel()
    assert job.poll().result == "record"


def test_a_job_waits_by_the_clock() -> None:
    clock = VirtualClock()
    DoneJob(1).wait(7, clock)
    assert clock.monotonic() == 7


@pytest.mark.parametrize("make", [Progress, lambda: JobStatus(False)])
def test_statuses_are_frozen(make: type) -> None:
    with pytest.raises(AttributeError):
        make().done = True
