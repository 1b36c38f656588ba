"""Deleting a VM, and those of its disks that are to go.

``Destroy_Task`` deletes every disk that is attached, whoever made it. So disks that stay are detached first, and
attached again if the VM could not be deleted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pyVmomi import vim, vmodl

from hyperkit.backends.esxi.clones import place_of
from hyperkit.backends.esxi.devices import present
from hyperkit.backends.esxi.elements import Element, child, children, flag, text
from hyperkit.backends.esxi.tasks import Work
from hyperkit.backends.esxi.undo import datacenter, detach, is_lost, log, settled, tell

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_PATHS = (
    "config.hardware",
    "config.template",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
    "snapshot.rootSnapshotList",
)
_UNKNOWN = ("inaccessible", "invalid", "orphaned")
"""States of connection of a VM whose files nobody can read, or which is nowhere: it can only be forgotten."""


def delete(connection: Connection, vm_id: str, volumes: Sequence[str]) -> Work[None]:
    """Delete it."""
    values = connection.properties.one("VirtualMachine", vm_id, _PATHS).values
    vm = connection.vm(vm_id)
    if text(values.get("runtime.connectionState")) in _UNKNOWN:
        vm.UnregisterVM()
        yield from _delete_files(connection, volumes)
        return
    kept = _kept(present(values.get("config.hardware")), volumes)
    back: list[Any] = []
    template = False
    if kept:
        if list(children(values.get("snapshot.rootSnapshotList"))):
            # What is written since a snapshot is in files that would go with the VM.
            yield vm.RemoveAllSnapshots_Task(True)
            hardware = connection.properties.one("VirtualMachine", vm_id, ["config.hardware"]).values
            kept = _kept(present(hardware.get("config.hardware")), volumes)
        if text(values.get("runtime.powerState")) == "suspended":
            yield vm.PowerOffVM_Task()  # no device of a suspended VM can be changed
        template = bool(flag(values.get("config.template")))
        if template:
            # No device of a template can be changed.
            vm.MarkAsVirtualMachine(*place_of(connection, text(values.get("runtime.host"))))
    try:
        if kept:
            back = yield from detach(connection, vm_id, kept)
        yield from _destroy(connection, vm_id)
    except GeneratorExit:
        raise
    except BaseException as error:
        if back or template:
            yield from _restore(connection, vm, back, template, error)
        raise


def _kept(devices: Iterable[Element], volumes: Collection[str]) -> frozenset[str]:
    """The paths of the disks that stay: those of which no file is named."""
    chains = [list(_files(device)) for device in devices]
    return frozenset(chain[0] for chain in chains if chain and not set(chain) & set(volumes))


def _files(device: Element) -> Iterator[str]:
    """Of a disk, the file that is written to and those below it."""
    backing = child(device, "backing") if child(device, "capacityInKB") is not None else None
    while backing is not None:
        if name := text(backing, "fileName"):
            yield name
        backing = child(backing, "parent")


def _destroy(connection: Connection, vm_id: str) -> Work[None]:
    """Have it destroyed; where the answer is lost, it is looked whether it was."""
    try:
        yield connection.vm(vm_id).Destroy_Task()
    except Exception as error:
        if not is_lost(error):
            raise
        try:
            yield from settled(connection, "VirtualMachine", vm_id)
            connection.properties.one("VirtualMachine", vm_id, ["runtime.powerState"])
        except vmodl.fault.ManagedObjectNotFound:
            return
        raise


def _restore(connection: Connection, vm: Any, changes: list[Any], template: bool, error: BaseException) -> Work[None]:
    """Give a VM that could not be deleted its disks back, and make it a template again if it was one."""
    try:
        if changes:
            yield vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes))
        if template:
            vm.MarkAsTemplate()
    except Exception as failure:
        log.warning("%s: could not restore a VM: %s", connection.target.url, failure)
        paths = ", ".join(change.device.backing.fileName for change in changes)
        tell(connection, error, f"the VM is there, but not as it was: these disks may be detached: {paths}")


def _delete_files(connection: Connection, paths: Sequence[str]) -> Work[None]:
    for path in paths:
        try:
            yield connection.content.virtualDiskManager.DeleteVirtualDisk_Task(path, datacenter(connection))
        except vim.fault.FileNotFound:
            continue
