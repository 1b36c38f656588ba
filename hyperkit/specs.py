"""What a caller asks for: frozen, checked when made, never changed on the way to the host.

Sizes are bytes, CPU reservations and limits thousandths of one host CPU. A spec that exists is
well-formed; whether a host can do it is the host's `Capabilities`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from ipaddress import IPv4Network, ip_network
from pathlib import PurePath
from typing import Any, Protocol, TypedDict, cast

import attrs

from hyperkit import checks
from hyperkit.checks import as_tuple as _tuple
from hyperkit.checks import meant as _meant
from hyperkit.containers import ContainerSpec
from hyperkit.isolation import OPEN, IsolationPolicy
from hyperkit.keyboard import Chord
from hyperkit.leases import StaticLease, check_leases
from hyperkit.units import KiB, MiB

NORMAL_SHARES = 100


class Identified(Protocol):
    """A `Switch` or `Datastore`: what has an id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class Located(Protocol):
    """A `Volume` or `Disk`: what has a path on the host."""

    @property
    def path(self) -> str:
        """Its path."""
        ...


class Firmware(StrEnum):
    """What starts the guest's boot loader. Hyper-V's generation 1 is BIOS, generation 2 UEFI."""

    BIOS = "bios"
    UEFI = "uefi"


class BootDevice(StrEnum):
    """A kind of device the firmware tries, in the order given."""

    DISK = "disk"
    CDROM = "cdrom"
    NETWORK = "network"


class DiskBus(StrEnum):
    """What the guest sees the disk on; None in a spec lets the host choose what suits the guest."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    IDE = "ide"
    NVME = "nvme"


class DiskFormat(StrEnum):
    """The file format of a disk image; None in a spec is the host's own default."""

    QCOW2 = "qcow2"
    RAW = "raw"
    VMDK = "vmdk"
    VHDX = "vhdx"
    VHD = "vhd"


class SwitchKind(StrEnum):
    """Whom the VMs on a switch can talk to."""

    EXTERNAL = "external"
    """The network outside, through a bridge or NIC of the host."""
    INTERNAL = "internal"
    """One another and the host; the host may route or NAT them outwards."""
    PRIVATE = "private"
    """One another only."""


def _firmware(value: Firmware | str) -> Firmware:
    return _meant(Firmware, value)


def _switch_kind(value: SwitchKind | str) -> SwitchKind:
    return _meant(SwitchKind, value)


def _bus(value: DiskBus | str | None) -> DiskBus | None:
    return None if value is None else _meant(DiskBus, value)


def _format(value: DiskFormat | str | None) -> DiskFormat | None:
    return None if value is None else _meant(DiskFormat, value)


def _devices(values: Iterable[BootDevice | str]) -> tuple[BootDevice, ...]:
    return tuple(_meant(BootDevice, value) for value in _tuple(values))


def _devices_or_none(values: Iterable[BootDevice | str] | None) -> tuple[BootDevice, ...] | None:
    return None if values is None else _devices(values)


def _name_of(thing: str | Identified | None) -> str | None:
    """The id of a `Switch` or `Datastore` that is given instead of its name."""
    return cast("str | None", thing if thing is None or isinstance(thing, str) else getattr(thing, "id", thing))


def _path_of(thing: str | PurePath | Located | None) -> str | None:
    """The path of a `Volume` or a ``pathlib`` path that is given instead of its text."""
    if isinstance(thing, PurePath):
        return thing.as_posix()
    return cast("str | None", thing if thing is None or isinstance(thing, str) else getattr(thing, "path", thing))


def _leases(values: Iterable[StaticLease]) -> tuple[StaticLease, ...]:
    return _tuple(values)


def _leases_or_none(values: Iterable[StaticLease] | None) -> tuple[StaticLease, ...] | None:
    return None if values is None else _leases(values)


def _trunk(values: Iterable[int]) -> tuple[int, ...]:
    return _tuple(values)


