"""New disks that begin as copies of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyVmomi import vim

from hyperkit.backends.esxi.undo import datacenter
from hyperkit.checks import refuse
from hyperkit.units import KiB, to_unit

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.tasks import Work
    from hyperkit.specs import DiskSpec


def check_size(spec: DiskSpec, capacity: int | None, field: str = "size") -> None:
    """Refuse a copy that is smaller than its image, or whose size vSphere cannot say.

    Raises:
        InvalidRequest: it is.
    """
    if spec.size is None:
        return
    to_unit(spec.size, KiB, field=field)
    if capacity is not None and spec.size < capacity:
        refuse(field, spec.size, f"at least the base image's size ({capacity})")


def copy(connection: Connection, spec: DiskSpec, path: str, capacity: int | None) -> Work[None]:
    """Copy ``spec.base`` to a path, and grow the copy.

    A vCenter takes no word about the copy's format (``destSpec``): it is the image's, and is inflated if it has to be.

    Args:
        capacity: bytes of the image, if they are known.
    """
    manager, where = connection.content.virtualDiskManager, datacenter(connection)
    form = None
    if not connection.is_vcenter:
        form = vim.VirtualDiskManager.VirtualDiskSpec(
            diskType="thin" if spec.thin else "preallocated", adapterType="lsiLogic"
        )
    yield manager.CopyVirtualDisk_Task(spec.base, where, path, where, form, False)
    if spec.size is not None and spec.size != capacity:
        yield manager.ExtendVirtualDisk_Task(path, where, to_unit(spec.size, KiB, field="size"), False)
    if not spec.thin and connection.is_vcenter:
        yield manager.InflateVirtualDisk_Task(path, where)
