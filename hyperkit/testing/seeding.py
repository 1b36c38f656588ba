"""`seed`: fill a fake host from plain data, such as JSON.

Seeds become the specs that a caller would write, and go through the ports and the guard, so that a fake
host holds nothing that a host of its profile could not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, TypeVar, cast

import attrs

from hyperkit import checks
from hyperkit.backends import fake
from hyperkit.backends.fake.world import Machine, World
from hyperkit.driver import Driver
from hyperkit.errors import AlreadyExists, InvalidRequest, NotFound
from hyperkit.instrument import instrument
from hyperkit.records import VMRecord, changed
from hyperkit.resolve import plugged
from hyperkit.specs import (
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskFormat,
    DiskSpec,
    Firmware,
    KernelBoot,
    NicSpec,
    SnapshotSpec,
    SwitchKind,
    SwitchSpec,
    VMSpec,
    check_memory,
)
from hyperkit.specs.container import ContainerSpec
from hyperkit.specs.isolation import AclRule, IsolationPolicy
from hyperkit.specs.lease import StaticLease
from hyperkit.states import PowerAction, PowerState
from hyperkit.testing.seeding_condition import CONDITION, put_into
from hyperkit.testing.seeding_guest import at, change, known, scripts, seconds
from hyperkit.units import GiB, MiB, parse_size

S = TypeVar("S")
E = TypeVar("E", bound=StrEnum)

Seed = str | Mapping[str, Any]
"""One thing, as plain data: its name or path alone, or its fields."""

HOST = ("name", "cpus", "memory", "uplinks", "open_vswitches", "boot_seconds", "commands")
_FILE_SIZE = 1 * GiB
_RUNS = (PowerState.RUNNING, PowerState.PAUSED)

_POWER: Mapping[PowerState, tuple[PowerAction, ...]] = {
    PowerState.OFF: (),
    PowerState.RUNNING: (PowerAction.START,),
    PowerState.PAUSED: (PowerAction.START, PowerAction.PAUSE),
    PowerState.SUSPENDED: (PowerAction.START, PowerAction.SUSPEND),
    # No verb leads there: such things happen to VMs that run.
    PowerState.SLEEPING: (PowerAction.START,),
    PowerState.CRASHED: (PowerAction.START,),
}


def seed(
    world: World,
    *,
    vms: Iterable[Seed] = (),
    switches: Iterable[Seed] = (),
    datastores: Iterable[Seed] = (),
    files: Iterable[Seed] = (),
    host: Mapping[str, Any] | None = None,
) -> None:
    """Add what the arguments say to a fake host: all of it, or nothing if something is wrong.

    Fields are those of `VMSpec`, `DiskSpec`, `NicSpec`, `SnapshotSpec` and `SwitchSpec`; sizes may be text
    (``"4 GiB"``). A name alone stands for a thing without further fields.

    Args:
        world: the host, ``host.native`` of a fake one.
        vms: also have ``state``, ``snapshots`` (one on another; a VM that is not to run or be paused is off in them)
            and ``guest``: ``deaf`` ignores a shutdown, ``shutdown_seconds`` it takes long, ``boot_seconds`` to have an
            address; and what is inside it: ``agent`` (``answers``, ``absent``, ``hangs``), ``info`` (`GuestRecord`),
            ``commands`` (by command line or program: text, exit code, a dict, a function), ``screen`` (a PNG or PPM),
            ``replies`` (on the serial port, by line); ``template``; ``question`` (``text``, ``choices``, ``default``)
            that one that runs waits for; ``consolidation_needed``. A seeded guest that runs booted long ago if it does
            not say when.
        switches: ``{"name": "lan", "kind": "internal", "subnet": "192.168.150.0/24"}``.
        datastores: ``name``, ``path``, ``capacity``; one that exists gets the capacity.
        files: ``path``, ``size``, ``format``, ``data`` (text or bytes).
        host: ``name``, ``cpus``, ``memory``, ``uplinks``, ``open_vswitches`` (bridges of Open vSwitch),
            ``commands`` of every guest, and ``boot_seconds`` of guests that are yet to come.

    Raises:
        InvalidRequest: an unknown key, or a value that no spec accepts; its field is ``vms[0].disks[1].size``.
        Unsupported: a host of this profile cannot have that.
        HyperkitError: what a host would say to the same wish (`AlreadyExists`, `NotFound`, `ResourceExhausted`).
    """
    with world.all_or_nothing():
        seeding = _Seeding(world)
        if host is not None:
            with at("host"):
                seeding.host(host)
        steps: tuple[tuple[str, str, Iterable[Seed], Callable[[dict[str, Any]], None]], ...] = (
            ("datastores", "name", datastores, seeding.datastore),
            ("files", "path", files, seeding.file),
            ("switches", "name", switches, seeding.switch),
            ("vms", "name", vms, seeding.vm),
        )
        for kind, first, seeds, step in steps:
            for where, data in _each(kind, first, seeds):
                with at(where):
                    step(data)


def change_guest(world: World, vm: str, guest: Mapping[str, Any]) -> None:
    """Let the guest of a VM, given by id or name, be different from now on.

    Raises:
        InvalidRequest: an unknown key or an unacceptable value, or the VM has nothing to boot.
        NotFound: no such VM, or several of this name.
    """
    with world.lock, at("guest"):
        change(find_machine(world, vm), guest)


def find_machine(world: World, vm: str) -> Machine:
    """The VM of this id or name.

    Raises:
        NotFound: no such VM, or several of this name.
    """
    records = {vm_id: machine.record for vm_id, machine in world.machines.items()}
    return world.machines[_id("VM", records, vm)]


class _Seeding:
    def __init__(self, world: World) -> None:
        self._world = world
        self._driver: Driver = instrument(fake.driver(world))
        self._macs = {n.mac: m.record.name for m in world.machines.values() for n in m.record.nics}

    def host(self, data: Mapping[str, Any]) -> None:
        known(data, HOST)
        data = _sized(data, "memory")
        fields = {name: data[name] for name in ("name", "cpus", "memory") if name in data}
        if "name" in fields:
            checks.name("name", fields["name"])
        if "cpus" in fields:
            checks.whole("cpus", fields["cpus"], least=1)
        if "memory" in fields:
            check_memory("memory", fields["memory"])
        if "boot_seconds" in data:
            self._world.boot_seconds = seconds(data, "boot_seconds", None) or 0.0
        self._world.commands = {**self._world.commands, **scripts(data.get("commands", {}))}
        for field in ("uplinks", "open_vswitches"):
            if field in data:
                bridges = data[field]
                if isinstance(bridges, str) or not isinstance(bridges, Iterable):
                    checks.refuse(field, bridges, "a list of names")
                setattr(self._world, field, set(bridges))
                for bridge in getattr(self._world, field):
                    checks.name(field, bridge)
        self._world.host = changed(self._world.host, **fields)

    def datastore(self, data: dict[str, Any]) -> None:
        known(data, ("name", "path", "capacity"))
        name, path = data.get("name"), data.get("path")
        checks.name("name", name)
        capacity = _sized(data, "capacity").get("capacity", 1024 * GiB)
        checks.size("capacity", capacity, least=MiB)
        here = next((store for store in self._world.datastores.values() if store.name == name), None)
        if here is None:
            path = f"/fake/{name}" if path is None else path
            checks.path("path", path)
            self._world.add_datastore(str(name), path, capacity)
        elif path not in (None, here.path):
            checks.refuse("path", path, f"datastore {name!r} is at {here.path}")
        else:
            self._world.datastores[here.id] = changed(here, capacity=capacity)

    def file(self, data: dict[str, Any]) -> None:
        known(data, ("path", "size", "format", "data"))
        path, content = data.get("path"), data.get("data", b"")
        checks.path("path", path)
        place = PurePosixPath(str(path))
        if not place.is_absolute():
            checks.refuse("path", path, "an absolute path, such as '/isos/debian.iso'")
        if not isinstance(content, (str, bytes)):
            checks.refuse("data", content, "text or bytes")
        raw = content.encode() if isinstance(content, str) else content
        size = _sized(data, "size").get("size", len(raw) or _FILE_SIZE)
        checks.size("size", size, least=max(len(raw), 1))
        if str(path) in self._world.volumes:
            raise AlreadyExists(f"{path} exists already")
        suffix = place.suffix.lstrip(".")
        format_ = data.get("format", suffix if suffix in {*DiskFormat, "iso"} else "raw")
        checks.name("format", format_)
        self._world.add_file(str(path), size, raw, format_)

    def switch(self, data: dict[str, Any]) -> None:
        self._driver.switches.create(_make(SwitchSpec, data, _SWITCH))

    def vm(self, data: dict[str, Any]) -> None:
        state = _enum(PowerState)("state", data.pop("state", "off"))
        if state not in _POWER:
            checks.refuse("state", state.value, f"one of {', '.join(_POWER)}")
        snapshots = list(_each("snapshots", "name", data.pop("snapshots", ())))
        guest = data.pop("guest", {})
        condition = {key: data.pop(key) for key in CONDITION if key in data}
        spec = self._resolved(_make(VMSpec, data, _VM, _EXTRA))
        # Jobs end at once while seeding, so that a record comes back.
        record = cast(VMRecord, self._driver.vms.create(spec))
        machine = self._world.machines[record.id]
        self._macs.update((nic.mac, record.name) for nic in record.nics)
        with at("guest"):
            change(machine, guest)
        if state not in _RUNS:
            self._snapshots(machine, snapshots)
        for action in _POWER[state]:
            self._driver.vms.set_power(record.id, action)
        if state in (PowerState.SLEEPING, PowerState.CRASHED):
            self._world.update(machine, state=state)
        if state in _RUNS:
            self._snapshots(machine, snapshots)
        put_into(self._world, machine, condition, self._driver.url)
        if "boot_seconds" not in guest:
            machine.boot = attrs.evolve(machine.boot, at=-math.inf)

    def _snapshots(self, machine: Machine, snapshots: list[tuple[str, dict[str, Any]]]) -> None:
        caps = self._world.capabilities
        for where, data in snapshots:
            with at(where):
                spec = _make(SnapshotSpec, data)
                runs = machine.record.state in _RUNS
                memory = runs and caps.snapshot_memory if spec.memory is None else spec.memory
                if memory and not runs:
                    checks.refuse("memory", True, f"a VM that is {machine.record.state} has no memory to keep")
                port = self._driver.snapshots
                if port is None:
                    caps.refuse("snapshots", self._driver.url)
                if runs and not memory and not caps.snapshot_running_disks:
                    caps.refuse("snapshot_running_disks", self._driver.url)
                port.create(machine.record.id, changed(spec, memory=memory))

    def _resolved(self, spec: VMSpec) -> VMSpec:
        world = self._world
        for nic in spec.nics:
            if nic.mac in self._macs:
                raise AlreadyExists(f"MAC address {nic.mac} belongs to VM {self._macs[nic.mac]!r}")
        switches = list(world.switches.values())
        nics = tuple(plugged(nic, switches, self._driver.url) if nic.switch else nic for nic in spec.nics)
        disks = tuple(
            changed(d, datastore=_id("datastore", world.datastores, d.datastore)) if d.datastore else d
            for d in spec.disks
        )
        return changed(spec, nics=nics, disks=disks)


def _id(kind: str, there: Mapping[str, Any], label: str) -> str:
    """The id of what has this name or id."""
    found = [record.id for record in there.values() if label in (record.id, record.name)]
    if len(found) != 1:
        names = ", ".join(repr(record.name) for record in there.values())
        raise NotFound(f"{'no' if not found else 'more than one'} {kind} {label!r}; there are {names or 'none'}")
    return str(found[0])


# From plain data to specs


def _each(kind: str, first: str, seeds: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(seeds, (str, Mapping)) or not isinstance(seeds, Iterable):
        checks.refuse(kind, seeds, "a list")
    for index, data in enumerate(seeds):
        where = f"{kind}[{index}]"
        if isinstance(data, str):
            yield where, {first: data}
        elif isinstance(data, Mapping):
            yield where, dict(data)
        else:
            checks.refuse(where, data, f"a {first}, or a dict of fields")


def _sized(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The data with bytes where a size was given as text."""
    sizes: dict[str, Any] = {}
    for name in names:
        if isinstance(data.get(name), str):
            try:
                sizes[name] = parse_size(data[name])
            except InvalidRequest as error:
                error.field = name
                raise
    return {**data, **sizes}


