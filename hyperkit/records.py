"""What a host reports: frozen, comparable, complete, plain data.

Two reads of an unchanged object give equal records, so a difference of records is an event. ``to_dict``
makes JSON of any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum, StrEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import attrs

from hyperkit.specs import (
    DEFAULT_ALLOCATION,
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskFormat,
    Firmware,
    KernelBoot,
    SwitchKind,
)
from hyperkit.specs.container import ContainerSpec
from hyperkit.specs.isolation import OPEN, IsolationPolicy
from hyperkit.specs.lease import StaticLease
from hyperkit.states import PowerState, StateReason


class AgentState(StrEnum):
    """Whether the agent in a guest (VMware Tools, integration services) runs, as the host knows it unasked."""

    RUNNING = "running"
    STOPPED = "stopped"
    """It is there, and does not run: the guest is off, boots, or hangs."""
    MISSING = "missing"
    UNKNOWN = "unknown"
    """The host does not know unless the agent is asked: `Guest.ping` asks."""


class HypervisorType(StrEnum):
    """Where the hypervisor sits."""

    BARE_METAL = "bare-metal"
    """Type 1, on the hardware: ESXi, ESX, Hyper-V, Xen, and KVM by convention."""
    HOSTED = "hosted"
    """Type 2, a program of an operating system: QEMU without KVM, VirtualBox, Workstation."""
    OS_LEVEL = "os-level"
    """Containers that share the host's kernel: libvirt's LXC driver."""


@attrs.frozen(slots=False, kw_only=True)
class HostRecord:
    """A host's facts.

    Attributes:
        id: stable over restarts of the host.
        name: its hostname.
        product: what runs there, exactly: ``"QEMU"``, ``"VMware ESXi"``, ``"VMware vCenter Server"``,
            ``"Microsoft Hyper-V"``.
        version: the product's version.
        api_version: the version of the interface spoken to; empty if it has none of its own.
        hypervisor_type: bare-metal, hosted or OS-level.
        arch: the CPUs' architecture, as ``uname -m`` says it.
        cpus: logical CPUs.
        cpu_mhz: speed of one, 0 if unknown.
        memory: bytes installed.
        memory_free: bytes free, None if the host does not say.
    """

    id: str
    name: str
    product: str
    version: str
    api_version: str = ""
    hypervisor_type: HypervisorType
    arch: str = "x86_64"
    cpus: int
    cpu_mhz: int = 0
    memory: int
    memory_free: int | None = attrs.field(default=None, eq=False)


@attrs.frozen(slots=False, kw_only=True)
class DiskRecord:
    """A disk as it is attached to a VM.

    Attributes:
        id: stable while it is attached (the target name on libvirt, the device key on vSphere).
        path: the file, in the host's own vocabulary.
        size: bytes the guest sees; None if the host cannot tell now.
        created: whether hyperkit created it, so that `VM.delete` may delete it.
        base: the image it began from and shares blocks with, if any.
        chain: other files that are this disk too, from the one below ``path`` down: where a snapshot begins a new
            file, what was written before stays in the old one.
    """

    id: str
    path: str
    size: int | None
    format: DiskFormat | None = None
    bus: DiskBus | None = None
    created: bool = False
    base: str | None = None
    read_only: bool = False
    chain: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All that the disk is: ``path`` and its ``chain``."""
        return (self.path, *self.chain)


@attrs.frozen(slots=False, kw_only=True)
class NicRecord:
    """A network card of a VM.

    Attributes:
        id: stable while it is attached.
        mac: normalised, lower case with colons.
        switch_id: the switch it is plugged into, None if none that hyperkit can see.
        switch: that switch's name.
        addresses: those the guest was last heard to use, where the host tells them unasked (vSphere); else empty, and
            `VM.addresses` asks.

    The other fields mean what they mean in `NicSpec`.
    """

    id: str
    mac: str
    switch_id: str | None = None
    switch: str | None = None
    model: str = ""
    vlan: int | None = None
    link_up: bool = True
    trunk: tuple[int, ...] = ()
    policy: IsolationPolicy = OPEN
    addresses: tuple[str, ...] = attrs.field(default=(), eq=False)


