"""Virtual machines."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.esxi import create, delete, reconfigure
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.backends.esxi.power import Power
from hyperkit.backends.esxi.tasks import TaskJob, finished
from hyperkit.jobs import Job
from hyperkit.records import PowerRecord, VMRecord
from hyperkit.specs import VMChange, VMSpec
from hyperkit.states import PowerAction


class VMs:
    """See `hyperkit.driver.VMPort`."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory
        self._power = Power(connection, inventory)

    def list(self) -> Sequence[VMRecord]:
        return self._inventory.list()

    def get(self, vm_id: str) -> VMRecord:
        return self._inventory.get(vm_id)

    def create(self, spec: VMSpec) -> VMRecord | Job[VMRecord]:
        create.check(spec)
        return TaskJob(self._connection, create.create(self._connection, self._inventory, spec))

    def configure(self, vm_id: str, change: VMChange) -> VMRecord:
        return finished(self._connection, reconfigure.change(self._connection, self._inventory, vm_id, change))

    def power(self, vm_id: str) -> PowerRecord:
        return self._inventory.power(vm_id)

    def set_power(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        return self._power.act(vm_id, action)

    def delete(self, vm_id: str, volumes: Sequence[str]) -> Job[None] | None:
        return TaskJob(self._connection, delete.delete(self._connection, vm_id, volumes))
