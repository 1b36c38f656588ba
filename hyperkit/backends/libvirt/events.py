"""Events: what libvirt reports, merged with what records say.

An event of libvirt's says little more than that something happened to a VM, and some changes have none. So an event
makes the VM be read again, and the difference from what was known is what is told; several events close together cost
one read. What libvirt has no event for (autostart, saved memory thrown away) is found by reading all VMs once in
a while, as is what happened while the daemon was away.

One named thread for each connection that somebody listens on does that, with a session of its own; it ends with the
last listener. Whatever goes wrong in it is logged, and it reads anew; should it end all the same, those who listen hear
of it.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import attrs
import libvirt

from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.loop import ensure_running
from hyperkit.backends.libvirt.signals import Note, register
from hyperkit.backends.libvirt.vms import VMs
from hyperkit.driver import Change, IOFailure, JobEnd, Occurrence, Reboot
from hyperkit.errors import BackendError, HyperkitError, InvalidState, NotFound, Unsupported
from hyperkit.records import VMRecord, changed
from hyperkit.states import PowerState

log = logging.getLogger("hyperkit")

Sink = Callable[[Change | Occurrence | HyperkitError], None]

_TOGETHER = 0.05
"""Seconds without an event after which those that came are one group; libvirt reports a start in four."""
_MOST_TOGETHER = 100
_SWEEP = 60.0
"""Seconds between two readings of all VMs."""
_RETRY = 1.0
"""Seconds between two attempts to reach a daemon that went away."""
_ONE_REBOOT = 1.0
"""Seconds within which two reports are of one reboot: QEMU has two resets in it, and libvirt reports both."""

_POWERED = frozenset({PowerState.RUNNING, PowerState.PAUSED, PowerState.SLEEPING})


@attrs.define
class _Join:
    """Somebody who wants to listen, and waits until he does."""

    sink: Sink
    done: threading.Event = attrs.field(factory=threading.Event)
    error: Exception | None = None

    def end(self, error: HyperkitError) -> None:
        """He hears no more, and why; if he does not listen yet, he will not."""
        if self.done.is_set():
            self.sink(error)
        self.error = error
        self.done.set()


class _Lost:
    """The session has ended, or is to be used no more."""


_LOST = _Lost()
_Message = Note | _Join | _Lost


class Events:
    """`EventPort`."""

    def __init__(self, connection: Connection, vms: VMs) -> None:
        self._connection = connection
        self._vms = vms
        self._lock = threading.Lock()
        self._watch: _Watch | None = None
        _all.add(self)

    def subscribe(self, sink: Sink) -> Callable[[], None]:
        """As many round trips as a list, for the state of things from which on changes are told.

        Raises:
            Unsupported: this process was forked from one in which libvirt's event loop ran, and has none.
        """
        if not ensure_running():
            raise Unsupported("a forked process has no event loop of libvirt's", capability="events_pushed")
        join = _Join(sink)
        with self._lock:
            if self._watch is None or not self._watch.add(join):
                self._watch = _Watch(self._connection, self._vms, join)
            watch = self._watch
        join.done.wait()
        if join.error is not None:
            raise join.error
        return lambda: watch.remove(join)

    def close(self) -> None:
        """End it for all who listen."""
        with self._lock:
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def forget(self) -> None:
        """In a forked child, the thread and its session are the parent's."""
        self._lock = threading.Lock()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.forget()


_all: weakref.WeakSet[Events] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for events in list(_all):
        events.forget()


os.register_at_fork(after_in_child=_after_fork_in_child)


