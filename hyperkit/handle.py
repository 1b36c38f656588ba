"""What every object a user holds has in common: identity, the last record, `refresh`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

from hyperkit.errors import HyperkitError
from hyperkit.records import to_dict
from hyperkit.tasks import Task, as_job

if TYPE_CHECKING:
    from hyperkit.host import Host
    from hyperkit.vm import VM


class Record(Protocol):
    """What all records have."""

    @property
    def id(self) -> str: ...


class NamedRecord(Record, Protocol):
    """What records of things that people name have."""

    @property
    def name(self) -> str: ...


R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Handle(ABC, Generic[R]):
    """One object of a host.

    Attributes are those of the record that was read last and never do I/O; `refresh` reads again. Two
    handles are equal when they mean the same object of the same host, whatever their records say.
    """

    kind: ClassVar[str]
    """What it is, in messages (``VM``)."""

    __slots__ = ("_host", "_record")

    def __init__(self, host: Host, record: R) -> None:
        self._host = host
        self._record = record

    @property
    def id(self) -> str:
        """The vendor's id: opaque, stable over rename, restart and reconnect."""
        return self._record.id

    @property
    def host(self) -> Host:
        """The host it lives on."""
        return self._host

    @property
    def record(self) -> R:
        """What the host last reported about it, as plain frozen data."""
        return self._record

    @property
    def label(self) -> str:
        """What to call it in a message: ``VM 'web1'``."""
        return f"{self.kind} {getattr(self._record, 'name', self._record.id)!r}"

    @property
    def _scope(self) -> tuple[str, ...]:
        """What the id is unique within, besides the host."""
        return ()

    @abstractmethod
    def _read(self) -> R:
        """Ask the host."""

    def refresh(self) -> Self:
        """Read it again, and return it.

        Raises:
            NotFound: it is gone.
        """
        self._record = self._call(self._read)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The record as plain data, ready for ``json.dumps``."""
        data: dict[str, Any] = to_dict(self._record)
        return data

    def _call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a port, and tell whatever error comes which object it was about."""
        try:
            return function(*args)
        except HyperkitError as error:
            error.located(backend=self._host.url, resource=self.label)
            raise

    def _task(self, what: str, result: Any, finish: Callable[[Any], T]) -> Task[T]:
        label = self.label
        return Task(as_job(result), what=f"{what} {label}", clock=self._host.clock, finish=finish, resource=label)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Handle) or type(other) is not type(self):
            return NotImplemented
        return (self._host.identity, self._scope, self.id) == (other._host.identity, other._scope, other.id)

    def __hash__(self) -> int:
        return hash((type(self), self._host.identity, self._scope, self.id))

    def _summary(self) -> str:
        """What a REPL should show besides name and id."""
        return ""

    def __repr__(self) -> str:
        summary = self._summary()
        return f"<{self.label}{' ' if summary else ''}{summary} id={self.id}>"


class PartOfVM(Handle[R]):
    """Something of one VM: a device, a snapshot. Its id is unique within the VM."""

    __slots__ = ("_vm",)

    def __init__(self, vm: VM, record: R) -> None:
        super().__init__(vm.host, record)
        self._vm = vm

    @property
    def vm(self) -> VM:
        """The VM it belongs to."""
        return self._vm

    @property
    def _scope(self) -> tuple[str, ...]:
        return (self._vm.id,)
