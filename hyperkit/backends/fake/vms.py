"""Virtual machines of the fake: created, changed, run and deleted in memory."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.fake.guests import agent_state, hears
from hyperkit.backends.fake.images import make_disk
from hyperkit.backends.fake.memory import changed_dimms
from hyperkit.backends.fake.world import Machine, World
from hyperkit.checks import part_of
from hyperkit.driver import Reboot
from hyperkit.errors import AlreadyExists, InvalidState
from hyperkit.jobs import Job
from hyperkit.records import CdromRecord, DiskRecord, NicRecord, PowerRecord, VMRecord, changed
from hyperkit.specs import NicSpec, VMChange, VMSpec
from hyperkit.states import PowerAction, PowerState

_NEXT_STATE = {
    PowerAction.START: PowerState.RUNNING,
    PowerAction.STOP: PowerState.OFF,
    PowerAction.PAUSE: PowerState.PAUSED,
    PowerAction.RESUME: PowerState.RUNNING,
    PowerAction.RESET: PowerState.RUNNING,
    PowerAction.SUSPEND: PowerState.SUSPENDED,
    PowerAction.DISCARD: PowerState.OFF,
}


class FakeVMs:
    """See `hyperkit.driver.VMPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def list(self) -> Sequence[VMRecord]:
        with self._world.lock:
            self._world.settle()
            return [_seen(self._world, machine) for machine in self._world.machines.values()]

    def get(self, vm_id: str) -> VMRecord:
        with self._world.lock:
            return _seen(self._world, self._world.machine(vm_id))

    def power(self, vm_id: str) -> PowerRecord:
        with self._world.lock:
            return _power(self._world.machine(vm_id).record)

    def create(self, spec: VMSpec) -> VMRecord | Job[VMRecord]:
        with self._world.lock:
            self._check_name(spec.name)
            return self._world.job("creating", lambda: self._create(spec))

    def _create(self, spec: VMSpec) -> VMRecord:
        world = self._world
        # Looked at again: a job may end long after it began.
        self._check_name(spec.name)
        if spec.iso is not None:
            world.volume(spec.iso, "iso")
        if spec.container is not None:
            world.check_root(spec.container.root)
        # Before the disks: a switch may be gone by now, and then no file is to stay behind.
        nics = tuple(self.make_nic(nic, f"nic{index}", spec.guest_os) for index, nic in enumerate(spec.nics))
        disks = self._make_disks(spec)
        record = VMRecord(
            id=world.new_id(),
            name=spec.name,
            state=PowerState.OFF,
            cpus=spec.cpus,
            memory=spec.memory,
            max_cpus=spec.max_cpus,
            max_memory=spec.max_memory,
            topology=spec.topology,
            cpu_allocation=spec.cpu_allocation,
            memory_allocation=spec.memory_allocation,
            disks=disks,
            nics=nics,
            cdroms=(CdromRecord(id="cdrom0", iso=spec.iso),) if spec.cdrom or spec.iso else (),
            guest_os=spec.guest_os,
            firmware=spec.firmware,
            secure_boot=spec.secure_boot,
            tpm=spec.tpm,
            boot_order=spec.boot_order,
            kernel=spec.kernel,
            container=spec.container,
            notes=spec.notes,
            tags=spec.tags,
            autostart=spec.autostart,
        )
        machine = Machine(record)
        world.add(machine)
        return _seen(world, machine)

    def _make_disks(self, spec: VMSpec) -> tuple[DiskRecord, ...]:
        made: list[DiskRecord] = []
        try:
            for index, disk in enumerate(spec.disks):
                with part_of(f"disks[{index}]"):
                    made.append(make_disk(self._world, spec.name, f"disk{index}", disk))
        except BaseException:
            for record in made:
                if record.created:
                    del self._world.volumes[record.path]
            raise
        return tuple(made)

    def make_nic(self, spec: NicSpec, nic_id: str, guest_os: str) -> NicRecord:
        """A card as a spec with a switch id asks for it."""
        world = self._world
        if spec.mac is not None:
            world.chosen_macs.add(spec.mac)
        switch = world.switch(spec.switch) if spec.switch else None
        return NicRecord(
            id=nic_id,
            mac=spec.mac or world.new_mac(),
            switch_id=switch.id if switch else None,
            switch=switch.name if switch else None,
            model=spec.model or world.usual_model(guest_os),
            vlan=spec.vlan,
            link_up=spec.link_up,
            trunk=spec.trunk,
            policy=spec.policy,
        )

    def _check_name(self, name: str) -> None:
        if self._world.name_taken(name):
            raise AlreadyExists(f"a VM called {name!r} exists already")

    def configure(self, vm_id: str, change: VMChange) -> VMRecord:
        with self._world.lock:
            machine = self._world.machine(vm_id)
            if change.name is not None and change.name != machine.record.name:
                self._check_name(change.name)
            changes = change.fields()
            able = self._world.capabilities
            if change.memory is not None and able.hot_memory_remove and not able.hot_memory_remove_any:
                changes["dimms"] = changed_dimms(machine.record, change.memory)
            return self._world.update(machine, **changes)

    def set_power(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            if action is PowerAction.SHUTDOWN:
                self._ask_to_shut_down(machine)
            elif action is PowerAction.REBOOT:
                if hears(world, machine):
                    reboot(world, machine)
            elif action in (PowerAction.START, PowerAction.SUSPEND):
                _check_no_template(machine, action)
                return world.job(f"{action.value}ing", lambda: self._turn(vm_id, action))
            else:
                return self._turn(vm_id, action)
            return _power(machine.record)

    def _turn(self, vm_id: str, action: PowerAction) -> PowerRecord:
        machine = self._world.machine(vm_id)
        _check_no_template(machine, action)
        if action is PowerAction.RESET:
            reboot(self._world, machine)
        return _power(self._world.update(machine, state=_NEXT_STATE[action]))

    def _ask_to_shut_down(self, machine: Machine) -> None:
        world = self._world
        if not hears(world, machine):
            return
        if not machine.shutdown_seconds:
            world.update(machine, state=PowerState.OFF)
        elif machine.goes_off_at is None:
            machine.goes_off_at = world.clock.monotonic() + machine.shutdown_seconds

    def delete(self, vm_id: str, volumes: Sequence[str]) -> Job[None] | None:
        world = self._world

        def work() -> None:
            world.remove(world.machine(vm_id))
            for path in volumes:
                world.volumes.pop(path, None)

        with world.lock:
            world.machine(vm_id)
            return world.job("deleting", work)


def _seen(world: World, machine: Machine) -> VMRecord:
    """A VM's record; how its agent is comes and goes with time."""
    agent = agent_state(world, machine)
    if agent is not machine.record.agent:
        machine.record = changed(machine.record, agent=agent)
    return machine.record


def _check_no_template(machine: Machine, action: PowerAction) -> None:
    record = machine.record
    if record.template and action is PowerAction.START:
        raise InvalidState(
            f"VM {record.name!r} is a template, which is not started",
            current="template",
            wanted=action.value,
            allowed=("clone", "make_vm"),
        )


def reboot(world: World, machine: Machine) -> None:
    """Let what is in a VM begin afresh while the VM stays on, and tell of it."""
    world.boot(machine)
    world.tell(Reboot(vm=machine.record))


def _power(record: VMRecord) -> PowerRecord:
    return PowerRecord(state=record.state, reason=record.reason)
