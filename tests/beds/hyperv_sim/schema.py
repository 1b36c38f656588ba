"""The classes that a host has: properties, types, keys, methods (from Microsoft's documentation, see `schema.json`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import attrs

_RANGES = {
    f"{sign}int{bits}": (0 if sign == "u" else -(1 << (bits - 1)), (1 << (bits if sign == "u" else bits - 1)) - 1)
    for sign in ("u", "s")
    for bits in (8, 16, 32, 64)
}
_INTERVAL = re.compile(r"\d{8}\d{6}\.\d{6}:000")
_KIND = re.compile(r"(?P<name>\w+)(?P<array>\[\])?(?:<(?P<embedded>[\w|]+)>)?")


@attrs.frozen
class Kind:
    """What a property or parameter is."""

    name: str
    """``string``, ``uint16``, ``boolean``, ``datetime``, ``ref``, ..."""
    array: bool
    embedded: tuple[str, ...] = ()
    """The classes that an embedded instance may be of, or a class that it is derived from."""

    @classmethod
    def parse(cls, text: str) -> Kind:
        found = _KIND.fullmatch(text)
        assert found is not None, text
        embedded = tuple((found["embedded"] or "").split("|")) if found["embedded"] else ()
        return cls(found["name"], bool(found["array"]), embedded)

    def admits(self, text: str) -> bool:
        """Whether a text is a value of this type, as CIM-XML writes it."""
        if self.name in _RANGES:
            low, high = _RANGES[self.name]
            return bool(re.fullmatch(r"-?\d+", text)) and low <= int(text) <= high
        if self.name == "boolean":
            return text.lower() in ("true", "false")
        if self.name == "datetime":
            return bool(_INTERVAL.fullmatch(text)) or bool(re.fullmatch(r"\d{14}\.\d{6}[+-]\d{3}", text))
        return True


@attrs.frozen
class Method:
    """Its parameters, in and out."""

    takes: Mapping[str, Kind]
    gives: Mapping[str, Kind]


@attrs.frozen
class CimClass:
    """A class, with what it inherits."""

    name: str
    namespace: str
    chain: tuple[str, ...]
    keys: tuple[str, ...]
    properties: Mapping[str, Kind]
    methods: Mapping[str, Method]

    def is_a(self, name: str) -> bool:
        """Whether it is this class, or derived from it."""
        return name.casefold() in {each.casefold() for each in (self.name, *self.chain)}

    def property(self, name: str) -> str | None:
        """A property's name as it is declared, whatever case it is asked for in."""
        return next((each for each in self.properties if each.casefold() == name.casefold()), None)


class Schema:
    """All classes of a host."""

    def __init__(self, classes: Mapping[str, CimClass]) -> None:
        self._classes = {name.casefold(): each for name, each in classes.items()}
        self.namespaces = frozenset(each.namespace.casefold() for each in classes.values())

    def find(self, name: str) -> CimClass | None:
        return self._classes.get(name.casefold())

    def all(self) -> Iterator[CimClass]:
        return iter(self._classes.values())

    def derived(self, name: str) -> Iterator[CimClass]:
        """The class, and all that are derived from it."""
        return (each for each in self._classes.values() if each.is_a(name))


@cache
def load() -> Schema:
    """The schema of Windows Server 2019 and later."""
    data = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
    classes = {}
    for name, each in data.items():
        methods = {
            method: Method(*({p: Kind.parse(kind) for p, kind in told[side].items()} for side in ("in", "out")))
            for method, told in each["methods"].items()
        }
        properties = {p: Kind.parse(kind) for p, kind in each["properties"].items()}
        classes[name] = CimClass(
            name, each["namespace"], tuple(each["chain"]), tuple(each["keys"]), properties, methods
        )
    return Schema(classes)
