"""What the host can learn from inside a guest."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import libvirt
import libvirt_qemu

from hyperkit.backends.libvirt import errors
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.ids import normalize_mac
from hyperkit.records import AddressRecord

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

# Leases are those of libvirt's own networks; the host's ARP cache knows who spoke to the host lately.
_OUTSIDE = {
    "lease": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
    "arp": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
}
_AGENT = "devices/channel/target[@name='org.qemu.guest_agent.0'][@state='connected']"
_ASK = json.dumps({"execute": "guest-network-get-interfaces"})
_SECONDS = 2
"""How long an agent may take. Before that, libvirt gives one that was late before 5 s to wake up (qemu_agent.c)."""


class Guests:
    """See `hyperkit.driver.GuestPort`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        """Four or five calls.

        What an agent says is the whole truth. Without one, leases and ARP are put together, and may be of the past.
        """
        return self._connection.repeat(lambda: self._addresses(vm_id))

    def _addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        domain = self._connection.domain(vm_id)
        if not domain.isActive():
            return []
        tree = parse_domain(domain.XMLDesc(0))
        # An agent tells of bridges and tunnels inside the guest too.
        nics = {mac.get("address", "").lower() for mac in tree.iterfind("devices/interface/mac")}
        if tree.find(_AGENT) is not None and (found := _of_nics(_from_agent(domain), nics)):
            return found
        return _of_nics((each for source in _OUTSIDE for each in _from_outside(domain, source)), nics)


def _of_nics(records: Iterator[AddressRecord], nics: set[str]) -> list[AddressRecord]:
    """Each address of each card once, as who came first says it."""
    found: dict[tuple[str, str], AddressRecord] = {}
    for record in records:
        if record.mac in nics:
            found.setdefault((record.mac, record.address), record)
    return list(found.values())


def _from_agent(domain: Any) -> Iterator[AddressRecord]:
    """By a call with a time limit: libvirt's own waits for ever for an agent that hangs, and holds up all others."""
    try:
        answer = json.loads(libvirt_qemu.qemuAgentCommand(domain, _ASK, _SECONDS, 0))
    except (libvirt.libvirtError, ValueError) as error:
        _pass_on_what_matters(error)
        return
    for interface in _list(answer, "return"):
        for entry in _list(interface, "ip-addresses"):
            yield from _record(interface.get("hardware-address"), entry, "ip-address", "agent")


def _from_outside(domain: Any, source: str) -> Iterator[AddressRecord]:
    try:
        interfaces = domain.interfaceAddresses(_OUTSIDE[source], 0)
    except libvirt.libvirtError as error:
        _pass_on_what_matters(error)
        return
    for interface in (interfaces or {}).values():
        for entry in _list(interface, "addrs"):
            yield from _record(interface.get("hwaddr"), entry, "addr", source)


def _pass_on_what_matters(error: Exception) -> None:
    """A source that fails is left out; without session or VM there is nothing to leave it out of."""
    gone = isinstance(error, libvirt.libvirtError) and error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
    if gone or errors.is_lost(error):
        raise error


def _list(holder: Any, key: str) -> list[dict[str, Any]]:
    """The dicts in a list: an agent is a program of the guest's, which may say anything."""
    values = holder.get(key) if isinstance(holder, dict) else None
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _record(hardware: object, entry: dict[str, Any], key: str, source: str) -> Iterator[AddressRecord]:
    """One address, unless it is loopback or link-local: these come by themselves and lead nowhere."""
    mac = normalize_mac(hardware) if isinstance(hardware, str) else None
    try:
        address = ip_address(str(entry.get(key)).partition("%")[0])
    except ValueError:
        return
    prefix = entry.get("prefix")
    if mac is not None and not (address.is_loopback or address.is_link_local or address.is_unspecified):
        # libvirt gives the ARP cache's addresses a prefix of 0, since it knows none.
        known = type(prefix) is int and 0 < prefix <= address.max_prefixlen
        yield AddressRecord(mac=mac, address=str(address), prefix=prefix if known else None, source=source)
