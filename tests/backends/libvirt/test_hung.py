"""A VM whose QEMU does not answer: nobody else waits for it, and whoever asks for it gets an answer or an error.

The bounds on time are the subject: without them one such VM stops every program that looks at its host.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pytest

import hyperkit
from hyperkit import VM, DiskSpec, Host, MiB, NicSpec, PowerState
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

from hyperkit.backends.libvirt import late  # noqa: E402

T = TypeVar("T")

SMALL = 64 * MiB
LONG = 60.0
"""Seconds that anything here may take, on a machine that may be busy; for ever is the alternative."""


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(late, "PATIENCE", 2.0)


@pytest.fixture
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host
    with hyperkit.connect(machine.uri) as host:
        for vm in host.vms.list():
            vm.delete(force=True)


def paused(host: Host, name: str) -> VM:
    """A VM whose QEMU runs, without using a CPU."""
    disks, nics = [DiskSpec(size=8 * MiB)], [NicSpec()]
    return host.vms.create(name, memory=SMALL, disks=disks, nics=nics).start().pause()


def in_time(call: Callable[[], T]) -> T:
    """What a call returns; it must return."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(call).result(LONG)
    finally:
        pool.shutdown(wait=False)


def late_calls() -> int:
    return sum(thread.name == "hyperkit-may-be-late" for thread in threading.enumerate())


@contextmanager
def hung(machine: LibvirtHost, *vms: VM) -> Iterator[None]:
    """While these VMs hang; afterwards the calls that waited for them have come back."""
    with ExitStack() as stack:
        for vm in vms:
            stack.enter_context(machine.hung_qemu(vm.name))
        yield
    wait_until_nobody_is_late()


def wait_until_nobody_is_late() -> None:
    deadline = time.monotonic() + LONG
    while late_calls():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_one_that_hangs_does_not_stall_the_rest(machine: LibvirtHost, host: Host) -> None:
    well, ill = paused(host, "well"), paused(host, "ill")
    before = {vm.id: vm.record for vm in host.vms.list()}
    counted = well.metrics()
    with hung(machine, ill):
        assert {vm.id: vm.record for vm in in_time(host.vms.list)} == before  # its disk's size is known to the storage
        assert late_calls() == 1
        readings = {reading.vm_id: reading for reading in in_time(host.metrics.read)}
        assert in_time(lambda: host.vms.get(well.id)).record == before[well.id]
        assert in_time(well.metrics).disks == counted.disks
        assert in_time(lambda: well.resume().pause()).state is PowerState.PAUSED
        assert late_calls() == 1  # nobody else waits
    assert readings[well.id].disks == counted.disks
    assert {vm.id: vm.record for vm in host.vms.list()} == before


def test_one_that_hangs_is_read_itself(machine: LibvirtHost, host: Host) -> None:
    ill = paused(host, "ill")
    before, counted = ill.record, ill.metrics()
    with hung(machine, ill):
        assert in_time(lambda: host.vms.get(ill.id)).record == before
        reading = in_time(ill.metrics)
        rates = in_time(ill.metrics).since(counted)
    assert (reading.run, reading.memory_assigned) == (counted.run, SMALL)
    assert [nic.id for nic in reading.nics] == [nic.id for nic in before.nics]
    assert [(nic.rx_bytes or -1) >= (old.rx_bytes or 0) for nic, old in zip(reading.nics, counted.nics, strict=True)]
    assert [(disk.id, disk.read_bytes) for disk in reading.disks] == [(before.disks[0].id, None)]
    assert [disk.read_bytes for disk in rates.disks] == [None]
    assert 0 <= (rates.cpu or 0) < 2000
    assert ill.metrics().disks == counted.disks


def test_several_that_hang_cost_a_delay_each_and_then_none(machine: LibvirtHost, host: Host) -> None:
    vms = [paused(host, f"vm{number}") for number in range(5)]
    before = {vm.id: vm.record for vm in host.vms.list()}
    with hung(machine, *vms[:4]):
        for _ in range(3):
            assert {vm.id: vm.record for vm in in_time(host.vms.list)} == before
            assert [len(reading.disks) for reading in in_time(host.metrics.read)] == [1] * 5
            assert late_calls() == 3  # and no more of the daemon's workers
        assert in_time(vms[4].refresh).record == before[vms[4].id]
    assert None not in [disk.read_bytes for reading in host.metrics.read() for disk in reading.disks]


def test_one_that_hangs_can_be_stopped(machine: LibvirtHost, host: Host) -> None:
    ill = paused(host, "ill")
    with hung(machine, ill):
        in_time(host.vms.list)
        assert in_time(ill.stop).state is PowerState.OFF
    assert host.vms.get(ill.id).state is PowerState.OFF


def test_a_host_is_closed_although_one_hangs(machine: LibvirtHost, host: Host) -> None:
    ill = paused(host, "ill")
    other = hyperkit.connect(machine.uri)
    with hung(machine, ill):
        in_time(other.vms.list)
        assert late_calls() == 1
        in_time(other.close)
        with pytest.raises(hyperkit.InvalidState):
            other.vms.list()
    assert host.vms.get(ill.id).state is PowerState.PAUSED


def test_leases_that_hang_hold_up_nobody_who_asks_for_addresses(machine: LibvirtHost, host: Host) -> None:
    """The file that libvirt reads them from is on storage that does not answer."""
    host.switches.create("lan", "internal", subnet="192.168.150.0/24", dhcp=True)
    vm = host.vms.create("vm", memory=SMALL, nics=[NicSpec("lan")]).start().pause()
    (leases,) = (machine.home / "lib/dnsmasq").glob("*.status")
    leases.unlink()
    os.mkfifo(leases)
    try:
        assert in_time(vm.addresses) == []
        assert late_calls() > 0
    finally:
        held = leases.rename(machine.home / "held")
        leases.write_text("[]")
        held.write_text("[]")  # who reads it goes on
    wait_until_nobody_is_late()
    assert vm.addresses() == []
