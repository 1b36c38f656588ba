"""Instances in the simulator, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from tests.beds.hyperv_sim.refusals import invalid_selectors, no_class, not_found, wmi_error
from tests.beds.hyperv_sim.schema import CimClass, Schema

VIRTUALIZATION, CIMV2 = "root/virtualization/v2", "root/cimv2"


@attrs.frozen
class Ref:
    """Another instance."""

    class_name: str
    keys: Mapping[str, str] = attrs.field(hash=False)
    namespace: str = VIRTUALIZATION

    @property
    def identity(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """Names and GUIDs are compared without case."""
        keys = frozenset((name.casefold(), str(value).casefold()) for name, value in self.keys.items())
        return self.class_name.casefold(), keys


Scalar: TypeAlias = "str | int | bool | datetime | Ref | Row"


@attrs.define
class Row:
    """An instance: what is not named is null."""

    class_name: str
    values: dict[str, Any]
    """`Scalar`, a list of them, or None."""

    def get(self, name: str) -> Any:
        """A value, whatever case its name is asked for in."""
        return next((value for each, value in self.values.items() if each.casefold() == name.casefold()), None)


Result: TypeAlias = "tuple[int, dict[str, Any]]"
"""A return value, and out parameters."""
Handler: TypeAlias = "Callable[[Row, dict[str, Any]], Result]"


class Repository:
    """All that a host tells of itself, as its providers have it."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._rows: dict[str, Callable[[], Iterable[Row]]] = {}
        self._methods: dict[tuple[str, str], Handler] = {}

    def serve(
        self, class_name: str, rows: Callable[[], Iterable[Row]], methods: Mapping[str, Handler] | None = None
    ) -> None:
        """Have a class's instances from here, and its methods done there."""
        kind = self.schema.find(class_name)
        assert kind is not None, class_name
        self._rows[class_name] = rows
        for name, handler in (methods or {}).items():
            assert name in kind.methods, f"{class_name} has no method {name}"
            self._methods[class_name, name] = handler

    def kind(self, class_name: str) -> CimClass:
        """A class.

        Raises:
            Refused: there is none.
        """
        found = self.schema.find(class_name)
        if found is None:
            raise no_class(class_name)
        return found

    def all(self, class_name: str) -> Iterator[Row]:
        """The instances of a class, and of those derived from it."""
        self.kind(class_name)
        for each in self.schema.derived(class_name):
            for row in self._rows.get(each.name, tuple)():
                self._check(row, each)
                yield row

    @staticmethod
    def _check(row: Row, kind: CimClass) -> None:
        unknown = set(row.values) - set(kind.properties)
        assert not unknown, f"{kind.name} has no {sorted(unknown)}: a mistake of the simulator's"

    def find(self, class_name: str, selectors: Mapping[str, str]) -> Row:
        """The instance that keys single out: not all of them need be there.

        Raises:
            Refused: a selector is no key, there are none, or they fit no instance or several.
        """
        kind = self.kind(class_name)
        strange = [name for name in selectors if name.casefold() not in {key.casefold() for key in kind.keys}]
        if strange:
            raise invalid_selectors(f"{strange[0]} is no key of {kind.name}")
        wanted = {name: value.casefold() for name, value in selectors.items()}
        found = [
            row
            for row in self.all(class_name)
            if all(str(row.get(name)).casefold() == value for name, value in wanted.items())
        ]
        if not selectors and len(found) != 1:
            raise invalid_selectors("none was given")
        if not found:
            raise not_found(class_name)
        if len(found) > 1:
            raise invalid_selectors(f"{len(found)} instances of {kind.name} have these keys")
        return found[0]

    def ref(self, row: Row) -> Ref:
        """What the keys of an instance are."""
        kind = self.kind(row.class_name)
        return Ref(kind.name, {key: str(row.get(key)) for key in kind.keys}, kind.namespace)

    def associated(self, of: Ref, through: str, result: str) -> Iterator[Row]:
        """What is at the other end of the associations that an instance is in."""
        self.find(of.class_name, of.keys)
        seen = set()
        for kind in self.schema.derived(through) if through else self.schema.all():
            for row in self._rows.get(kind.name, tuple)():
                ends = [value for value in row.values.values() if isinstance(value, Ref)]
                if of.identity not in {end.identity for end in ends}:
                    continue
                for end in ends:
                    if end.identity == of.identity or end.identity in seen:
                        continue
                    if result and not self.kind(end.class_name).is_a(result):
                        continue
                    seen.add(end.identity)
                    yield self.find(end.class_name, end.keys)

    def handler(self, class_name: str, method: str) -> Handler:
        """Who does a method.

        Raises:
            Refused: the class has no such method (WBEM_E_INVALID_METHOD), or nobody simulates it.
        """
        kind = self.kind(class_name)
        if method not in kind.methods:
            raise wmi_error(0x8004102E, f"{kind.name} has no method {method}")
        found = self._methods.get((kind.name, method))
        if found is None:
            raise wmi_error(0x80041024, f"{kind.name}.{method} is not simulated")
        return found
