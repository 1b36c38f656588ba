"""The devices that a VM is to have: controllers and places on them are chosen here, for create and for attach alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hyperkit.backends.esxi.elements import Element
from hyperkit.specs import DiskSpec, NicSpec


class DevicePlan:
    """Collects device changes for one ``vim.vm.ConfigSpec``.

    Args:
        present: the VM's devices as they were read (``config.hardware.device``); none for a new VM.
        guest_id: vSphere's id of the guest, which decides about the usual controller and card.
    """

    changes: list[Any]
    """``vim.vm.device.VirtualDeviceSpec`` for `ConfigSpec.deviceChange`, controllers before what is on them."""

    def __init__(self, present: Iterable[Element] = (), *, guest_id: str = "") -> None:
        raise AssertionError("under construction")

    def disk(self, spec: DiskSpec, path: str, *, create: bool) -> int:
        """Add a disk; its temporary or lasting device key.

        Args:
            spec: bus, size, thin, read_only are looked at.
            path: its file: ``[datastore1] web1/web1.vmdk``.
            create: whether the file is made with it; else it is there.

        Raises:
            InvalidRequest: no place is left on any controller of the bus, or the bus cannot have it.
        """
        raise AssertionError("under construction")

    def nic(self, spec: NicSpec, backing: Any) -> int:
        """Add a card on a backing that `networks.Networks.backing` made; its device key."""
        raise AssertionError("under construction")

    def cdrom(self, iso: str | None) -> int:
        """Add a CD-ROM drive; its device key."""
        raise AssertionError("under construction")
