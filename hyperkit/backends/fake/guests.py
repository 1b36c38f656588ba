"""What the fake knows of its guests: an address for each NIC on a switch, once the guest has booted."""

from __future__ import annotations

from collections.abc import Sequence
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
                subnet = world.switches[nic.switch_id].subnet
                network = IPv4Network(subnet) if subnet else _UNMANAGED
                # From the MAC, so that an address is the same whenever it is asked for; never the host's own (.1).
                number = int(nic.mac.replace(":", "")[-6:], 16) % (network.num_addresses - 3) + 2
                found.append(
                    AddressRecord(mac=nic.mac, address=str(network[number]), prefix=network.prefixlen, source="lease")
                )
            return found
