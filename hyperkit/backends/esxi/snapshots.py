"""Snapshots of VMs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.jobs import Job
from hyperkit.records import SnapshotRecord, VMRecord
from hyperkit.specs import SnapshotChange, SnapshotSpec


class Snapshots:
    """Snapshots of VMs."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        raise AssertionError("under construction")

    def create(self, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord | Job[SnapshotRecord]:
        raise AssertionError("under construction")

    def update(self, vm_id: str, snapshot_id: str, change: SnapshotChange) -> SnapshotRecord:
        raise AssertionError("under construction")

    def held(self) -> Mapping[str, Collection[str]]:
        raise AssertionError("under construction")

    def revert(self, vm_id: str, snapshot_id: str) -> VMRecord | Job[VMRecord]:
        raise AssertionError("under construction")

    def delete(self, vm_id: str, snapshot_id: str, children: bool) -> Job[None] | None:
        raise AssertionError("under construction")
