"""Virtual machines of a toy."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from hyperkit.errors import Cancelled
from hyperkit.jobs import Job, JobStatus, Progress
from hyperkit.records import PowerRecord, VMRecord
from hyperkit.specs import VMChange, VMSpec
from hyperkit.states import GOAL, PowerAction, PowerState
from hyperkit_toy import machines
from hyperkit_toy.store import Data, Store

_CHUNK = 1 << 22


class ToyVMs:
    """See `hyperkit.driver.VMPort`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> Sequence[VMRecord]:
        return [machines.record(self._store, data) for data in self._store.all("vms")]

    def get(self, vm_id: str) -> VMRecord:
        return machines.record(self._store, self._store.get("vms", vm_id))

    def create(self, spec: VMSpec) -> VMRecord | Job[VMRecord]:
        data: Data = {
            "id": str(uuid.uuid4()),
            "serial": self._store.next_serial("vms"),
            "name": spec.name,
            "state": PowerState.OFF.value,
            "cpus": spec.cpus,
            "memory": spec.memory,
            "disks": [],
            "nics": [machines.new_nic(self._store, f"nic{n}", nic) for n, nic in enumerate(spec.nics)],
            "notes": spec.notes,
        }
        job = CreateJob(self._store, data)
        try:
            for number, disk in enumerate(spec.disks):
                made = machines.new_disk(self._store, f"disk{number}", spec.name, disk)
                data["disks"].append(made)
                if disk.base:
                    job.copies.append((Path(disk.base), Path(made["path"])))
        except BaseException:
            job.undo()
            raise
        return job

    def configure(self, vm_id: str, change: VMChange) -> VMRecord:
        data = self._store.get("vms", vm_id)
        # Ceilings follow the sizes, since a toy has no room to grow into.
        data.update({name: value for name, value in change.fields().items() if not name.startswith("max_")})
        self._store.put("vms", data)
        return machines.record(self._store, data)

    def power(self, vm_id: str) -> PowerRecord:
        return PowerRecord(state=PowerState(self._store.get("vms", vm_id)["state"]))

    def set_power(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        data = self._store.get("vms", vm_id)
        data["state"] = GOAL[action].value
        self._store.put("vms", data)
        return PowerRecord(state=GOAL[action])

    def delete(self, vm_id: str, volumes: Sequence[str]) -> Job[None] | None:
        self._store.drop("vms", vm_id)
        for path in volumes:
            Path(path).unlink(missing_ok=True)
        return None


class CreateJob(Job[VMRecord]):
    """Copies base images, some of it at each look, and then lets the VM exist."""

    def __init__(self, store: Store, data: Data) -> None:
        self._store = store
        self._data = data
        self._done = 0
        self._end: JobStatus[VMRecord] | None = None
        self.copies: list[tuple[Path, Path]] = []

    def poll(self) -> JobStatus[VMRecord]:
        if self._end is None:
            try:
                self._end = self._step()
            except Exception as error:
                self.undo()
                self._end = JobStatus(True, error=error)
        return self._end or JobStatus(False, self._progress())

    def _step(self) -> JobStatus[VMRecord] | None:
        begin = 0
        for base, copy in self.copies:
            size = base.stat().st_size
            if self._done < begin + size:
                with base.open("rb") as source, copy.open("r+b") as sink:
                    source.seek(self._done - begin)
                    sink.seek(self._done - begin)
                    self._done += sink.write(source.read(_CHUNK))
                return None
            begin += size
        self._store.put("vms", self._data)
        return JobStatus(True, self._progress(), machines.record(self._store, self._data))

    def _progress(self) -> Progress:
        total = sum(base.stat().st_size for base, _ in self.copies)
        return Progress(self._done / total if total else 1.0, "copying", self._done, total)

    def cancel(self) -> None:
        if self._end is None:
            self.undo()
            self._end = JobStatus(True, error=Cancelled("copying was cancelled"))

    def undo(self) -> None:
        """Leave no file behind."""
        for disk in self._data["disks"]:
            if disk["created"]:
                Path(disk["path"]).unlink(missing_ok=True)
