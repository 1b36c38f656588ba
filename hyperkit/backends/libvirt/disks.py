"""Disks and CD-ROM drives of a VM."""

from __future__ import annotations

from functools import partial
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import xml_read, xml_write
from hyperkit.backends.libvirt.connection import CONFIG, LIVE, Connection
from hyperkit.backends.libvirt.devices import Editing
from hyperkit.backends.libvirt.images import Image, Images
from hyperkit.backends.libvirt.metadata import Extra, KnownDisk, replace
from hyperkit.backends.libvirt.reader import Reader
from hyperkit.backends.libvirt.undo import Made, insist, tell, uses, writes_much
from hyperkit.backends.libvirt.xml_edit import text_of
from hyperkit.backends.libvirt.xml_write import Platform
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, NotFound
from hyperkit.records import DiskRecord
from hyperkit.specs import DiskSpec


class Disks:
    """`DiskPort`. A disk's id is its target: ``vda``."""

    def __init__(self, connection: Connection, platform: Platform, images: Images, reader: Reader) -> None:
        self._connection = connection
        self._platform = platform
        self._images = images
        self._reader = reader

    def attach(self, vm_id: str, spec: DiskSpec) -> DiskRecord:
        made = Made(self._connection, self._images)
        with made.undone():
            image = self._make(made, vm_id, spec) if writes_much(spec) else None  # others need not wait for it
            with self._connection.editing(vm_id):
                editing = Editing(self._connection, vm_id)
                now = self._reader.present(editing.tree)
                image = image or made.image(now.name, len(now.disks), spec)
                if any(image.path in disk.files for disk in now.disks):
                    raise AlreadyExists(f"VM {now.name!r} has the disk {image.path} already")
                made.domain = partial(self._keep_if_attached, made, vm_id)
                target = self._attach(editing, spec, image, windows=now.guest_os.startswith("win"))
        return self._record(vm_id, target)

    def _keep_if_attached(self, made: Made, vm_id: str) -> None:
        """The VM may have got its disk although the answer was lost: then the file is no leftover."""
        domain = self._connection.domain(vm_id)
        made.files = [path for path in made.files if not uses(domain, path)]

    def _make(self, made: Made, vm_id: str, spec: DiskSpec) -> Image:
        now = self._reader.present(Editing(self._connection, vm_id).tree)
        return made.image(now.name, len(now.disks), spec)

    def _attach(self, editing: Editing, spec: DiskSpec, image: Image, *, windows: bool) -> str:
        taken = {xml_read.target_of(disk) for disk in editing.devices.iterfind("disk")}
        if editing.active:
            taken |= {xml_read.target_of(disk) for disk in editing.live().iterfind("disk")}
        element = xml_write.disk_element(spec, image, taken, self._platform, windows=windows)
        before = editing.extra
        extra = _with_all(before, editing.devices)
        if image.path in extra.layers:  # it was detached, and is known by what it began as
            extra = extra.keeping(image.path, kept=False)
        else:
            extra = extra.with_disk(image.path, KnownDisk(image.created, image.base))
        on_scsi = self._platform.qemu and element.find("target[@bus='scsi']") is not None
        lacks_scsi = on_scsi and editing.devices.find("controller[@type='scsi']") is None
        if not editing.active:
            if lacks_scsi:
                editing.devices.append(xml_write.scsi_controller())
            editing.devices.append(element)
            replace(editing.tree, extra)
            editing.save()
        else:
            try:
                editing.remember(extra)
                if lacks_scsi:
                    # libvirt would add one that does not fit into PCI Express. It stays if the disk cannot come.
                    editing.plug(xml_write.scsi_controller())
                editing.plug(element)
            except BaseException as error:
                failed = insist(self._connection, partial(self._forget_unless_there, editing, image.path, before))
                if failed is not None:
                    tell(self._connection, error, [f"what is remembered of {image.path} in VM {editing.domain.name()}"])
                raise
        return xml_read.target_of(element)

    def _forget_unless_there(self, editing: Editing, path: str, before: Extra) -> None:
        """The VM may have got its disk although the answer was lost."""
        now = Editing(self._connection, editing.domain.UUIDString())
        if not uses(now.domain, path):
            now.remember(before)

    def detach(self, vm_id: str, disk_id: str) -> None:
        with self._connection.editing(vm_id):
            self._detach(vm_id, disk_id)

    def _detach(self, vm_id: str, disk_id: str) -> None:
        editing = Editing(self._connection, vm_id)
        disk = _found(editing.devices, disk_id, "disk")
        # A layer stays although the VM does not have it any more, and so does what it lies on.
        path = xml_read.source_of(disk) or ""
        extra = editing.extra.keeping(path) if path in editing.extra.layers else editing.extra.without_disk(path)
        if editing.active:
            editing.unplug(disk, lambda devices: _find(devices, disk_id), f"disk {disk_id}")
            if extra != editing.extra:
                editing.remember(extra)
        else:
            editing.devices.remove(disk)
            replace(editing.tree, extra)
            editing.save()

    def resize(self, vm_id: str, disk_id: str, size: int) -> DiskRecord:
        # The hypervisor would make it smaller: nobody may make it larger between the look and the call.
        with self._connection.editing(vm_id):
            return self._resize(vm_id, disk_id, size)

    def _resize(self, vm_id: str, disk_id: str, size: int) -> DiskRecord:
        domain = self._connection.domain(vm_id)
        disk = self._record(vm_id, disk_id)
        if disk.size is not None and size < disk.size:
            refuse("size", size, f"a disk is never made smaller, and {disk_id} has {disk.size} bytes")
        if domain.isActive():
            domain.blockResize(disk_id, size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
        else:
            self._images.resize(disk.path, size)
        return self._record(vm_id, disk_id)

    def set_iso(self, vm_id: str, cdrom_id: str, iso: str | None) -> None:
        with self._connection.editing(vm_id):
            self._set_iso(vm_id, cdrom_id, iso)

    def _set_iso(self, vm_id: str, cdrom_id: str, iso: str | None) -> None:
        editing = Editing(self._connection, vm_id)
        drive = _found(editing.devices, cdrom_id, "cdrom")
        path = self._images.inspect(iso, "iso").path if iso is not None else None
        xml_write.set_source(drive, path)
        if editing.active:
            editing.domain.updateDeviceFlags(text_of(drive), LIVE | CONFIG)
        else:
            editing.save()

    def _record(self, vm_id: str, disk_id: str) -> DiskRecord:
        record = self._reader.get(vm_id)
        for disk in record.disks:
            if disk.id == disk_id:
                return disk
        raise NotFound(f"VM {record.name!r} has no disk {disk_id!r}")


def _with_all(extra: Extra, devices: ET.Element) -> Extra:
    """The disks that are there, written down in their order before another one comes after them."""
    for disk in devices.iterfind("disk"):
        path = extra.root(xml_read.source_of(disk) or "")
        if path and disk.get("device", "disk") == "disk" and path not in extra.disks:
            extra = extra.with_disk(path, KnownDisk())
    return extra


def _find(devices: ET.Element, target: str) -> ET.Element | None:
    return next((disk for disk in devices.iterfind("disk") if xml_read.target_of(disk) == target), None)


def _found(devices: ET.Element, target: str, kind: str) -> ET.Element:
    disk = _find(devices, target)
    if disk is None or (disk.get("device", "disk") == "cdrom") != (kind == "cdrom"):
        raise NotFound(f"the VM has no {'CD-ROM drive' if kind == 'cdrom' else 'disk'} {target!r}")
    return disk
