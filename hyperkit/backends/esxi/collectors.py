"""Waiting for changes: a PropertyCollector for each who waits, since a collector serves one call at a time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import attrs
from lxml import etree
from pyVmomi import vmodl
from pyVmomi.VmomiSupport import GetWsdlType

from hyperkit.backends.esxi.elements import NS, Element, child, children, text
from hyperkit.backends.esxi.scope import Ref
from hyperkit.errors import HyperkitError

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_PC = vmodl.query.PropertyCollector


@attrs.frozen(kw_only=True)
class Update:
    """What changed of one object since the last look.

    Attributes:
        ref: which.
        values: by property path, what they are now; None for one that is not set any more.
        gone: whether the object is there no more.
    """

    ref: Ref
    values: Mapping[str, Element | None]
    gone: bool


class Collectors:
    """The collectors of a connection that nobody uses, for the next who waits. Each belongs to the session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._free: list[tuple[str, int]] = []
        self._left: list[tuple[str, int]] = []

    def take(self) -> tuple[str, int]:
        """The id of a collector without filters, and the session it belongs to."""
        stub = self._connection.stub
        with self._lock:
            left, self._left = self._left, []
            self._free = [collector for collector in self._free if collector[1] == stub.generation]
            found = self._free.pop() if self._free else None
        for collector, generation in left:
            if generation == stub.generation:
                with suppress(vmodl.fault.ManagedObjectNotFound):
                    _PC(collector, stub).DestroyPropertyCollector()
        if found is not None:
            return found
        made = self._connection.content.propertyCollector.CreatePropertyCollector()
        return made._moId, stub.generation

    def give_back(self, collector: tuple[str, int]) -> None:
        """It has no filter any more."""
        with self._lock:
            self._free.append(collector)

    def leave(self, collector: tuple[str, int]) -> None:
        """Nobody knows what it does: it is ended when the next one is needed, or with the session. Makes no call."""
        self._left.append(collector)  # atomic, since a garbage collection may be what calls


class Watch:
    """Follows some properties of some objects, from what they are now.

    It is for one thread at a time. One that is forgotten is cleared away later.

    Args:
        connection: whose session it lives in.
        wanted: which properties of which objects.

    Raises:
        vmodl.fault.ManagedObjectNotFound: an object is not there.
    """

    def __init__(self, connection: Connection, wanted: Mapping[Ref, Sequence[str]]) -> None:
        self._connection = connection
        self._collector = connection.collectors.take()
        self._forgotten = weakref.finalize(self, connection.collectors.leave, self._collector)
        self._version = ""
        stub = connection.stub
        kinds = {ref.kind: paths for ref, paths in wanted.items()}
        types = {kind: GetWsdlType("urn:vim25", kind) for kind in kinds}
        specification = _PC.FilterSpec(
            objectSet=[_PC.ObjectSpec(obj=types[ref.kind](ref.id, stub), skip=False) for ref in wanted],
            propSet=[_PC.PropertySpec(type=types[kind], pathSet=list(paths)) for kind, paths in kinds.items()],
        )
        self._filter = _PC(self._collector[0], stub).CreateFilter(specification, True)

    def next(self, seconds: int) -> list[Update]:
        """What changed since the last call, waiting for it as long as this at most; the first tells what is.

        Raises:
            vim.fault.NotAuthenticated: the session was renewed, and it ended with the old one.
        """
        stub = self._connection.stub
        options = _PC.WaitOptions(maxWaitSeconds=seconds)
        with stub.answer(_PC(self._collector[0], stub), _PC.WaitForUpdatesEx, self._version, options) as body:
            parser = etree.XMLParser(resolve_entities=False, no_network=True)
            answer = etree.parse(body, parser).getroot()
        result = next(answer.iter(NS + "returnval"), None)
        if result is None:
            return []
        self._version = text(result, "version")
        return [_update(found) for part in children(result, "filterSet") for found in children(part, "objectSet")]

    def close(self) -> None:
        """End it, if its session lives."""
        if self._forgotten.detach() is None or self._collector[1] != self._connection.stub.generation:
            return
        with suppress(vmodl.MethodFault, HyperkitError):
            self._filter.Destroy()
            self._connection.collectors.give_back(self._collector)


def _update(found: Element) -> Update:
    (obj,) = children(found, "obj")
    return Update(
        ref=Ref(kind=obj.get("type", ""), id=obj.text or ""),
        values=dict(_changes(found)),
        gone=text(found, "kind") == "leave",
    )


def _changes(found: Element) -> Iterator[tuple[str, Element | None]]:
    for change in children(found, "changeSet"):
        yield text(change, "name"), child(change, "val") if text(change, "op") in ("assign", "add") else None
