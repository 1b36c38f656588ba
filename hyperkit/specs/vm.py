"""Virtual machines: what to create, and what to change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePath
from typing import Any, TypedDict

import attrs

from hyperkit import checks
from hyperkit.checks import as_tuple as _tuple
from hyperkit.checks import meant as _meant
from hyperkit.specs.container import ContainerSpec
from hyperkit.specs.disk import DiskSpec
from hyperkit.specs.given import Located, path_of
from hyperkit.specs.nic import NicSpec
from hyperkit.units import KiB, MiB

NORMAL_SHARES = 100


class Firmware(StrEnum):
    """What starts the guest's boot loader. Hyper-V's generation 1 is BIOS, generation 2 UEFI."""

    BIOS = "bios"
    UEFI = "uefi"


class BootDevice(StrEnum):
    """A kind of device the firmware tries, in the order given."""

    DISK = "disk"
    CDROM = "cdrom"
    NETWORK = "network"


def _firmware(value: Firmware | str) -> Firmware:
    return _meant(Firmware, value)


def _devices(values: Iterable[BootDevice | str]) -> tuple[BootDevice, ...]:
    return tuple(_meant(BootDevice, value) for value in _tuple(values))


def _tags(values: Iterable[str]) -> tuple[str, ...]:
    return _tuple(values)


def _tags_or_none(values: Iterable[str] | None) -> tuple[str, ...] | None:
    return None if values is None else _tags(values)


def _devices_or_none(values: Iterable[BootDevice | str] | None) -> tuple[BootDevice, ...] | None:
    return None if values is None else _devices(values)


@attrs.frozen(slots=False)
class CpuTopology:
    """How the guest sees its CPUs; ``sockets * cores * threads`` must equal the VM's ``max_cpus``."""

    sockets: int = 1
    cores: int = 1
    threads: int = 1

    def __attrs_post_init__(self) -> None:
        for field in ("sockets", "cores", "threads"):
            checks.whole(field, getattr(self, field), least=1)

    @property
    def cpus(self) -> int:
        """CPUs in all."""
        return self.sockets * self.cores * self.threads


@attrs.frozen(slots=False)
class Allocation:
    """What a VM is promised of a resource, what it may use at most, and its weight among rivals.

    For CPU, `reservation` and `limit` count thousandths of one host CPU (1500 is one and a half), whatever
    the vendor counts in: MHz in vSphere, a percentage of the VM's own vCPUs in Hyper-V, microseconds per
    period and vCPU in libvirt. For memory both are bytes.

    Attributes:
        reservation: always available to the VM; 0 promises nothing. No more than the VM has (of CPU, 1000 for each of
            its own), whatever it may grow to: vSphere refuses more, and so does Hyper-V.
        limit: never more than this; None is no limit.
        shares: weight while VMs compete: 100 is normal, 200 gets twice as much as a normal VM.
    """

    reservation: int = 0
    limit: int | None = None
    shares: int = NORMAL_SHARES

    def __attrs_post_init__(self) -> None:
        checks.whole("reservation", self.reservation, least=0)
        checks.whole("shares", self.shares, least=1, most=10_000)
        if self.limit is not None:
            checks.whole("limit", self.limit, least=1)
            if self.limit < self.reservation:
                checks.refuse("limit", self.limit, f"at least the reservation ({self.reservation})")


DEFAULT_ALLOCATION = Allocation()


@attrs.frozen(slots=False)
class KernelBoot:
    """Boot this kernel directly, without a boot loader; paths are on the host, and absolute."""

    kernel: str = attrs.field(converter=path_of)
    initrd: str | None = attrs.field(default=None, converter=path_of)
    cmdline: str = ""

    def __attrs_post_init__(self) -> None:
        for field in ("kernel", "initrd"):
            value = getattr(self, field)
            if field == "kernel" or value is not None:
                checks.path(field, value)
                if not value.startswith("/"):  # only Linux hosts boot one
                    checks.refuse(field, value, "an absolute path on the host")
        checks.text("cmdline", self.cmdline)


