"""The one shape of every collection: list, get by id, one by name, find, iterate."""

from __future__ import annotations

import builtins
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import attrs

from hyperkit.errors import Ambiguous, InvalidRequest, NotFound
from hyperkit.handle import Handle, NamedRecord

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
    def get(self, id: str) -> H:
        """The one with this id.

        Raises:
            NotFound: there is none.
        """

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
            InvalidRequest: a field that these records do not have.
        """
        if isinstance(where, str):
            raise InvalidRequest(
                f"find({where!r}): say what it is, as in find(name={where!r})", field="where", value=where
            )
        known = [field.name for field in attrs.fields(self.record_type)]
        for field, value in fields.items():
            if field not in known:
                raise InvalidRequest(
                    f"a {self.kind} has no field {field!r} to find by; it has {', '.join(known)}",
                    field=field,
                    value=value,
                )
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
    create = f". Create one with {hint.format(name=name)}" if hint else ""
    return NotFound(f"no {kind} {name!r} on {url}; {there}{create}", backend=url)


def pick(kind: str, records: Iterable[N], label: str, url: str, hint: str = "") -> N:
    """The record with this id, else the only one of this name."""
    records = list(records)
    by_id = next((record for record in records if record.id == label), None)
    return by_id or pick_by_name(kind, records, label, url, hint)
