"""What is special about a libvirt host, for the lockstep."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

from hyperkit import DiskBus, DiskFormat, KiB, MiB, PowerState, SwitchKind
from hyperkit.records import VMRecord
from hyperkit.testing.lockstep import Lockstep
from hyperkit.testing.lockstep.compare import Outcome
from hyperkit.testing.lockstep.machine import HOLDS_POWER
from hyperkit.testing.lockstep.script import New, Ref, Step


class _Sharing(Lockstep):
    """A host on which one of two VMs with the same image can run."""

    def shares(self, vm: VMRecord, more: Collection[str] = ()) -> bool:
        """Whether a VM that runs has an image of this one too, or one of some more: as a disk or as the base of one."""
        files = {path for disk in vm.disks for path in (disk.path, disk.base)}.union(more)
        others = (other for other in self.pair.fake.survey.vms.values() if other.id != vm.id)
        base = self.bed.base_image.path if self.bed.base_image else None
        return any(
            {disk.path, disk.base} & files - {base, None}
            for other in others
            if other.state in HOLDS_POWER
            for disk in other.disks
        )


class QemuLockstep(_Sharing):
    """A real QEMU."""

    buses = (DiskBus.SCSI, DiskBus.VIRTIO, DiskBus.SATA)
    models = ("e1000e", "virtio")

    def __init__(self) -> None:
        super().__init__()
        self._grown: set[str] = set()
        """VMs that may have CPUs which were added while they ran."""

    def do(self, what: str, target: Ref, method: str, *args: Any, result: str = "", **fields: Any) -> Outcome:
        outcome = super().do(what, target, method, *args, result=result, **fields)
        if fields.get("cpus") and outcome.error is None:
            self._grown.add(target.name)
        return outcome

    def spared(self, step: Step, vm: VMRecord | None) -> str:
        if step.what == "vm.start" and vm is not None and vm.memory_allocation.limit:
            return "the machine below may not raise the limit of locked memory"
        if step.what == "vm.start" and vm is not None and vm.state is PowerState.OFF:
            self._grown.discard(step.target.name)
        if step.what.startswith("snapshot"):
            return self._spared_snapshot(step, vm)
        if vm is not None and step.method == "configure" and self._shrinks(step, vm):
            return "a guest would have to let go of it"
        if vm is not None and step.method not in ("configure", "rename") and self.shares(vm):
            return "QEMU locks the images of a VM that runs"
        if self._covered(step):
            return "the disk goes on in files that lie on this one"
        if step.what == "disk.resize" and vm and self.holds_power(step.target.name) and self._read_only(step):
            return "QEMU does not grow a read-only disk"
        if step.what == "disk.resize" and vm is not None and vm.state is PowerState.OFF:
            return self._takes_more(step)
        return _odd_specs(step)

    def _spared_snapshot(self, step: Step, vm: VMRecord | None) -> str:
        if vm is not None and step.what == "snapshots.create":
            if self.shares(vm):
                return "QEMU locks the images of a VM that runs"
            return self._spared_new(step.target.name, vm)
        snapshot = step.target.on(self.pair.fake.names)
        name = self.pair.fake.labels.vm(snapshot.vm.id)
        there = self.pair.fake.survey.vms.get(name)
        saved = self._fake.world.machines[there.id].snapshots if there else {}
        if there is None or snapshot.id not in saved:
            return ""
        then = saved[snapshot.id]
        renamed = then.record.memory and then.vm.name != there.name
        if step.what == "snapshot.revert" and not then.internal and renamed:
            return "libvirt restores memory from a file only under the name that the VM had"
        disks = {disk.path for disk in there.disks}
        left = any({disk.path for disk in each.vm.disks} != disks for each in saved.values())
        if step.what == "snapshot.delete" and then.internal and there.state in HOLDS_POWER and left:
            return "libvirt deletes a snapshot of a running VM from the disks that it still has"
        return ""

    def _spared_new(self, name: str, vm: VMRecord) -> str:
        writable = [disk for disk in vm.disks if not disk.read_only]
        if not writable:
            return "libvirt takes no snapshot of a VM without a disk that is written to"
        others = (other for other in self.pair.fake.survey.vms.values() if other.id != vm.id)
        if {disk.path for disk in writable} & {disk.path for other in others for disk in other.disks}:
            return "another VM has the disk too, and would write on into what the snapshot holds"
        saved = self._fake.world.machines[vm.id].snapshots.values()
        if saved and not any(each.internal for each in saved):
            return ""
        if name in self._grown and vm.state in HOLDS_POWER:
            return "the fake does not know which CPUs a VM began with, of which libvirt makes another kind of snapshot"
        there = self.pair.host.survey.vms[name]
        if any(disk.format is DiskFormat.RAW for disk in writable) and any(disk.chain for disk in there.disks):
            return "a raw disk goes on in qcow2 files, which can hold the other kind"
        return ""

    def _covered(self, step: Step) -> bool:
        """Whether it asks for a file that other files lie on, and that no VM has."""
        used = {self.pair.fake.labels.file(disk.path) for vm in self.pair.fake.survey.vms.values() for disk in vm.disks}
        wanted = [*step.args, *(spec.get("path") for spec in _specs(step))]
        names = {ref.name for ref in wanted if isinstance(ref, Ref)}
        covered = self.pair.host.labels.covered
        return bool(names & covered if step.what != "volumes.get" else names & covered - used)

    @staticmethod
    def _shrinks(step: Step, vm: VMRecord) -> bool:
        less = {size for size in ("cpus", "memory") if step.fields.get(size, getattr(vm, size)) < getattr(vm, size)}
        return vm.state is PowerState.RUNNING and ("cpus" in less or ("memory" in less and bool(vm.dimms)))

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


class VsphereLockstep(_Sharing):
    """An ESXi host or a vCenter, simulated."""

    buses = (DiskBus.SCSI, DiskBus.SATA, DiskBus.NVME)
    models = ("e1000", "vmxnet3")
    sector = KiB  # in which a datastore's browser tells sizes

    def __init__(self) -> None:
        super().__init__()
        self._there = {volume.record.name for volume in self._fake.world.volumes.values()}
        self._fake.world.forgets_state = True
        self._fake.world.usual_model = lambda guest_os: "vmxnet3" if guest_os else "e1000e"

    def _names_there(self, step: Step) -> bool:
        """Whether it asks for a file's name that is taken on the fake."""
        there = {volume.record.name for volume in self._fake.world.volumes.values()}
        return any(f"{disk['name']}.vmdk" in there for disk in _specs(step) if "name" in disk)

    def _has_two_mistakes(self, step: Step) -> bool:
        """Whether it asks for a name that is taken, and for more that may be wrong."""
        if step.what not in ("vms.create", "switches.create"):
            return False
        tree, fields = self.pair.fake.survey.tree, step.fields
        there = {each["name"] for each in (*tree["vms"].values(), *tree["switches"].values())}
        more = fields.keys() & {"disks", "nics", "iso"} or fields.get("uplink", self.bed.uplink) != self.bed.uplink
        return step.args[0] in there and bool(more)

    def _asked(self, step: Step) -> set[str]:
        """The files that a step asks for."""
        paths = [spec[key] for spec in _specs(step) for key in ("path", "base") if key in spec]
        return {str(path.on(self.pair.fake.names)) if isinstance(path, Ref) else path for path in paths}

    def _lies_under(self, step: Step) -> bool:
        """Whether it asks for a disk that other files lie on."""
        file = self.pair.fake.labels.file(step.target.then("path").on(self.pair.fake.names))
        return file in self.pair.host.labels.covered

    def spared(self, step: Step, vm: VMRecord | None) -> str:
        if self._names_there(step):
            return "each VM has a directory of its own, in which names are free that others have taken"
        if step.what == "disk.attach" and vm and self._asked(step) & {disk.base for disk in vm.disks}:
            return "it is refused by hyperkit or by the host, which knows what is below a base"
        if self._has_two_mistakes(step):
            return "of two mistakes either may be told"
        topology = step.fields.get("topology", vm.topology if vm else None)
        cpus = step.fields.get("cpus", vm.cpus if vm else 1)
        if step.method in ("create", "configure") and topology and (topology.threads > 1 or cpus % topology.cores):
            return "vSphere fills whole sockets, and a vCPU is a core"
        if step.what == "volumes.create" and step.args[0] in self._there:
            return "the fake calls new files by paths of its own, and sees no clash with one that was there"
        wanted = step.fields.get("memory_allocation")
        if wanted is not None and any((getattr(wanted, part) or 0) % MiB for part in ("reservation", "limit")):
            return "vSphere counts them in MiB"
        saved = self._fake.world.machines[vm.id].snapshots if vm else {}
        if step.what == "disk.resize" and (saved or step.target.then("record", "base").on(self.pair.fake.names)):
            return "vSphere grows no disk of a VM that has snapshots, and none that shares blocks"
        if step.what == "disk.resize" and self._lies_under(step):
            return "the disk of another VM goes on in files that lie on this one"
        if step.what == "disk.detach" and saved:
            return "ESXi is said to refuse it, and the simulator deletes the file with the last snapshot that has it"
        if vm is not None and step.method not in ("configure", "rename") and self.shares(vm, self._asked(step)):
            return "ESXi locks the disks of a VM that runs"
        if step.what == "vm.reboot":
            return "no guest has VMware Tools, which would hear it"
        return ""
