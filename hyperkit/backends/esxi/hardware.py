"""What a VM is made of, as vSphere's ConfigSpec: processors, memory, firmware, boot order, names and notes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import allocation, guest_ids, kept, names
from hyperkit.backends.esxi.elements import Element, child, kind, number, text
from hyperkit.backends.esxi.kept import Kept
from hyperkit.checks import refuse
from hyperkit.specs import DEFAULT_ALLOCATION, BootDevice, CpuTopology, Firmware, VMSpec
from hyperkit.units import MiB, to_unit

MEMORY_UNIT = 4 * MiB
"""Memory comes in multiples of this (``InvalidArgument: memoryMB`` else)."""
DEFAULT_BOOT = (BootDevice.DISK,)
FIRMWARE = {Firmware.BIOS: "bios", Firmware.UEFI: "efi"}


def check(spec: VMSpec) -> None:
    """Refuse what vSphere has no word for, before any call.

    Raises:
        InvalidRequest: names the field.
    """
    memory_mb(spec.memory)
    memory_mb(spec.max_memory, "max_memory")
    if spec.topology is not None:
        check_topology(spec.topology, spec.cpus)
    if spec.tpm and spec.firmware is not Firmware.UEFI:
        refuse("tpm", True, "a VM with firmware=Firmware.UEFI: vSphere's TPM needs it")


def check_topology(topology: CpuTopology, cpus: int) -> None:
    """Refuse threads, which vSphere's CPUs have none of, and sockets that would not be full.

    Raises:
        InvalidRequest: it is not like that.
    """
    if topology.threads != 1:
        refuse("topology.threads", topology.threads, "1: a vCPU of vSphere is a core")
    if cpus % topology.cores:
        refuse("topology.cores", topology.cores, f"a divisor of the CPUs ({cpus}): vSphere fills whole sockets")


def memory_mb(size: int, field: str = "memory") -> int:
    """A size of memory in vSphere's unit.

    Raises:
        InvalidRequest: no multiple of 4 MiB.
    """
    return to_unit(size, MEMORY_UNIT, field=field) * (MEMORY_UNIT // MiB)


def new(spec: VMSpec, *, path: str, uuid: str, mhz: int, api_version: str, created: Iterable[str]) -> Any:
    """The ``vim.vm.ConfigSpec`` of a new VM, all but its devices.

    Args:
        path: of its .vmx file, or of the datastore alone.
        uuid: its ``instanceUuid``, by which it is found again.
        mhz: speed of a CPU of the machine that it is to be on.
        api_version: what the host speaks.
        created: paths of the disks that are made for it.
    """
    guest_id = guest_ids.guest_id(spec.guest_os, api_version)
    config = vim.vm.ConfigSpec(
        name=names.to_vsphere(spec.name),
        instanceUuid=uuid,
        files=vim.vm.FileInfo(vmPathName=path),
        guestId=guest_id,
        numCPUs=spec.cpus,
        memoryMB=memory_mb(spec.memory),
        cpuHotAddEnabled=spec.max_cpus > spec.cpus,
        memoryHotAddEnabled=spec.max_memory > spec.memory,
        firmware=FIRMWARE[spec.firmware],
        annotation=spec.notes,
    )
    if spec.topology is not None:
        config.numCoresPerSocket = spec.topology.cores
    if spec.secure_boot:
        config.bootOptions = vim.vm.BootOptions(efiSecureBootEnabled=True)
    if spec.cpu_allocation != DEFAULT_ALLOCATION:
        config.cpuAllocation = allocation.cpu_to_vsphere(spec.cpu_allocation, cpus=spec.cpus, mhz=mhz)
    if spec.memory_allocation != DEFAULT_ALLOCATION:
        config.memoryAllocation = allocation.memory_to_vsphere(spec.memory_allocation, memory=spec.memory)
    ours = Kept(
        created=frozenset(created),
        tags=spec.tags,
        max_cpus=ceiling(spec.max_cpus, spec.cpus),
        max_memory=ceiling(spec.max_memory, spec.memory),
        guest_os=guest_ids.worth_keeping(spec.guest_os, guest_id),
        single_cores=spec.topology is not None and spec.topology.cores == 1,
        boot_order=order_to_keep(spec.boot_order, _bootable(spec)),
    )
    if ours != Kept():
        config.extraConfig = [kept.option(ours)]
    return config


def _bootable(spec: VMSpec) -> set[BootDevice]:
    has = {BootDevice.DISK: spec.disks, BootDevice.NETWORK: spec.nics, BootDevice.CDROM: spec.cdrom or spec.iso}
    return {kind for kind, there in has.items() if there}


def ceiling(most: int, size: int) -> int | None:
    """What `Kept` has of a ceiling: nothing of one that gives no room."""
    return most if most > size else None


def tpm(*, key: int = -1000) -> Any:
    """The change that gives a VM a TPM. The host needs a key provider, and says so if it has none."""
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=vim.vm.device.VirtualTPM(key=key))


def boot_entries(order: Sequence[BootDevice], keys: Mapping[BootDevice, Sequence[int]]) -> list[Any]:
    """What `BootOptions.bootOrder` is, of the devices that the VM has, by their keys.

    A single empty entry means the firmware's own order (``govc device.boot -order -``).
    """
    options = vim.vm.BootOptions
    entries: list[Any] = []
    for boot in order:
        if boot is BootDevice.DISK:
            entries += [options.BootableDiskDevice(deviceKey=key) for key in keys[boot]]
        elif boot is BootDevice.NETWORK:
            entries += [options.BootableEthernetDevice(deviceKey=key) for key in keys[boot]]
        elif keys[boot]:
            entries.append(options.BootableCdromDevice())
    return entries or [options.BootableDevice()]


def order_to_keep(order: Sequence[BootDevice], present: Collection[BootDevice]) -> tuple[str, ...]:
    """What `Kept.boot_order` is for a VM that has such devices."""
    said = tuple(order) == DEFAULT_BOOT or all(kind in present for kind in order)
    return () if said else tuple(kind.value for kind in order)


def boot_keys(devices: Iterable[Element]) -> dict[BootDevice, list[int]]:
    """The keys of a VM's devices that it can boot from."""
    keys: dict[BootDevice, list[int]] = {kind: [] for kind in BootDevice}
    for device in devices:
        key = number(device, "key") or 0
        if child(device, "capacityInKB") is not None:
            keys[BootDevice.DISK].append(key)
        elif child(device, "macAddress") is not None:
            keys[BootDevice.NETWORK].append(key)
        elif kind(device) == "VirtualCdrom":
            keys[BootDevice.CDROM].append(key)
    return keys


def scaled(info: Element | None, *, old: int, new: int) -> Any:
    """A ``ResourceAllocationInfo`` for another number of CPUs or size of memory, since a custom weight is of the whole.

    None where the weight is one of vSphere's levels, which are per CPU and MB.
    """
    if text(info, "shares", "level") != "custom":
        return None
    shares = max(1, round((number(info, "shares", "shares") or 1) * new / old))
    return vim.ResourceAllocationInfo(
        reservation=number(info, "reservation"),
        limit=number(info, "limit"),
        shares=vim.SharesInfo(level="custom", shares=shares),
    )


def keep(ours: Kept, **changes: Any) -> list[Any]:
    """``extraConfig`` with some of what is kept different; nothing if it is the same."""
    different = attrs.evolve(ours, **changes)
    return [] if different == ours else [kept.option(different)]
