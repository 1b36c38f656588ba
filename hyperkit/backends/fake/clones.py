"""Clones of the fake's VMs, and templates."""

from __future__ import annotations

from collections.abc import Mapping

from hyperkit.backends.fake.activity import Activity
from hyperkit.backends.fake.images import copy_disk
from hyperkit.backends.fake.memory import NO_MEMORY
from hyperkit.backends.fake.snapshots import saved_of
from hyperkit.backends.fake.world import Machine, Saved, Volume, World
from hyperkit.errors import AlreadyExists, InvalidState
from hyperkit.jobs import Job
from hyperkit.records import AgentState, DiskRecord, NicRecord, VMRecord, changed
from hyperkit.specs import CloneSpec
from hyperkit.states import PowerState, StateReason


class FakeClones:
    """See `hyperkit.driver.ClonePort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def clone(self, vm_id: str, spec: CloneSpec) -> VMRecord | Job[VMRecord]:
        world = self._world
        with world.lock:
            self._begins(vm_id, spec)
            return world.job("cloning", lambda: self._clone(vm_id, spec))

    def _begins(self, vm_id: str, spec: CloneSpec) -> tuple[Machine, Saved | None]:
        """The source, and the snapshot of it that is meant, once nothing is in the way."""
        world = self._world
        machine = world.machine(vm_id)
        if world.name_taken(spec.name):
            raise AlreadyExists(f"a VM called {spec.name!r} exists already")
        if spec.datastore is not None:
            world.place(spec.datastore)
        return machine, saved_of(machine, spec.snapshot) if spec.snapshot is not None else None

    def _clone(self, vm_id: str, spec: CloneSpec) -> VMRecord:
        world = self._world
        # Looked at again: a job may end long after it began.
        machine, saved = self._begins(vm_id, spec)
        now, then = machine.record, saved.vm if saved else machine.record
        volumes = saved.data if saved else {disk.path: world.volume(disk.path) for disk in then.disks}
        record = changed(
            then,
            id=world.new_id(),
            name=spec.name,
            state=PowerState.OFF,
            reason=StateReason.NORMAL,
            dimms=(),
            disks=self._disks(spec, then, volumes),
            nics=tuple(self._nic(nic) for nic in then.nics),
            cdroms=tuple(changed(c, iso=c.iso if c.iso in world.volumes else None) for c in then.cdroms),
            # What it is known by, which is of today, and what the host keeps of the source alone.
            notes=now.notes,
            tags=now.tags,
            autostart=False,
            template=False,
            agent=AgentState.UNKNOWN,
            question=None,
            consolidation_needed=False,
        )
        return world.add(
            Machine(
                record,
                deaf=machine.deaf,
                shutdown_seconds=machine.shutdown_seconds,
                boot_seconds=machine.boot_seconds,
                inside=machine.inside.again(),
                activity=Activity(machine.activity.rates),
            )
        )

    def _disks(self, spec: CloneSpec, source: VMRecord, volumes: Mapping[str, Volume]) -> tuple[DiskRecord, ...]:
        made: list[DiskRecord] = []
        try:
            for disk in source.disks:
                made.append(copy_disk(self._world, spec, disk, volumes[disk.path]))
        except BaseException:
            for record in made:
                del self._world.volumes[record.path]
            raise
        return tuple(made)

    def _nic(self, nic: NicRecord) -> NicRecord:
        """The same card with an address of its own; a switch that a snapshot knew may be gone."""
        there = nic.switch_id in self._world.switches
        return changed(
            nic,
            mac=self._world.new_mac(),
            switch_id=nic.switch_id if there else None,
            switch=nic.switch if there else None,
        )

    def set_template(self, vm_id: str, template: bool) -> VMRecord:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            record = machine.record
            if template and record.state not in NO_MEMORY:
                raise InvalidState(
                    f"VM {record.name!r} is {record.state}: one that is off becomes a template",
                    current=record.state.value,
                    wanted="template",
                    allowed=("stop",),
                )
            return world.update(machine, template=template)
