"""Virtual machines."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.jobs import Job
from hyperkit.records import PowerRecord, VMRecord
from hyperkit.specs import VMChange, VMSpec
from hyperkit.states import PowerAction


class VMs:
    """Virtual machines."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def list(self) -> Sequence[VMRecord]:
        raise AssertionError("under construction")

    def get(self, vm_id: str) -> VMRecord:
        raise AssertionError("under construction")

    def create(self, spec: VMSpec) -> VMRecord | Job[VMRecord]:
        raise AssertionError("under construction")

    def configure(self, vm_id: str, change: VMChange) -> VMRecord:
        raise AssertionError("under construction")

    def power(self, vm_id: str) -> PowerRecord:
        raise AssertionError("under construction")

    def set_power(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        raise AssertionError("under construction")

    def delete(self, vm_id: str, volumes: Sequence[str]) -> Job[None] | None:
        raise AssertionError("under construction")
