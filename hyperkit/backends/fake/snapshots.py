"""Snapshots of the fake's VMs: the tree, and what each holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import attrs

from hyperkit.backends.fake.guests import hears
from hyperkit.backends.fake.images import resize
from hyperkit.backends.fake.world import Machine, Saved, World
from hyperkit.errors import AgentUnavailable, AlreadyExists, InvalidState, NotFound
from hyperkit.jobs import Job
from hyperkit.records import SnapshotRecord, VMRecord, changed
from hyperkit.specs import DiskFormat, Firmware, SnapshotChange, SnapshotSpec
from hyperkit.states import PowerState

_LABEL = ("name", "notes", "tags", "autostart", "template", "consolidation_needed")
"""What a revert leaves: what a VM is known by, and the host's own settings and remarks, are not its state."""


class FakeSnapshots:
    """See `hyperkit.driver.SnapshotPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        with self._world.lock:
            machine = self._world.machine(vm_id)
            return [self._seen(machine, saved) for saved in machine.snapshots.values()]

    @staticmethod
    def _seen(machine: Machine, saved: Saved) -> SnapshotRecord:
        current = saved.record.id == machine.current
        return changed(saved.record, current=True) if current else saved.record

    def create(self, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord | Job[SnapshotRecord]:
        world = self._world

        def work() -> SnapshotRecord:
            machine = world.machine(vm_id)
            told = spec.memory or not world.forgets_state
            record = SnapshotRecord(
                id=world.new_id(),
                vm_id=vm_id,
                name=spec.name,
                description=spec.description,
                parent_id=machine.current,
                created=world.now(),
                state=machine.record.state if told else PowerState.OFF,
                memory=bool(spec.memory),
            )
            data = {disk.path: attrs.evolve(world.volume(disk.path)) for disk in machine.record.disks}
            boot = attrs.evolve(machine.boot, at=machine.boot.at - world.clock.monotonic())
            internal = self._is_internal(machine, spec)
            saved = machine.snapshots[record.id] = Saved(record, machine.record, data, boot, internal)
            machine.current = record.id
            return self._seen(machine, saved)

        with world.lock:
            machine = world.machine(vm_id)
            self._check_name(machine, spec.name)
            self._is_internal(machine, spec)
            if spec.quiesce and machine.record.state is PowerState.RUNNING and not hears(world, machine):
                raise AgentUnavailable(
                    f"cannot quiesce VM {machine.record.name!r}: its guest has no agent that answers",
                    current="no agent",
                    wanted="quiesced snapshot",
                    allowed=("snapshot with quiesce=False",),
                )
            return world.job("saving", work)

    def _is_internal(self, machine: Machine, spec: SnapshotSpec) -> bool:
        """Whether this one goes into the images, where a host cannot mix both kinds: as QEMU's under libvirt.

        Raises:
            InvalidState: others do, and this one cannot.
        """
        if self._world.capabilities.snapshot_kinds_mix:
            return False
        vm = machine.record
        active = vm.state is not PowerState.OFF
        disks = [disk for disk in vm.disks if not disk.read_only]
        raw = next((disk.path for disk in disks if disk.format is not DiskFormat.QCOW2), None)
        why = None
        if active and not spec.memory:
            why = "keep the memory, or stop the VM first"
        elif active and vm.firmware is Firmware.UEFI:
            why = "those of a running VM with UEFI cannot be; stop the VM first"
        elif active and 0 < machine.boot.cpus < vm.cpus:
            why = "libvirt cannot load memory into CPUs that were added while it ran; stop and start it first"
        elif raw is not None or not disks:
            why = f"{raw or 'a VM without disks'} has no room for them; detach it, or make it read-only"
        if not machine.snapshots:
            return why is None
        if why is not None and any(saved.internal for saved in machine.snapshots.values()):
            raise InvalidState(
                f"cannot take this snapshot of VM {vm.name!r}: it has internal ones, and {why}; or delete its "
                "snapshots, then it can have external ones, which have no such limit",
                current="internal snapshots",
                wanted="external snapshot",
                allowed=("delete the snapshots",),
            )
        return any(saved.internal for saved in machine.snapshots.values())

    def _check_name(self, machine: Machine, name: str) -> None:
        taken = any(saved.record.name == name for saved in machine.snapshots.values())
        if taken and self._world.capabilities.unique_snapshot_names:
            raise AlreadyExists(f"VM {machine.record.name!r} has a snapshot called {name!r} already")

    def update(self, vm_id: str, snapshot_id: str, change: SnapshotChange) -> SnapshotRecord:
        with self._world.lock:
            machine = self._world.machine(vm_id)
            saved = saved_of(machine, snapshot_id)
            record = saved.record
            if change.name is not None and change.name != record.name:
                self._check_name(machine, change.name)
                record = changed(record, name=change.name)
            if change.description is not None:
                record = changed(record, description=change.description)
            saved.record = record
            return self._seen(machine, saved)

    def held(self) -> Mapping[str, Collection[str]]:
        held: dict[str, set[str]] = {}
        with self._world.lock:
            for vm_id, machine in self._world.machines.items():
                for saved in machine.snapshots.values():
                    for path in saved.data:
                        held.setdefault(path, set()).add(vm_id)
        return held

    def revert(self, vm_id: str, snapshot_id: str) -> VMRecord | Job[VMRecord]:
        world = self._world

        def work() -> VMRecord:
            machine = world.machine(vm_id)
            saved = saved_of(machine, snapshot_id)
            volumes = {path: world.volume(path) for path in saved.data}
            then, now = saved.vm, machine.record
            kept = {field: getattr(now, field) for field in _LABEL}
            state = then.state if saved.record.memory else PowerState.OFF
            record = world.update(machine, **{**then.__dict__, **kept, "state": state, "question": None})
            if saved.record.memory:
                machine.boot = attrs.evolve(saved.boot, at=saved.boot.at + world.clock.monotonic())
            for path, volume in volumes.items():
                then_volume = saved.data[path]
                volume.record, volume.data = then_volume.record, then_volume.data
                resize(world, path, volume.record.size)
            machine.current = snapshot_id
            return record

        with world.lock:
            saved_of(world.machine(vm_id), snapshot_id)
            return world.job("reverting", work)

    def delete(self, vm_id: str, snapshot_id: str, children: bool) -> Job[None] | None:
        world = self._world

        def work() -> None:
            machine = world.machine(vm_id)
            if children:
                for doomed in self._tree(machine, snapshot_id):
                    self._delete_one(machine, doomed)
            else:
                self._delete_one(machine, snapshot_id)

        with world.lock:
            saved_of(world.machine(vm_id), snapshot_id)
            return world.job("merging", work)

    @staticmethod
    def _tree(machine: Machine, root: str) -> Sequence[str]:
        """A snapshot and all below it, children before parents."""
        tree = [root]
        for snapshot_id in tree:  # grows while it is walked
            tree += [s.record.id for s in machine.snapshots.values() if s.record.parent_id == snapshot_id]
        return tree[::-1]

    @staticmethod
    def _delete_one(machine: Machine, snapshot_id: str) -> None:
        parent = machine.snapshots.pop(snapshot_id).record.parent_id
        for saved in machine.snapshots.values():
            if saved.record.parent_id == snapshot_id:
                saved.record = changed(saved.record, parent_id=parent)
        if machine.current == snapshot_id:
            machine.current = parent


def saved_of(machine: Machine, snapshot_id: str) -> Saved:
    """The VM's snapshot with this id.

    Raises:
        NotFound: there is none.
    """
    saved = machine.snapshots.get(snapshot_id)
    if saved is None:
        raise NotFound(f"VM {machine.record.name!r} has no snapshot with id {snapshot_id!r}")
    return saved
