"""Mutants of the host's facts, and of what is known of guests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import attrs
import pytest

from hyperkit.driver import Driver
from hyperkit.instrument import instrument
from hyperkit.records import AddressRecord, HostRecord, HypervisorType, changed
from hyperkit.units import MiB
from tests.conformance.mutants.kit import Call, layer, machine, nothing, port

HostCall = Callable[[], HostRecord]


@port("test_the_hosts_id_is_the_same_after_a_reconnect", "host.info")
def makes_a_new_id_for_each_connection(driver: Driver, call: HostCall) -> HostRecord:
    return changed(call(), id=str(uuid.uuid4()))


@port("test_product_version_and_type_say_what_runs_there", "host.info")
def takes_every_hypervisor_for_bare_metal(driver: Driver, call: HostCall) -> HostRecord:
    return changed(call(), hypervisor_type=HypervisorType.BARE_METAL)


@port("test_cpus_and_memory_are_those_of_the_machine", "host.info")
def counts_the_hosts_memory_in_mib(driver: Driver, call: HostCall) -> HostRecord:
    info = call()
    return changed(info, memory=info.memory // MiB)


@layer("test_a_closed_connection_refuses_every_call")
def answers_after_it_was_closed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.connection.instrument", lambda driver: attrs.evolve(instrument(driver), close=nothing))


@port("test_a_vm_that_is_off_has_no_addresses", "guests.addresses")
def remembers_the_lease_of_a_vm_that_is_off(driver: Driver, call: Call, vm_id: str) -> Sequence[AddressRecord]:
    return [AddressRecord(mac=nic.mac, address="192.0.2.1") for nic in machine(driver, vm_id).record.nics]


@port("test_a_running_guests_address_belongs_to_one_of_its_nics", "guests.addresses")
def tells_the_addresses_of_a_bridge_inside_the_guest_too(
    driver: Driver, call: Call, vm_id: str
) -> Sequence[AddressRecord]:
    return [*call(vm_id), AddressRecord(mac="02:42:ac:11:00:02", address="172.17.0.1")]


@port("test_loopback_and_link_local_addresses_are_left_out", "guests.addresses")
def tells_every_address_of_the_guest(driver: Driver, call: Call, vm_id: str) -> Sequence[AddressRecord]:
    own = machine(driver, vm_id).record.nics[0].mac
    return [*call(vm_id), AddressRecord(mac=own, address="fe80::5054:ff:fe0b:ad01", prefix=64)]
