"""What changing a disk and changing a NIC have in common.

A VM that is off gets its whole configuration written anew, in one call. One that runs gets a change of the
running VM first, and of its configuration only when that succeeded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

from hyperkit.backends.libvirt import metadata
from hyperkit.backends.libvirt.connection import CONFIG, LIVE, Connection
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.reconfigure import KEEP_SECRETS, set_extra
from hyperkit.backends.libvirt.undo import insist, is_lost, tell
from hyperkit.backends.libvirt.xml_edit import parse_whole, text_of
from hyperkit.errors import Busy

Find = Callable[[ET.Element], ET.Element | None]
"""Finds a device among those of a VM."""


class Editing:
    """A VM whose devices are being changed, by one who holds `Connection.editing`.

    Attributes:
        domain: libvirt's.
        active: whether it runs.
        tree: its configuration; edit it and `save`.
    """

    def __init__(self, connection: Connection, vm_id: str) -> None:
        self._connection = connection
        self._vm_id = vm_id
        self.domain: Any = connection.domain(vm_id)
        self.active = bool(self.domain.isActive())
        self.tree = parse_whole(self.domain.XMLDesc(KEEP_SECRETS))

    @property
    def devices(self) -> ET.Element:
        """The configuration's devices."""
        found = self.tree.find("devices")
        return ET.SubElement(self.tree, "devices") if found is None else found

    @property
    def extra(self) -> metadata.Extra:
        """What we keep with it."""
        return metadata.read(self.tree.find("metadata"))

    def live(self) -> ET.Element:
        """The devices as they are now."""
        found = parse_domain(self.domain.XMLDesc(0)).find("devices")
        return ET.Element("devices") if found is None else found

    def save(self) -> None:
        """Define the domain as `tree` says."""
        self._connection.conn.defineXML(text_of(self.tree))

    def remember(self, extra: metadata.Extra) -> None:
        """Keep something else with it, now and for later."""
        set_extra(self.domain, extra, CONFIG | (LIVE if self.active else 0))

    def plug(self, device: ET.Element) -> None:
        """Add a device to a running VM and to its configuration."""
        self.domain.attachDeviceFlags(text_of(device), LIVE | CONFIG)

    def unplug(self, device: ET.Element, find: Find, what: str) -> None:
        """Take a device from a running VM, then from its configuration.

        libvirt waits five seconds for the guest to let go of it and says nothing if the guest does not.

        Raises:
            Busy: the guest did not let go.
        """
        try:
            self.domain.detachDeviceFlags(text_of(device), LIVE)
            if find(self.live()) is not None:
                raise Busy(
                    f"the guest of VM {self.domain.name()!r} does not let go of {what}: it may have no system that "
                    "runs, or be using it; it stays configured, and may still vanish until the next restart; "
                    "stop the VM first"
                )
            self.domain.detachDeviceFlags(text_of(device), CONFIG)
        except BaseException as error:
            failed = insist(self._connection, lambda: self._unplug_wholly(find)) if is_lost(error) else None
            if failed is not None:
                tell(self._connection, error, [f"{what} in the configuration of VM {self.domain.name()}"])
            raise

    def _unplug_wholly(self, find: Find) -> None:
        """Take it from the configuration if the guest has let go of it: it would be back at the next start."""
        now = Editing(self._connection, self._vm_id)
        left = find(now.devices)
        if left is not None and find(now.live()) is None:
            now.domain.detachDeviceFlags(text_of(left), CONFIG)
