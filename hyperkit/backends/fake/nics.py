"""Network cards of the fake's VMs."""

from __future__ import annotations

from typing import Any

from hyperkit.backends.fake.vms import FakeVMs
from hyperkit.backends.fake.world import Machine, World
from hyperkit.errors import NotFound
from hyperkit.records import NicRecord, changed
from hyperkit.specs import NicChange, NicSpec


class FakeNics:
    """See `hyperkit.driver.NicPort`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._vms = FakeVMs(world)

    def attach(self, vm_id: str, spec: NicSpec) -> NicRecord:
        with self._world.lock:
            machine = self._world.machine(vm_id)
            taken = {nic.id for nic in machine.record.nics}
            number = next(n for n in range(len(taken) + 1) if f"nic{n}" not in taken)
            nic = self._vms.make_nic(spec, f"nic{number}", machine.record.guest_os)
            self._world.update(machine, nics=(*machine.record.nics, nic))
            return nic

    def detach(self, vm_id: str, nic_id: str) -> None:
        with self._world.lock:
            machine = self._world.machine(vm_id)
            gone = self._nic(machine, nic_id)
            self._world.update(machine, nics=tuple(nic for nic in machine.record.nics if nic is not gone))

    def update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            nic = self._nic(machine, nic_id)
            changes: dict[str, Any] = {}
            if change.switch is not None:
                switch = world.switch(change.switch) if change.switch else None
                changes.update(switch_id=switch.id if switch else None, switch=switch.name if switch else None)
            if change.mac is not None:
                world.chosen_macs.add(change.mac)
                changes["mac"] = change.mac
            if change.link_up is not None:
                changes["link_up"] = change.link_up
            if change.vlan is not None:
                changes["vlan"] = change.vlan or None
            if change.trunk is not None:
                changes["trunk"] = change.trunk
            if change.policy is not None:
                changes["policy"] = change.policy
            after = changed(nic, **changes)
            world.update(machine, nics=tuple(after if n is nic else n for n in machine.record.nics))
            return after

    @staticmethod
    def _nic(machine: Machine, nic_id: str) -> NicRecord:
        for nic in machine.record.nics:
            if nic.id == nic_id:
                return nic
        raise NotFound(f"VM {machine.record.name!r} has no NIC {nic_id!r}")
