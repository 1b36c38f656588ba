"""Events: pushed or found by comparing, the same events for the same changes."""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import attrs
import pytest

from hyperkit import (
    VM,
    DiskSpec,
    Event,
    GiB,
    Host,
    InvalidRequest,
    KernelBoot,
    NicSpec,
    PowerState,
    StateReason,
    SystemClock,
    VirtualClock,
    VMChanged,
    VMCreated,
    VMDeleted,
    VMIOError,
    VMJobEnded,
    VMRebooted,
    VMStateChanged,
)
from hyperkit.backends.fake.world import World
from hyperkit.driver import Change
from hyperkit.events import events_of
from hyperkit.testing import Fake
from tests.unit.support import all_but, host_with, world_of

WAYS = ["pushed", "compared"]


def host_that(way: str, **more: Any) -> Host:
    return host_with(World(capabilities=all_but(events_pushed=way == "pushed"), **more))


def told(event: Event) -> tuple[object, ...]:
    """An event without its time."""
    extra: tuple[object, ...] = ()
    if isinstance(event, VMStateChanged):
        extra = (event.old, event.new)
    elif isinstance(event, VMChanged):
        extra = event.fields
    return (type(event).__name__, event.name, event.before, event.after, *extra)


CHANGES: list[tuple[str, Callable[[VM], object], list[tuple[object, ...]]]] = [
    ("start", lambda vm: vm.start(), [("VMStateChanged", "web1", PowerState.OFF, PowerState.RUNNING)]),
    ("rename", lambda vm: vm.rename("db1"), [("VMChanged", "db1", "name")]),
    ("configure", lambda vm: vm.configure(cpus=2, notes="n"), [("VMChanged", "web1", "cpus", "max_cpus", "notes")]),
    ("disk", lambda vm: vm.disks.attach(DiskSpec(size=GiB)), [("VMChanged", "web1", "disks")]),
    ("nic", lambda vm: vm.nics.attach(NicSpec()), [("VMChanged", "web1", "nics")]),
    ("create", lambda vm: vm.host.vms.create("new"), [("VMCreated", "new")]),
    ("delete", lambda vm: vm.delete(), [("VMDeleted", "web1")]),
    ("nothing", lambda vm: vm.refresh(), []),
    ("snapshot", lambda vm: vm.snapshots.create("s"), []),
]


