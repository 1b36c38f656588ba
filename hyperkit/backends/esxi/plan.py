"""The devices that a VM is to have: controllers and places on them are chosen here, for create and for attach alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi.elements import Element, kind, number
from hyperkit.backends.esxi.networks import unplugged
from hyperkit.checks import refuse
from hyperkit.specs import DiskBus, DiskSpec, NicSpec

CARDS: dict[str, Any] = {
    "vmxnet3": vim.vm.device.VirtualVmxnet3,
    "e1000e": vim.vm.device.VirtualE1000e,
    "e1000": vim.vm.device.VirtualE1000,
    "pcnet32": vim.vm.device.VirtualPCNet32,
}
"""Cards by their models' names, which are those of a .vmx file but for ``pcnet32`` (``vlance`` there)."""

_PARAVIRTUAL = re.compile(
    r"debian(?![45])|ubuntu|fedora|opensuse|coreos|vmwarePhoton|amazonlinux|rockylinux|almalinux"
    r"|(centos|rhel|oracleLinux)(?!64Guest)([6-9]|1\d)|sles1[1-9]|other[3-9]xLinux"
)
"""Guests whose own kernels have the drivers of PVSCSI and VMXNET3: Linux from 2.6.33 on. Windows gets them by Tools."""
_SAS = re.compile(r"win(Longhorn|dows\d)")
"""Windows from Vista on, which has a driver of LSI Logic SAS and none of its parallel forerunner."""


@attrs.frozen
class _Bus:
    """Controllers of one bus: how they are called, how many a VM has at most, and the places on each.

    The numbers are those of "Configuration Maximums" and of "SCSI, SATA and NVMe Storage Controller Conditions,
    Limitations, and Compatibility" in the documentation of vSphere 6.5 to 8.0. On SCSI the controller itself is unit 7.
    """

    kinds: frozenset[str]
    most: int
    units: tuple[int, ...]


BUSES = {
    DiskBus.SCSI: _Bus(
        frozenset(
            (
                "ParaVirtualSCSIController",
                "VirtualBusLogicController",
                "VirtualLsiLogicController",
                "VirtualLsiLogicSASController",
            )
        ),
        4,
        tuple(unit for unit in range(16) if unit != 7),
    ),
    DiskBus.SATA: _Bus(frozenset(("VirtualAHCIController", "VirtualSATAController")), 4, tuple(range(30))),
    DiskBus.NVME: _Bus(frozenset(("VirtualNVMEController",)), 4, tuple(range(15))),
    DiskBus.IDE: _Bus(frozenset(("VirtualIDEController",)), 2, tuple(range(2))),
}
_NEW_VMS_IDE = {0: 200, 1: 201}
"""The IDE controllers that every new VM has, unasked: their keys by their numbers."""


