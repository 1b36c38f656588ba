"""Disks and CD-ROM drives of VMs."""

from __future__ import annotations

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.records import DiskRecord
from hyperkit.specs import DiskSpec


class Disks:
    """Disks and CD-ROM drives of VMs."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def attach(self, vm_id: str, spec: DiskSpec) -> DiskRecord:
        raise AssertionError("under construction")

    def detach(self, vm_id: str, disk_id: str) -> None:
        raise AssertionError("under construction")

    def resize(self, vm_id: str, disk_id: str, size: int) -> DiskRecord:
        raise AssertionError("under construction")

    def set_iso(self, vm_id: str, cdrom_id: str, iso: str | None) -> None:
        raise AssertionError("under construction")