@pytest.mark.parametrize(("change", "expected"), [(c, e) for _, c, e in CHANGES], ids=[name for name, _, _ in CHANGES])
def test_both_ways_tell_the_same(
    change: Callable[[VM], object], expected: list[tuple[object, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperkit.backends.fake.world._world_numbers", itertools.repeat(7))
    seen = {}
    for way in WAYS:
        host = host_that(way)
        vm = host.vms.create("web1")
        stream = host.events.stream(timeout=5)
        change(vm)
        seen[way] = [told(event) for event in stream]
    assert seen["pushed"] == seen["compared"]
    assert [(kind, name, *extra) for kind, name, _, _, *extra in seen["pushed"]] == expected


@pytest.mark.parametrize("way", WAYS)
def test_state_and_configuration_may_change_together(way: str) -> None:
    host = host_that(way)
    vm = host.vms.create("web1", cpus=2)
    clean = vm.start().snapshots.create("clean")
    vm.stop()
    vm.configure(cpus=4)
    stream = host.events.stream(timeout=5)
    clean.revert()
    events = list(stream)
    assert [type(event) for event in events] == [VMStateChanged, VMChanged]
    first, second = events
    assert isinstance(first, VMStateChanged)
    assert isinstance(second, VMChanged)
    assert (first.old, first.new) == (PowerState.OFF, PowerState.RUNNING)
    assert second.fields == ("cpus", "max_cpus")
    for event in events:
        assert event.vm_id == vm.id
        assert event.before is not None
        assert event.after is not None
        assert (event.before.cpus, event.after.cpus) == (4, 2)


@pytest.mark.parametrize("way", WAYS)
def test_from_the_call_on_in_order_until_the_time_is_up(way: str) -> None:
    host = host_that(way)
    vm = host.vms.create("web1", kernel=KernelBoot("/k"))
    began = host.clock.monotonic()
    stream = host.events.stream(timeout=30)
    vm.start()
    assert [type(next(stream))] == [VMStateChanged]
    vm.pause()
    assert [type(next(stream))] == [VMStateChanged]
    vm.delete(force=True)
    assert VMDeleted in [type(event) for event in stream]
    assert host.clock.monotonic() - began == pytest.approx(30)
    assert list(stream) == []


@pytest.mark.parametrize("way", WAYS)
def test_the_time_runs_from_the_call(way: str) -> None:
    host = host_that(way)
    vm = host.vms.create("web1")
    stream = host.events.stream(timeout=5)
    vm.start()
    host.clock.sleep(20)
    assert [type(event) for event in stream] == [VMStateChanged]
    assert host.clock.monotonic() == pytest.approx(20)


@pytest.mark.parametrize("way", WAYS)
def test_without_time_it_tells_what_is_there(way: str) -> None:
    host = host_that(way)
    stream = host.events.stream(timeout=0)
    host.vms.create("web1")
    assert [type(event) for event in stream] == [VMCreated]
    assert host.clock.monotonic() == 0


@pytest.mark.parametrize("way", WAYS)
def test_what_was_before_is_not_told(way: str) -> None:
    host = host_that(way)
    host.vms.create("web1").start()
    assert list(host.events.stream(timeout=3)) == []


@pytest.mark.parametrize("way", WAYS)
def test_several_streams_each_hear_all(way: str) -> None:
    host = host_that(way)
    streams = [host.events.stream(timeout=2) for _ in range(3)]
    host.vms.create("web1")
    assert [[type(event) for event in stream] for stream in streams] == [[VMCreated]] * 3


@pytest.mark.parametrize("way", WAYS)
def test_a_reason_alone_is_no_event(way: str) -> None:
    host = host_that(way)
    vm = host.vms.create("web1")
    stream = host.events.stream(timeout=2)
    world = world_of(host)
    world.update(world.machine(vm.id), reason=StateReason.FAILED)
    assert list(stream) == []


@pytest.mark.parametrize("way", WAYS)
def test_events_have_the_time_in_utc(way: str) -> None:
    host = host_that(way)
    host.clock.sleep(100)
    stream = host.events.stream(timeout=2)
    host.vms.create("web1")
    (event,) = stream
    assert event.time.utcoffset() == timedelta(0)
    assert event.time >= host.clock.utcnow() - timedelta(seconds=3)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_timeout_it_waits_as_long_as_it_takes(way: str) -> None:
    class Ticking(VirtualClock):
        """A clock in whose 2000th second somebody creates a VM."""

        def sleep(self, seconds: float) -> None:
            before = self.monotonic()
            super().sleep(seconds)
            if before < 2000 <= self.monotonic():
                host.vms.create("late")

    host = host_that(way, clock=Ticking())
    event = next(host.events.stream())
    assert (type(event), event.name) == (VMCreated, "late")
    assert 2000 <= host.clock.monotonic() <= 2002


# Pushed


def test_a_pushed_stream_reads_nothing_from_the_host() -> None:
    host = host_that("pushed")
    stream = host.events.stream(timeout=1)
    host.vms.create("web1")
    listed: list[int] = []
    host.driver.vms.list = lambda: listed.append(1) or []  # type: ignore[method-assign, func-returns-value]
    assert len(list(stream)) == 1
    assert listed == []


def read_to_the_end(stream: Iterator[Event]) -> None:
    assert list(stream) == []


def read_and_close(stream: Any) -> None:
    stream.close()


def forget(stream: Any) -> None:
    del stream
    gc.collect()


@pytest.mark.parametrize("end", [read_to_the_end, read_and_close, forget])
def test_a_stream_unsubscribes_at_its_end_even_if_nobody_read_it(end: Callable[[Any], None]) -> None:
    host = host_that("pushed")
    streams = [host.events.stream(timeout=1)]
    assert len(world_of(host).sinks) == 1
    end(streams.pop())
    assert world_of(host).sinks == []


# Compared


def test_a_port_that_the_capability_denies_is_not_used() -> None:
    """A version of the host may have the interface and no use of it."""
    world = World()
    host = host_with(world)
    host.driver = attrs.evolve(host.driver, capabilities=all_but(events_pushed=False))
    stream = host.events.stream(timeout=2)
    host.vms.create("web1")
    assert world.sinks == []
    assert [type(event) for event in stream] == [VMCreated]


def test_comparing_reads_every_interval() -> None:
    host = host_that("compared")
    times: list[float] = []
    inventory = host.driver.vms.list

    def noted() -> Any:
        times.append(host.clock.monotonic())
        return inventory()

    host.driver.vms.list = noted  # type: ignore[method-assign]
    list(host.events.stream(timeout=5, interval=2))
    assert times == [0, 0, 2, 4, 5]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("interval", [0, -1])
def test_an_interval_is_above_zero(way: str, interval: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        host_that(way).events.stream(interval=interval)
    assert (caught.value.field, caught.value.value) == ("interval", interval)


def test_comparing_tells_vms_in_one_order() -> None:
    host = host_that("compared")
    old = [host.vms.create(f"old{number}") for number in range(5)]
    stream = host.events.stream(timeout=1)
    for vm in old:
        vm.start()
    for number in range(5):
        host.vms.create(f"new{number}")
    assert [event.name for event in stream] == [f"{age}{number}" for age in ("old", "new") for number in range(5)]


def test_what_came_and_went_between_two_looks_is_not_seen() -> None:
    host = host_that("compared")
    stream = host.events.stream(timeout=3)
    host.vms.create("web1").delete()
    assert list(stream) == []


# events_of


def test_no_change_is_no_event() -> None:
    host = host_that("pushed")
    record = host.vms.create("web1").record
    assert list(events_of(Change(None, None), host.clock.utcnow())) == []
    assert list(events_of(Change(record, record), host.clock.utcnow())) == []


# What is in no record


@pytest.mark.parametrize("verb", [lambda fake, vm: vm.reset(), lambda fake, vm: vm.reboot(), Fake.reboot])
def test_a_reboot_is_told(hyperkit_fake: Fake, verb: Callable[[Fake, VM], object]) -> None:
    hyperkit_fake.seed(vms=[{"name": "web1", "state": "running", "disks": [{"size": "1 GiB"}]}])
    vm = hyperkit_fake.host.vms.one(name="web1")
    stream = hyperkit_fake.host.events.stream(timeout=1)
    verb(hyperkit_fake, vm)
    (event,) = stream
    assert (type(event), event.before, event.after) == (VMRebooted, vm.record, vm.record)


def test_a_disk_that_fails_is_told_after_the_pause_it_caused(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=[{"name": "web1", "state": "running", "disks": [{"size": "1 GiB"}]}])
    vm = hyperkit_fake.host.vms.one(name="web1")
    stream = hyperkit_fake.host.events.stream(timeout=1)
    hyperkit_fake.fail_disk(vm, vm.disks[0].id, full=True)
    paused, failure = stream
    assert isinstance(paused, VMStateChanged)
    assert isinstance(failure, VMIOError)
    assert (failure.disk_id, failure.path, failure.paused, failure.full) == (
        vm.disks[0].id, vm.disks[0].path, True, True
    )  # fmt: skip
    assert vm.refresh().reason is StateReason.IO_ERROR
    stream = hyperkit_fake.host.events.stream(timeout=1)
    vm.resume()
    hyperkit_fake.fail_disk("web1", vm.disks[0].id, paused=False)
    resumed, again = stream
    assert isinstance(resumed, VMStateChanged)
    assert isinstance(again, VMIOError)
    assert not again.paused
    assert vm.refresh().state is PowerState.RUNNING


def test_a_job_that_ended_is_told(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=["web1"])
    stream = hyperkit_fake.host.events.stream(timeout=1)
    hyperkit_fake.end_job("web1", "backup")
    hyperkit_fake.end_job("web1", "backup", error="no room")
    ended = [(event.job, event.error) for event in stream if isinstance(event, VMJobEnded)]
    assert ended == [("backup", None), ("backup", "no room")]


@pytest.mark.parametrize(
    "mishap",
    [
        lambda fake: fake.reboot("off"),
        lambda fake: fake.fail_disk("off", "d"),
        lambda fake: fake.fail_disk("on", "d"),
    ],
)
def test_nothing_happens_to_what_is_not_there(hyperkit_fake: Fake, mishap: Callable[[Fake], object]) -> None:
    hyperkit_fake.seed(vms=["off", {"name": "on", "state": "running"}])
    with pytest.raises(InvalidRequest):
        mishap(hyperkit_fake)


def test_real_time_does_not_pass_once_something_has_come() -> None:
    host = host_that("pushed", clock=SystemClock())
    stream = host.events.stream(timeout=60)
    timer = threading.Timer(0.3, lambda: host.vms.create("late"))
    timer.start()
    assert next(stream).name == "late"
    timer.join()