@attrs.frozen(slots=False, kw_only=True)
class CdromRecord:
    """A CD-ROM drive; ``iso`` is None while it is empty."""

    id: str
    iso: str | None = None


@attrs.frozen(slots=False, kw_only=True)
class QuestionRecord:
    """What the host asks of a VM, which stands still until somebody answers (`VM.answer`).

    Attributes:
        id: of this question.
        text: the question, in the host's words.
        choices: the answers there are, for people, by what `VM.answer` calls them.
        default: the answer that the host proposes; None if it proposes none.
    """

    id: str
    text: str
    choices: Mapping[str, str] = attrs.field(hash=False)
    default: str | None = None


@attrs.frozen(slots=False, kw_only=True)
class VMRecord:
    """A virtual machine, whole. Fields mean what they mean in `VMSpec`.

    Attributes:
        id: the vendor's, stable over rename, restart and reconnect.
        state: what it is doing.
        reason: why, where the state alone would mislead: a VM paused by an I/O error has a fault.
        dimms: bytes of each memory module that it got while it ran, and that it can lose again as a whole; they are
            part of ``memory``. Empty where memory has no such parts, and from the next start on.
        container: what is in it; None if it is a machine. A container's ``firmware`` means nothing.
        host: the name of the machine it is on, where one connection serves several (vCenter); else empty.
        template: whether it is a template, which is cloned and never started.
        agent: whether the agent in its guest runs, as the host knows it unasked.
        question: what the VM waits for an answer to; None if it does not.
        consolidation_needed: whether deleted snapshots left files behind, which `VM.consolidate` merges.
    """

    id: str
    name: str
    state: PowerState
    reason: StateReason = StateReason.NORMAL
    cpus: int
    memory: int
    max_cpus: int
    max_memory: int
    dimms: tuple[int, ...] = ()
    topology: CpuTopology | None = None
    cpu_allocation: Allocation = DEFAULT_ALLOCATION
    memory_allocation: Allocation = DEFAULT_ALLOCATION
    disks: tuple[DiskRecord, ...] = ()
    nics: tuple[NicRecord, ...] = ()
    cdroms: tuple[CdromRecord, ...] = ()
    guest_os: str = ""
    firmware: Firmware = Firmware.BIOS
    secure_boot: bool = False
    tpm: bool = False
    boot_order: tuple[BootDevice, ...] = (BootDevice.DISK,)
    kernel: KernelBoot | None = None
    container: ContainerSpec | None = None
    notes: str = ""
    tags: tuple[str, ...] = ()
    autostart: bool = False
    host: str = ""
    template: bool = False
    agent: AgentState = attrs.field(default=AgentState.UNKNOWN, eq=False)
    question: QuestionRecord | None = None
    consolidation_needed: bool = False


@attrs.frozen(slots=False, kw_only=True)
class PowerRecord:
    """What a VM is doing and why, alone: the cheapest thing to ask of a host."""

    state: PowerState
    reason: StateReason = StateReason.NORMAL


@attrs.frozen(slots=False, kw_only=True)
class SnapshotRecord:
    """A snapshot in a VM's tree.

    Attributes:
        id: unique within its VM and stable; names are not unique everywhere.
        parent_id: the snapshot it was taken on top of; None for a root.
        created: when, to the second at least.
        state: what the VM was doing when it was taken.
        memory: whether memory was kept, so that reverting continues a running VM.
        current: whether the VM's present disks descend directly from it.
    """

    id: str
    vm_id: str
    name: str
    description: str = ""
    parent_id: str | None = None
    created: datetime
    state: PowerState
    memory: bool = False
    current: bool = False


