"""Events, pushed by the host or found by comparing: users see no difference."""

from __future__ import annotations

from collections.abc import Iterator

from hyperkit.events import Event, VMChanged, VMCreated, VMDeleted, VMStateChanged
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour


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
