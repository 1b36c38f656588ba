"""A session with an ESXi host or a vCenter: logged in, told apart, and what of its inventory is meant."""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from hyperkit.backends.esxi.properties import Properties
from hyperkit.backends.esxi.scope import Scope
from hyperkit.backends.esxi.stub import Stub
from hyperkit.driver import Target


class Connection:
    """One session, shared by all ports and threads.

    Attributes:
        target: where, as whom.
        stub: what managed objects call through: ``vim.VirtualMachine(vm_id, connection.stub).PowerOnVM_Task()``.
        content: the service's managers and roots, read once.
        scope: what of the inventory this connection is about.
        properties: reads of the inventory.
        identity: stable id of the host, or of the vCenter and the scope.
    """

    target: Target
    stub: Stub
    content: Any
    scope: Scope
    properties: Properties
    identity: str

    def __init__(self, target: Target) -> None:
        raise AssertionError("under construction")

    @property
    def is_vcenter(self) -> bool:
        """Whether this is a vCenter (``about.apiType`` VirtualCenter) rather than a host by itself (HostAgent)."""
        return bool(self.content.about.apiType == "VirtualCenter")

    @property
    def native(self) -> Any:
        """PyVmomi's ServiceInstance."""
        return vim.ServiceInstance("ServiceInstance", self.stub)

    def vm(self, vm_id: str) -> Any:
        """The managed object of a VM; no call is made."""
        return vim.VirtualMachine(vm_id, self.stub)

    def close(self) -> None:
        """Log out. May be called twice."""
