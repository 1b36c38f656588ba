"""What the host tells by itself: which VMs changed, and which events it wrote about them.

A property collector tells of changes as they are by the time it is asked. What came and went in between stands only in
the event log, and so does what changes no property: a reset.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import GetWsdlType

from hyperkit.backends.esxi.elements import Element, child, children, flag, kind, number, parse, text
from hyperkit.backends.esxi.properties import Hop, below
from hyperkit.errors import HyperkitError
from hyperkit.states import PowerState

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_PC = vmodl.query.PropertyCollector

WATCHED = (
    "name",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
    "runtime.question",
    "runtime.consolidationNeeded",
    "summary.config.template",
    "config.changeVersion",
)
"""What changes with every change of a VM's record: the last with each change of its configuration."""

_STATES = {
    "VmPoweredOnEvent": PowerState.RUNNING,
    "DrsVmPoweredOnEvent": PowerState.RUNNING,
    "VmPoweredOffEvent": PowerState.OFF,
    "VmSuspendedEvent": PowerState.SUSPENDED,
}
_REBOOTS = ("VmResettingEvent", "VmGuestRebootEvent", "VmDasBeingResetEvent", "VmDasBeingResetWithScreenshotEvent")
_PAGE = 200
"""Events that are looked at together at most: those before them are lost."""


@attrs.frozen(kw_only=True)
class Note:
    """What an event says of a VM.

    Attributes:
        key: its number; later events have higher ones.
        state: what the VM does since; None if that did not change.
        rebooted: whether what is in it began afresh.
    """

    key: int
    vm_id: str
    state: PowerState | None
    rebooted: bool


@attrs.define
class Updates:
    """What changed.

    Attributes:
        vms: ids of VMs, in the order told, each with whether it is still there.
        autostart: whether what starts with a host did.
        events: whether there are new events.
    """

    vms: dict[str, bool] = attrs.field(factory=dict)
    autostart: bool = False
    events: bool = False

    def __bool__(self) -> bool:
        return bool(self.vms) or self.autostart or self.events

    def add(self, kind: str, id: str, present: bool) -> None:
        """Something of an object of this kind changed."""
        if kind == "VirtualMachine":
            self.vms.pop(id, None)
            self.vms[id] = present
        elif kind == "HostAutoStartManager":
            self.autostart = True
        elif kind == "EventHistoryCollector":
            self.events = True


class Feed:
    """Changes of the VMs in a connection's scope from now on, for one thread. It ends with its session.

    Raises:
        vmodl.fault.NotAuthenticated: by each method: the session ended, and the feed with it.
        vmodl.fault.ManagedObjectNotFound: the same.
    """

    def __init__(self, connection: Connection) -> None:
        """Seven calls, and what changes from then on is told."""
        self._connection = connection
        self._version = ""
        self._collector = connection.content.propertyCollector.CreatePropertyCollector()
        self._made: list[Any] = [self._collector.DestroyPropertyCollector]
        try:
            self._watch_vms()
            self._history = self._watch_events()
            self.updates(0)  # all there is
        except BaseException:
            self.close()
            raise

    def _watch_vms(self) -> None:
        """Which VMs start with their host stands with the host."""
        root = self._connection.scope.root
        container = GetWsdlType("urn:vim25", root.kind)(root.id, self._connection.stub)
        view = self._connection.content.viewManager.CreateContainerView(container, [vim.VirtualMachine], True)
        self._made.append(view.DestroyView)
        autostart = Hop("VirtualMachine", "runtime.host", (Hop("HostSystem", "configManager.autoStartManager"),))
        self._filter(below(view, [autostart], {"VirtualMachine": WATCHED, "HostAutoStartManager": ("config",)}))

    def _watch_events(self) -> Any:
        """The collector of events, if the host has any."""
        manager, root = self._connection.content.eventManager, self._connection.scope.root
        if manager is None:
            return None
        entity = GetWsdlType("urn:vim25", root.kind)(root.id)
        history = manager.CreateCollectorForEvents(
            vim.event.EventFilterSpec(
                entity=vim.event.EventFilterSpec.ByEntity(entity=entity, recursion="all"),
                eventTypeId=[*_STATES, *_REBOOTS],
                disableFullMessage=True,
            )
        )
        self._made.append(history.DestroyCollector)
        history.SetCollectorPageSize(_PAGE)
        page = _PC.PropertySpec(type=vim.event.EventHistoryCollector, all=False, pathSet=["latestPage"])
        self._filter(_PC.FilterSpec(objectSet=[_PC.ObjectSpec(obj=history)], propSet=[page]))
        return history

    def _filter(self, wanted: Any) -> None:
        self._collector.CreateFilter(wanted, False)

    def updates(self, seconds: int) -> Updates:
        """What changed since the last call; waits this long for anything to change."""
        updates = Updates()
        while self._wait(seconds, updates):
            seconds = 0
        return updates

    def notes(self) -> list[Note]:
        """The latest events, in their order, with one call."""
        if self._history is None:
            return []
        page = self._connection.properties.one("EventHistoryCollector", self._history._moId, ["latestPage"])
        return sorted(_notes(page.values.get("latestPage")), key=lambda note: note.key)

    def wake(self) -> None:
        """End the present wait, if there is one, from another thread."""
        with suppress(vmodl.MethodFault, HyperkitError):
            self._collector.CancelWaitForUpdates()

    def close(self) -> None:
        """Have the host forget it all."""
        while self._made:
            with suppress(vmodl.MethodFault, HyperkitError):
                self._made.pop()()

    def _wait(self, seconds: int, updates: Updates) -> bool:
        """Add what is told next; whether there is more of it."""
        stub, options = self._connection.stub, _PC.WaitOptions(maxWaitSeconds=seconds)
        try:
            with stub.answer(self._collector, _PC.WaitForUpdatesEx, self._version, options) as body:
                told = child(parse(body), "returnval")
        except vmodl.fault.RequestCanceled:
            return False
        self._version = text(told, "version") or self._version
        for part in children(told, "filterSet"):
            for update in children(part, "objectSet"):
                ref = child(update, "obj")
                if ref is not None:
                    updates.add(ref.get("type", ""), ref.text or "", text(update, "kind") != "leave")
        return bool(flag(told, "truncated"))


def _notes(page: Element | None) -> Iterator[Note]:
    for event in children(page):
        name, key, vm_id = kind(event), number(event, "key"), text(event, "vm", "vm")
        if key is not None and vm_id and (name in _STATES or name in _REBOOTS):
            yield Note(key=key, vm_id=vm_id, state=_STATES.get(name), rebooted=name in _REBOOTS)
