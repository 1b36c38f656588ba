"""The host's own facts."""

from __future__ import annotations

import pytest

from hyperkit.errors import InvalidState
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.units import MiB


@behaviour("host.info", "The host's id is the same after a reconnect.")
def test_the_hosts_id_is_the_same_after_a_reconnect(bed: Bed) -> None:
    with bed.connect() as before:
        pass
    with bed.connect() as after:
        assert after.info.id == before.info.id
        assert after.info.id
        assert after == before


@behaviour(
    "host.info", "Product and version say what runs there, and the type whether it is bare-metal, hosted or OS-level."
)
def test_product_version_and_type_say_what_runs_there(bed: Bed) -> None:
    info = bed.host.info
    assert info.product == bed.machine.product
    assert info.version == bed.machine.version
    assert info.hypervisor_type is bed.machine.hypervisor_type


@behaviour("host.info", "CPUs and memory are those of the machine, memory in bytes.")
def test_cpus_and_memory_are_those_of_the_machine(bed: Bed) -> None:
    info = bed.host.refresh().info
    assert info.cpus == bed.machine.cpus
    # Vendors tell the memory in KiB or MiB.
    assert abs(info.memory - bed.machine.memory) < MiB


@behaviour(
    "host.info", "A closed connection refuses every call, and closing it again does no harm; what runs there runs on."
)
def test_a_closed_connection_refuses_every_call(bed: Bed) -> None:
    with bed.connect() as closed:
        vm = closed.vms.get(bed.running().id)
    closed.close()
    for call in (closed.refresh, closed.vms.list, closed.switches.list, vm.refresh, vm.stop):
        with pytest.raises(InvalidState, match="closed"):
            call()
    closed.close()
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.seen(vm).stop().state is PowerState.OFF
