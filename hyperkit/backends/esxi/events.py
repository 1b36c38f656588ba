"""Changes of VMs, as the host reports them: `feed` says which changed, their records are read and compared.

One named thread for each connection that somebody listens on does that; it ends with the last listener. A session that
is lost is begun anew, and what changed meanwhile is told; what is still lost after a while those who listen hear of.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
from pyVmomi import vmodl

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.errors import translate
from hyperkit.backends.esxi.feed import Feed, Note, Updates
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.driver import Change, Occurrence, Reboot
from hyperkit.errors import AuthenticationFailed, BackendError, HyperkitError, InvalidState, PermissionDenied
from hyperkit.records import VMRecord, changed

log = logging.getLogger("hyperkit")

Sink = Callable[[Change | Occurrence | HyperkitError], None]

_ONE_BY_ONE = 8
"""VMs that are read one by one when they have changed; of more, all are read at once."""
_RETRY = 1.0
"""Seconds between two attempts to reach a host that went away."""
_PATIENCE = 60.0
"""Seconds after which it is given up."""
_AGAIN = 0.2
"""Seconds after which a wait is ended again: the first time it may not have begun."""
_FAREWELL = 5.0
"""Seconds that the last who listens waits for the thread to end, at most."""
_FINAL = (AuthenticationFailed, InvalidState, PermissionDenied)
"""Errors that do not pass."""


@attrs.define(eq=False)
class _Join:
    """Somebody who wants to listen, and waits until he does."""

    sink: Sink
    done: threading.Event = attrs.field(factory=threading.Event)
    error: HyperkitError | None = None


class Events:
    """See `hyperkit.driver.EventPort`."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory
        self._lock = threading.Lock()
        self._watch: _Watch | None = None

    def subscribe(self, sink: Sink) -> Callable[[], None]:
        """A list of all VMs and some ten calls, or a few where somebody listens already."""
        join = _Join(sink)
        with self._lock:
            if self._watch is None or not self._watch.add(join):
                self._watch = _Watch(self._connection, self._inventory, join)
            watch = self._watch
        while not join.done.wait(_AGAIN):
            watch.wake()
        if join.error is not None:
            raise join.error
        return lambda: watch.remove(join)

    def close(self) -> None:
        """End every subscription."""
        with self._lock:
            watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()


