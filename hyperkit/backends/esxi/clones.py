"""Clones and templates, which are vCenter's: a host by itself has neither.

Where a full clone comes from snapshots, vCenter merges their files in the copy (``diskMoveType`` in the vSphere web
services reference: ``moveAllDiskBackingsAndDisallowSharing`` where it is unset).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import devices, kept, tree
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.elements import Element, flag, text
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.backends.esxi.names import to_vsphere
from hyperkit.backends.esxi.reader import option
from hyperkit.backends.esxi.tasks import TaskJob, Work
from hyperkit.errors import NotFound
from hyperkit.jobs import Job
from hyperkit.records import VMRecord
from hyperkit.specs import CloneSpec

_PATHS = ("config.hardware.device", "config.annotation", "config.extraConfig")
_SOURCE = (*_PATHS, "config.template", "runtime.host", "snapshot")


class Clones:
    """See `hyperkit.driver.ClonePort`."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def clone(self, vm_id: str, spec: CloneSpec) -> VMRecord | Job[VMRecord]:
        """Two tasks, and a read before each and at the end."""
        return TaskJob(self._connection, self._clone(vm_id, spec))

    def _clone(self, vm_id: str, spec: CloneSpec) -> Work[VMRecord]:
        connection = self._connection
        source = connection.properties.one("VirtualMachine", vm_id, _SOURCE).values
        folder = vim.Folder(connection.scope.vm_folder, connection.stub)
        wanted = self._wanted(vm_id, source, spec)
        made = yield connection.vm(vm_id).CloneVM_Task(folder, to_vsphere(spec.name), wanted)
        clone = connection.vm(text(made))
        try:
            now = connection.properties.one("VirtualMachine", text(made), _PATHS).values
            yield clone.ReconfigVM_Task(_settled(source, now))
            return self._inventory.get(text(made))
        except Exception:
            yield clone.Destroy_Task()
            raise

    def _wanted(self, vm_id: str, source: Mapping[str, Element], spec: CloneSpec) -> Any:
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
            location.pool, location.host = self._place(text(source.get("runtime.host")))
        snapshot = None
        if spec.snapshot is not None:
            if spec.snapshot not in {record.id for record in tree.snapshots(vm_id, source.get("snapshot"))}:
                raise NotFound(f"the VM has no snapshot with id {spec.snapshot!r}")
            snapshot = vim.vm.Snapshot(spec.snapshot, stub)
        return vim.vm.CloneSpec(location=location, powerOn=False, template=False, snapshot=snapshot)

    def set_template(self, vm_id: str, template: bool) -> VMRecord:
        """Two calls, and a read more for a template, which has no pool to run in."""
        vm = self._connection.vm(vm_id)
        if template:
            vm.MarkAsTemplate()
        else:
            found = self._connection.properties.one("VirtualMachine", vm_id, ["runtime.host"])
            vm.MarkAsVirtualMachine(*self._place(text(found.values.get("runtime.host"))))
        return self._inventory.get(vm_id)

    def _place(self, host_id: str) -> tuple[Any, Any]:
        """The pool and the host for what was a template: on the host that it is registered on, if that is in scope."""
        stub, computes = self._connection.stub, self._connection.scope.computes
        compute = next((each for each in computes if host_id in each.hosts), computes[0])
        host = host_id if host_id in compute.hosts else compute.hosts[0]
        return vim.ResourcePool(compute.pool, stub), vim.HostSystem(host, stub)
