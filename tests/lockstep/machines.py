"""What is special about a libvirt host, for the lockstep."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from hyperkit import DiskBus, DiskFormat, Firmware, KiB, PowerState, SwitchKind
from hyperkit.records import VMRecord
from hyperkit.testing.lockstep import Lockstep
from hyperkit.testing.lockstep.machine import HOLDS_POWER
from hyperkit.testing.lockstep.script import New, Step


class QemuLockstep(Lockstep):
    """A real QEMU."""

    buses = (DiskBus.SCSI, DiskBus.VIRTIO, DiskBus.SATA)
    models = ("e1000e", "virtio")

    def spared(self, step: Step, vm: VMRecord | None) -> str:
        if step.what == "vm.start" and vm is not None and vm.memory_allocation.limit:
            return "the machine below may not raise the limit of locked memory"
        if step.what == "snapshot.delete" and self._left_disks(step):
            return "libvirt deletes a snapshot of a running VM from the disks that it still has"
        if step.what == "snapshots.create" and vm is not None:
            if step.fields.get("quiesce"):
                return "a guest with an agent would have to be booted"
            if step.fields.get("memory") is False and vm.state in HOLDS_POWER:
                return "a VM's snapshots are of one kind, which the first one decides"
            formats = {disk.format for disk in vm.disks if not disk.read_only}
            if formats != {DiskFormat.QCOW2}:
                return "QEMU keeps snapshots in qcow2 disks"
            if vm.firmware is Firmware.UEFI and vm.state is not PowerState.OFF:
                return "libvirt cannot keep the memory of a VM with UEFI"
        if vm is not None and step.what not in ("vm.configure", "vm.rename") and self._shares(vm):
            return "QEMU locks the images of a VM that runs"
        if step.what == "disk.resize" and vm and self.holds_power(step.target.name) and self._read_only(step):
            return "QEMU does not grow a read-only disk"
        if step.what == "disk.resize" and vm is not None and vm.state is PowerState.OFF:
            return self._takes_more(step)
        return _odd_specs(step)

    def _left_disks(self, step: Step) -> bool:
        """Whether the snapshot's VM runs, and has had disks taken away or given since."""
        snapshot = step.target.on(self.pair.fake.names)
        vm = self.pair.fake.survey.vms[self.pair.fake.labels.vm(snapshot.vm.id)]
        saved = self._fake.world.machines[vm.id].snapshots.values()
        disks = {disk.path for disk in vm.disks}
        return vm.state in HOLDS_POWER and any({disk.path for disk in each.vm.disks} != disks for each in saved)

    def _shares(self, vm: VMRecord) -> bool:
        """Whether a VM that runs has an image of this one too, as a disk or as the base of one."""
        files = {path for disk in vm.disks for path in (disk.path, disk.base)}
        others = (other for other in self.pair.fake.survey.vms.values() if other.id != vm.id)
        base = self.bed.base_image.path if self.bed.base_image else None
        return any(
            {disk.path, disk.base} & files - {base, None}
            for other in others
            if other.state in HOLDS_POWER
            for disk in other.disks
        )

    def _read_only(self, step: Step) -> bool:
        return bool(step.target.then("record", "read_only").on(self.pair.fake.names))

    def _takes_more(self, step: Step) -> str:
        path = step.target.then("path").on(self.pair.host.names)
        if os.stat(path).st_blocks * 512 > step.args[0]:
            return "libvirt grows no image to less than the space it takes, of a VM that is off"
        return ""


def _specs(step: Step) -> list[Mapping[str, Any]]:
    """The disks that a step makes."""
    specs = [spec.fields for spec in (*step.args, *step.fields.get("disks", ())) if isinstance(spec, New)]
    if step.what == "volumes.create":
        specs.append({"size": step.args[1], **step.fields})
    return specs


def _odd_specs(step: Step) -> str:
    return next(filter(None, map(_odd, _specs(step))), "")


def _odd(disk: Mapping[str, Any]) -> str:
    """Images that libvirt does not make, and says so."""
    linked, thin, raw = disk.get("linked", True), disk.get("thin", True), disk.get("format") == DiskFormat.RAW
    if "base" in disk and not linked and not thin:
        return "libvirt takes all the space only for some copies"
    if "base" in disk and linked and raw:
        return "a linked disk is qcow2"
    if not thin and not raw and disk.get("size", 0) % KiB:
        return "libvirt tells qemu-img a size in KiB, and does not grow a qcow2 that has all its space"
    if disk.get("bus") is DiskBus.SATA and disk.get("read_only"):
        return "QEMU has no read-only SATA disk"
    return ""


class TestDriverLockstep(Lockstep):
    """libvirt's own test driver."""

    __test__ = False  # pytest takes it for tests, by its name

    def spared(self, step: Step, vm: VMRecord | None) -> str:
        if step.what == "vm.shutdown":
            return "every guest of the driver obeys"
        if step.what == "snapshot.revert":
            return "the driver brings back the VM's name too, and holds both for taken"
        if step.fields.get("kind") is SwitchKind.EXTERNAL:
            return "the driver has no bridges, so that an uplink is a NIC, on which nothing is filtered"
        grown = [spec for spec in _specs(step) if not spec.get("linked", True) and spec.get("size")]
        return "the driver grows no image" if grown else _odd_specs(step)
