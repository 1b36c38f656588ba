"""What disks, NICs and CD-ROM drives have in common: they belong to one VM and are part of its record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from hyperkit.capabilities import instead
from hyperkit.checks import refuse
from hyperkit.errors import InvalidState, NotFound
from hyperkit.handle import PartOfVM, Record
from hyperkit.records import VMRecord
from hyperkit.states import PowerState, to_be_off

if TYPE_CHECKING:
    from hyperkit.vm import VM

R = TypeVar("R", bound=Record)
D = TypeVar("D", bound="Device[Any]")


class Device(PartOfVM[R]):
    """A device of one VM."""

    __slots__ = ()

    @property
    def label(self) -> str:
        """``disk 'vda' of VM 'web1'``."""
        return f"{self.kind} {self.id!r} of {self._vm.label}"

    @abstractmethod
    def _siblings(self, record: VMRecord) -> Sequence[R]:
        """The devices of its kind in a VM's record."""

    def _read(self) -> R:
        for record in self._siblings(self._vm.refresh().record):
            if record.id == self.id:
                return record
        raise NotFound(f"{self._vm.label} has no {self.kind} {self.id!r} any more")

    def _ready(self, hot: str, *, lets_go: bool = False) -> None:
        """Make sure that the device is there, and that the VM's state allows a change of it.

        ``lets_go``: of a VM that is paused no guest can let go of it, and it would vanish when the VM runs on.
        """
        self.refresh()
        what = f"change {self.kind} {self.id!r} of"
        require_off_or_hot(self._vm, hot, what)
        if lets_go and self._vm.state is PowerState.PAUSED:
            raise _forbidden(self._vm, what, "; its guest must run to let go of it", ("resume", "stop"))


class Devices(Sequence[D], Generic[D, R]):
    """The devices of one kind in a VM's last record: a sequence that does no I/O."""

    def __init__(self, vm: VM) -> None:
        self._vm = vm

    @abstractmethod
    def _items(self) -> list[D]:
        """The devices of its kind in the VM's last record."""

    def get(self, id: str) -> D:
        """The device with this id, of the last record.

        Raises:
            NotFound: the VM has none.
        """
        items = self._items()
        for item in items:
            if item.id == id:
                return item
        there = ", ".join(repr(item.id) for item in items)
        raise NotFound(f"{self._vm.label} has no such device {id!r}; it has {there or 'none'}")

    @overload
    def __getitem__(self, index: int) -> D: ...
    @overload
    def __getitem__(self, index: slice) -> list[D]: ...
    def __getitem__(self, index: int | slice) -> D | list[D]:
        return self._items()[index]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[D]:
        return iter(self._items())

    def __repr__(self) -> str:
        return repr(self._items())


def require_off_or_hot(vm: VM, hot: str, what: str) -> None:
    """Refuse to change a device of a VM whose state, as just read, does not allow it on this host.

    Raises:
        InvalidState: the VM runs and the host lacks the capability ``hot``, or its memory is saved to disk and would
            not fit the changed machine; or it is a template.
    """
    if vm.template:
        raise _forbidden(vm, what, ", a template: make_vm() of it first", ("clone", "make_vm"))
    state = vm.state
    if state in (PowerState.OFF, PowerState.CRASHED):
        return
    able = getattr(vm.host.capabilities, hot)
    if state in (PowerState.RUNNING, PowerState.PAUSED) and able:
        return
    hint = f"; this host cannot do it while a VM runs ({vm.host.capabilities.told(hot)}); {instead(hot)}"
    raise _forbidden(vm, what, "" if able else hint)


def require_off(vm: VM, what: str) -> None:
    """Refuse what no hypervisor can do to a VM, whose state was just read, unless it is off.

    Raises:
        InvalidState: it is not.
    """
    if vm.state not in (PowerState.OFF, PowerState.CRASHED):
        raise _forbidden(vm, what, "")


def _forbidden(vm: VM, what: str, hint: str, allowed: tuple[str, ...] = ()) -> InvalidState:
    state = vm.state
    return InvalidState(
        f"cannot {what} {vm.label}: it is {state.value}{hint}",
        current=state.value,
        wanted=what,
        allowed=allowed or to_be_off(state),
        backend=vm.host.url,
        resource=vm.label,
    )


def require_room(field: str, present: int, most: int | None) -> None:
    """Refuse one more device than the host allows a VM.

    Raises:
        InvalidRequest: it has the most it can have.
    """
    if most is not None and present >= most:
        refuse(field, present + 1, f"this host allows a VM at most {most}")
