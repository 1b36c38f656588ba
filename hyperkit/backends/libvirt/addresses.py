"""A guest's addresses, from three sources.

An agent tells them all, IPv4 and IPv6, and is the whole truth. Without one, libvirt's leases and the host's ARP cache
are put together, and may be of the past. A source that fails, hangs or knows nothing takes nothing from the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any

import libvirt

from hyperkit.backends.libvirt import agent, errors
from hyperkit.backends.libvirt.late import Late, Patience
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.errors import BackendError
from hyperkit.ids import normalize_mac
from hyperkit.records import AddressRecord

# Leases are those of libvirt's own networks; the host's ARP cache knows who spoke to the host lately.
_OUTSIDE = {
    "lease": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
    "arp": libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
}
_AGENT = "devices/channel/target[@name='org.qemu.guest_agent.0'][@state='connected']"
_SECONDS = 2
"""How long an agent may take."""


def addresses(domain: Any, patience: Patience) -> Sequence[AddressRecord]:
    """Three or four calls of a domain that runs, each bounded in time where it asks a source."""
    if not domain.isActive():
        return []
    tree = parse_domain(domain.XMLDesc(0))
    # An agent tells of bridges and tunnels inside the guest too.
    nics = {mac.get("address", "").lower() for mac in tree.iterfind("devices/interface/mac")}
    if tree.find(_AGENT) is not None and (found := _of_nics(_from_agent(domain), nics)):
        return found
    return _of_nics((each for source in _OUTSIDE for each in _from_outside(domain, source, patience)), nics)


def _of_nics(records: Iterator[AddressRecord], nics: set[str]) -> list[AddressRecord]:
    """Each address of each card once, as who came first says it."""
    found: dict[tuple[str, str], AddressRecord] = {}
    for record in records:
        if record.mac in nics:
            found.setdefault((record.mac, record.address), record)
    return list(found.values())


def _from_agent(domain: Any) -> Iterator[AddressRecord]:
    try:
        interfaces = agent.ask(domain, "guest-network-get-interfaces", _SECONDS)
    except (libvirt.libvirtError, ValueError, BackendError) as error:
        _pass_on_what_matters(error)
        return
    for interface in _dicts(interfaces):
        for entry in _dicts(interface.get("ip-addresses")):
            yield from _record(interface.get("hardware-address"), entry, "ip-address", "agent")


def _from_outside(domain: Any, source: str, patience: Patience) -> Iterator[AddressRecord]:
    try:
        interfaces = patience.call(lambda: domain.interfaceAddresses(_OUTSIDE[source], 0))
    except Late:
        return
    except libvirt.libvirtError as error:
        _pass_on_what_matters(error)
        return
    for interface in (interfaces or {}).values():
        for entry in _dicts(interface.get("addrs")):
            yield from _record(interface.get("hwaddr"), entry, "addr", source)


def _pass_on_what_matters(error: Exception) -> None:
    """A source that fails is left out; without session or VM there is nothing to leave it out of."""
    gone = isinstance(error, libvirt.libvirtError) and error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN
    if gone or errors.is_lost(error):
        raise error


def _dicts(values: object) -> list[dict[str, Any]]:
    """The dicts in a list: an agent is a program of the guest's, which may say anything."""
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
