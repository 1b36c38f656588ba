"""What the fake knows of its guests: an address for each NIC on a switch, once the guest has booted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ipaddress import IPv4Network

from hyperkit.backends.fake.world import World
from hyperkit.records import AddressRecord

_UNMANAGED = IPv4Network("10.0.0.0/8")
"""Where guests on a switch without a subnet of its own get their addresses, from somebody else's DHCP."""


class FakeGuests:
    """See `hyperkit.driver.GuestPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            if not world.booted(machine):
                return []
            found = []
            for nic in machine.record.nics:
                if nic.switch_id is None or not nic.link_up:
                    continue
                switch = world.switches[nic.switch_id]
                network = IPv4Network(switch.subnet) if switch.subnet else _UNMANAGED
                leased = {lease.mac: lease.address for lease in switch.leases}
                address = leased.get(nic.mac) or _address(nic.mac, network, leased.values())
                if address is None:
                    continue
                found.append(AddressRecord(mac=nic.mac, address=address, prefix=network.prefixlen, source="lease"))
            return found


def _address(mac: str, network: IPv4Network, taken: Collection[str]) -> str | None:
    """Made of the MAC, so that it is the same whenever it is asked for; neither the host's (.1) nor kept for others."""
    room = network.num_addresses - 3
    number = int(mac.replace(":", "")[-6:], 16)
    addresses = (str(network[(number + step) % room + 2]) for step in range(room))
    return next((address for address in addresses if address not in taken), None)
