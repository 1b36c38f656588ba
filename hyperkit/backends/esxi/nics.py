"""Network cards of VMs."""

from __future__ import annotations

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.records import NicRecord
from hyperkit.specs import NicChange, NicSpec


class Nics:
    """Network cards of VMs."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def attach(self, vm_id: str, spec: NicSpec) -> NicRecord:
        raise AssertionError("under construction")

    def detach(self, vm_id: str, nic_id: str) -> None:
        raise AssertionError("under construction")

    def update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        raise AssertionError("under construction")
