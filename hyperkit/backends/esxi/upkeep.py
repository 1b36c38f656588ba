"""Questions and consolidation."""

from __future__ import annotations

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.jobs import Job


class Upkeep:
    """Questions and consolidation."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def answer(self, vm_id: str, question_id: str, choice: str) -> None:
        raise AssertionError("under construction")

    def consolidate(self, vm_id: str) -> Job[None] | None:
        raise AssertionError("under construction")
