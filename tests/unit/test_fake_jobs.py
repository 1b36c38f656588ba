"""When the fake's slow verbs end: at once, at the nth look, or after some time of its clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hyperkit
from hyperkit import (
    Cancelled,
    DiskSpec,
    GiB,
    Host,
    InvalidRequest,
    PowerState,
    ResourceExhausted,
    Task,
    Timeout,
    VMSpec,
)
from hyperkit.backends.fake.jobs import JobMode
from hyperkit.backends.fake.world import World
from hyperkit.jobs import Job
from hyperkit.testing import seed


def slow_verbs(host: Host) -> dict[str, Callable[[], Task[Any]]]:
    vm = host.vms.create("vm", disks=[DiskSpec(size=1 * GiB)])
    snapshot = vm.snapshots.create("s")
    other = host.vms.create("other").start()
    return {
        "create": lambda: host.vms.begin_create("new"),
        "start": vm.begin_start,
        "suspend": other.begin_suspend,
        "delete": host.vms.create("gone").begin_delete,
        "snapshot": lambda: vm.snapshots.begin_create("t"),
        "revert": snapshot.begin_revert,
        "snapshot delete": vm.snapshots.create("u").begin_delete,
    }


VERBS = ["create", "start", "suspend", "delete", "snapshot", "revert", "snapshot delete"]


@pytest.mark.parametrize("verb", VERBS)
def test_now_is_done_when_it_began(verb: str) -> None:
    task = slow_verbs(hyperkit.connect("fake://"))[verb]()
    assert task.done
    assert task.progress.fraction == 1.0


@pytest.mark.parametrize("verb", VERBS)
def test_polls_is_done_at_the_nth_look(verb: str) -> None:
    task = slow_verbs(hyperkit.connect("fake://?jobs=polls:4"))[verb]()
    assert [task.progress.fraction for _ in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert task.done


@pytest.mark.parametrize("verb", VERBS)
def test_seconds_is_done_when_they_have_passed(verb: str) -> None:
    host = hyperkit.connect("fake://?jobs=seconds:10")
    task = slow_verbs(host)[verb]()
    assert not task.done
    host.clock.sleep(5)
    assert task.progress.fraction == 0.5
    host.clock.sleep(4.9)
    assert not task.done
    host.clock.sleep(0.2)
    assert task.done


@pytest.mark.parametrize("jobs", ["polls:5", "seconds:3"])
def test_a_blocking_verb_waits_for_its_job(jobs: str) -> None:
    host = hyperkit.connect(f"fake://?jobs={jobs}")
    vm = host.vms.create("web1")
    assert vm.start().state is PowerState.RUNNING
    assert host.clock.monotonic() > 0


def test_waiting_takes_the_time_the_job_takes() -> None:
    host = hyperkit.connect("fake://?jobs=seconds:10")
    host.vms.create("web1")
    assert 10 <= host.clock.monotonic() < 11.1


def test_a_timeout_is_that_of_the_caller_and_the_job_goes_on() -> None:
    host = hyperkit.connect("fake://?jobs=seconds:10")
    task = host.vms.begin_create("web1")
    with pytest.raises(Timeout, match="create VM 'web1'"):
        task.result(timeout=4)
    assert host.clock.monotonic() == pytest.approx(4)
    assert len(host.vms.list()) == 0
    assert task.result(timeout=10).name == "web1"


def test_progress_is_told_at_each_look_that_finds_a_change() -> None:
    host = hyperkit.connect("fake://?jobs=polls:4")
    task = host.vms.begin_create("web1")
    told: list[tuple[float | None, str]] = []
    task.on_progress(lambda progress: told.append((progress.fraction, progress.phase)))
    task.result()
    assert told == [(0.25, "creating"), (0.5, "creating"), (0.75, "creating"), (1.0, "creating")]


@pytest.mark.parametrize("jobs", ["polls:5", "seconds:3"])
def test_a_cancelled_job_never_was(jobs: str) -> None:
    host = hyperkit.connect(f"fake://?jobs={jobs}")
    task = host.vms.begin_create("web1", disks=[DiskSpec(size=1 * GiB)])
    task.cancel()
    with pytest.raises(Cancelled):
        task.result()
    host.clock.sleep(60)
    assert len(host.vms.list()) == 0
    assert list(host.datastores.one(name="default").volumes) == []


def test_a_job_ends_whether_or_not_anybody_looks_at_it() -> None:
    host = hyperkit.connect("fake://?jobs=seconds:10")
    task = host.vms.begin_create("web1")
    host.clock.sleep(9)
    assert "web1" not in host.vms
    host.clock.sleep(2)
    vm = host.vms.one(name="web1")
    assert task.result() == vm
    vm.begin_start()
    vm.wait_for_state(PowerState.RUNNING, timeout=11)


def test_an_abandoned_job_that_fails_harms_nobody() -> None:
    host = hyperkit.connect("fake://?jobs=seconds:10")
    assert isinstance(host.native, World)
    seed(host.native, host={"memory": "1 GiB"})
    host.vms.create("big", memory=2 * GiB).begin_start()
    host.clock.sleep(20)
    assert [vm.state for vm in host.vms] == [PowerState.OFF]


def test_a_job_that_is_done_is_not_undone_by_cancel() -> None:
    host = hyperkit.connect("fake://?jobs=polls:1")
    task = host.vms.begin_create("web1")
    assert task.done
    task.cancel()
    assert task.result().name == "web1"
    job = host.driver.vms.create(VMSpec("web2"))
    assert isinstance(job, Job)
    assert job.poll().done
    job.cancel()
    assert job.poll().error is None


def test_a_job_fails_at_its_end_when_the_world_has_changed_meanwhile() -> None:
    host = hyperkit.connect("fake://?jobs=seconds:5")
    assert isinstance(host.native, World)
    seed(host.native, host={"memory": "10 GiB"})
    one, two = (host.vms.create(name, memory=6 * GiB) for name in ("one", "two"))
    first, second = one.begin_start(), two.begin_start()
    host.clock.sleep(5)
    assert first.result().state is PowerState.RUNNING
    with pytest.raises(ResourceExhausted):
        second.result()
    assert two.refresh().state is PowerState.OFF


@pytest.mark.parametrize("jobs", ["later", "polls", "polls:0", "polls:-1", "polls:1.5", "seconds:0", "seconds:x", ""])
def test_other_modes_are_refused_with_those_there_are(jobs: str) -> None:
    with pytest.raises(InvalidRequest, match="choose 'now', 'polls:3'"):
        JobMode.parse(jobs)


def test_modes_are_read_from_the_url() -> None:
    assert JobMode.parse("now") == JobMode()
    assert JobMode.parse("polls:3") == JobMode(polls=3)
    assert JobMode.parse("seconds:2.5") == JobMode(seconds=2.5)
