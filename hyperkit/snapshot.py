"""Snapshots of a VM."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from hyperkit import checks, guard
from hyperkit.collection import Collection
from hyperkit.driver import SnapshotPort
from hyperkit.errors import InvalidState, NotFound
from hyperkit.handle import PartOfVM
from hyperkit.records import SnapshotRecord, VMRecord, changed
from hyperkit.specs import SnapshotChange, SnapshotSpec
from hyperkit.states import PowerState
from hyperkit.tasks import Task

if TYPE_CHECKING:
    from hyperkit.vm import VM

_HAS_MEMORY = frozenset({PowerState.RUNNING, PowerState.PAUSED})


def _port(vm: VM) -> SnapshotPort:
    port = vm.host.driver.snapshots
    if port is None or not vm.host.capabilities.snapshots:
        vm.host.capabilities.refuse("snapshots", vm.host.url)
    return port


class Snapshot(PartOfVM[SnapshotRecord]):
    """A state of a VM that it can be brought back to."""

    kind = "snapshot"
    __slots__ = ()

    @property
    def name(self) -> str:
        """Its label; see `Capabilities.unique_snapshot_names`."""
        return self._record.name

    @property
    def description(self) -> str:
        """Free text kept with it."""
        return self._record.description

    @property
    def created(self) -> datetime:
        """When it was taken, in UTC."""
        return self._record.created

    @property
    def state(self) -> PowerState:
        """What the VM was doing."""
        return self._record.state

    @property
    def memory(self) -> bool:
        """Whether it holds the VM's memory."""
        return self._record.memory

    @property
    def current(self) -> bool:
        """Whether the VM's present disks descend directly from it, as last read."""
        return self._record.current

    @property
    def label(self) -> str:
        """``snapshot 'clean' of VM 'web1'``."""
        return f"{self.kind} {self.name!r} of {self._vm.label}"

    def _read(self) -> SnapshotRecord:
        return self._vm.snapshots._record(self.id)

    def parent(self) -> Snapshot | None:
        """The snapshot it was taken on top of; None for a root. Asks the host."""
        parent_id = self.refresh().record.parent_id
        return None if parent_id is None else self._vm.snapshots.get(parent_id)

    def children(self) -> list[Snapshot]:
        """The snapshots taken on top of it. Asks the host."""
        return self._vm.snapshots.find(parent_id=self.id)

    def rename(self, name: str) -> Snapshot:
        """Give it another name; its id stays.

        Raises:
            AlreadyExists: the name is taken, where names must be unique.
        """
        return self.configure(name=name)

    def configure(self, *, name: str | None = None, description: str | None = None) -> Snapshot:
        """Change its name, its description or both.

        Raises:
            AlreadyExists: the name is taken, where names must be unique.
            NotFound: the snapshot or its VM is gone.
        """
        change = SnapshotChange(name=name, description=description)
        if name is not None or description is not None:
            self._record = self._call(_port(self._vm).update, self._vm.id, self.id, change)
        return self

    def revert(self, *, timeout: float | None = None) -> VM:
        """Bring its disks, configuration and memory back; what came since is lost. Returns the VM.

        With memory the VM is then as it was, running or paused; without, it is off.

        Raises:
            NotFound: the snapshot or its VM is gone.
        """
        checks.timeout(timeout)
        return self.begin_revert().result(timeout)

    def begin_revert(self) -> Task[VM]:
        """`revert`, without waiting for its end."""
        result = self._call(_port(self._vm).revert, self._vm.id, self.id)
        return self._task("revert to", result, self._reverted)

    def _reverted(self, record: VMRecord) -> VM:
        return self._vm._update(record)

    def delete(self, *, children: bool = False, timeout: float | None = None) -> None:
        """Delete it. The VM is not changed.

        Args:
            children: delete the whole tree below it too; else its children become its parent's.
            timeout: seconds to wait; disks may have to be merged.
        """
        checks.timeout(timeout)
        self.begin_delete(children=children).result(timeout)

    def begin_delete(self, *, children: bool = False) -> Task[None]:
        """`delete`, without waiting for its end."""
        checks.flag("children", children)
        result = self._call(_port(self._vm).delete, self._vm.id, self.id, children)
        return self._task("delete", result, lambda _: None)

    def _summary(self) -> str:
        return f"{self.state.value}{' with memory' if self.memory else ''}{' current' if self.current else ''}"