Convert = Callable[[str, Any], Any]
NO_CONVERSION: Mapping[str, Convert] = {}


def _make(cls: type[S], data: object, convert: Mapping[str, Convert] = NO_CONVERSION, extra: Iterable[str] = ()) -> S:
    """A spec from a dict of its fields, each made what the spec wants by ``convert`` or taken as it is."""
    fields = [field.name for field in attrs.fields(cls)]  # type: ignore[arg-type]  # all specs are attrs classes
    known(data, (*fields, *extra))
    given = _sized(dict(data), *_SIZES)  # type: ignore[call-overload]  # known made sure that it is a mapping
    for name, value in given.items():
        if name in convert and value is not None:
            given[name] = convert[name](name, value)
    required = [field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING]  # type: ignore[arg-type]
    for name in required:
        given.setdefault(name, None)
    return cls(**given)


def _enum(cls: type[E]) -> Callable[[str, Any], E]:
    def convert(field: str, value: Any) -> E:
        try:
            return cls(value)
        except ValueError:
            checks.refuse(field, value, f"one of {', '.join(cls)}")

    return convert


def _nested(cls: type[S], **convert: Convert) -> Convert:
    def one(field: str, value: Any) -> S:
        with at(field):
            return _make(cls, value, convert)

    return one


def _list(cls: type[S], first: str, **convert: Convert) -> Convert:
    def all_of(field: str, values: Any) -> list[S]:
        made = []
        for where, data in _each(field, first, values):
            with at(where):
                made.append(_make(cls, data, convert))
        return made

    return all_of


def _boot_order(field: str, values: Any) -> list[BootDevice]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        checks.refuse(field, values, "a list")
    return [_enum(BootDevice)(field, value) for value in values]


_SIZES = ("size", "memory", "max_memory", "reservation", "limit")
_EXTRA = ("state", "snapshots", "guest", *CONDITION)
_VM: dict[str, Convert] = {
    "topology": _nested(CpuTopology),
    "cpu_allocation": _nested(Allocation),
    "memory_allocation": _nested(Allocation),
    "disks": _list(DiskSpec, "path", format=_enum(DiskFormat), bus=_enum(DiskBus)),
    "nics": _list(NicSpec, "switch", policy=_nested(IsolationPolicy, rules=_list(AclRule, "action"))),
    "firmware": _enum(Firmware),
    "boot_order": _boot_order,
    "kernel": _nested(KernelBoot),
    "container": _nested(ContainerSpec),
}
_SWITCH: dict[str, Convert] = {
    "kind": _enum(SwitchKind),
    "leases": _list(StaticLease, "mac"),
    "policy": _nested(IsolationPolicy),
}
