"""The devices of a VM as records: disks, network cards and CD-ROM drives, of ``config.hardware.device``.

A device is known by its type, and one of a type that nobody knew when this was written by what it has: a
``macAddress`` makes a card, a ``capacityInKB`` a disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from hyperkit.backends.esxi.elements import Element, child, children, fields, flag, kind, number, text
from hyperkit.backends.esxi.networks import link_of_unplugged
from hyperkit.records import CdromRecord, DiskRecord, NicRecord
from hyperkit.specs import DiskBus, DiskFormat

BUSES: Mapping[str, DiskBus] = {
    "VirtualIDEController": DiskBus.IDE,
    "VirtualAHCIController": DiskBus.SATA,
    "VirtualSATAController": DiskBus.SATA,
    "VirtualNVMEController": DiskBus.NVME,
    "ParaVirtualSCSIController": DiskBus.SCSI,
    "VirtualLsiLogicController": DiskBus.SCSI,
    "VirtualLsiLogicSASController": DiskBus.SCSI,
    "VirtualBusLogicController": DiskBus.SCSI,
    "VirtualSCSIController": DiskBus.SCSI,
}
"""What disks on a controller are on, by the controller's type."""

_OTHERS = frozenset(
    {
        "VirtualPS2Controller",
        "VirtualPCIController",
        "VirtualSIOController",
        "VirtualKeyboard",
        "VirtualPointingDevice",
        "VirtualMachineVideoCard",
        "VirtualMachineVMCIDevice",
        "VirtualFloppy",
        "VirtualUSBController",
        "VirtualUSBXHCIController",
        "VirtualHdAudioCard",
        "VirtualSerialPort",
    }
)
"""What most VMs have and no record tells, so that it need not be looked at."""

_RAW = ("VirtualDiskRawDiskMappingVer1BackingInfo", "VirtualDiskRawDiskVer2BackingInfo")


@attrs.frozen(kw_only=True)
class Devices:
    """A VM's devices.

    Attributes:
        tpm: whether one of them is a TPM.
        bootable: by device key, what the boot order can name: ``disk`` or ``network``.
    """

    disks: tuple[DiskRecord, ...]
    nics: tuple[NicRecord, ...]
    cdroms: tuple[CdromRecord, ...]
    tpm: bool


def of(
    devices: Iterable[Element],
    *,
    created: frozenset[str] = frozenset(),
    networks: Mapping[str, str] | None = None,
    addresses: Mapping[str, tuple[str, ...]] | None = None,
    running: bool = False,
) -> Devices:
    """Records of devices.

    Args:
        devices: the elements of ``config.hardware.device``.
        created: paths of the disks that hyperkit created.
        networks: names of networks by their ids.
        addresses: what VMware Tools tell of each card, by its device key.
        running: whether the VM is switched on, so that cards are connected now or not.
    """
    buses: dict[str, DiskBus] = {}
    disks, nics, cdroms, tpm = [], [], [], False
    for device in devices:
        type_ = kind(device)
        if type_ in BUSES:
            buses[text(device, "key")] = BUSES[type_]
        elif type_ == "VirtualCdrom":
            cdroms.append(cdrom(device))
        elif type_ == "VirtualTPM":
            tpm = True
        elif type_ not in _OTHERS:
            told = fields(device)
            if "capacityInKB" in told:
                disks.append(told)
            elif "macAddress" in told:
                nics.append(nic(type_, told, networks or {}, addresses or {}, running))
    return Devices(
        disks=tuple(disk(told, buses.get(text(told.get("controllerKey"))), created) for told in disks),
        nics=tuple(nics),
        cdroms=tuple(cdroms),
        tpm=tpm,
    )


def disk(device: Mapping[str, Element], bus: DiskBus | None, created: frozenset[str]) -> DiskRecord:
    """A disk, of its fields.

    A snapshot begins a new file in the directory of the one below it, so that files there are the same disk; a file
    elsewhere is another VM's, which a linked clone shares. Below a file that hyperkit created is what it began from.
    """
    backing = device.get("backing")
    files = _files(backing)
    path = files[0] if files else text(backing, "deviceName")
    own = 1
    while own < len(files) and files[own - 1] not in created and _directory(files[own]) == _directory(path):
        own += 1
    size = number(device.get("capacityInBytes"))
    return DiskRecord(
        id=text(device.get("key")),
        path=path,
        size=size if size is not None else (number(device["capacityInKB"]) or 0) * 1024,
        format=DiskFormat.VMDK if backing is not None and files and kind(backing) not in _RAW else None,
        bus=bus,
        created=any(file in created for file in files[:own]),
        base=files[own] if own < len(files) else None,
        chain=tuple(files[1:own]),
    )


def nic(
    type_: str,
    device: Mapping[str, Element],
    networks: Mapping[str, str],
    addresses: Mapping[str, tuple[str, ...]],
    running: bool,
) -> NicRecord:
    """A network card, of its type and fields."""
    key = text(device.get("key"))
    backing = device.get("backing")
    unplugged = link_of_unplugged(text(device.get("externalId")))
    switch = network_id(backing) if unplugged is None else None
    return NicRecord(
        id=key,
        mac=text(device["macAddress"]).lower(),
        switch_id=switch,
        switch=(networks.get(switch) or text(backing, "deviceName") or None) if switch else None,
        model=type_.removeprefix("Virtual").removesuffix("EthernetCard").lower(),
        link_up=link_up(device.get("connectable"), running) if unplugged is None else unplugged,
        addresses=addresses.get(key, ()),
    )


def cdrom(device: Element) -> CdromRecord:
    """A CD-ROM drive; one that passes on a drive of the host or of a client has no ISO."""
    return CdromRecord(id=text(device, "key"), iso=text(device, "backing", "fileName") or None)


def network_id(backing: Element | None) -> str | None:
    """The id of the Network or DistributedVirtualPortgroup that a card's backing names, if it names one."""
    return text(backing, "network") or text(backing, "port", "portgroupKey") or None


def link_up(connectable: Element | None, running: bool) -> bool:
    """Whether the cable carries a signal, or will as soon as the VM runs."""
    if flag(connectable, "connected"):
        return True
    waits = not running or text(connectable, "status") == "untried"
    return waits and flag(connectable, "startConnected") is not False


def _files(backing: Element | None) -> list[str]:
    """The files of a disk, from the one that is written to down."""
    files = []
    while backing is not None:
        file = text(backing, "fileName")
        if file:
            files.append(file)
        backing = child(backing, "parent")
    return files


def _directory(path: str) -> str:
    return path.rpartition("/")[0]


def present(hardware: Element | None) -> list[Element]:
    """The devices in a VM's ``config.hardware``."""
    return list(children(hardware, "device"))