def _trunk_or_none(values: Iterable[int] | None) -> tuple[int, ...] | None:
    return None if values is None else _trunk(values)


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
        reservation: always available to the VM; 0 promises nothing.
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
    """Boot this kernel directly, without a boot loader; paths are on the host."""

    kernel: str = attrs.field(converter=_path_of)
    initrd: str | None = attrs.field(default=None, converter=_path_of)
    cmdline: str = ""

    def __attrs_post_init__(self) -> None:
        checks.path("kernel", self.kernel)
        if self.initrd is not None:
            checks.path("initrd", self.initrd)
        checks.text("cmdline", self.cmdline)


@attrs.frozen(slots=False)
class DiskSpec:
    """One disk, from exactly one of three beginnings.

    * ``DiskSpec(size=20 * GiB)``: a new, empty disk. hyperkit creates it, and `VM.delete` may delete it.
    * ``DiskSpec(base="/images/debian.qcow2")``: a new disk that begins as a copy of an image: copy-on-write
      while ``linked``, which needs the image to stay; else a full copy. ``size`` may enlarge it.
    * ``DiskSpec(path="/images/data.qcow2")``: an existing disk, attached as it is; never deleted unless named.

    Attributes:
        size: bytes the guest sees; a multiple of 512.
        path: an existing disk, in the host's own vocabulary.
        base: an image that a new disk begins from.
        linked: with ``base``: share unchanged blocks with the image instead of copying them.
        name: the new disk's file name without extension; default: the VM's name and a number.
        datastore: name or id of the datastore a new disk is made in; default: the host's default.
        format: file format of a new disk, or of ``path`` where the host cannot tell.
        thin: whether a new disk takes space only as it is written.
        bus: what the guest sees it on.
        read_only: the guest cannot write.
    """

    size: int | None = None
    path: str | None = attrs.field(default=None, converter=_path_of)
    base: str | None = attrs.field(default=None, converter=_path_of)
    linked: bool = True
    name: str | None = None
    datastore: str | None = attrs.field(default=None, converter=_name_of)
    format: DiskFormat | None = attrs.field(default=None, converter=_format)
    thin: bool = True
    bus: DiskBus | None = attrs.field(default=None, converter=_bus)
    read_only: bool = False

    def __attrs_post_init__(self) -> None:
        for field in ("linked", "thin", "read_only"):
            checks.flag(field, getattr(self, field))
        if self.path is not None:
            checks.path("path", self.path)
            for field in ("size", "base", "name", "datastore"):
                if getattr(self, field) is not None:
                    checks.refuse(field, getattr(self, field), "only for a new disk, not together with path")
        elif self.base is not None:
            checks.path("base", self.base)
        elif self.size is None:
            checks.refuse(
                "size", None, "a disk has a size (a new one), a base (copied from an image) or a path (existing)"
            )
        if self.size is not None:
            checks.size("size", self.size, least=MiB, multiple=512)
        if self.name is not None:
            checks.name("name", self.name)
        if self.datastore is not None:
            checks.label("datastore", self.datastore)
        if self.bus is not None:
            checks.one_of("bus", self.bus, DiskBus, DiskBus)
        if self.format is not None:
            checks.one_of("format", self.format, DiskFormat, DiskFormat)

    @property
    def creates(self) -> bool:
        """Whether hyperkit makes a new disk for this."""
        return self.path is None


