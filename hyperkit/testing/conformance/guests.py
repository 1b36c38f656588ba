"""What the host learns from guests."""

from __future__ import annotations

from ipaddress import ip_address

from hyperkit.specs import NicSpec
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour


@behaviour("guests.addresses", "A VM that is off has no addresses.", requires=("guest_addresses",))
def test_a_vm_that_is_off_has_no_addresses(bed: Bed) -> None:
    vm = bed.vm(**bed.guest or {"nics": [NicSpec()]})
    assert vm.addresses() == []


@behaviour(
    "guests.addresses",
    "A running guest's address belongs to one of its NICs.",
    requires=("guest_addresses",),
    facts=("guest",),
)
def test_a_running_guests_address_belongs_to_one_of_its_nics(bed: Bed) -> None:
    vm = bed.running(**bed.guest or {})
    address = vm.wait_for_address(timeout=bed.timeout)
    found = bed.seen(vm).addresses()
    assert address in [record.address for record in found]
    assert {record.mac for record in found} <= {nic.mac for nic in vm.nics}


@behaviour(
    "guests.addresses",
    "Loopback and link-local addresses are left out.",
    requires=("guest_addresses",),
    facts=("guest",),
)
def test_loopback_and_link_local_addresses_are_left_out(bed: Bed) -> None:
    vm = bed.booted()
    vm.wait_for_address(timeout=bed.timeout)
    found = [ip_address(record.address) for record in bed.seen(vm).addresses()]
    assert found
    assert not any(address.is_loopback or address.is_link_local for address in found)