class SnapshotCollection(Collection[Snapshot, SnapshotRecord]):
    """The snapshots of one VM, parents before children."""

    kind = "snapshot"
    record_type = SnapshotRecord
    create_hint = "vm.snapshots.create({name!r})"

    def __init__(self, vm: VM) -> None:
        super().__init__(vm.host)
        self._vm = vm

    def _records(self) -> Sequence[SnapshotRecord]:
        return self._vm._call(_port(self._vm).list, self._vm.id)

    def _handle(self, record: SnapshotRecord) -> Snapshot:
        return Snapshot(self._vm, record)

    def _record(self, id: str) -> SnapshotRecord:
        for record in self._records():
            if record.id == id:
                return record
        raise NotFound(f"{self._vm.label} on {self._host.url} has no snapshot with id {id!r}", backend=self._host.url)

    def current(self) -> Snapshot | None:
        """The snapshot that the VM's present disks descend from; None if it has none."""
        return next((self._handle(record) for record in self._records() if record.current), None)

    def roots(self) -> builtins.list[Snapshot]:
        """The snapshots without a parent."""
        return self.find(parent_id=None)

    def create(
        self,
        name: str,
        *,
        description: str = "",
        memory: bool | None = None,
        quiesce: bool = False,
        timeout: float | None = None,
    ) -> Snapshot:
        """Take a snapshot on top of the current one. The VM goes on as it was.

        Args:
            name: a label.
            description: free text.
            memory: keep memory too, so that `Snapshot.revert` continues a running VM. None: if there is memory to keep
                and the host can.
            quiesce: have the guest's agent flush and freeze its file systems, and take the disks without memory.
            timeout: seconds to wait.

        Raises:
            InvalidState: ``memory`` of a VM that has none; or the VM is suspended or sleeping: start or resume it; or
                it cannot be quiesced: it is paused, or (`AgentUnavailable`) its guest has no agent that answers.
            AlreadyExists: the name is taken, where names must be unique.
            Unsupported: the host cannot take this kind of snapshot.
        """
        checks.timeout(timeout)
        return self.begin_create(name, description=description, memory=memory, quiesce=quiesce).result(timeout)

    def begin_create(
        self, name: str, *, description: str = "", memory: bool | None = None, quiesce: bool = False
    ) -> Task[Snapshot]:
        """`create`, without waiting for its end."""
        port, vm = _port(self._vm), self._vm
        spec = self._decided(SnapshotSpec(name, description, memory, quiesce))
        result = vm._call(port.create, vm.id, spec)
        return vm._task(f"take snapshot {name!r} of", result, self._handle)

    def _decided(self, spec: SnapshotSpec) -> SnapshotSpec:
        """The spec with ``memory`` settled by the VM's state and what the host can do."""
        vm, caps = self._vm, self._host.capabilities
        guard.check("snapshots.create", (vm.id, spec), caps, self._host.url)
        state = vm._look()
        if vm.template:
            raise vm._invalid_state("snapshot", "cannot take a snapshot of", ("clone", "make_vm"), ", a template")
        if state in (PowerState.SUSPENDED, PowerState.SLEEPING):
            raise vm._invalid_state("snapshot", "cannot take a snapshot of")
        if spec.quiesce and state is PowerState.PAUSED:
            raise vm._invalid_state("quiesced snapshot", "cannot quiesce the guest of")
        keeps = state in _HAS_MEMORY and caps.snapshot_memory and not spec.quiesce
        memory = keeps if spec.memory is None else spec.memory
        if memory and state not in _HAS_MEMORY:
            raise InvalidState(
                f"cannot keep memory of {vm.label} on {self._host.url}: it is {state.value}, there is none;"
                " memory=False leaves it out",
                current=state.value,
                wanted="snapshot with memory",
                allowed=("start",),
                backend=self._host.url,
                resource=vm.label,
            )
        if not memory and state in _HAS_MEMORY and not caps.snapshot_running_disks:
            caps.refuse("snapshot_running_disks", self._host.url)
        return changed(spec, memory=memory)
