"""Bulk reads of properties: one PropertyCollector call for all objects, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import GetWsdlType

from hyperkit.backends.esxi.elements import NS, Element, child, children, managed, parse, text
from hyperkit.backends.esxi.scope import Ref

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

PAGE = 250
"""Objects that one answer has at most: what is held in memory at a time."""

_PC = vmodl.query.PropertyCollector
_SET, _MISSING = NS + "propSet", NS + "missingSet"


@attrs.frozen(kw_only=True)
class Found:
    """What was read of one object.

    Attributes:
        ref: which.
        values: by property path, those that are set. Of an array property, the element's children are its items.
        missing: by property path, the ``LocalizedMethodFault`` that came instead of a value (no permission, say).
    """

    ref: Ref
    values: Mapping[str, Element]
    missing: Mapping[str, Element]


@attrs.frozen
class Hop:
    """A way from objects to others: the property of theirs that names them, and where it goes on from there.

    Attributes:
        kind: the type of the objects that have the property.
        path: the property, a reference or an array of them.
        on: ways on.
    """

    kind: str
    path: str
    on: tuple[Hop, ...] = ()


class Properties:
    """Reads of the inventory. Any thread may call.

    They go by the one PropertyCollector that all sessions share: only waiting for changes needs one of its own.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._views: dict[tuple[str, Ref], tuple[int, Any]] = {}
        self._left: list[tuple[int, str]] = []

    def all(self, kind: str, paths: Sequence[str], *, under: Ref | None = None) -> Iterator[Found]:
        """Read these properties of all objects of one type in the connection's scope, or below ``under``.

        An object that vanishes meanwhile is left out. Pages are fetched as the iterator is consumed.
        """
        return self.around(kind, (), {kind: paths}, under=under)

    def of(self, kind: str, ids: Sequence[str], paths: Sequence[str]) -> Iterator[Found]:
        """Read these properties of the named objects of one type, in one call, pages aside.

        Raises:
            vmodl.fault.ManagedObjectNotFound: one is not there.
        """
        return self.around_these(kind, ids, (), {kind: paths})

    def one(self, kind: str, id: str, paths: Sequence[str]) -> Found:
        """Read one object.

        Raises:
            vmodl.fault.ManagedObjectNotFound: it is not there.
        """
        return only(self.of(kind, [id], paths), kind, id)

    def around(
        self, kind: str, hops: Sequence[Hop], paths: Mapping[str, Sequence[str]], *, under: Ref | None = None
    ) -> Iterator[Found]:
        """Read, in one call, all objects of one type and those to which they lead, each once.

        Args:
            kind: the type to begin with.
            hops: where its objects lead.
            paths: what to read, by type; objects of a type that is not named are passed through.
            under: what to look below, if not the connection's scope.
        """
        root = under or self._connection.scope.root
        return self._pages(lambda: below(self._view(kind, root), hops, paths))

    def around_these(
        self, kind: str, ids: Sequence[str], hops: Sequence[Hop], paths: Mapping[str, Sequence[str]]
    ) -> Iterator[Found]:
        """Read, in one call, the named objects of one type and those to which they lead, each once.

        Raises:
            vmodl.fault.ManagedObjectNotFound: one is not there.
        """
        if not ids:
            return iter(())
        select = _selection(hops)
        objects = [_PC.ObjectSpec(obj=managed(kind, one), skip=False, selectSet=select) for one in ids]
        wanted = _PC.FilterSpec(objectSet=objects, propSet=_wanted(paths))
        return self._pages(lambda: wanted)

    def _view(self, kind: str, root: Ref) -> Any:
        """A view of all objects of a type below one, which lives as long as the session."""
        generation, view = self._views.get((kind, root), (None, None))
        if generation != self._connection.stub.generation:
            manager = self._connection.content.viewManager
            container = managed(root.kind, root.id, self._connection.stub)
            view = manager.CreateContainerView(container, [_type(kind)], True)
            self._views[kind, root] = self._connection.stub.generation, view
        return view

    def _pages(self, wanted: Callable[[], Any]) -> Iterator[Found]:
        """Ask, and ask on as long as there is more."""
        self._cancel_left()
        objects, token = self._connection.renewing(
            lambda: self._page(_PC.RetrievePropertiesEx, [wanted()], _PC.RetrieveOptions(maxObjects=PAGE))
        )
        try:
            yield from map(_found, objects)
            while token:
                del objects  # one page is held at a time
                objects, token = self._page(_PC.ContinueRetrievePropertiesEx, token)
                yield from map(_found, objects)
        except GeneratorExit:
            if token:
                # No call is made here: whoever runs this may be the garbage collection, in the midst of another call.
                self._left.append((self._connection.stub.generation, token))
            raise

    def _cancel_left(self) -> None:
        """Have the host forget the pages that nobody came back for."""
        while self._left:
            generation, token = self._left.pop()
            if generation == self._connection.stub.generation:
                with suppress(vmodl.MethodFault):  # it has forgotten them itself
                    self._connection.content.propertyCollector.CancelRetrievePropertiesEx(token)

    def _page(self, method: Any, *args: Any) -> tuple[list[Element], str]:
        """The objects of an answer, and the token of the next page, if there is one."""
        with self._connection.stub.answer(self._connection.content.propertyCollector, method, *args) as body:
            result = child(parse(body), "returnval")
        return list(children(result, "objects")), text(result, "token")


def only(found: Iterable[Found], kind: str, id: str) -> Found:
    """The one object of this id, which is of this type or of one derived from it.

    Raises:
        vmodl.fault.ManagedObjectNotFound: the host left it out, as it does with what its caller may not see.
    """
    for one in found:
        if one.ref.id == id:
            return one
    raise vmodl.fault.ManagedObjectNotFound(obj=managed(kind, id), msg=f"no {kind} {id!r}, or none to be seen")


def _type(kind: str) -> Any:
    return GetWsdlType("urn:vim25", kind)


def _wanted(paths: Mapping[str, Sequence[str]]) -> list[Any]:
    return [_PC.PropertySpec(type=_type(kind), all=False, pathSet=list(of)) for kind, of in paths.items()]


def _selection(hops: Sequence[Hop]) -> list[Any]:
    return [
        _PC.TraversalSpec(type=_type(hop.kind), path=hop.path, skip=False, selectSet=_selection(hop.on)) for hop in hops
    ]


def below(view: Any, hops: Sequence[Hop], paths: Mapping[str, Sequence[str]]) -> Any:
    """A filter for what a view shows, and where that leads."""
    through = _PC.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False, selectSet=_selection(hops))
    start = _PC.ObjectSpec(obj=view, skip=True, selectSet=[through])
    return _PC.FilterSpec(objectSet=[start], propSet=_wanted(paths))


def _found(part: Element) -> Found:
    """An ``ObjectContent``. Fields are counted off, for their order is the schema's and there are many."""
    ref = child(part, "obj")
    values = {field[0].text or "": field[1] for field in part.iterchildren(_SET) if len(field) == 2}
    missing = {text(field, "path"): field[-1] for field in part.iterchildren(_MISSING) if len(field)}
    return Found(ref=Ref(kind="" if ref is None else ref.get("type", ""), id=text(ref)), values=values, missing=missing)
