"""What VMware Tools tell of a guest: the host keeps it, and nobody in the guest is asked.

Tools run commands only as an account of the guest's own, which hyperkit is not given, and hold a guest's writes only
while a snapshot is taken: `Capabilities` says no to both.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from hyperkit.backends.esxi import addresses
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.elements import Element, children, number, text
from hyperkit.errors import AgentUnavailable, Timeout, Unsupported
from hyperkit.guest_records import FilesystemRecord, GuestRecord
from hyperkit.records import AddressRecord

_POWER, _RUNNING, _HEARTBEAT = "runtime.powerState", "guest.toolsRunningStatus", "guestHeartbeatStatus"
_TOLD = ("guest.hostName", "guest.guestId", "guest.guestFamily", "guest.guestFullName", "guest.disk")
_DETAILED = ("guestInfo.detailed.data", "guestOS.detailed.data")
_ARCHITECTURES = {("X86", "64"): "x86_64", ("X86", "32"): "i686", ("Arm", "64"): "aarch64", ("Arm", "32"): "arm"}


class Guests:
    """See `hyperkit.driver.GuestPort`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        """One call. Of a VM that is off the host tells the last ones."""
        values = self._connection.properties.one("VirtualMachine", vm_id, [_POWER, "guest.net"]).values
        if text(values.get(_POWER)) != "poweredOn":
            return []
        return [record for _, record in addresses.of(values.get("guest.net")) if record.mac]

    def ping(self, vm_id: str, timeout: float) -> None:
        """One call: Tools send a heartbeat, and the host tells whether it hears it."""
        del timeout  # the guest is not asked
        check_tools(self._connection, vm_id)

    def info(self, vm_id: str, timeout: float) -> GuestRecord:
        """Two calls."""
        del timeout
        check_tools(self._connection, vm_id)
        values = self._connection.properties.one("VirtualMachine", vm_id, [*_TOLD, "config.extraConfig"]).values
        detailed = _detailed(values.get("config.extraConfig"))
        return GuestRecord(
            hostname=text(values.get("guest.hostName")),
            os_id=_os_id(text(values.get("guest.guestFamily")), text(values.get("guest.guestId"))),
            os_name=detailed.get("prettyName") or text(values.get("guest.guestFullName")),
            os_version=detailed.get("distroVersion", ""),
            kernel=detailed.get("kernelVersion", ""),
            arch=_ARCHITECTURES.get((detailed.get("architecture", ""), detailed.get("bitness", "")), ""),
            filesystems=tuple(_filesystem(disk) for disk in children(values.get("guest.disk"))),
        )

    def execute(self, *_: object, **__: object) -> NoReturn:
        """Not reached."""
        raise Unsupported("VMware Tools run commands only as an account of the guest's own", capability="guest_exec")

    def freeze(self, *_: object, **__: object) -> NoReturn:
        """Not reached."""
        raise Unsupported("VMware Tools hold writes only while a snapshot is taken", capability="guest_freeze")

    thaw = freeze


def check_tools(connection: Connection, vm_id: str) -> None:
    """See that VMware Tools run in the guest of a VM that is switched on, with one call.

    ``guestHeartbeatStatus`` is red once a guest that sent a heartbeat stops to.

    Raises:
        AgentUnavailable: they do not.
        Timeout: they do, and the guest gives no sign of life.
    """
    values = connection.properties.one("VirtualMachine", vm_id, [_POWER, _RUNNING, _HEARTBEAT]).values
    if text(values.get(_POWER)) != "poweredOn":
        return
    if text(values.get(_RUNNING)) != "guestToolsRunning":
        raise AgentUnavailable(
            "VMware Tools do not run in the guest: it boots, or has none; install open-vm-tools or VMware Tools in it",
            current="no VMware Tools",
        )
    if text(values.get(_HEARTBEAT)) == "red":
        raise Timeout(
            "VMware Tools run in the guest, and their heartbeat has stopped: the guest hangs, or is overloaded"
        )


def _os_id(family: str, guest_id: str) -> str:
    """The short id of a guest's system, of vSphere's own: ``debian11_64Guest``, ``ubuntu64Guest``."""
    if family == "windowsGuest":
        return "mswindows"
    name = re.match("[a-zA-Z]+?(?=[0-9_]|Guest$)", guest_id)
    return "" if name is None or guest_id.startswith("other") else name[0].lower()


def _detailed(options: Element | None) -> dict[str, str]:
    """What Tools since 10.1 tell of the system: ``architecture='X86' bitness='64' prettyName='…'``."""
    for option in children(options):
        if text(option, "key") in _DETAILED:
            return dict(re.findall(r"(\w+)='([^']*)'", text(option, "value")))
    return {}


def _filesystem(disk: Element) -> FilesystemRecord:
    size, free = number(disk, "capacity"), number(disk, "freeSpace")
    return FilesystemRecord(
        mountpoint=text(disk, "diskPath"),
        type=text(disk, "filesystemType"),
        size=size,
        used=None if size is None or free is None else size - free,
    )