class _Watch:
    """Those who listen on one connection, and the thread that tells them."""

    def __init__(self, connection: Connection, vms: VMs, first: _Join) -> None:
        self._connection = connection
        self._list = connection.beside(vms.list)
        self._vms = vms
        self._messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._joins = [first]
        self._closed = False
        self._logged = ""
        self._listening: list[_Join] = []
        self._known: dict[str, VMRecord] = {}
        self._rebooted: dict[str, float] = {}
        self._session: Any = None
        self._messages.put(first)
        threading.Thread(target=self._run, name="hyperkit-events", daemon=True).start()

    def add(self, join: _Join) -> bool:
        """Take one more listener, unless the last has gone."""
        with self._lock:
            if self._closed or not self._joins:
                return False
            self._joins.append(join)
        self._messages.put(join)
        return True

    def remove(self, join: _Join) -> None:
        with self._lock:
            if join in self._joins:
                self._joins.remove(join)
        self._messages.put(_LOST)  # wakes the thread, if only to see that nobody is left

    def close(self) -> None:
        self._closed = True
        self._messages.put(_LOST)

    def forget(self) -> None:
        """Let go of the session without ending it."""
        if self._session is not None:
            self._session._o = None

    # In the thread

    def _run(self) -> None:
        try:
            while self._joins and not self._closed:
                self._step(self._gather())
        finally:
            self._end()
            self._leave()

    def _end(self) -> None:
        """Keep nobody waiting for what does not come any more."""
        with self._lock:
            left, self._joins = self._joins, []
        for join in left:
            join.end(
                InvalidState(f"the connection to {self._connection.url} was closed")
                if self._closed
                else BackendError("nobody listens to libvirt's events any more: the thread that did has failed")
            )

    def _gather(self) -> list[_Message]:
        """What has come, in one group; nothing if it is time to look by oneself."""
        came: list[_Message] = []
        with suppress(queue.Empty):
            came.append(self._messages.get(timeout=_RETRY if self._away else _SWEEP))
            while len(came) < _MOST_TOGETHER and not isinstance(came[-1], _Join):
                came.append(self._messages.get(timeout=_TOGETHER))
        return came

    @property
    def _away(self) -> bool:
        return self._session is None and bool(self._listening)

    def _step(self, came: Sequence[_Message]) -> None:
        joins = [each for each in came if isinstance(each, _Join)]
        try:
            fresh = self._session is None or not self._session.isAlive()
            if fresh:
                self._leave()
                self._enter()
            notes = [each for each in came if isinstance(each, Note)]
            for vm_id in dict.fromkeys(note.vm_id for note in notes):
                self._look(vm_id, [note for note in notes if note.vm_id == vm_id])
            if fresh or joins or not came:
                self._sweep()
            self._logged = ""
        except Exception as error:
            self._failed(error)
            self._leave()  # whatever it was, all is read again once that succeeds
            for join in joins:
                join.error = error
                self.remove(join)
        self._listening = [join for join in (*self._listening, *joins) if join in self._joins]
        for join in joins:
            join.done.set()

    def _failed(self, error: Exception) -> None:
        """What no daemon that is away explains is logged, once for as long as it lasts."""
        expected = isinstance(error, (libvirt.libvirtError, HyperkitError))
        if not expected and repr(error) != self._logged:
            log.error("%s: cannot read what an event was about, will read anew", self._connection.url, exc_info=error)
            self._logged = repr(error)

    def _enter(self) -> None:
        session = self._connection.open()
        self._session = session
        register(session, self._messages.put)
        with suppress(libvirt.libvirtError):  # the driver has no peer that could go away
            session.registerCloseCallback(lambda *_: self._messages.put(_LOST), None)

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with suppress(libvirt.libvirtError):
                session.close()

    def _sweep(self) -> None:
        """Read all, and tell the differences."""
        found = {record.id: record for record in self._list()}
        for vm_id in {**self._known, **found}:
            self._tell_change(vm_id, found.get(vm_id))

    def _look(self, vm_id: str, notes: Sequence[Note]) -> None:
        """Read one, and tell the difference, and what lies between and beside it."""
        try:
            now: VMRecord | None = self._connection.beside(lambda: self._vms.get(vm_id))()
        except NotFound:
            now = None
        self._tell_states([note.state for note in notes if note.state is not None], vm_id, now)
        self._tell_change(vm_id, now)
        if now is not None:
            self._tell(*self._occurrences(now, notes))

    def _tell_states(self, states: Sequence[PowerState], vm_id: str, now: VMRecord | None) -> None:
        """The states that a VM had and has no more: the last is what it has, or stood before what was read."""
        for position, state in enumerate(states):
            before = self._known.get(vm_id)
            last = position == len(states) - 1
            if before is None or (last and now is not None and _alike(state, now.state)) or _alike(state, before.state):
                continue
            self._tell_change(vm_id, changed(before, state=state))

    def _tell_change(self, vm_id: str, now: VMRecord | None) -> None:
        before = self._known.pop(vm_id, None)
        if now is not None:
            self._known[vm_id] = now = _with_sizes(now, before)
        if before != now:
            self._tell(Change(before, now))

    def _occurrences(self, now: VMRecord, notes: Iterable[Note]) -> Iterable[Occurrence]:
        for note in notes:
            if note.rebooted:
                at = self._connection.clock.monotonic()
                if at - self._rebooted.get(now.id, -_ONE_REBOOT) >= _ONE_REBOOT:
                    yield Reboot(vm=now)
                self._rebooted[now.id] = at
            if note.failure is not None:
                path, paused, full = note.failure
                disks = {disk.path: disk.id for disk in now.disks} | {each.iso: each.id for each in now.cdroms}
                yield IOFailure(vm=now, disk_id=disks.get(path), path=path, paused=paused, full=full)
            if note.ended is not None:
                job, error = note.ended
                yield JobEnd(vm=now, job=job, error=error)

    def _tell(self, *happened: Change | Occurrence) -> None:
        for join in self._listening:
            for each in happened:
                join.sink(each)


def _with_sizes(now: VMRecord, before: VMRecord | None) -> VMRecord:
    """A VM whose QEMU is busy tells no sizes of disks that are in no pool. They are what they were."""
    known = {(disk.id, disk.path): disk.size for disk in (before.disks if before else ())}
    if all(disk.size is not None for disk in now.disks):
        return now
    sizes = (known.get((disk.id, disk.path)) if disk.size is None else disk.size for disk in now.disks)
    return changed(now, disks=tuple(changed(disk, size=size) for disk, size in zip(now.disks, sizes, strict=True)))


def _alike(one: PowerState, other: PowerState) -> bool:
    """Whether the power is on in both, or the VM is off or suspended in both."""
    return one is other or (one in _POWERED and other in _POWERED)