@attrs.frozen(slots=False)
class NicSpec:
    """One network card.

    Attributes:
        switch: name or id of the switch it is plugged into; None leaves the cable out.
        mac: its address; None lets the host choose. Any usual way of writing one, kept as ``52:54:00:12:34:56``.
        model: the card the guest sees, in the host's words (``virtio``, ``e1000e``, ``vmxnet3``); None is the
            host's default.
        vlan: access VLAN, 1 to 4094; None is its switch's. With `trunk`, the native VLAN: that of untagged frames.
        link_up: whether the cable carries a signal.
        trunk: VLANs that pass with their tags; kept in ascending order.
        policy: what passes at all.
    """

    switch: str | None = attrs.field(default=None, converter=_name_of)
    mac: str | None = None
    model: str | None = None
    vlan: int | None = None
    link_up: bool = True
    trunk: tuple[int, ...] = attrs.field(default=(), converter=_trunk, kw_only=True)
    policy: IsolationPolicy = attrs.field(default=OPEN, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.switch is not None:
            checks.label("switch", self.switch)
        if self.mac is not None:
            object.__setattr__(self, "mac", checks.mac("mac", self.mac))
        named = isinstance(self.model, str) and re.fullmatch(r"[a-zA-Z0-9._-]{1,32}", self.model)
        if self.model is not None and not named:
            checks.refuse("model", self.model, "the name of a card, such as 'virtio' or 'e1000e'")
        if self.vlan is not None:
            checks.vlan("vlan", self.vlan)
        checks.flag("link_up", self.link_up)
        if self.trunk:
            object.__setattr__(self, "trunk", check_trunk(self.trunk, self.vlan))
        checks.one_of("policy", self.policy, IsolationPolicy, ["IsolationPolicy(...)"])


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
    iso: str | None = attrs.field(default=None, converter=_path_of, kw_only=True)
    cdrom: bool = attrs.field(default=False, kw_only=True)
    guest_os: str = attrs.field(default="", kw_only=True)
    firmware: Firmware = attrs.field(default=Firmware.BIOS, converter=_firmware, kw_only=True)
    secure_boot: bool = attrs.field(default=False, kw_only=True)
    tpm: bool = attrs.field(default=False, kw_only=True)
    boot_order: tuple[BootDevice, ...] = attrs.field(default=(BootDevice.DISK,), converter=_devices, kw_only=True)
    kernel: KernelBoot | None = attrs.field(default=None, kw_only=True)
    container: ContainerSpec | None = attrs.field(default=None, kw_only=True)
    notes: str = attrs.field(default="", kw_only=True)
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
            check_allocations(self.cpu_allocation, self.memory_allocation, self.max_cpus, self.max_memory)
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

    def fields(self) -> dict[str, Any]:
        """The fields that are to change, by name."""
        return {name: value for name, value in self.__dict__.items() if value is not None}


@attrs.frozen(slots=False)
class SnapshotSpec:
    """A snapshot to take.

    Attributes:
        name: a label; not unique on every host.
        description: free text.
        memory: keep the running VM's memory too, so that reverting continues where it was. None keeps it
            where there is memory to keep and the host can, so that nothing is lost by saying nothing.
        quiesce: have the guest's agent flush and freeze its file systems while the disks are taken. It is for disks
            alone: memory has what the guest did not write yet. Of a VM that is off there is nothing to freeze.
    """

    name: str
    description: str = ""
    memory: bool | None = None
    quiesce: bool = False

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.text("description", self.description)
        if self.memory is not None:
            checks.flag("memory", self.memory)
        checks.flag("quiesce", self.quiesce)
        if self.quiesce and self.memory:
            checks.refuse("quiesce", True, "a snapshot of the disks alone; with memory there is nothing to flush")


@attrs.frozen(slots=False, kw_only=True)
class SnapshotChange:
    """What is to be different about a snapshot; None leaves a field as it is. Fields as in `SnapshotSpec`."""

    name: str | None = None
    description: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.name is not None:
            checks.name("name", self.name)
        if self.description is not None:
            checks.text("description", self.description)


@attrs.frozen(slots=False, kw_only=True)
class NicChange:
    """What is to be different about a NIC; None leaves a field as it is.

    Attributes:
        switch: the switch to plug it into instead, by name or id; an empty string pulls the cable out.
        mac: another address.
        link_up: whether the cable carries a signal.
        vlan: another access VLAN, or native one; 0 for none of its own.
        trunk: other tagged VLANs; an empty tuple for none.
        policy: another policy; `OPEN` lets everything through.
    """

    switch: str | None = None
    mac: str | None = None
    link_up: bool | None = None
    vlan: int | None = None
    trunk: tuple[int, ...] | None = attrs.field(default=None, converter=_trunk_or_none)
    policy: IsolationPolicy | None = None

    def __attrs_post_init__(self) -> None:
        if self.switch is not None and self.switch != "":
            checks.label("switch", self.switch)
        if self.mac is not None:
            object.__setattr__(self, "mac", checks.mac("mac", self.mac))
        if self.link_up is not None:
            checks.flag("link_up", self.link_up)
        if self.vlan is not None:
            checks.whole("vlan", self.vlan, least=0, most=4094)
        if self.trunk:
            object.__setattr__(self, "trunk", check_trunk(self.trunk, self.vlan))
        if self.policy is not None:
            checks.one_of("policy", self.policy, IsolationPolicy, ["IsolationPolicy(...)"])


@attrs.frozen(slots=False)
class SwitchSpec:
    """A virtual switch to create.

    Attributes:
        name: a label; unique where the host demands it.
        kind: whom its VMs can talk to.
        uplink: external only: the host's bridge or NIC that leads outside.
        subnet: internal only: an IPv4 network such as ``192.168.150.0/24`` whose first address is the host's.
        nat: internal only: translate addresses on the way outside, else route them.
        dhcp: internal only: hand out addresses of the subnet.
        leases: with `dhcp`: who gets which address, always.
        openvswitch: external only: the uplink is a bridge of Open vSwitch.
        vlan: the VLAN of every NIC on it that has none of its own.
    """

    name: str
    kind: SwitchKind = attrs.field(default=SwitchKind.PRIVATE, converter=_switch_kind)
    uplink: str | None = attrs.field(default=None, kw_only=True)
    subnet: str | None = attrs.field(default=None, kw_only=True)
    nat: bool = attrs.field(default=True, kw_only=True)
    dhcp: bool = attrs.field(default=True, kw_only=True)
    leases: tuple[StaticLease, ...] = attrs.field(default=(), converter=_leases, kw_only=True)
    openvswitch: bool = attrs.field(default=False, kw_only=True)
    vlan: int | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.one_of("kind", self.kind, SwitchKind, SwitchKind)
        checks.flag("nat", self.nat)
        checks.flag("dhcp", self.dhcp)
        if (self.uplink is not None) != (self.kind is SwitchKind.EXTERNAL):
            checks.refuse("uplink", self.uplink, "an external switch has an uplink, the others have none")
        if self.uplink is not None:
            checks.label("uplink", self.uplink)
        if self.subnet is not None:
            if self.kind is not SwitchKind.INTERNAL:
                checks.refuse("subnet", self.subnet, "only an internal switch has a subnet")
            object.__setattr__(self, "subnet", check_subnet("subnet", self.subnet))
        checks.flag("openvswitch", self.openvswitch)
        if self.openvswitch and self.kind is not SwitchKind.EXTERNAL:
            checks.refuse("openvswitch", True, "only an external switch is on a bridge that is there already")
        if self.vlan is not None:
            checks.vlan("vlan", self.vlan)
        checks.all_are("leases", self.leases, StaticLease)
        if self.leases:
            check_leases(self.leases, self.subnet if self.dhcp else None)

    @property
    def network(self) -> IPv4Network | None:
        """The subnet, parsed."""
        return IPv4Network(self.subnet) if self.subnet else None


@attrs.frozen(slots=False, kw_only=True)
class SwitchChange:
    """What is to be different about a switch; None leaves a field as it is. Fields mean what they mean in `SwitchSpec`.

    Attributes:
        leases: all of them: those that are not named are no more.
    """

    leases: tuple[StaticLease, ...] | None = attrs.field(default=None, converter=_leases_or_none)

    def __attrs_post_init__(self) -> None:
        if self.leases is not None:
            checks.all_are("leases", self.leases, StaticLease)


@attrs.frozen(slots=False)
class VolumeSpec:
    """A disk image to create in a datastore, attached to nothing yet. Fields as in `DiskSpec`."""

    name: str
    size: int
    format: DiskFormat | None = attrs.field(default=None, converter=_format)
    thin: bool = True

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.size("size", self.size, least=MiB, multiple=512)
        checks.flag("thin", self.thin)
        if self.format is not None:
            checks.one_of("format", self.format, DiskFormat, DiskFormat)


def _argv(value: Iterable[str]) -> tuple[str, ...]:
    # A text is a sequence of texts: whoever gives one meant its words.
    return () if isinstance(value, str) else _tuple(value)


def _pairs(env: Mapping[str, str] | tuple[tuple[str, str], ...] | None) -> tuple[tuple[str, str], ...] | None:
    if env is None:
        return None
    if not isinstance(env, (Mapping, tuple)):
        checks.refuse("env", type(env).__name__, "a dict of strings, or None")
    return tuple(env.items()) if isinstance(env, Mapping) else env


def _program_alone(argv: tuple[str, ...]) -> str:
    return f"<{argv[0]!r} and {len(argv) - 1} arguments>"


@attrs.frozen(slots=False)
class CommandSpec:
    """A command to run in a guest, by no shell. All but the program may be secret, and is in no repr and no error.

    Attributes:
        argv: the program and its arguments. A program without a path is looked for as the agent would.
        input: what it reads.
        env: its whole environment, as a dict; None is the agent's own.
    """

    argv: tuple[str, ...] = attrs.field(converter=_argv, repr=_program_alone)
    input: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} bytes>")
    env: tuple[tuple[str, str], ...] | None = attrs.field(
        default=None, converter=_pairs, repr=lambda env: "None" if env is None else f"<{len(env)} variables>"
    )

    def __attrs_post_init__(self) -> None:
        argv = self.argv
        if not argv or argv[0] == "":
            checks.refuse("argv", "…", "a list of a program and its arguments, such as ['uname', '-r']")
        for index, value in enumerate(argv):
            check_argument(f"argv[{index}]", value)
        if not isinstance(self.input, bytes):
            checks.refuse("input", type(self.input).__name__, "bytes; 'text'.encode() makes them of text")
        for name, value in self.env or ():
            if not isinstance(name, str) or not re.fullmatch(r"[^=\x00]+", name):
                checks.refuse("env", name, "names that are not empty and have no '='")
            check_argument(f"env[{name!r}]", value)


