"""Disks and CD-ROM drives of a VM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from hyperkit import checks
from hyperkit.devices import Device, Devices, require_off_or_hot, require_room
from hyperkit.errors import AlreadyExists, InvalidRequest
from hyperkit.records import CdromRecord, DiskRecord, VMRecord
from hyperkit.resolve import check_unused, resolve_disks
from hyperkit.specs import DiskSpec
from hyperkit.specs.given import Located, check_own, part_of, path_of
from hyperkit.units import MiB, format_size

if TYPE_CHECKING:
    from hyperkit.vm import VM


class Disk(Device[DiskRecord]):
    """A disk as it is attached to a VM."""

    kind = "disk"
    __slots__ = ()

    @property
    def path(self) -> str:
        """Its file, in the host's own vocabulary."""
        return self._record.path

    @property
    def size(self) -> int | None:
        """Bytes the guest sees; None if the host cannot tell."""
        return self._record.size

    @property
    def created(self) -> bool:
        """Whether hyperkit created it."""
        return self._record.created

    def _siblings(self, record: VMRecord) -> Sequence[DiskRecord]:
        return record.disks

    def resize(self, size: int) -> Disk:
        """Grow it to ``size`` bytes. The guest's partitions and file systems are the guest's to grow.

        Raises:
            InvalidRequest: smaller than it is: what lies beyond the end would be lost.
            InvalidState: the VM runs, and the host cannot grow the disk of a running VM.
        """
        checks.size("size", size, least=MiB, multiple=512)
        self._ready("hot_disk_resize")
        if self.size is not None and size < self.size:
            raise InvalidRequest(
                f"size={size} would make {self.label} smaller than its {self.size} bytes; disks only grow",
                field="size",
                value=size,
            )
        if size != self.size:
            self._record = self._call(self._host.driver.disks.resize, self._vm.id, self.id, size)
            self._vm.refresh()
        return self

    def detach(self, *, delete: bool = False) -> None:
        """Take it away from the VM, for good. Its file stays unless ``delete``.

        Raises:
            Busy: the guest does not let go of it, or ``delete``, and a snapshot, another VM or another image needs
                the disk; nothing was done.
            InvalidRequest: ``delete`` for a disk that hyperkit did not create; delete its volume by name instead.
            InvalidState: the VM runs, and the host cannot detach a disk of a running VM, or it is paused.
        """
        checks.flag("delete", delete)
        self._ready("hot_disk", lets_go=True)
        if delete:
            if not self.created:
                raise InvalidRequest(
                    f"delete=True: {self.label} ({self.path}) was not created by hyperkit; detach it, then delete the"
                    " volume from its datastore if that is meant",
                    field="delete",
                    value=True,
                )
            check_unused(self._host, self._record.files, but=self._vm.id)
        self._call(self._host.driver.disks.detach, self._vm.id, self.id)
        if delete:
            for path in self._record.files:
                self._call(self._host.driver.volumes.delete, path)
        self._vm.refresh()

    def _summary(self) -> str:
        return f"{self.path} {format_size(self.size) if self.size is not None else 'size unknown'}"


class Disks(Devices[Disk, DiskRecord]):
    """The disks of a VM, in the guest's order."""

    def _items(self) -> list[Disk]:
        return [Disk(self._vm, record) for record in self._vm.record.disks]

    def attach(self, spec: DiskSpec) -> Disk:
        """Attach a new or existing disk, for good.

        Raises:
            AlreadyExists: the VM has that disk already.
            InvalidRequest: a disk of the VM shares blocks with it, and would be spoilt by what is written to it.
            NotFound: the path, base image or datastore does not exist.
            InvalidState: the VM runs, and the host cannot attach a disk to a running VM.
        """
        checks.one_of("spec", spec, DiskSpec, ["DiskSpec(...)"])
        vm = self._vm.refresh()
        require_off_or_hot(vm, "hot_disk", "attach a disk to")
        require_room("disks", len(vm.record.disks), vm.host.capabilities.max_disks)
        if spec.path is not None and any(spec.path in disk.files for disk in vm.record.disks):
            raise AlreadyExists(f"{vm.label} already has the disk {spec.path}", backend=vm.host.url)
        if spec.path is not None and not spec.read_only and any(spec.path == disk.base for disk in vm.record.disks):
            checks.refuse("path", spec.path, f"a file that no disk of {vm.label} shares blocks with")
        (resolved,) = resolve_disks(vm.host, [spec])
        record = vm._call(vm.host.driver.disks.attach, vm.id, resolved)
        vm.refresh()
        return Disk(vm, record)


class Cdrom(Device[CdromRecord]):
    """A CD-ROM drive."""

    kind = "CD-ROM drive"
    __slots__ = ()

    @property
    def iso(self) -> str | None:
        """The image in it; None while it is empty."""
        return self._record.iso

    def _siblings(self, record: VMRecord) -> Sequence[CdromRecord]:
        return record.cdroms

    def insert(self, iso: str | PurePath | Located) -> Cdrom:
        """Put an image into it, in place of what is there.

        Raises:
            NotFound: no such image; the drive keeps what it has.
            Busy: the VM's guest uses what is in it, and has locked the drive.
        """
        path = path_of(iso)
        checks.path("iso", path)
        check_own(self._host.identity, "iso", path)
        return self._set(path)

    def eject(self) -> Cdrom:
        """Take the image out; an empty drive is left as it is.

        Raises:
            Busy: the VM's guest uses it, and has locked the drive.
        """
        return self._set(None)

    def _set(self, iso: str | None) -> Cdrom:
        self._ready("hot_cdrom")
        if iso != self.iso:
            self._call(self._host.driver.disks.set_iso, self._vm.id, self.id, iso)
            self.refresh()
        return self

    def _summary(self) -> str:
        return self.iso or "empty"


class Cdroms(Devices[Cdrom, Any]):
    """The CD-ROM drives of a VM."""

    def _items(self) -> list[Cdrom]:
        return [Cdrom(self._vm, record) for record in self._vm.record.cdroms]


DisksToDelete = Literal["created", "all", "none"] | Iterable[str | Disk]
"""Which disk files go with a VM: see `VM.delete`."""


def files_to_delete(vm: VM, disks: DisksToDelete) -> tuple[str, ...]:
    """The files that are meant, of a VM as last read: a disk that snapshots divided is several.

    Raises:
        InvalidRequest: a named disk is not this VM's.
    """
    own = vm.record.disks
    if isinstance(disks, str) or not isinstance(disks, Iterable):
        if disks not in ("created", "all", "none"):
            checks.refuse("disks", disks, "'created', 'all', 'none', or a list of paths")
        doomed = [disk for disk in own if disks == "all" or (disks == "created" and disk.created)]
    else:
        doomed = [_disk_at(vm, part_of(disk, "path") if isinstance(disk, Disk) else disk) for disk in disks]
    return tuple(path for disk in doomed for path in disk.files)


def _disk_at(vm: VM, path: object) -> DiskRecord:
    """The disk that one of its files names: of one that snapshots divided, that is the one it began as, too."""
    check_own(vm.host.identity, "disks", path)
    own = vm.record.disks
    found = next((disk for disk in own if path in disk.files), None)
    if found is None:
        there = ", ".join(disk.path for disk in own) or "it has none"
        checks.refuse("disks", path, f"a disk of {vm.label}: {there}")
    return found
