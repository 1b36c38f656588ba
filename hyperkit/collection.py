"""The one shape of every collection: list, get by id, one by name, find, iterate."""

from __future__ import annotations

import builtins
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import attrs

from hyperkit.checks import member, refuse
from hyperkit.errors import Ambiguous, InvalidRequest, NotFound
from hyperkit.handle import Handle, NamedRecord
from hyperkit.records import field_types
from hyperkit.specs.given import check_own, part_of

if TYPE_CHECKING:
    from hyperkit.host import Host

N = TypeVar("N", bound=NamedRecord)
H = TypeVar("H", bound=Handle[Any])


class Collection(ABC, Generic[H, N]):
    """Objects of one kind on one host. Each call asks the host; nothing is cached.

    It has no length: ``list(host.vms)`` would ask the host for it before it asks for the objects.
    """

    kind: ClassVar[str]
    """What is in it, in messages."""
    record_type: ClassVar[type[attrs.AttrsInstance]]
    """What it is known by."""
    create_hint: ClassVar[str] = ""
    """What to call when there is none, in messages."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @abstractmethod
    def _records(self) -> Sequence[N]:
        """Ask the host for all."""

    @abstractmethod
    def _handle(self, record: N) -> H:
        """The object users hold."""

    @abstractmethod
    def _record(self, id: str) -> N:
        """Ask the host for one."""

    def get(self, id: str | H) -> H:
        """The one with this id, or the one that an object means, read again.

        Raises:
            NotFound: there is none.
            InvalidRequest: neither a string nor such an object of this host.
        """
        wanted = id_of(self._host, self.kind, id)
        try:
            return self._handle(self._record(wanted))
        except NotFound as error:
            if is_like_an_id(wanted):
                raise
            raise NotFound(
                f"{error.message} (one(name={wanted!r}) finds by name)",
                backend=error.backend,
                operation=error.operation,
                resource=error.resource,
            ) from error.__cause__

    def list(self) -> builtins.list[H]:
        """All of them, each with its whole record."""
        return [self._handle(record) for record in self._records()]

    def one(self, name: str) -> H:
        """The only one of this name.

        Raises:
            NotFound: there is none; the error names those there are.
            Ambiguous: there are several; the error gives their ids.
        """
        return self._handle(pick_by_name(self.kind, self._records(), name, self._host.url, self.create_hint))

    def find(self, where: Callable[[H], bool] | None = None, /, **fields: object) -> builtins.list[H]:
        """Those whose record has these values, and for which ``where`` is true.

        ``name`` may be a pattern: ``host.vms.find(name="web*", state=PowerState.RUNNING)``.

        Raises:
            InvalidRequest: a field that these records do not have, or a value that it never has.
        """
        if isinstance(where, str):
            raise InvalidRequest(
                f"find({where!r}): say what it is, as in find(name={where!r})", field="where", value=where
            )
        if where is not None and not callable(where):
            refuse("where", where, f"a function that takes a {self.kind}; fields are given by name")
        known = field_types(self.record_type)
        for field, value in fields.items():
            if field not in known:
                raise InvalidRequest(
                    f"a {self.kind} has no field {field!r} to find by; it has {', '.join(known)}",
                    field=field,
                    value=value,
                )
            _check_value(field, value, known[field])
        handles = (self._handle(r) for r in self._records() if all(_fits(r, f, v) for f, v in fields.items()))
        return [handle for handle in handles if where is None or where(handle)]

    def __iter__(self) -> Iterator[H]:
        return iter(self.list())

    def __contains__(self, item: object) -> bool:
        """Whether an object is there, or one of a name: ``"web1" in host.vms``."""
        if isinstance(item, Handle):
            return item in self.list()
        return any(record.name == item for record in self._records())

    def __repr__(self) -> str:
        return f"<{self.kind} collection of {self._host.url}>"


def id_of(host: Host, kind: str, thing: object, field: str = "id") -> str:
    """The id that is given as ``field``, by itself or as an object that has it.

    Raises:
        InvalidRequest: neither a string nor an object of this kind, or one of another host.
    """
    if isinstance(thing, Handle) and thing.kind == kind:
        thing = part_of(thing, "id")
    if not isinstance(thing, str):
        refuse(field, thing, f"an id, which is a string, or a {kind} of this host")
    check_own(host.identity, field, thing)
    return thing


def is_like_an_id(label: str) -> bool:
    """Whether a text is the id or path of something rather than its name."""
    return "/" in label or re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", label) is not None


def _check_value(field: str, value: object, kinds: tuple[type, ...]) -> None:
    """Refuse to look for what cannot be there: nothing found would look like an answer."""
    enum = next((kind for kind in kinds if issubclass(kind, Enum)), None)
    if enum is not None and value is not None:
        member(field, value, enum)
    elif not isinstance(value, kinds):
        refuse(field, value, f"what this field holds: {' or '.join(kind.__name__ for kind in kinds)}")


def _fits(record: object, field: str, wanted: object) -> bool:
    value = getattr(record, field)
    if field == "name" and isinstance(wanted, str) and ("*" in wanted or "?" in wanted):
        return fnmatchcase(str(value), wanted)
    return bool(value == wanted)


def pick_by_name(kind: str, records: Iterable[N], name: str, url: str, hint: str = "") -> N:
    """The only record of a name.

    Raises:
        NotFound: there is none.
        Ambiguous: there are several.
    """
    records = list(records)
    fitting = [record for record in records if record.name == name]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(record.id for record in fitting)
        raise Ambiguous(
            f"{kind} {name!r} on {url} may be any of {len(fitting)}: use get(id) with one of {ids}", backend=url
        )
    raise not_found(kind, name, [record.name for record in records], url, hint)


def not_found(kind: str, name: str, present: builtins.list[str], url: str, hint: str = "") -> NotFound:
    """The error for a label nobody has: it says which there are, so that a typing mistake is seen at once."""
    shown = ", ".join(repr(label) for label in sorted(present)[:12])
    more = f" and {len(present) - 12} more" if len(present) > 12 else ""
    there = f"it has {shown}{more}" if present else "it has none"
    create = f". Create one with {hint.format(name=name)}" if hint and not is_like_an_id(name) else ""
    return NotFound(f"no {kind} {name!r} on {url}; {there}{create}", backend=url)


def pick(kind: str, records: Iterable[N], label: str, url: str, hint: str = "") -> N:
    """The record with this id, else the only one of this name."""
    records = list(records)
    by_id = next((record for record in records if record.id == label), None)
    return by_id or pick_by_name(kind, records, label, url, hint)