class _Watch:
    """Those who listen on one connection, and the thread that tells them."""

    def __init__(self, connection: Connection, inventory: Inventory, first: _Join) -> None:
        self._connection = connection
        self._inventory = inventory
        self._lock = threading.Lock()
        self._joins = [first]
        self._listening: list[_Join] = []
        self._closed = threading.Event()
        self._feed: Feed | None = None
        self._known: dict[str, VMRecord] = {}
        self._read_to: int | None = None
        self._lost: float | None = None
        self._thread = threading.Thread(target=self._run, name="hyperkit-events", daemon=True)
        self._thread.start()

    def add(self, join: _Join) -> bool:
        """Take one more listener, unless the last has gone."""
        with self._lock:
            if self._closed.is_set() or not self._joins or not self._thread.is_alive():
                return False
            self._joins.append(join)
        self.wake()
        return True

    def remove(self, join: _Join) -> None:
        with self._lock:
            if join in self._joins:
                self._joins.remove(join)
        self.wake()
        # A wake that comes just before the thread waits is lost: who goes last sees to it that one is heard.
        deadline = time.monotonic() + _FAREWELL
        while not self._joins and self._thread.is_alive() and time.monotonic() < deadline:
            if self._thread is threading.current_thread():
                return
            self._thread.join(_AGAIN)
            self.wake()

    def wake(self) -> None:
        """Have the thread look who listens."""
        feed = self._feed
        if feed is not None:
            feed.wake()

    def close(self) -> None:
        self._closed.set()
        while self._thread is not threading.current_thread() and self._thread.is_alive():
            self.wake()
            self._thread.join(_AGAIN)

    # In the thread

    @property
    def _wanted(self) -> bool:
        return bool(self._joins) and not self._closed.is_set()

    def _run(self) -> None:
        error: HyperkitError | None = None
        try:
            while self._wanted and error is None:
                error = self._follow()
        finally:
            self._end(error or BackendError("nobody listens to the host's events any more: the thread that did failed"))

    def _end(self, error: HyperkitError) -> None:
        """Keep nobody waiting for what does not come any more."""
        if self._closed.is_set():
            error = InvalidState(f"the connection to {self._connection.target.url} was closed")
        with self._lock:
            left, self._joins = self._joins, []
        for join in left:
            if join.done.is_set():
                join.sink(error)
            join.error = error
            join.done.set()

    def _follow(self) -> HyperkitError | None:
        """Follow one feed as long as it lasts; the error that is the end of it all, if it is."""
        try:
            self._feed = feed = Feed(self._connection)
            self._sweep(feed)
            while self._wanted:
                self._admit(feed)
                self._tell_all(feed, feed.updates(self._connection.longest_wait))
                self._lost = None
        except Exception as error:
            return self._failed(error)
        self._leave()
        return None

    def _leave(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()

    def _failed(self, error: Exception) -> HyperkitError | None:
        """Whether to give up, and why; else it is time to try again."""
        ours = error if isinstance(error, HyperkitError) else translate(error)
        if ours is None:
            log.error("%s: cannot read what has changed, will read anew", self._connection.target.url, exc_info=error)
            ours = BackendError(f"cannot read what has changed: {error!r}")
            ours.__cause__ = error
        if isinstance(error, HyperkitError):
            self._feed = None  # nothing can be asked of a host that cannot be reached
        self._leave()
        now = time.monotonic()
        since = now if self._lost is None else self._lost
        if not self._listening or isinstance(ours, _FINAL) or now - since >= _PATIENCE:
            return ours
        # A session that ended has been begun anew by now.
        if self._lost is not None or not isinstance(error, vmodl.MethodFault):
            self._closed.wait(_RETRY)
        self._lost = since
        return None

    def _admit(self, feed: Feed) -> None:
        """Let those in who want to listen; what was before they came is told before."""
        with self._lock:
            new = [join for join in self._joins if not join.done.is_set()]
            self._listening = [join for join in self._listening if join in self._joins]
        if new and self._listening:
            self._tell_all(feed, feed.updates(0))
        self._listening += new
        for join in new:
            join.done.set()

    def _sweep(self, feed: Feed) -> None:
        """Read all, and tell the differences."""
        notes = self._new(feed.notes())
        found = {record.id: record for record in self._inventory.list()}
        self._compare({**self._known, **found}, found, notes)

    def _tell_all(self, feed: Feed, updates: Updates) -> None:
        """Read what changed, events first: they are of what is read after them, or of before."""
        if not updates:
            return
        notes = self._new(feed.notes())
        ids = dict.fromkeys((*updates.vms, *(note.vm_id for note in notes)))
        if updates.autostart or len(ids) > _ONE_BY_ONE:
            found = {record.id: record for record in self._inventory.list()}
            ids = dict.fromkeys((*self._known, *ids))
        else:
            there = [vm_id for vm_id in ids if updates.vms.get(vm_id, True)]
            found = {vm_id: record for vm_id in there if (record := self._read(vm_id)) is not None}
        self._compare(ids, found, notes)

    def _new(self, notes: Sequence[Note]) -> Sequence[Note]:
        """Those of these events that were not read before."""
        last, self._read_to = self._read_to, notes[-1].key if notes else self._read_to or 0
        if last is None:
            return []
        if self._read_to < last:  # a host that was restarted begins to count anew
            last = 0
        return [note for note in notes if note.key > last]

    def _read(self, vm_id: str) -> VMRecord | None:
        try:
            return self._inventory.get(vm_id)
        except vmodl.fault.ManagedObjectNotFound:
            return None

    def _compare(self, ids: Iterable[str], found: Mapping[str, VMRecord], notes: Sequence[Note]) -> None:
        of: dict[str, list[Note]] = {}
        for note in notes:
            of.setdefault(note.vm_id, []).append(note)
        for vm_id in ids:
            self._tell_notes(vm_id, of.get(vm_id, ()), found.get(vm_id))
            self._tell_change(vm_id, found.get(vm_id))

    def _tell_notes(self, vm_id: str, notes: Sequence[Note], now: VMRecord | None) -> None:
        """What lies between the record that was known and the one that was read, in its order."""
        last = next((note for note in reversed(notes) if note.state is not None), None)
        for note in notes:
            before = self._known.get(vm_id)
            if before is None:
                return
            if note is last and now is not None and now.state is note.state:
                self._tell_change(vm_id, now)
            elif note.state is not None and note.state is not before.state:
                self._tell_change(vm_id, changed(before, state=note.state))
            if note.rebooted:
                self._tell(Reboot(vm=before))

    def _tell_change(self, vm_id: str, now: VMRecord | None) -> None:
        before = self._known.pop(vm_id, None)
        if now is not None:
            self._known[vm_id] = now
        if before != now:
            self._tell(Change(before, now))

    def _tell(self, *happened: Change | Occurrence) -> None:
        for join in self._listening:
            for each in happened:
                join.sink(each)
