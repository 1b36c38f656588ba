"""Events, pushed by the host or found by comparing: users see no difference."""

from __future__ import annotations

from collections.abc import Iterator

from hyperkit.events import Event, VMChanged, VMCreated, VMDeleted, VMRebooted, VMStateChanged
from hyperkit.specs import DiskSpec
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import RUNNING_SNAPSHOT
from hyperkit.units import MiB


def following(stream: Iterator[Event]) -> Event:
    """The next event."""
    event = next(stream, None)
    assert event is not None, "no event came"
    return event


@behaviour("events.subscribe", "A VM that is created, changed and deleted is reported so, in this order.")
def test_a_vm_that_is_created_changed_and_deleted_is_reported_so(bed: Bed) -> None:
    stream = bed.host.events.stream(timeout=bed.timeout, interval=0.1)
    vm = bed.second.vms.create(bed.name_for("vm"), **bed.fields(cpus=1))
    created = following(stream)
    vm.configure(cpus=2)
    changed = following(stream)
    vm.delete()
    deleted = following(stream)
    assert [type(event) for event in (created, changed, deleted)] == [VMCreated, VMChanged, VMDeleted]
    assert {event.vm_id for event in (created, changed, deleted)} == {vm.id}
    assert isinstance(changed, VMChanged)
    assert "cpus" in changed.fields
    assert (created.before, deleted.after) == (None, None)


@behaviour("events.subscribe", "A change of state tells the states before and after.")
def test_a_change_of_state_tells_the_states_before_and_after(bed: Bed) -> None:
    vm = bed.vm()
    stream = bed.host.events.stream(timeout=bed.timeout, interval=0.1)
    states = []
    for verb in (vm.start, vm.stop):
        verb()
        event = following(stream)
        assert isinstance(event, VMStateChanged)
        assert event.vm_id == vm.id
        states.append((event.old, event.new))
    assert states == [(PowerState.OFF, PowerState.RUNNING), (PowerState.RUNNING, PowerState.OFF)]


@behaviour("events.subscribe", "Nothing is reported while nothing changes.")
def test_nothing_is_reported_while_nothing_changes(bed: Bed) -> None:
    vm = bed.running()
    stream = bed.host.events.stream(timeout=1, interval=0.2)
    bed.seen(vm).start().refresh()
    assert list(bed.second.vms.find(name=vm.name)) == [vm]
    assert list(stream) == []


@behaviour(
    "events.subscribe", "A reset is reported once, and is no change of state.", requires=("events_pushed", "reset")
)
def test_a_reset_is_reported_once_and_is_no_change_of_state(bed: Bed) -> None:
    vm = bed.running()
    stream = bed.host.events.stream(timeout=bed.timeout)
    bed.seen(vm).reset()
    rebooted = following(stream)
    assert (type(rebooted), rebooted.vm_id) == (VMRebooted, vm.id)
    vm.stop()
    assert isinstance(following(stream), VMStateChanged)


@behaviour(
    "events.subscribe",
    "A snapshot of a VM that runs is reported as no pause.",
    requires=("events_pushed", "snapshots", RUNNING_SNAPSHOT),
)
def test_a_snapshot_of_a_vm_that_runs_is_reported_as_no_pause(bed: Bed) -> None:
    vm = bed.running(disks=[DiskSpec(size=8 * MiB)])
    stream = bed.host.events.stream(timeout=bed.timeout)
    bed.seen(vm).snapshots.create(bed.name_for("snapshot"))
    vm.stop()
    stopped = next(event for event in stream if isinstance(event, VMStateChanged))
    assert (stopped.old, stopped.new) == (PowerState.RUNNING, PowerState.OFF)


@behaviour(
    "events.subscribe",
    "A stop and a start right after each other are both reported.",
    requires=("events_pushed",),
)
def test_a_stop_and_a_start_right_after_each_other_are_both_reported(bed: Bed) -> None:
    vm = bed.running()
    stream = bed.host.events.stream(timeout=bed.timeout)
    bed.seen(vm).stop().start().stop()
    states = [event.new for _, event in zip(range(3), stream, strict=False) if isinstance(event, VMStateChanged)]
    assert states == [PowerState.OFF, PowerState.RUNNING, PowerState.OFF]
