"""Clones and templates."""

from __future__ import annotations

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.jobs import Job
from hyperkit.records import VMRecord
from hyperkit.specs import CloneSpec


class Clones:
    """Clones and templates."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def clone(self, vm_id: str, spec: CloneSpec) -> VMRecord | Job[VMRecord]:
        raise AssertionError("under construction")

    def set_template(self, vm_id: str, template: bool) -> VMRecord:
        raise AssertionError("under construction")