@attrs.frozen(slots=False)
class VMSpec:
    """A virtual machine to create. It begins switched off.

    Attributes:
        name: a label; unique only where the host demands it (`Capabilities.unique_vm_names`).
        cpus: vCPUs at start.
        memory: bytes at start.
        max_cpus: the most vCPUs a hot change may reach; default: ``cpus``.
        max_memory: the most bytes a hot change may reach; default: ``memory``.
        topology: how the guest sees its CPUs; default: the host's choice.
        cpu_allocation: reservation, limit and shares of CPU.
        memory_allocation: reservation, limit and shares of memory.
        disks: in the order the guest sees them.
        nics: in the order the guest sees them.
        iso: an image in the CD-ROM drive; None makes no drive unless ``cdrom``.
        cdrom: have a CD-ROM drive even while it is empty.
        guest_os: a hint what will run, as libosinfo's short ids say it (``debian12``, ``win2k22``); hosts that know
            it choose fitting devices, the others ignore it.
        firmware: BIOS or UEFI.
        secure_boot: UEFI refuses unsigned boot loaders; needs ``firmware=Firmware.UEFI``.
        tpm: give the guest a TPM 2.0.
        boot_order: kinds of device, tried in this order.
        kernel: boot a kernel directly instead.
        container: be a container with this in it, instead of a machine: see `ContainerSpec`.
        notes: free text kept with the VM.
        tags: words to find it by; kept with the VM, in ascending order.
        autostart: start it when the host starts.
    """

    name: str
    cpus: int = 1
    memory: int = 512 * MiB
    max_cpus: int = attrs.field(default=attrs.Factory(lambda self: self.cpus, takes_self=True), kw_only=True)
    max_memory: int = attrs.field(default=attrs.Factory(lambda self: self.memory, takes_self=True), kw_only=True)
    topology: CpuTopology | None = attrs.field(default=None, kw_only=True)
    cpu_allocation: Allocation = attrs.field(default=DEFAULT_ALLOCATION, kw_only=True)
    memory_allocation: Allocation = attrs.field(default=DEFAULT_ALLOCATION, kw_only=True)
    disks: tuple[DiskSpec, ...] = attrs.field(default=(), converter=_tuple, kw_only=True)
    nics: tuple[NicSpec, ...] = attrs.field(default=(), converter=_tuple, kw_only=True)
    iso: str | None = attrs.field(default=None, converter=path_of, kw_only=True)
    cdrom: bool = attrs.field(default=False, kw_only=True)
    guest_os: str = attrs.field(default="", kw_only=True)
    firmware: Firmware = attrs.field(default=Firmware.BIOS, converter=_firmware, kw_only=True)
    secure_boot: bool = attrs.field(default=False, kw_only=True)
    tpm: bool = attrs.field(default=False, kw_only=True)
    boot_order: tuple[BootDevice, ...] = attrs.field(default=(BootDevice.DISK,), converter=_devices, kw_only=True)
    kernel: KernelBoot | None = attrs.field(default=None, kw_only=True)
    container: ContainerSpec | None = attrs.field(default=None, kw_only=True)
    notes: str = attrs.field(default="", kw_only=True)
    tags: tuple[str, ...] = attrs.field(default=(), converter=_tags, kw_only=True)
    autostart: bool = attrs.field(default=False, kw_only=True)

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.whole("cpus", self.cpus, least=1)
        check_memory("memory", self.memory)
        if self.max_cpus is not self.cpus:
            checks.whole("max_cpus", self.max_cpus, least=self.cpus)
        if self.max_memory is not self.memory:
            checks.size("max_memory", self.max_memory, least=self.memory, multiple=KiB)
        if self.cpu_allocation is not DEFAULT_ALLOCATION or self.memory_allocation is not DEFAULT_ALLOCATION:
            check_allocations(self.cpu_allocation, self.memory_allocation, self.cpus, self.memory)
        if self.topology is not None:
            check_topology(self.topology, self.max_cpus)
        checks.all_are("disks", self.disks, DiskSpec)
        checks.all_are("nics", self.nics, NicSpec)
        macs = [nic.mac for nic in self.nics if nic.mac]
        if len(macs) != len(set(macs)):
            checks.refuse("nics", macs, "each NIC its own MAC address")
        paths = [disk.path for disk in self.disks if disk.path]
        if len(paths) != len(set(paths)):
            checks.refuse("disks", paths, "each disk its own file")
        if self.iso is not None:
            checks.path("iso", self.iso)
        checks.one_of("firmware", self.firmware, Firmware, Firmware)
        for field in ("cdrom", "secure_boot", "tpm", "autostart"):
            checks.flag(field, getattr(self, field))
        if self.secure_boot and self.firmware is not Firmware.UEFI:
            checks.refuse("secure_boot", True, "secure boot needs firmware=Firmware.UEFI")
        check_guest_os(self.guest_os)
        check_boot_order(self.boot_order)
        if self.kernel is not None:
            checks.one_of("kernel", self.kernel, KernelBoot, ["KernelBoot(...)"])
        if self.container is not None:
            checks.one_of("container", self.container, ContainerSpec, ["ContainerSpec(...)"])
            check_no_machine(self)
        checks.text("notes", self.notes)
        if self.tags:
            object.__setattr__(self, "tags", check_tags(self.tags))


