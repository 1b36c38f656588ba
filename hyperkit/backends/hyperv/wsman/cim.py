"""Instances and references as they come: text by property name, read as what the property is.

What WS-Management sends has no types: ``3`` may be a number or a name. Who reads a property knows which. A null is
``xsi:nil``, but a null array is no element at all; so a property that is missing is null, or empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias
from xml.etree.ElementTree import Element

import attrs

from hyperkit.backends.hyperv.wsman import names
from hyperkit.errors import BackendError

_NIL = f"{{{names.XSI}}}nil"
_REFERENCE = f"{{{names.ADDRESSING}}}ReferenceParameters"
_URI = f"{{{names.WSMAN}}}ResourceURI"
_SELECTORS = f"{{{names.WSMAN}}}SelectorSet"
_SELECTOR = f"{{{names.WSMAN}}}Selector"
_NESTED = f"{{{names.ADDRESSING}}}EndpointReference"
_TIMES = frozenset(f"{{{names.CIM}}}{name}" for name in ("Datetime", "Interval", "Date", "Time"))

_PATH = re.compile(r"(?:\\\\[^\\/]+[\\/])?(?P<namespace>[\w\\/]+):(?P<name>\w+)\.(?P<keys>.+)", re.DOTALL)
_KEY = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)', re.DOTALL)
_WHEN = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(?:Z|([+-])(\d\d):(\d\d))?$")
_NEVER = 1601
"""The year of a time that is not set."""


@attrs.frozen
class Reference:
    """Which instance: its class and keys.

    Attributes:
        class_name: such as ``Msvm_ComputerSystem``.
        keys: values by property; numbers are written as text too.
        namespace: the CIM namespace that the class is in.
    """

    class_name: str
    keys: Mapping[str, str] = attrs.field(hash=False, factory=dict)
    namespace: str = names.VIRTUALIZATION

    @property
    def path(self) -> str:
        """The WMI object path, as properties such as ``Parent`` and ``HostResource`` have it."""
        return f"{self.namespace}:{self._object()}"

    @property
    def query(self) -> str:
        """The instance as ``ASSOCIATORS OF`` names it, braces included."""
        return f"{{{self._object()}}}"

    def _object(self) -> str:
        keys = ",".join(f'{name}="{_escaped(value)}"' for name, value in self.keys.items())
        return f"{self.class_name}.{keys}" if keys else self.class_name

    @property
    def identity(self) -> tuple[str, frozenset[tuple[str, str]]]:
        """What two references to one instance have in common: hosts write GUIDs and names in upper and lower case."""
        keys = frozenset((name.casefold(), value.casefold()) for name, value in self.keys.items())
        return self.class_name.casefold(), keys

    @classmethod
    def parse(cls, path: str) -> Reference | None:
        """What an object path names, in any of its spellings; None if it is none, as the path of a file."""
        found = _PATH.match(path)
        if found is None:
            return None
        keys = {name: re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL) for name, value in _KEY.findall(found["keys"])}
        namespace = found["namespace"].replace("\\", "/").casefold().strip("/")
        return cls(found["name"], keys, namespace) if keys else None


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


Value: TypeAlias = "str | Reference | Instance | None"


class Instance:
    """What a host says of one object, or what a method answers."""

    __slots__ = ("class_name", "namespace", "values")

    def __init__(self, class_name: str, values: Mapping[str, Sequence[Value]], namespace: str = "") -> None:
        self.class_name = class_name
        self.values = values
        self.namespace = namespace

    def text(self, name: str, default: str = "") -> str:
        """A string, or anything else as it is written; ``default`` if it is null."""
        value = self._one(name)
        return value if isinstance(value, str) else default

    def texts(self, name: str) -> tuple[str, ...]:
        """The strings of an array."""
        return tuple(value for value in self.values.get(name, ()) if isinstance(value, str))

    def number(self, name: str) -> int | None:
        """A whole number; None if it is null.

        Raises:
            BackendError: it is none.
        """
        value = self._one(name)
        return _number(name, value) if isinstance(value, str) and value else None

    def numbers(self, name: str) -> tuple[int, ...]:
        """The whole numbers of an array."""
        return tuple(_number(name, value) for value in self.texts(name))

    def flag(self, name: str) -> bool:
        """A boolean; a null is False."""
        return self.text(name).lower() in ("true", "1")

    def moment(self, name: str) -> datetime | None:
        """A time, aware, UTC; None if it is null or was never set (1 January 1601)."""
        return moment(self.text(name))

    def reference(self, name: str) -> Reference | None:
        """A reference, or what a string names that is an object path; None if it is null, or names something else."""
        value = self._one(name)
        return Reference.parse(value) if isinstance(value, str) else value if isinstance(value, Reference) else None

    def references(self, name: str) -> tuple[Reference, ...]:
        """The references of an array, object paths too."""
        found = (Reference.parse(v) if isinstance(v, str) else v for v in self.values.get(name, ()))
        return tuple(each for each in found if isinstance(each, Reference))

    def instances(self, name: str) -> tuple[Instance, ...]:
        """The objects of an array that come as such."""
        return tuple(value for value in self.values.get(name, ()) if isinstance(value, Instance))

    def _one(self, name: str) -> Value:
        values = self.values.get(name)
        return values[0] if values else None

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __repr__(self) -> str:
        return f"<{self.class_name} {self.text('ElementName') or self.text('InstanceID') or self.text('Name')!r}>"


def moment(text: str) -> datetime | None:
    """A time as WS-Management writes it; None if it is none, or was never set."""
    found = _WHEN.match(text)
    if found is None or int(found[1]) <= _NEVER:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction = int((found[7] or "0").ljust(6, "0"))
    when = datetime(year, month, day, hour, minute, second, fraction, tzinfo=UTC)
    if found[8]:
        offset = datetime(1, 1, 2, tzinfo=UTC).replace(hour=int(found[9]), minute=int(found[10]))
        shift = offset - datetime(1, 1, 2, tzinfo=UTC)
        when = when - shift if found[8] == "+" else when + shift
    return when


def _number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError as error:
        raise BackendError(f"the host says {name}={value[:100]!r}, which is no whole number") from error


def local(element: Element) -> str:
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def instance(element: Element) -> Instance:
    """An instance, or the answer of a method."""
    values: dict[str, list[Value]] = {}
    for each in element:
        values.setdefault(local(each), []).append(_value(each))
    uri = element.tag.partition("}")[0].removeprefix("{")
    return Instance(local(element), values, names.of_uri(uri)[0])


def _value(element: Element) -> Value:
    if element.get(_NIL) in ("true", "1"):
        return None
    if not len(element):
        return element.text or ""
    if (found := reference(element)) is not None:
        return found
    if len(element) == 1 and element[0].tag in _TIMES:
        return element[0].text or ""
    return instance(element)


def reference(element: Element) -> Reference | None:
    """The reference in an element, wrapped in an ``EndpointReference`` or not; None if there is none."""
    for each in element:
        if each.tag == _NESTED:
            return reference(each)
    parameters = element.find(_REFERENCE)
    if parameters is None:
        return None
    namespace, name = names.of_uri(parameters.findtext(_URI, ""))
    return Reference(name, dict(_selectors(parameters)), namespace or names.VIRTUALIZATION)


def _selectors(parameters: Element) -> Iterator[tuple[str, str]]:
    for selectors in parameters.iter(_SELECTORS):
        for each in selectors.iter(_SELECTOR):
            # A key that is a reference itself, as an association's, has an EndpointReference in it.
            inner = reference(each) if len(each) else None
            yield each.get("Name", ""), inner.path if inner is not None else each.text or ""
