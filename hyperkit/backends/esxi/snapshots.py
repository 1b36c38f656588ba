"""Snapshots of VMs, known by the ids of their managed objects: names are not unique.

``quiesce`` is ignored, without a word, where VMware Tools do not run (CreateSnapshot_Task in the vSphere web services
reference), and a revert brings back what the VM was called.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import kept, tree
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.elements import Element, children, number, text
from hyperkit.backends.esxi.guests import check_tools
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.backends.esxi.names import to_vsphere
from hyperkit.backends.esxi.tasks import TaskJob, Work
from hyperkit.backends.esxi.undo import tell
from hyperkit.errors import AgentUnavailable, NotFound
from hyperkit.jobs import Job
from hyperkit.records import SnapshotRecord, VMRecord
from hyperkit.specs import SnapshotChange, SnapshotSpec


class Snapshots:
    """See `hyperkit.driver.SnapshotPort`."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        """One call."""
        values = self._connection.properties.one("VirtualMachine", vm_id, ["snapshot"]).values
        return tree.snapshots(vm_id, values.get("snapshot"))

    def create(self, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord | Job[SnapshotRecord]:
        """A task and a read; one read more to quiesce.

        Raises:
            AgentUnavailable: the guest is to be quiesced, and VMware Tools do not run in it.
            Timeout: they do, and give no sign of life.
        """
        if spec.quiesce:
            try:
                check_tools(self._connection, vm_id)
            except AgentUnavailable as error:
                raise AgentUnavailable(
                    f"cannot quiesce: {error.message}; or take it with quiesce=False, as after a power cut",
                    current="no agent",
                    wanted="quiesced snapshot",
                    allowed=("snapshot with quiesce=False",),
                ) from error
        return TaskJob(self._connection, self._create(vm_id, spec))

    def _create(self, vm_id: str, spec: SnapshotSpec) -> Work[SnapshotRecord]:
        create = self._connection.vm(vm_id).CreateSnapshot_Task
        made = yield create(to_vsphere(spec.name), spec.description, bool(spec.memory), spec.quiesce)
        return self._record(vm_id, text(made))

    def update(self, vm_id: str, snapshot_id: str, change: SnapshotChange) -> SnapshotRecord:
        """Three calls."""
        name = None if change.name is None else to_vsphere(change.name)
        self._snapshot(vm_id, snapshot_id).RenameSnapshot(name, change.description)
        return self._record(vm_id, snapshot_id)

    def held(self) -> Mapping[str, Collection[str]]:
        """One call, pages aside."""
        held: dict[str, set[str]] = {}
        for found in self._connection.properties.all("VirtualMachine", ["layoutEx.snapshot", "layoutEx.file"]):
            for path in files(found.values.get("layoutEx.snapshot"), found.values.get("layoutEx.file")):
                held.setdefault(path, set()).add(found.ref.id)
        return held

    def revert(self, vm_id: str, snapshot_id: str) -> VMRecord | Job[VMRecord]:
        """A task, and a read before and two after it; a task more if the VM was called something else then."""
        return TaskJob(self._connection, self._revert(vm_id, self._snapshot(vm_id, snapshot_id)))

    def _revert(self, vm_id: str, snapshot: Any) -> Work[VMRecord]:
        before = self._label(vm_id)
        yield snapshot.RevertToSnapshot_Task(None, False)
        spec = before.instead_of(self._label(vm_id))
        if spec is not None:
            try:
                yield self._connection.vm(vm_id).ReconfigVM_Task(spec)
            except Exception as error:
                tell(self._connection, error, "the VM was reverted, but its name, notes and tags are those it had then")
                raise
        return self._inventory.get(vm_id)

    def delete(self, vm_id: str, snapshot_id: str, children: bool) -> Job[None] | None:
        """A read and a task."""
        return TaskJob(self._connection, _delete(self._snapshot(vm_id, snapshot_id), children))

    def _label(self, vm_id: str) -> _Label:
        paths = ["config.name", "config.annotation", "config.extraConfig"]
        values = self._connection.properties.one("VirtualMachine", vm_id, paths).values
        return _Label(
            name=text(values.get("config.name")),
            notes=text(values.get("config.annotation")),
            kept=kept.of(values.get("config.extraConfig")),
        )

    def _snapshot(self, vm_id: str, snapshot_id: str) -> Any:
        """The managed object of a VM's snapshot.

        Raises:
            NotFound: the VM has none of this id.
        """
        return vim.vm.Snapshot(self._record(vm_id, snapshot_id).id, self._connection.stub)

    def _record(self, vm_id: str, snapshot_id: str) -> SnapshotRecord:
        for record in self.list(vm_id):
            if record.id == snapshot_id:
                return record
        raise NotFound(f"the VM has no snapshot with id {snapshot_id!r}")


def _delete(snapshot: Any, children: bool) -> Work[None]:
    yield snapshot.RemoveSnapshot_Task(children, True)


@attrs.frozen(kw_only=True)
class _Label:
    """What a VM is called: vSphere has it in the configuration that a revert exchanges."""

    name: str
    notes: str
    kept: kept.Kept

    def instead_of(self, now: _Label) -> Any:
        """The ``vim.vm.ConfigSpec`` that puts these in the place of others; None if they are the same."""
        spec: dict[str, Any] = {}
        if now.name != self.name:
            spec["name"] = self.name
        if now.notes != self.notes:
            spec["annotation"] = self.notes
        if now.kept.tags != self.kept.tags:
            # The disks created and the ceilings are those of the snapshot.
            spec["extraConfig"] = [kept.option(attrs.evolve(now.kept, tags=self.kept.tags))]
        return vim.vm.ConfigSpec(**spec) if spec else None


def files(snapshots: Element | None, all_files: Element | None) -> set[str]:
    """The paths of the files that snapshots need: those that ``layoutEx.snapshot`` names by their keys.

    The layout of a disk there has the whole chain of files below the snapshot, each with its extents.
    """
    names = {number(file, "key"): text(file, "name") for file in children(all_files)}
    keys: set[int | None] = set()
    for layout in children(snapshots):
        keys |= {number(layout, "dataKey"), number(layout, "memoryKey")}
        keys |= {
            number(key)
            for disk in children(layout, "disk")
            for unit in children(disk, "chain")
            for key in children(unit, "fileKey")
        }
    return {names[key] for key in keys & names.keys()}