@attrs.frozen(slots=False, kw_only=True)
class VMChange:
    """What is to be different about a VM; None leaves a field as it is. Fields mean what they mean in `VMSpec`."""

    name: str | None = None
    cpus: int | None = None
    memory: int | None = None
    max_cpus: int | None = None
    max_memory: int | None = None
    topology: CpuTopology | None = None
    cpu_allocation: Allocation | None = None
    memory_allocation: Allocation | None = None
    guest_os: str | None = None
    secure_boot: bool | None = None
    tpm: bool | None = None
    boot_order: tuple[BootDevice, ...] | None = attrs.field(default=None, converter=_devices_or_none)
    notes: str | None = None
    tags: tuple[str, ...] | None = attrs.field(default=None, converter=_tags_or_none)
    autostart: bool | None = None

    def __attrs_post_init__(self) -> None:
        if self.name is not None:
            checks.name("name", self.name)
        for field in ("cpus", "max_cpus"):
            if getattr(self, field) is not None:
                checks.whole(field, getattr(self, field), least=1)
        for field in ("memory", "max_memory"):
            if getattr(self, field) is not None:
                check_memory(field, getattr(self, field))
        for field in ("secure_boot", "tpm", "autostart"):
            if getattr(self, field) is not None:
                checks.flag(field, getattr(self, field))
        for field in ("cpu_allocation", "memory_allocation"):
            if getattr(self, field) is not None:
                checks.one_of(field, getattr(self, field), Allocation, ["Allocation(...)"])
        if self.topology is not None:
            checks.one_of("topology", self.topology, CpuTopology, ["CpuTopology(...)"])
        if self.guest_os is not None:
            check_guest_os(self.guest_os)
        if self.boot_order is not None:
            check_boot_order(self.boot_order)
        if self.notes is not None:
            checks.text("notes", self.notes)
        if self.tags:
            object.__setattr__(self, "tags", check_tags(self.tags))

    def fields(self) -> dict[str, Any]:
        """The fields that are to change, by name."""
        return {name: value for name, value in self.__dict__.items() if value is not None}


def check_memory(field: str, value: object) -> None:
    """At least 1 MiB: a plain 4096 was meant as megabytes. A multiple of KiB: no host counts finer."""
    checks.size(field, value, least=MiB, multiple=KiB)


