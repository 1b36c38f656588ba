"""Disks and CD-ROM drives of VMs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import browse, copies, editing, files, plan
from hyperkit.backends.esxi.browse import Store
from hyperkit.backends.esxi.editing import Editing
from hyperkit.backends.esxi.elements import Element, kind, number
from hyperkit.backends.esxi.plan import DevicePlan
from hyperkit.backends.esxi.tasks import Work, finished
from hyperkit.backends.esxi.undo import datacenter, is_lost, settled, tell
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, InvalidState, NotFound
from hyperkit.records import DiskRecord
from hyperkit.specs import DiskSpec

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.inventory import Inventory

log = logging.getLogger("hyperkit")


class Disks:
    """See `hyperkit.driver.DiskPort`. A disk's id is its device key, which lasts as long as it is attached."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def attach(self, vm_id: str, spec: DiskSpec) -> DiskRecord:
        """See the contract. A new disk's file is beside the VM's own, or in a directory of that name elsewhere.

        Raises:
            InvalidRequest: a path that is none, or no place is left on the bus.
            Busy: somebody changed the VM meanwhile.
        """
        now = Editing.read(self._connection, vm_id)
        path = finished(self._connection, self._new(now, spec) if spec.creates else self._existing(now, spec))
        return self._record(vm_id, lambda disk: path in disk.files, path)

    def detach(self, vm_id: str, disk_id: str) -> None:
        """See the contract. Two calls, and the task."""
        now = Editing.read(self._connection, vm_id)
        disk = _disk(now, disk_id)
        ours = attrs.evolve(now.ours, created=now.ours.created.difference(editing.files(disk)))
        finished(self._connection, now.change([editing.removed(now.decoded(disk))], ours))

    def resize(self, vm_id: str, disk_id: str, size: int) -> DiskRecord:
        """See the contract.

        Raises:
            InvalidState: snapshots, or clones, share its blocks.
        """
        now = Editing.read(self._connection, vm_id)
        disk = _disk(now, disk_id)
        present = number(disk, "capacityInBytes") or (number(disk, "capacityInKB") or 0) * 1024
        if size < present:
            refuse("size", size, f"a disk is never made smaller, and {disk_id} has {present} bytes")
        if now.has_snapshots:
            raise InvalidState(
                f"vSphere grows no disk of a VM that has snapshots: delete those of {now.name!r} first", wanted="resize"
            )
        if len(list(editing.files(disk))) > 1:
            raise InvalidState(
                f"vSphere grows no disk that shares blocks with another, as {disk_id} of {now.name!r} does: consolidate"
                " the VM, or clone it in full",
                wanted="resize",
            )
        device = now.decoded(disk)
        plan.set_size(device, size)
        finished(self._connection, now.change([editing.edited(device)]))
        return self._record(vm_id, lambda disk: disk.id == disk_id, disk_id)

    def set_iso(self, vm_id: str, cdrom_id: str, iso: str | None) -> None:
        """See the contract. A guest that has locked its drive makes the VM ask whether to take the image out all the
        same, and wait for an answer; see `UpkeepPort.answer`.
        """
        now = Editing.read(self._connection, vm_id)
        drive = now.device(cdrom_id, "key")
        if drive is None or kind(drive) != "VirtualCdrom":
            raise NotFound(f"VM {now.name!r} has no CD-ROM drive {cdrom_id!r}")
        finished(self._connection, self._insert(now, drive, iso))

    def _insert(self, now: Editing, drive: Element, iso: str | None) -> Work[None]:
        if iso is not None:
            iso = files.parse(iso, "iso").text
            files.check_iso(iso, "iso", (yield from self._look(browse.stores(self._connection), iso, "iso")))
        device = now.decoded(drive)
        plan.insert(device, iso, running=now.running)
        yield from now.change([editing.edited(device)])

    def _existing(self, now: Editing, spec: DiskSpec) -> Work[str]:
        path = files.parse(spec.path or "", "path").text
        if any(path in editing.files(device) for device in now.devices):
            # Its own files were looked at before: it is one far below those of the source that it is a linked clone of.
            refuse("path", path, f"a file that no disk of VM {now.name!r} shares blocks with")
        planned = DevicePlan(now.devices, guest_id=now.guest_id)
        planned.disk(spec, path, create=False)
        files.check_disk(path, "path", (yield from self._look(browse.stores(self._connection), path, "path")))
        yield from now.change(planned.changes)
        return path

    def _new(self, now: Editing, spec: DiskSpec) -> Work[str]:
        """Make it with the VM's change, or before it if it is a copy.

        The path is known before there is a file, so that it can be taken back.
        """
        stores = browse.stores(self._connection)
        capacity = None
        if spec.base is not None:
            base = yield from self._look(stores, spec.base, "base")
            files.check_disk(spec.base, "base", base)
            copies.check_size(spec, base.capacity)
            capacity = base.capacity
        home = files.parse(now.home, "path")
        place = home if spec.datastore is None else _elsewhere(home, spec.datastore, stores.values())
        if place.store not in stores:
            raise NotFound(f"the datastore {place.store!r} of VM {now.name!r} is not among those of this connection")
        there = yield from self._names(stores[place.store].browser, place.parent)
        path = place._replace(name=_free_name(now.name, home, spec, there or ())).text
        planned = DevicePlan(now.devices, guest_id=now.guest_id)
        planned.disk(spec, path, create=spec.base is None)
        ours = attrs.evolve(now.ours, created=now.ours.created | {path})
        directory = place.parent if there is None else ""
        try:
            if directory:
                manager = self._connection.content.fileManager
                manager.MakeDirectory(directory, datacenter(self._connection), True)
            if spec.base is not None:
                yield from copies.copy(self._connection, spec, path, capacity)
            yield from now.change(planned.changes, ours)
        except (GeneratorExit, vim.fault.FileAlreadyExists):  # nobody waits any more; or it is somebody else's
            raise
        except BaseException as error:
            yield from self._undo(now, path, directory, error)
            raise
        return path

    def _undo(self, now: Editing, path: str, directory: str, error: BaseException) -> Work[None]:
        """Take back what was made, unless the VM has it although the answer that says so was lost."""
        try:
            if is_lost(error):
                yield from settled(self._connection, "VirtualMachine", now.vm_id)
                again = Editing.read(self._connection, now.vm_id)
                if any(path in editing.files(device) for device in again.devices):
                    return
            where = datacenter(self._connection)
            with suppress(vim.fault.FileNotFound):
                yield self._connection.content.virtualDiskManager.DeleteVirtualDisk_Task(path, where)
            if directory:
                with suppress(vim.fault.FileNotFound):
                    yield self._connection.content.fileManager.DeleteDatastoreFile_Task(directory, where)
        except Exception as failure:
            log.warning("%s: could not delete %s: %s", self._connection.target.url, path, failure)
            tell(self._connection, error, f"left on the host: {path}; delete it if nothing uses it")

    def _look(self, stores: Mapping[str, Store], path: str, field: str) -> Work[files.File]:
        browsers = {store.name: store.browser for store in stores.values()}
        found = yield from files.look(self._connection, browsers, {path: field})
        return found[path]

    def _names(self, browser: str, directory: str) -> Work[set[str] | None]:
        """The names of what is in a directory; None if there is none."""
        try:
            entries = yield from browse.search(self._connection, browser, directory)
        except vim.fault.FileNotFound:
            return None
        return {entry.name for entry in entries}

    def _record(self, vm_id: str, wanted: Callable[[DiskRecord], bool], told: str) -> DiskRecord:
        record = self._inventory.get(vm_id)
        found = next((disk for disk in record.disks if wanted(disk)), None)
        if found is None:
            raise NotFound(f"VM {record.name!r} has no disk {told!r} any more")
        return found


def _disk(now: Editing, disk_id: str) -> Element:
    disk = now.device(disk_id, "capacityInKB")
    if disk is None:
        raise NotFound(f"VM {now.name!r} has no disk {disk_id!r}")
    return disk


def _elsewhere(home: files.Path, datastore: str, stores: Collection[Store]) -> files.Path:
    """A directory of the same name in another datastore."""
    store = next((store for store in stores if store.id == datastore), None)
    if store is None:
        raise NotFound(f"no datastore with id {datastore!r}")
    return home._replace(store=store.name)


def _free_name(vm: str, home: files.Path, spec: DiskSpec, there: Collection[str]) -> str:
    """The file's name: the one asked for, or the next as vSphere itself counts them: ``web1_1.vmdk``.

    Raises:
        AlreadyExists: the name asked for is taken.
    """
    if spec.name is not None:
        if f"{spec.name}.vmdk" in there:
            raise AlreadyExists(f"there is a disk {spec.name!r} beside VM {vm!r} already")
        return f"{spec.name}.vmdk"
    stem = home.name.removesuffix(".vmx")
    return next(name for n in count(1) if (name := f"{stem}_{n}.vmdk") not in there)
