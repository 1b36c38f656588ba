"""Network cards of a toy's VMs."""

from __future__ import annotations

from hyperkit.records import NicRecord
from hyperkit.specs import NicChange, NicSpec
from hyperkit_toy import machines
from hyperkit_toy.store import Store


class ToyNics:
    """See `hyperkit.driver.NicPort`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def attach(self, vm_id: str, spec: NicSpec) -> NicRecord:
        data = self._store.get("vms", vm_id)
        nic = machines.new_nic(self._store, machines.free_id(data["nics"], "nic"), spec)
        data["nics"].append(nic)
        self._store.put("vms", data)
        return machines.nic(self._store, nic)

    def detach(self, vm_id: str, nic_id: str) -> None:
        data = self._store.get("vms", vm_id)
        data["nics"].remove(machines.find(data["nics"], nic_id))
        self._store.put("vms", data)

    def update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        data = self._store.get("vms", vm_id)
        nic = machines.find(data["nics"], nic_id)
        if change.switch is not None:
            nic["switch"] = change.switch or None
        if change.mac is not None:
            nic["mac"] = change.mac
        self._store.put("vms", data)
        return machines.nic(self._store, nic)