def check_guest_os(value: object) -> None:
    """A short id, never something a vendor's own list would be needed to read."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9._-]{0,64}", value):
        checks.refuse("guest_os", value, "a short id such as 'debian12' or 'win2k22' (a-z, 0-9, '.', '_', '-')")


def check_tags(values: tuple[str, ...]) -> tuple[str, ...]:
    """Short words without spaces or commas, which every host can keep in whatever it keeps them in; each once."""
    for index, value in enumerate(values):
        if not isinstance(value, str) or not re.fullmatch(r"[^\s,]{1,64}", value) or not value.isprintable():
            checks.refuse(f"tags[{index}]", value, "a word of at most 64 characters, without spaces and commas")
    if len(set(values)) != len(values):
        checks.refuse("tags", values, "each tag once")
    return tuple(sorted(values))


def check_boot_order(value: tuple[object, ...]) -> None:
    """Each kind once, at least one."""
    checks.all_are("boot_order", value, BootDevice)
    if not value or len(set(value)) != len(value):
        checks.refuse("boot_order", value, "one or more of 'disk', 'cdrom', 'network' as BootDevice, each once")


def check_no_machine(vm: Any) -> None:
    """A container, or the VM that a container would be, has nothing of a machine."""
    for field, none in _OF_A_MACHINE.items():
        if getattr(vm, field, none) != none:
            checks.refuse(field, getattr(vm, field), "a container has no firmware, kernel or drive of its own")


_OF_A_MACHINE = {"firmware": Firmware.BIOS, "tpm": False, "kernel": None, "iso": None, "cdrom": False, "topology": None}
"""What only a machine has, each with the value that asks for none."""


def check_topology(topology: CpuTopology, cpus: int) -> None:
    """The product must be the number of CPUs the VM can reach."""
    checks.one_of("topology", topology, CpuTopology, ["CpuTopology(...)"])
    if topology.cpus != cpus:
        checks.refuse("topology", topology, f"sockets * cores * threads is {topology.cpus}, max_cpus is {cpus}")


def check_allocations(cpu: Allocation, memory: Allocation, cpus: int, size: int) -> None:
    """No more may be promised to a VM than it has."""
    for field, value in (("cpu_allocation", cpu), ("memory_allocation", memory)):
        checks.one_of(field, value, Allocation, ["Allocation(...)"])
    if cpu.reservation > cpus * 1000:
        checks.refuse("cpu_allocation.reservation", cpu.reservation, f"at most {cpus * 1000} (1000 per vCPU)")
    if memory.reservation > size:
        checks.refuse("memory_allocation.reservation", memory.reservation, f"at most the VM's memory ({size})")
    if memory.limit is not None:
        checks.size("memory_allocation.limit", memory.limit, least=MiB)


class VMFields(TypedDict, total=False):
    """The fields of `VMSpec` besides its name, for ``host.vms.create("web1", cpus=2, ...)``."""

    cpus: int
    memory: int
    max_cpus: int
    max_memory: int
    topology: CpuTopology | None
    cpu_allocation: Allocation
    memory_allocation: Allocation
    disks: Iterable[DiskSpec]
    nics: Iterable[NicSpec]
    iso: str | PurePath | Located | None
    cdrom: bool
    guest_os: str
    firmware: Firmware | str
    secure_boot: bool
    tpm: bool
    boot_order: Iterable[BootDevice | str]
    kernel: KernelBoot | None
    container: ContainerSpec | None
    notes: str
    tags: Iterable[str]
    autostart: bool


class ChangeFields(TypedDict, total=False):
    """The fields of `VMChange`, for ``vm.configure(cpus=4)``."""

    name: str
    cpus: int
    memory: int
    max_cpus: int
    max_memory: int
    topology: CpuTopology
    cpu_allocation: Allocation
    memory_allocation: Allocation
    guest_os: str
    secure_boot: bool
    tpm: bool
    boot_order: Iterable[BootDevice | str]
    notes: str
    tags: Iterable[str]
    autostart: bool
