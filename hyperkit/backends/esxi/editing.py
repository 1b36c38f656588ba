"""Changing a VM's devices: reading what it has, and having all of a change made by one ReconfigVM_Task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from lxml import etree
from pyVmomi import SoapAdapter, vim

from hyperkit.backends.esxi import kept
from hyperkit.backends.esxi.devices import present
from hyperkit.backends.esxi.elements import Element, child, children, text
from hyperkit.backends.esxi.kept import Kept
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.errors import InvalidState

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.tasks import Work

_PATHS = (
    "name",
    "runtime.powerState",
    "config.hardware",
    "config.guestId",
    "config.changeVersion",
    "config.extraConfig",
    "config.files.vmPathName",
    "snapshot",
)


@attrs.frozen(kw_only=True)
class Editing:
    """A VM as it was read, to be changed.

    Attributes:
        running: whether it is switched on.
        guest_id: vSphere's id of its guest.
        version: of its configuration.
        home: the path of its .vmx file.
        has_snapshots: whether it has any.
        devices: what it has.
        ours: what hyperkit keeps with it.
    """

    connection: Connection
    vm_id: str
    name: str
    running: bool
    guest_id: str
    version: str
    home: str
    has_snapshots: bool
    devices: tuple[Element, ...]
    ours: Kept

    @classmethod
    def read(cls, connection: Connection, vm_id: str) -> Editing:
        """Read it, with one call.

        Raises:
            vmodl.fault.ManagedObjectNotFound: there is none of this id.
            InvalidState: the host cannot read its configuration now.
        """
        values = connection.properties.one("VirtualMachine", vm_id, _PATHS).values
        name = from_vsphere(text(values.get("name")))
        if "config.hardware" not in values:
            raise InvalidState(f"the configuration of VM {name!r} cannot be read now: its files or its host are gone")
        return cls(
            connection=connection,
            vm_id=vm_id,
            name=name,
            running=text(values.get("runtime.powerState")) == "poweredOn",
            guest_id=text(values.get("config.guestId")),
            version=text(values.get("config.changeVersion")),
            home=text(values.get("config.files.vmPathName")),
            has_snapshots=next(children(values.get("snapshot")), None) is not None,
            devices=tuple(present(values.get("config.hardware"))),
            ours=kept.of(values.get("config.extraConfig")),
        )

    def device(self, key: str, field: str) -> Element | None:
        """The device of this key, if it has this field, by which its kind is known."""
        found = (device for device in self.devices if text(device, "key") == key)
        return next((device for device in found if child(device, field) is not None), None)

    def decoded(self, device: Element) -> Any:
        """A device as pyVmomi has it, whole: of what a change leaves out, hosts make what they like."""
        return SoapAdapter.Deserialize(etree.tostring(device), vim.vm.device.VirtualDevice, self.connection.stub)

    def change(self, changes: Sequence[Any], ours: Kept | None = None) -> Work[None]:
        """Have it all changed, or nothing.

        Args:
            changes: of its devices.
            ours: what is kept with it from now on. Then the VM must still be as it was read, lest something be
                forgotten that was written there meanwhile.
        """
        spec = vim.vm.ConfigSpec(deviceChange=list(changes))
        if ours is not None and ours != self.ours:
            spec.extraConfig = [kept.option(ours)]
            spec.changeVersion = self.version or None
        yield self.connection.vm(self.vm_id).ReconfigVM_Task(spec)


def files(disk: Element) -> Iterator[str]:
    """The files of a disk, from the one that is written to down to what it began from."""
    backing = child(disk, "backing")
    while backing is not None:
        if path := text(backing, "fileName"):
            yield path
        backing = child(backing, "parent")


def edited(device: Any) -> Any:
    """The change of a device that is there."""
    return vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)


def removed(device: Any) -> Any:
    """The change that takes a device away; a disk's file stays."""
    return vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
