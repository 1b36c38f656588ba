"""Taking back what a create has made, once it cannot be finished."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim, vmodl

from hyperkit.backends.esxi import browse, errors
from hyperkit.backends.esxi.devices import present
from hyperkit.backends.esxi.elements import Element, children, number, text
from hyperkit.backends.esxi.tasks import Work
from hyperkit.errors import ConnectionLost

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

log = logging.getLogger("hyperkit")


@attrs.define
class Made:
    """What a create has made so far, or may have made without having been told.

    Attributes:
        name: of the VM, for messages.
        directories: made for it, by their paths: all that is in them is ours.
        unsure: a directory that may be ours, and its datastore's browser: the answer that would tell is lost.
        uuid: the ``instanceUuid`` of the VM that may be there by now.
        kept: paths of disks that were there before: they stay.
    """

    connection: Connection
    name: str
    kept: frozenset[str]
    directories: list[str] = attrs.field(factory=list)
    unsure: tuple[str, str] | None = None
    uuid: str = ""

    def undo(self, error: BaseException) -> Work[None]:
        """Take everything back. What stays all the same is in a note of the error, which is raised as ours then."""
        left = []
        if self.uuid:
            try:
                yield from self._remove_vm(lost=is_lost(error))
            except Exception as failure:
                left.append(f"VM {self.name!r}")
                log.warning("%s: could not delete VM %r: %s", self.connection.target.url, self.name, failure)
        # A VM without its disks is worse than both.
        for directory in self.directories if not left else ():
            try:
                yield self._delete(directory)
            except vim.fault.FileNotFound:
                continue
            except Exception as failure:
                left.append(directory)
                log.warning("%s: could not delete %s: %s", self.connection.target.url, directory, failure)
        left += self.directories if self.uuid and left else []
        if self.unsure is not None and (yield from self._is_empty(*self.unsure)):
            left.append(self.unsure[0])
        if left:
            files = ", ".join(dict.fromkeys(left))
            tell(self.connection, error, f"left on the host: {files}; delete them if nothing uses them")

    def _is_empty(self, directory: str, browser: str) -> Work[bool]:
        """Whether it is there and empty, as it is if we made it just now: then it is ours, or nobody misses it.

        It is not deleted all the same, since that would delete what somebody puts into it in this moment.
        """
        try:
            return not (yield from browse.search(self.connection, browser, directory))
        except vim.fault.FileNotFound:
            return False
        except Exception as failure:
            log.debug("%s: could not look into %s: %s", self.connection.target.url, directory, failure)
            return True

    def _delete(self, directory: str) -> Any:
        return self.connection.content.fileManager.DeleteDatastoreFile_Task(directory, datacenter(self.connection))

    def _remove_vm(self, *, lost: bool) -> Work[None]:
        if lost:
            yield from settled(self.connection, "Folder", self.connection.scope.vm_folder)
        found = self.connection.content.searchIndex.FindByUuid(datacenter(self.connection), self.uuid, True, True)
        if found is None:
            return
        try:
            yield from detach(self.connection, found._moId, self.kept)
            yield self.connection.vm(found._moId).Destroy_Task()
        except vmodl.fault.ManagedObjectNotFound:
            return


def detach(connection: Connection, vm_id: str, paths: Collection[str]) -> Work[list[Any]]:
    """Take disks away from a VM that is off, whose files are to outlive it: a read, and a task if there are any.

    Returns:
        the changes that attach them again.
    """
    values = connection.properties.one("VirtualMachine", vm_id, ["config.hardware"]).values
    disks = [
        device for device in present(values.get("config.hardware")) if text(device, "backing", "fileName") in paths
    ]
    if not disks:
        return []
    changes = [change(device, "remove") for device in disks]
    yield connection.vm(vm_id).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes))
    return [change(device, "add") for device in disks]


def change(disk: Element, operation: str) -> Any:
    """A change that takes a disk away, or puts it back to where it was; its file stays as it is."""
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=text(disk, "backing", "fileName"), diskMode=text(disk, "backing", "diskMode", default="persistent")
    )
    device = vim.vm.device.VirtualDisk(
        key=number(disk, "key"),
        controllerKey=number(disk, "controllerKey"),
        unitNumber=number(disk, "unitNumber"),
        capacityInKB=number(disk, "capacityInKB"),
        backing=backing,
    )
    return vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)


def settled(connection: Connection, kind: str, id: str) -> Work[None]:
    """Wait for what is being done to an object, however it ends: what was begun before an answer was lost is there."""
    found = connection.properties.one(kind, id, ["recentTask"])
    for each in children(found.values.get("recentTask")):
        try:
            yield vim.Task(each.text, connection.stub)
        except Exception as failure:
            log.debug("%s: a task on %s %s ended: %s", connection.target.url, kind, id, failure)


def datacenter(connection: Connection) -> Any:
    """The Datacenter that datastore paths are in."""
    return vim.Datacenter(connection.scope.datacenter, connection.stub)


def is_lost(error: BaseException) -> bool:
    """Whether the session broke, so that nobody knows what was done."""
    return isinstance(error, Exception) and isinstance(errors.translate(error) or error, ConnectionLost)


def tell(connection: Connection, error: BaseException, message: str) -> None:
    """Say in a note of the error, and in the log, what is not as it was. Raises it as ours, unless it is."""
    log.warning("%s: %s", connection.target.url, message)
    ours = errors.translate(error) if isinstance(error, Exception) else None
    (ours or error).add_note(message)
    if ours is not None and ours is not error:
        raise ours from error
