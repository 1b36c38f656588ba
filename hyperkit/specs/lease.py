"""Static leases: addresses that a switch's DHCP server keeps for one NIC each."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network

import attrs

from hyperkit import checks


@attrs.frozen(slots=False)
class StaticLease:
    """An address that the NIC with this MAC address gets whenever it asks.

    Attributes:
        mac: the NIC's.
        address: an IPv4 address of the switch's subnet, other than the host's.
        name: the hostname that goes with it; empty for none.
    """

    mac: str
    address: str
    name: str = ""

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "mac", checks.mac("mac", self.mac))
        try:
            address = str(IPv4Address(self.address if isinstance(self.address, str) else ""))
        except ValueError as error:
            checks.refuse("address", self.address, f"an IPv4 address such as '192.168.150.10' ({error})")
        object.__setattr__(self, "address", address)
        if self.name != "" and not (isinstance(self.name, str) and re.fullmatch(_HOSTNAME, self.name)):
            checks.refuse("name", self.name, "a hostname of letters, digits and '-', such as 'web1'")


_HOSTNAME = r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"


def check_leases(leases: tuple[StaticLease, ...], subnet: str | None) -> None:
    """Leases that one switch can keep: of its subnet, and none in another's way.

    Args:
        leases: all of them.
        subnet: the network whose addresses DHCP hands out; None if it hands out none.
    """
    if leases and subnet is None:
        checks.refuse("leases", leases, "only an internal switch with a subnet and DHCP has leases")
    network = IPv4Network(subnet or "0.0.0.0/0")
    seen: dict[str, set[str]] = {"mac": set(), "address": set(), "name": set()}
    for index, lease in enumerate(leases):
        address = IPv4Address(lease.address)
        own = (network.network_address, network[1], network.broadcast_address)
        if address not in network or address in own:
            wanted = f"an address of {network}, but neither its first, which is the host's, nor its last"
            checks.refuse(f"leases[{index}].address", lease.address, wanted)
        for field, values in seen.items():
            value = getattr(lease, field).lower()
            if value and value in values:
                checks.refuse(f"leases[{index}].{field}", value, f"each {field} in one lease")
            values.add(value)