@attrs.frozen(slots=False)
class KeySpec:
    """Keys to press on a guest's keyboard. They may spell a password, and are in no repr.

    Attributes:
        chords: one after another, each of keys held down together, by their names in `hyperkit.keyboard.KEYS`.
        hold: seconds that keys are held down.
    """

    chords: tuple[Chord, ...] = attrs.field(repr=lambda chords: f"<{len(chords)} presses>")
    hold: float = 0.02


def check_argument(field: str, value: object) -> None:
    """What a program can be given: text without a NUL. It may be secret, so the error has its type alone."""
    if not isinstance(value, str):
        checks.refuse(field, type(value).__name__, "a string")
    if "\x00" in value or re.search(r"[\ud800-\udfff]", value):
        checks.refuse(field, "…", "text without NUL or surrogates")


def check_memory(field: str, value: object) -> None:
    """At least 1 MiB: a plain 4096 was meant as megabytes. A multiple of KiB: no host counts finer."""
    checks.size(field, value, least=MiB, multiple=KiB)


def check_guest_os(value: object) -> None:
    """A short id, never something a vendor's own list would be needed to read."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9._-]{0,64}", value):
        checks.refuse("guest_os", value, "a short id such as 'debian12' or 'win2k22' (a-z, 0-9, '.', '_', '-')")


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


def check_trunk(trunk: tuple[object, ...], vlan: object) -> tuple[int, ...]:
    """The tagged VLANs, in ascending order. The native one is untagged, so that it is not among them."""
    for index, value in enumerate(trunk):
        checks.vlan(f"trunk[{index}]", value)
    if len(set(trunk)) != len(trunk) or vlan in trunk:
        checks.refuse("trunk", trunk, "each VLAN once, and not the native one (vlan), whose frames have no tag")
    return tuple(sorted(cast("tuple[int, ...]", trunk)))


def check_subnet(field: str, value: object) -> str:
    """An IPv4 network with room for the host and a guest, host bits clear; written with its prefix length."""
    try:
        network = ip_network(value) if isinstance(value, str) else None
    except ValueError as error:
        checks.refuse(field, value, f"an IPv4 network such as '192.168.150.0/24' ({error})")
    if not isinstance(network, IPv4Network) or not 8 <= network.prefixlen <= 29:
        checks.refuse(field, value, "an IPv4 network such as '192.168.150.0/24', from /8 to /29")
    if network.is_multicast or network.is_loopback or network.is_unspecified or network.is_link_local:
        checks.refuse(field, value, "a network whose addresses hosts may have")
    return str(network)


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
    autostart: bool
