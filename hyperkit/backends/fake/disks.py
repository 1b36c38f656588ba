"""Disks and CD-ROM drives of the fake's VMs."""

from __future__ import annotations

from hyperkit.backends.fake.images import make_disk, resize
from hyperkit.backends.fake.world import Machine, World
from hyperkit.errors import NotFound
from hyperkit.records import DiskRecord, changed
from hyperkit.specs import DiskSpec


class FakeDisks:
    """See `hyperkit.driver.DiskPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def attach(self, vm_id: str, spec: DiskSpec) -> DiskRecord:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            taken = {disk.id for disk in machine.record.disks}
            number = next(n for n in range(len(taken) + 1) if f"disk{n}" not in taken)
            disk = make_disk(world, machine.record.name, f"disk{number}", spec)
            world.update(machine, disks=(*machine.record.disks, disk))
            return disk

    def detach(self, vm_id: str, disk_id: str) -> None:
        with self._world.lock:
            machine = self._world.machine(vm_id)
            gone = self._disk(machine, disk_id)
            self._world.update(machine, disks=tuple(disk for disk in machine.record.disks if disk is not gone))

    def resize(self, vm_id: str, disk_id: str, size: int) -> DiskRecord:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            disk = self._disk(machine, disk_id)
            resize(world, disk.path, size)
            return self._disk(machine, disk_id)

    def set_iso(self, vm_id: str, cdrom_id: str, iso: str | None) -> None:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            if cdrom_id not in {cdrom.id for cdrom in machine.record.cdroms}:
                raise NotFound(f"VM {machine.record.name!r} has no CD-ROM drive {cdrom_id!r}")
            if iso is not None:
                world.volume(iso, "iso")
            drives = (changed(c, iso=iso) if c.id == cdrom_id else c for c in machine.record.cdroms)
            world.update(machine, cdroms=tuple(drives))

    @staticmethod
    def _disk(machine: Machine, disk_id: str) -> DiskRecord:
        for disk in machine.record.disks:
            if disk.id == disk_id:
                return disk
        raise NotFound(f"VM {machine.record.name!r} has no disk {disk_id!r}")
