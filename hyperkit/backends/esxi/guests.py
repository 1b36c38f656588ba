"""What VMware Tools tell of a guest: the host keeps it, and nobody in the guest is asked.

Tools run commands only as an account of the guest's own, which hyperkit is not given, and hold a guest's writes only
while a snapshot is taken: `Capabilities` says no to both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import NoReturn

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.elements import Element, children, number, text
from hyperkit.errors import AgentUnavailable, Timeout, Unsupported
from hyperkit.guest_records import CommandResult, FilesystemRecord, GuestRecord
from hyperkit.ids import normalize_mac
from hyperkit.jobs import Job
from hyperkit.records import AddressRecord
from hyperkit.specs import CommandSpec

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
        return [record for _, record in addresses(values.get("guest.net"))]

    def ping(self, vm_id: str, timeout: float) -> None:
        """One call: Tools send a heartbeat, and the host tells whether it hears it."""
        check_tools(self._connection, vm_id)

    def info(self, vm_id: str, timeout: float) -> GuestRecord:
        """Two calls."""
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

    def execute(self, vm_id: str, command: CommandSpec) -> Job[CommandResult]:
        _refuse("guest_exec")

    def freeze(self, vm_id: str, timeout: float) -> int:
        _refuse("guest_freeze")

    def thaw(self, vm_id: str, timeout: float) -> None:
        _refuse("guest_freeze")


def _refuse(capability: str) -> NoReturn:
    raise Unsupported("VMware Tools do this for nobody without an account of the guest's", capability=capability)


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


def addresses(net: Element | None) -> Iterator[tuple[str, AddressRecord]]:
    """The addresses in ``guest.net``, each with the key of its card; loopback and link-local left out.

    Tools tell of bridges and tunnels inside the guest too, which have no card.
    """
    for card in children(net):
        key, mac = text(card, "deviceConfigId"), normalize_mac(text(card, "macAddress"))
        if mac is None or key.startswith("-"):
            continue
        told = [(text(each, "ipAddress"), number(each, "prefixLength")) for each in children(card, "ipConfig")]
        # Tools before 4.1 tell no ipConfig.
        for value, prefix in told or [(each.text or "", None) for each in children(card, "ipAddress")]:
            try:
                address = ip_address(value.partition("%")[0])
            except ValueError:
                continue  # the guest may say anything
            if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                yield key, AddressRecord(mac=mac, address=str(address), prefix=prefix, source="agent")


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
