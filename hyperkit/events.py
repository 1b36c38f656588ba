"""What happens on a host: typed events, pushed by the host or found by comparing records."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from hyperkit import checks
from hyperkit.checks import refuse
from hyperkit.clock import SystemClock
from hyperkit.driver import Change, IOFailure, JobEnd, Occurrence, Reboot
from hyperkit.errors import HyperkitError, Timeout
from hyperkit.records import VMRecord
from hyperkit.states import PowerState
from hyperkit.tasks import wait_until

if TYPE_CHECKING:
    from hyperkit.host import Host


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened to a VM.

    Attributes:
        time: when hyperkit learned of it, UTC.
        vm_id: which VM.
        name: its name then.
        before: its record before; None if it was not there.
        after: its record after; None if it is gone.
    """

    time: datetime
    vm_id: str
    name: str
    before: VMRecord | None
    after: VMRecord | None


@attrs.frozen(kw_only=True)
class VMCreated(Event):
    """A VM came into being, by whoever's hand."""


@attrs.frozen(kw_only=True)
class VMDeleted(Event):
    """A VM is gone."""


@attrs.frozen(kw_only=True)
class VMStateChanged(Event):
    """A VM's power state changed."""

    old: PowerState
    new: PowerState


@attrs.frozen(kw_only=True)
class VMChanged(Event):
    """Something else about a VM changed; ``fields`` names what, as in `VMRecord`."""

    fields: tuple[str, ...]


@attrs.frozen(kw_only=True)
class VMRebooted(Event):
    """What is in a VM began afresh, while the VM stayed switched on: by `reset`, `reboot` or its own will.

    Only where the host reports changes by itself (``events_pushed``), like the two below.
    """


@attrs.frozen(kw_only=True)
class VMIOError(Event):
    """The host could not read or write a disk of a VM.

    Attributes:
        disk_id: that of its `DiskRecord` or `CdromRecord`; None if the host names none.
        path: the file, if the host names it.
        paused: whether the host paused the VM for it; `VM.resume` tries again.
        full: whether the datastore had no room left.
    """

    disk_id: str | None
    path: str
    paused: bool
    full: bool


@attrs.frozen(kw_only=True)
class VMJobEnded(Event):
    """Long work of the host on a VM has ended, whoever began it.

    Attributes:
        job: what it was, in a word or two: ``save``, ``migration out``, ``backup``.
        error: why it failed, in the host's words; None if it went well.
    """

    job: str
    error: str | None


def events_of(happened: Change | Occurrence, time: datetime) -> Iterator[Event]:
    """The events in what a backend reports: a state and a configuration may change together."""
    if isinstance(happened, Change):
        yield from _changes(happened, time)
        return
    vm = happened.vm
    about: Any = {"time": time, "vm_id": vm.id, "name": vm.name, "before": vm, "after": vm}
    if isinstance(happened, IOFailure):
        yield VMIOError(
            disk_id=happened.disk_id, path=happened.path, paused=happened.paused, full=happened.full, **about
        )
    elif isinstance(happened, JobEnd):
        yield VMJobEnded(job=happened.job, error=happened.error, **about)
    elif isinstance(happened, Reboot):
        yield VMRebooted(**about)


def _changes(change: Change, time: datetime) -> Iterator[Event]:
    before, after = change.before, change.after
    present = after or before
    if present is None:
        return
    about = {"time": time, "vm_id": present.id, "name": present.name, "before": before, "after": after}
    if before is None:
        yield VMCreated(**about)  # type: ignore[arg-type]  # one dict for four signatures
    elif after is None:
        yield VMDeleted(**about)  # type: ignore[arg-type]
    else:
        if before.state is not after.state:
            yield VMStateChanged(old=before.state, new=after.state, **about)  # type: ignore[arg-type]
        fields = tuple(
            field.name
            for field in attrs.fields(VMRecord)
            if field.eq
            and field.name not in ("state", "reason")
            and getattr(before, field.name) != getattr(after, field.name)
        )
        if fields:
            yield VMChanged(fields=fields, **about)  # type: ignore[arg-type]


_Told = Change | Occurrence | HyperkitError


class EventSource:
    """``host.events``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def stream(self, *, timeout: float | None = None, interval: float = 1.0) -> Iterator[Event]:
        """The events from this call on, as they come; ends after ``timeout`` seconds.

        Where the host does not report changes by itself (capability ``events_pushed``), all records are read every
        ``interval`` seconds and compared; what came and went in between is not seen.

        Raises:
            HyperkitError: nothing more can be told, since the connection was closed, for instance.
        """
        checks.timeout(timeout)
        deadline = None if timeout is None else self._host.clock.monotonic() + timeout
        if type(interval) not in (int, float) or not interval > 0:
            refuse("interval", interval, "seconds between two looks, above 0")
        if self._host.driver.events is not None and self._host.capabilities.events_pushed:
            pushed: queue.SimpleQueue[_Told] = queue.SimpleQueue()
            end = self._host.driver.events.subscribe(pushed.put)
            stream = self._pushed(pushed, end, deadline)
            next(stream)  # into its try: a stream that nobody reads from unsubscribes too when it is forgotten
            return stream
        return self._compared(self._inventory(), deadline, interval)

    def _inventory(self) -> dict[str, VMRecord]:
        return {record.id: record for record in self._host.driver.vms.list()}

    def _pushed(
        self, pushed: queue.SimpleQueue[_Told], end: Callable[[], None], deadline: float | None
    ) -> Generator[Any, None, None]:
        clock = self._host.clock
        came: list[_Told] = []

        def now() -> Any:  # mypy makes an object of what is None or one of two
            with contextlib.suppress(queue.Empty):
                return came.pop() if came else pushed.get_nowait()
            return None

        def pause(seconds: float) -> None:
            if not isinstance(clock, SystemClock):
                clock.sleep(seconds)
                return
            with contextlib.suppress(queue.Empty):  # real time need not pass once something has come
                came.append(pushed.get(timeout=seconds))

        try:
            yield None
            while True:
                left = None if deadline is None else max(deadline - clock.monotonic(), 0)
                try:
                    happened = wait_until(now, clock=clock, timeout=left, what="an event", pause=pause)
                except Timeout:
                    return
                if isinstance(happened, HyperkitError):
                    raise happened
                yield from events_of(happened, clock.utcnow())
        finally:
            end()

    def _compared(self, before: dict[str, VMRecord], deadline: float | None, interval: float) -> Iterator[Event]:
        clock = self._host.clock
        while True:
            after = self._inventory()
            for vm_id in {**before, **after}:
                old, new = before.get(vm_id), after.get(vm_id)
                if old != new:
                    yield from events_of(Change(old, new), clock.utcnow())
            before = after
            left = interval if deadline is None else deadline - clock.monotonic()
            if left <= 0:
                return
            clock.sleep(min(interval, left))