@attrs.frozen(slots=False, kw_only=True)
class SwitchRecord:
    """A virtual switch. Fields mean what they mean in `SwitchSpec`.

    Attributes:
        active: whether it carries frames now.
        carries_vlans: whether NICs on it can be in VLANs of their own.
        enforces_policies: whether NICs on it can have a policy.
    """

    id: str
    name: str
    kind: SwitchKind
    uplink: str | None = None
    subnet: str | None = None
    nat: bool = False
    dhcp: bool = False
    active: bool = True
    leases: tuple[StaticLease, ...] = ()
    openvswitch: bool = False
    vlan: int | None = None
    policy: IsolationPolicy = OPEN
    carries_vlans: bool = True
    enforces_policies: bool = True


@attrs.frozen(slots=False, kw_only=True)
class DatastoreRecord:
    """A place for disk images.

    Attributes:
        kind: in the vendor's words (``dir``, ``nfs``, ``VMFS``), for people.
        path: where it is on the host, empty if it has no such place.
        capacity: bytes in all. Not compared, like ``free``: they move without anybody changing the datastore.
        free: bytes free.
        accessible: whether the host can use it now.
    """

    id: str
    name: str
    kind: str = ""
    path: str = ""
    capacity: int = attrs.field(default=0, eq=False)
    free: int = attrs.field(default=0, eq=False)
    accessible: bool = True


@attrs.frozen(slots=False, kw_only=True)
class VolumeRecord:
    """A file in a datastore: a disk image or an ISO.

    Attributes:
        id: the same as ``path``, which is unique on a host.
        path: what `DiskSpec` and ``iso`` call it by.
        size: bytes a guest would see.
        allocated: bytes it takes now.
        base: the image it shares blocks with.
    """

    id: str
    name: str
    path: str
    datastore_id: str
    size: int
    allocated: int = attrs.field(default=0, eq=False)
    format: str = ""
    base: str | None = None


@attrs.frozen(slots=False, kw_only=True)
class AddressRecord:
    """An address the guest uses, and which card has it."""

    mac: str
    address: str
    prefix: int | None = None
    source: str = ""


def dimm_choices(dimms: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """The amounts of memory that whole DIMMs make up, each with the positions of DIMMs that do: late ones first."""
    choices: dict[int, tuple[int, ...]] = {0: ()}
    for position in reversed(range(len(dimms))):
        for amount, chosen in tuple(choices.items()):
            choices.setdefault(amount + dimms[position], (*chosen, position))
    return choices


R = TypeVar("R")


def changed(record: R, **changes: Any) -> R:
    """A copy of a record with some fields different.

    The fake makes one for every verb on each of ten thousand VMs: this is `attrs.evolve` without its
    look at every field, which costs ten times as much.
    """
    copy: Any = object.__new__(type(record))
    copy.__dict__.update(record.__dict__)
    copy.__dict__.update(changes)
    result: R = copy
    return result


def to_dict(value: Any) -> Any:
    """Plain data of any record, spec or event, ready for ``json.dumps``."""
    if isinstance(value, Enum):
        return value.value
    if hasattr(value, "record"):  # an object of a host: what it knows of itself
        return to_dict(value.record)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if attrs.has(type(value)):
        return {field.name: to_dict(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): to_dict(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, set, frozenset)):
        return [to_dict(item) for item in value]
    return value


def has_guest(vm: VMRecord) -> bool:
    """Whether a VM has anything to boot: a machine with an empty case has nobody to ask."""
    return bool(vm.container or vm.disks or vm.kernel or any(cdrom.iso for cdrom in vm.cdroms))


@cache
def field_types(kind: type[attrs.AttrsInstance]) -> dict[str, tuple[type, ...]]:
    """The classes that each field of a record may be of."""
    hints = get_type_hints(kind)
    return {field.name: _classes(hints[field.name]) for field in attrs.fields(kind)}


def _classes(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, UnionType):
        return tuple(one for each in get_args(hint) for one in _classes(each))
    return (get_origin(hint) or hint,)
