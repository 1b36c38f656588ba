"""World: everything one fake host remembers. Its ports hold none of it, so connections can share one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, TypeVar

import attrs

from hyperkit.backends.fake.activity import Activity
from hyperkit.backends.fake.inside import Boot, Inside, Scripted
from hyperkit.backends.fake.jobs import FakeJob, JobMode
from hyperkit.backends.fake.memory import IN_MEMORY, NO_MEMORY, carry_dimms
from hyperkit.backends.fake.profiles import ALL, DATASTORE_SIZE, HOST_MEMORY
from hyperkit.capabilities import Capabilities
from hyperkit.clock import Clock, VirtualClock
from hyperkit.driver import Change, Occurrence
from hyperkit.errors import InvalidRequest, NotFound, ResourceExhausted
from hyperkit.jobs import Job
from hyperkit.records import (
    DatastoreRecord,
    HostRecord,
    HypervisorType,
    SnapshotRecord,
    SwitchRecord,
    VMRecord,
    VolumeRecord,
    changed,
    has_guest,
)
from hyperkit.states import PowerState

T = TypeVar("T")
_world_numbers = itertools.count(1)
IMAGES = "/fake/images"


@attrs.define
class Volume:
    """A file of the host. ``data`` is what was written into it; the rest of its size reads as zeros."""

    record: VolumeRecord
    data: bytes = b""


@attrs.define
class Saved:
    """What a snapshot holds: a record, what was written to the disks, which boot its memory is of, and its kind."""

    record: SnapshotRecord
    vm: VMRecord
    data: dict[str, Volume]
    boot: Boot
    internal: bool = False


@attrs.define
class Machine:
    """A VM: its record is the truth, the rest is what a record does not show."""

    record: VMRecord
    snapshots: dict[str, Saved] = attrs.field(factory=dict)
    current: str | None = None
    deaf: bool = False
    """Its guest ignores requests to shut down, as one that crashed does."""
    shutdown_seconds: float = 0.0
    """How long its guest takes to shut down."""
    goes_off_at: float | None = None
    boot: Boot = attrs.field(factory=Boot)
    """The last one: its memory is of it, in RAM or saved."""
    boot_seconds: float | None = None
    """How long its guest takes to have an address; None is as long as guests take in this world."""
    saved_dimms: tuple[int, ...] = ()
    inside: Inside = attrs.field(factory=Inside)
    """What a guest shows, tells and does."""
    activity: Activity = attrs.field(factory=Activity)


class World:
    """One fake host.

    Attributes:
        capabilities: what it can do; see `profiles`.
        clock: its time.
        jobs: when its slow verbs end.
        boot_seconds: how long a guest takes to have an address.
        commands: what every guest can run, besides its own.
        deaf: no guest hears a request to shut down or reboot: nothing here is ever booted.
        forgets_state: a snapshot without memory is told as that of a VM which was off, as vSphere tells it.
        usual_model: what a NIC is that nobody chose a model for, by the guest OS hint.
        machines, switches, datastores, volumes: what there is, by id (files by path).
        uplinks, open_vswitches: bridges and NICs of the host that external switches can use, and those of Open vSwitch.
        sinks: who is told of changes.
    """

    def __init__(
        self,
        *,
        capabilities: Capabilities = ALL,
        clock: Clock | None = None,
        jobs: JobMode | None = None,
        name: str = "fakehost",
        memory: int = HOST_MEMORY,
    ) -> None:
        number = self._number = next(_world_numbers)
        self.capabilities = capabilities
        self.clock: Clock = clock or VirtualClock()
        self.jobs = jobs or JobMode()
        self.boot_seconds, self.deaf, self.forgets_state = 0.0, False, False
        self.commands: dict[str, Scripted] = {}
        self.usual_model: Callable[[str], str] = lambda _guest_os: "virtio"
        self.host = HostRecord(
            id=f"fake-{number}",
            name=name,
            product="hyperkit fake",
            version="1",
            hypervisor_type=_type_of(capabilities),
            cpus=64,
            cpu_mhz=3000,
            memory=memory,
        )
        self.machines: dict[str, Machine] = {}
        self.switches: dict[str, SwitchRecord] = {}
        self.datastores: dict[str, DatastoreRecord] = {}
        self.volumes: dict[str, Volume] = {}
        self.chosen_macs: set[str] = set()
        self.uplinks: set[str] = {"eth0", "eth1"}
        self.open_vswitches: set[str] = {"ovs0"}
        self.lock = threading.RLock()
        self.sinks: list[Callable[[Change | Occurrence], None]] = []
        self._names: dict[str, int] = {}
        self._serial = itertools.count(1)
        self._boots = itertools.count(1)
        self._running_memory = 0
        self._going: list[FakeJob[Any]] = []
        self.add_datastore("default", IMAGES)

    def __repr__(self) -> str:
        return f"<fake world {self.host.id}: {len(self.machines)} VMs>"

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Add things, and if one fails let none of them have been; jobs end at once, listeners hear at the end."""
        with self.lock:
            before = {
                name: value.copy() if isinstance(value, (dict, set)) else value for name, value in self.__dict__.items()
            }
            jobs, sinks, told = self.jobs, self.sinks, list[Change | Occurrence]()
            self.jobs, self.sinks = JobMode(), [told.append]
            try:
                yield
            except BaseException:
                self.__dict__.update(before)
                raise
            self.jobs, self.sinks = jobs, sinks
            self.tell(*told)

    # Identities

    def new_id(self) -> str:
        """An id like a UUID; numbered, by world too, so that a test that fails twice fails alike."""
        return f"{self._number:08x}-0000-4000-8000-{next(self._serial):012x}"

    def new_mac(self) -> str:
        """An address that no NIC has."""
        while True:
            number = next(self._serial)
            mac = f"52:54:00:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
            # Numbers do not repeat: only an address that somebody chose can be in the way.
            if mac not in self.chosen_macs:
                return mac

    # VMs

    def machine(self, vm_id: str) -> Machine:
        """The VM with this id, its guest as far as the clock says.

        Raises:
            NotFound: there is none.
        """
        machine = self.machines.get(vm_id)
        if machine is None:
            raise NotFound(f"no VM with id {vm_id!r}")
        if machine.goes_off_at is not None:
            self._let_guest_go_off(machine)
        return machine

    def _let_guest_go_off(self, machine: Machine) -> None:
        if machine.goes_off_at is not None and self.clock.monotonic() >= machine.goes_off_at:
            self.update(machine, state=PowerState.OFF)

    def settle(self) -> None:
        """Let every guest that was to be off by now be off."""
        for machine in self.machines.values():
            if machine.goes_off_at is not None:
                self._let_guest_go_off(machine)

    def name_taken(self, name: str) -> bool:
        """Whether a VM has this name and names must be unique here."""
        return self.capabilities.unique_vm_names and name in self._names

    def add(self, machine: Machine) -> VMRecord:
        """Let a VM exist."""
        record = machine.record
        self.machines[record.id] = machine
        self._names[record.name] = self._names.get(record.name, 0) + 1
        self.tell(Change(None, record))
        return record

    def remove(self, machine: Machine) -> None:
        """Let a VM exist no more."""
        record = machine.record
        del self.machines[record.id]
        self._forget_name(record.name)
        self._count_memory(record, None)
        self.tell(Change(record, None))

    def update(self, machine: Machine, **changes: Any) -> VMRecord:
        """Change a VM's record, and tell whoever listens.

        Raises:
            ResourceExhausted: it would run, and the host's memory does not suffice.
        """
        before = machine.record
        after = changed(before, **changes)
        if before.state is not after.state:
            after = carry_dimms(before, after, machine.saved_dimms)
            machine.saved_dimms = before.dimms
            if after.question is not None and after.state not in IN_MEMORY:
                after = changed(after, question=None)  # there is nothing left that waits
        if before.state is not after.state or before.memory != after.memory:
            self._count_memory(before, after)
        now = self.clock.monotonic()
        machine.activity.go_on(before, now)
        machine.record = after
        if before.state is not after.state:
            machine.goes_off_at = None
            if after.state not in IN_MEMORY:
                machine.inside.hang_up()
            if after.state in IN_MEMORY and before.state not in IN_MEMORY:
                machine.activity.begin(now)
            if after.state is PowerState.RUNNING and before.state in NO_MEMORY:
                self.boot(machine)
        if before.name != after.name:
            self._forget_name(before.name)
            self._names[after.name] = self._names.get(after.name, 0) + 1
        if self.sinks and before != after:
            self.tell(Change(before, after))
        return after

    def boot(self, machine: Machine) -> None:
        """Let what is in it begin afresh."""
        machine.goes_off_at = None
        machine.boot = Boot(next(self._boots), self.clock.monotonic(), machine.record.cpus)

    def booted(self, machine: Machine) -> bool:
        """Whether its guest runs, and has had the time to boot."""
        needs = self.boot_seconds if machine.boot_seconds is None else machine.boot_seconds
        running = machine.record.state is PowerState.RUNNING and has_guest(machine.record)
        return running and self.clock.monotonic() - machine.boot.at >= needs

    def _count_memory(self, before: VMRecord, after: VMRecord | None) -> None:
        used = self._running_memory
        if before.state in IN_MEMORY:
            used -= before.memory
        if after is not None and after.state in IN_MEMORY:
            used += after.memory
            if used > self.host.memory and used > self._running_memory:
                raise ResourceExhausted(
                    f"not enough memory on the host: {after.memory} bytes wanted, {self.free_memory()} free"
                )
        self._running_memory = used

    def free_memory(self) -> int:
        """Bytes that no VM holds."""
        return self.host.memory - self._running_memory

    def _forget_name(self, name: str) -> None:
        self._names[name] -= 1
        if not self._names[name]:
            del self._names[name]

    def tell(self, *happened: Change | Occurrence) -> None:
        """Tell whoever listens."""
        for sink, each in itertools.product(tuple(self.sinks), happened):
            sink(each)

    def switch(self, switch_id: str) -> SwitchRecord:
        """The switch with this id.

        Raises:
            NotFound: there is none.
        """
        switch = self.switches.get(switch_id)
        if switch is None:
            raise NotFound(f"no switch with id {switch_id!r}")
        return switch

    # Storage

    def add_datastore(self, name: str, path: str, capacity: int = DATASTORE_SIZE) -> DatastoreRecord:
        """Give the host a place for disk images."""
        record = DatastoreRecord(id=self.new_id(), name=name, kind="dir", path=path, capacity=capacity, free=capacity)
        self.datastores[record.id] = record
        return record

    def place(self, datastore_id: str | None) -> DatastoreRecord:
        """The datastore with this id, or the default one; its free space is not looked at.

        Raises:
            NotFound: there is none.
        """
        if datastore_id is None:
            datastore_id = next(iter(self.datastores), "")
        record = self.datastores.get(datastore_id)
        if record is None:
            raise NotFound(f"no datastore with id {datastore_id!r}")
        return record

    def datastore(self, datastore_id: str | None) -> DatastoreRecord:
        """The datastore with this id, or the default one, with its free space as it is now.

        Raises:
            NotFound: there is none.
        """
        record = self.place(datastore_id)
        used = sum(v.record.allocated for v in self.volumes.values() if v.record.datastore_id == record.id)
        return changed(record, free=record.capacity - used)

    def volume(self, path: str, field: str = "path") -> Volume:
        """The file at a path.

        Raises:
            NotFound: nothing is there.
            InvalidRequest: a directory is there.
        """
        volume = self.volumes.get(path)
        if volume is not None:
            return volume
        if self._is_directory(path):
            raise InvalidRequest(f"{field}={path!r} is a directory, not a file", field=field, value=path)
        raise NotFound(f"{field}={path!r}: no such file")

    def check_root(self, root: str | None) -> None:
        """Look for the root directory of a container. Outside of its datastores the fake takes everything for there.

        Raises:
            NotFound: a datastore would have it, and does not.
        """
        stores = [datastore.path + "/" for datastore in self.datastores.values()]
        if root is not None and root.startswith(tuple(stores)) and not self._is_directory(root):
            raise NotFound(f"container.root={root!r}: no such directory")

    def _is_directory(self, path: str) -> bool:
        stem = path.rstrip("/") + "/"
        places: Iterable[str] = itertools.chain(self.volumes, (d.path + "/" for d in self.datastores.values()))
        return any(place.startswith(stem) for place in places)

    def add_file(self, path: str, size: int, data: bytes = b"", format: str = "raw") -> VolumeRecord:
        """Put a file onto the host, as somebody without hyperkit would."""
        place = str(PurePosixPath(path).parent)
        store = next((d for d in self.datastores.values() if d.path == place), None)
        if store is None:
            store = self.add_datastore(PurePosixPath(place).name or "root", place)
        record = VolumeRecord(
            id=path, name=PurePosixPath(path).name, path=path, datastore_id=store.id, size=size, format=format
        )
        self.volumes[path] = Volume(record, data)
        return record

    # Jobs

    def job(self, phase: str, work: Callable[[], T]) -> T | Job[T]:
        """Do ``work`` when this world's jobs end: now, or in a job that does it at its end."""
        if not self.jobs.polls and not self.jobs.seconds:
            return work()
        job = FakeJob(phase, work, self.jobs, self.clock, self.lock)
        if self.jobs.seconds:
            self._going.append(job)
        return job

    def carry_on(self) -> None:
        """Let the jobs be done whose time has come: a host works on whether or not anybody looks."""
        if self._going:
            with self.lock:
                self._going = [job for job in self._going if not job.poll().done]

    def now(self) -> datetime:
        """The time of day here."""
        return self.clock.utcnow()


def _type_of(capabilities: Capabilities) -> HypervisorType:
    machines = capabilities.bios or capabilities.uefi
    return HypervisorType.OS_LEVEL if capabilities.containers and not machines else HypervisorType.HOSTED