class DevicePlan:
    """Collects device changes for one ``vim.vm.ConfigSpec``.

    Args:
        present: the VM's devices as they were read (``config.hardware.device``); none for a new VM.
        guest_id: vSphere's id of the guest, which decides about the usual controller and card.
    """

    changes: list[Any]
    """``vim.vm.device.VirtualDeviceSpec`` for `ConfigSpec.deviceChange`, controllers before what is on them."""

    def __init__(self, present: Iterable[Element] = (), *, guest_id: str = "") -> None:
        self.changes = []
        self._guest_id = guest_id
        self._controllers: dict[DiskBus, dict[int, int]] = {bus: {} for bus in BUSES}
        self._taken: set[tuple[int, int]] = set()
        self._next_key = -1
        present = list(present)
        for device in present:
            self._note(device)
        if not present:
            self._controllers[DiskBus.IDE].update(_NEW_VMS_IDE)

    def _note(self, device: Element) -> None:
        for bus, traits in BUSES.items():
            if kind(device) in traits.kinds:
                self._controllers[bus][number(device, "busNumber") or 0] = number(device, "key") or 0
        controller, unit = number(device, "controllerKey"), number(device, "unitNumber")
        if controller is not None and unit is not None:
            self._taken.add((controller, unit))

    def disk(self, spec: DiskSpec, path: str, *, create: bool) -> int:
        """Add a disk; its temporary or lasting device key.

        Args:
            spec: bus, size and thin are looked at.
            path: its file: ``[datastore1] web1/web1.vmdk``.
            create: whether the file is made with it; else it is there.

        Raises:
            InvalidRequest: no place is left on any controller of the bus, or the bus cannot have it.
        """
        bus = self._usual_bus() if spec.bus is None else spec.bus
        if bus not in BUSES:
            refuse("bus", bus.value, f"one of {', '.join(BUSES)}; a guest's paravirtual disks are on scsi")
        place = self._place(bus)
        if place is None:
            traits = BUSES[bus]
            refuse(
                "bus", bus.value, f"a VM has at most {traits.most * len(traits.units)} places there, and all are taken"
            )
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode="persistent")
        disk = vim.vm.device.VirtualDisk(backing=backing)
        change = _added(disk)
        if create:
            backing.thinProvisioned = spec.thin
            backing.eagerlyScrub = False
            set_size(disk, spec.size or 0)
            change.fileOperation = "create"
        return self._add(change, place)

    def nic(self, spec: NicSpec, backing: Any) -> int:
        """Add a card on a backing that `networks.Networks.backing` made; its device key.

        Raises:
            InvalidRequest: a model that vSphere does not have, or an address that it keeps for itself.
        """
        model = spec.model or ("vmxnet3" if _PARAVIRTUAL.match(self._guest_id) else "e1000e")
        if model not in CARDS:
            refuse("model", model, f"one of {', '.join(CARDS)}")
        card = CARDS[model](backing=backing, wakeOnLanEnabled=True)
        plug(card, switched=spec.switch is not None, link_up=spec.link_up)
        card.addressType = "generated"
        if spec.mac is not None:
            set_mac(card, spec.mac)
        return self._add(_added(card), None)

    def cdrom(self, iso: str | None) -> int:
        """Add a CD-ROM drive: on IDE, else on SATA; its device key.

        Raises:
            InvalidRequest: both are full.
        """
        place = self._place(DiskBus.IDE) or self._place(DiskBus.SATA)
        if place is None:
            refuse("iso", iso, "a VM with a place for a CD-ROM drive: all of IDE and SATA are taken")
        drive = vim.vm.device.VirtualCdrom()
        insert(drive, iso, running=False)
        return self._add(_added(drive), place)

    def _usual_bus(self) -> DiskBus:
        """What vSphere recommends for the guest: the oldest have no SCSI, and macOS has drivers for SATA alone."""
        if self._guest_id.startswith("darwin"):
            return DiskBus.SATA
        return DiskBus.IDE if re.match(r"dos|win(31|95|98|Me)", self._guest_id) else DiskBus.SCSI

    def _place(self, bus: DiskBus) -> tuple[int, int] | None:
        """A free place on a bus, with a new controller if need be: the controller's key, and the unit."""
        controllers, traits = self._controllers[bus], BUSES[bus]
        for number_of_bus in range(traits.most):
            key = controllers.get(number_of_bus)
            if key is None:
                key = controllers[number_of_bus] = self._add_controller(bus, number_of_bus)
            for unit in traits.units:
                if (key, unit) not in self._taken:
                    return key, unit
        return None

    def _add_controller(self, bus: DiskBus, number_of_bus: int) -> int:
        device = vim.vm.device
        if bus is DiskBus.SCSI:
            controller = self._scsi()(sharedBus="noSharing")
        elif bus is DiskBus.SATA:
            controller = device.VirtualAHCIController()
        elif bus is DiskBus.NVME:
            controller = device.VirtualNVMEController()
        else:
            controller = device.VirtualIDEController()
        controller.busNumber = number_of_bus
        return self._add(_added(controller), None)

    def _scsi(self) -> Any:
        if _PARAVIRTUAL.match(self._guest_id):
            return vim.vm.device.ParaVirtualSCSIController
        if _SAS.match(self._guest_id):
            return vim.vm.device.VirtualLsiLogicSASController
        return vim.vm.device.VirtualLsiLogicController

    def _add(self, change: Any, place: tuple[int, int] | None) -> int:
        """Negative keys are temporary: the host gives lasting ones, to controllers in what refers to them too."""
        key, self._next_key = self._next_key, self._next_key - 1
        change.device.key = key
        if place is not None:
            self._taken.add(place)
            change.device.controllerKey, change.device.unitNumber = place
        self.changes.append(change)
        return key


def set_size(disk: Any, size: int) -> None:
    """Say how many bytes a disk has.

    ``capacityInKB`` must be given and knows no half kilobyte; ``capacityInBytes``, which vSphere has since 5.5, counts.
    """
    disk.capacityInBytes, disk.capacityInKB = size, size // 1024


def plug(card: Any, *, switched: bool, link_up: bool) -> None:
    """Set a card's link. Out of any switch it has none, and is to have the one asked for once it is in one again.

    What is down stays down: a guest with Tools could connect it again if it were let.
    """
    up = switched and link_up
    card.connectable = vim.vm.device.VirtualDevice.ConnectInfo(startConnected=up, connected=up, allowGuestControl=up)
    card.externalId = "" if switched else unplugged(link_up=link_up)


def set_mac(card: Any, mac: str) -> None:
    """Give a card an address of its own.

    Raises:
        InvalidRequest: one of those that hosts and vCenters give by themselves, with which no VM could be started
            ("conflicts with VMware reserved MACs").
    """
    if mac.startswith("00:0c:29:") or (mac.startswith("00:50:56:") and mac[9:11] >= "40"):
        refuse(
            "mac", mac, "vSphere gives 00:0c:29:... and 00:50:56:40:... to ff:... by itself; 00:50:56:00 to 3f are free"
        )
    card.addressType, card.macAddress = "manual", mac


def insert(drive: Any, iso: str | None, *, running: bool) -> None:
    """Put an image into a CD-ROM drive; None empties it."""
    if iso is None:
        drive.backing = vim.vm.device.VirtualCdrom.RemotePassthroughBackingInfo(
            deviceName="", exclusive=False, useAutoDetect=False
        )
    else:
        drive.backing = vim.vm.device.VirtualCdrom.IsoBackingInfo(fileName=iso)
    drive.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=iso is not None, connected=iso is not None and running, allowGuestControl=True
    )


def _added(device: Any) -> Any:
    return vim.vm.device.VirtualDeviceSpec(operation="add", device=device)
