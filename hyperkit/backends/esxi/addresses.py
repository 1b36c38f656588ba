"""A guest's addresses, as VMware Tools tell them: ``guest.net``."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from hyperkit.backends.esxi.elements import Element, child, children, number, text
from hyperkit.ids import normalize_mac
from hyperkit.records import AddressRecord


def of(net: Element | None) -> Iterator[tuple[str, AddressRecord]]:
    """Each with the key of its card; loopback and link-local ones are left out.

    Tools tell of bridges and tunnels inside the guest too, which are no card of the VM's (``deviceConfigId`` -1). Where
    they tell no MAC address it is empty.
    """
    for card in children(net):
        key, mac = text(card, "deviceConfigId"), normalize_mac(text(card, "macAddress")) or ""
        if key.startswith("-"):
            continue
        configured = children(child(card, "ipConfig"), "ipAddress")  # since vSphere 4.1
        told = [(text(each, "ipAddress"), number(each, "prefixLength")) for each in configured]
        told = told or [(text(each), None) for each in children(card, "ipAddress")]
        for value, prefix in told:
            try:
                address = ip_address(value.partition("%")[0])
            except ValueError:
                continue  # a guest can report anything
            if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                yield key, AddressRecord(mac=mac, address=str(address), prefix=prefix, source="agent")
