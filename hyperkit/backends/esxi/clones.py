"""Clones and templates, which are vCenter's: a host by itself has neither.

Where a full clone comes from snapshots, vCenter merges their files in the copy (``diskMoveType`` in the vSphere web
services reference: ``moveAllDiskBackingsAndDisallowSharing`` where it is unset).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import kept, tree
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.editing import Editing, edited, files
from hyperkit.backends.esxi.elements import Element, child, children, flag, text
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.backends.esxi.names import to_vsphere
from hyperkit.backends.esxi.tasks import TaskJob, Work
from hyperkit.backends.esxi.undo import datacenter, is_lost, settled, tell
from hyperkit.errors import NotFound
from hyperkit.jobs import Job
from hyperkit.records import VMRecord
from hyperkit.specs import CloneSpec

_SOURCE = (
    "config.hardware.device",
    "config.annotation",
    "config.extraConfig",
    "config.template",
    "runtime.host",
    "snapshot",
)


class Clones:
    """See `hyperkit.driver.ClonePort`."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def clone(self, vm_id: str, spec: CloneSpec) -> VMRecord | Job[VMRecord]:
        """Two tasks, and a read before each and at the end."""
        return TaskJob(self._connection, self._clone(vm_id, spec, str(uuid4())))

    def _clone(self, vm_id: str, spec: CloneSpec, uuid: str) -> Work[VMRecord]:
        connection = self._connection
        source = connection.properties.one("VirtualMachine", vm_id, _SOURCE).values
        folder = vim.Folder(connection.scope.vm_folder, connection.stub)
        wanted = self._wanted(vm_id, source, spec, uuid)
        try:
            clone_id = text((yield connection.vm(vm_id).CloneVM_Task(folder, to_vsphere(spec.name), wanted)))
            yield connection.vm(clone_id).ReconfigVM_Task(_own(source, Editing.read(connection, clone_id)))
            return self._inventory.get(clone_id)
        except Exception as error:
            yield from self._undo(vm_id, spec, uuid, error)
            raise

    def _undo(self, vm_id: str, spec: CloneSpec, uuid: str, error: Exception) -> Work[None]:
        """Delete the clone, if there is one: where the answer was lost, only its uuid is known."""
        connection = self._connection
        try:
            if is_lost(error):
                yield from settled(connection, "VirtualMachine", vm_id)
            found = connection.content.searchIndex.FindByUuid(datacenter(connection), uuid, True, True)
            if found is not None:
                yield connection.vm(found._moId).Destroy_Task()
        except Exception as failure:
            tell(connection, error, f"VM {spec.name!r} may be left on the host, and could not be deleted: {failure}")

    def _wanted(self, vm_id: str, source: Mapping[str, Element], spec: CloneSpec, uuid: str) -> Any:
        """The ``vim.vm.CloneSpec``.

        Raises:
            NotFound: the source does not have the snapshot.
        """
        stub, location = self._connection.stub, vim.vm.RelocateSpec()
        if spec.datastore is not None:
            location.datastore = vim.Datastore(spec.datastore, stub)
        if spec.linked:
            location.diskMoveType = "createNewChildDiskBacking"
        if flag(source.get("config.template")):
            location.pool, location.host = place_of(self._connection, text(source.get("runtime.host")))
        snapshot = None
        if spec.snapshot is not None:
            if spec.snapshot not in {record.id for record in tree.snapshots(vm_id, source.get("snapshot"))}:
                raise NotFound(f"the VM has no snapshot with id {spec.snapshot!r}")
            snapshot = vim.vm.Snapshot(spec.snapshot, stub)
        config = vim.vm.ConfigSpec(instanceUuid=uuid)
        return vim.vm.CloneSpec(location=location, config=config, powerOn=False, template=False, snapshot=snapshot)

    def set_template(self, vm_id: str, template: bool) -> VMRecord:
        """Two calls, and a read more for a template, which has no pool to run in."""
        vm = self._connection.vm(vm_id)
        if template:
            vm.MarkAsTemplate()
        else:
            found = self._connection.properties.one("VirtualMachine", vm_id, ["runtime.host"])
            vm.MarkAsVirtualMachine(*place_of(self._connection, text(found.values.get("runtime.host"))))
        return self._inventory.get(vm_id)


def _own(source: Mapping[str, Element], clone: Editing) -> Any:
    """The ``vim.vm.ConfigSpec`` that gives a clone what is its own, and what its source is called."""
    taken = {text(device, "macAddress") for device in children(source.get("config.hardware.device"))} - {""}
    theirs = kept.of(source.get("config.extraConfig"))
    created = {next(files(disk), "") for disk in clone.devices if child(disk, "capacityInKB") is not None} - {""}
    # The ceilings are those of the snapshot that it is a clone of.
    ours = theirs if clone.ours == kept.NOTHING else clone.ours
    return vim.vm.ConfigSpec(
        annotation=text(source.get("config.annotation")),
        extraConfig=[kept.option(attrs.evolve(ours, tags=theirs.tags, created=frozenset(created)))],
        deviceChange=[
            # A snapshot may have one that somebody chose, and that the source has not now, but will after a revert.
            _with_mac_of_its_own(clone.decoded(card))
            for card in clone.devices
            if text(card, "macAddress") in taken or text(card, "addressType") == "manual"
        ],
    )


def _with_mac_of_its_own(card: Any) -> Any:
    """VCenter gives a clone's cards new addresses, but for those that somebody chose."""
    card.addressType, card.macAddress = "generated", None
    return edited(card)


def place_of(connection: Connection, host_id: str) -> tuple[Any, Any]:
    """The pool and the host for a template that becomes a VM: its own host, or one in scope if that is not."""
    computes = connection.scope.computes
    compute = next((each for each in computes if host_id in each.hosts), computes[0])
    host = host_id if host_id in compute.hosts else compute.hosts[0]
    return vim.ResourcePool(compute.pool, connection.stub), vim.HostSystem(host, connection.stub)
