"""Disks of a toy's VMs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hyperkit.records import DiskRecord
from hyperkit.specs import DiskSpec
from hyperkit_toy import machines
from hyperkit_toy.store import Store, ToyError


class ToyDisks:
    """See `hyperkit.driver.DiskPort`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def attach(self, vm_id: str, spec: DiskSpec) -> DiskRecord:
        data = self._store.get("vms", vm_id)
        made = machines.new_disk(self._store, machines.free_id(data["disks"], "disk"), data["name"], spec)
        if spec.base:
            size = Path(made["path"]).stat().st_size
            shutil.copyfile(spec.base, made["path"])
            os.truncate(made["path"], size)
        data["disks"].append(made)
        self._store.put("vms", data)
        return machines.disk(made)

    def detach(self, vm_id: str, disk_id: str) -> None:
        data = self._store.get("vms", vm_id)
        data["disks"].remove(machines.find(data["disks"], disk_id))
        self._store.put("vms", data)

    def resize(self, vm_id: str, disk_id: str, size: int) -> DiskRecord:
        disk = machines.find(self._store.get("vms", vm_id)["disks"], disk_id)
        os.truncate(disk["path"], size)
        return machines.disk(disk)

    def set_iso(self, vm_id: str, cdrom_id: str, iso: str | None) -> None:
        # Never reached by users: a host without the capability `cdrom` has no drives.
        raise ToyError("missing", f"VM {vm_id} has no drive {cdrom_id!r} for {iso}")
