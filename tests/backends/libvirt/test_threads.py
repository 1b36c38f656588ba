"""Threads that work one libvirtd with QEMU at once, and connections without number: nothing is mixed up or left."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

import hyperkit
from tests.beds.libvirt_qemu import LibvirtHost, missing
from tests.workload import work

libvirt = pytest.importorskip("libvirt")
needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

STEPS = 30
PATIENCE = 60


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@needs_bed
def test_eight_threads_work_one_host(machine: LibvirtHost) -> None:
    with hyperkit.connect(machine.uri) as host:
        work(host, lambda steps: steps < STEPS, power=True, timeout=600)
        with closing(libvirt.open(machine.uri)) as raw:
            assert {vm.id for vm in host.vms} == {domain.UUIDString() for domain in raw.listAllDomains(0)}
            assert [pool.name() for pool in raw.listAllStoragePools(0)] == ["default"]
        assert {str(path) for path in machine.images.iterdir()} == {disk.path for vm in host.vms for disk in vm.disks}
        for vm in host.vms:
            vm.delete(force=True)
    assert list(machine.images.iterdir()) == []


@needs_bed
def test_connections_leave_neither_threads_nor_descriptors(machine: LibvirtHost) -> None:
    def connect_often(times: int) -> None:
        for _ in range(times):
            with hyperkit.connect(machine.uri) as host:
                host.vms.list()

    connect_often(3)
    before = threading.active_count(), descriptors()
    connect_often(300)
    assert_back_to(before)


def test_connections_of_the_test_driver_leave_nothing_either() -> None:
    hyperkit.connect("test:///default").close()
    before = threading.active_count(), descriptors()
    for _ in range(2000):
        hyperkit.connect("test:///default").close()
    assert_back_to(before)


@needs_bed
def test_a_host_is_closed_while_calls_are_under_way(machine: LibvirtHost) -> None:
    hyperkit.connect(machine.uri).close()
    before = threading.active_count(), descriptors()
    host = hyperkit.connect(machine.uri)
    vm = host.vms.create("hung", memory=16 * hyperkit.MiB).start().pause()
    ended: list[BaseException | None] = []

    def resume() -> None:
        try:
            vm.resume()
        except BaseException as error:
            ended.append(error)
        else:
            ended.append(None)

    with machine.hung_qemu("hung"):
        thread = threading.Thread(target=resume)
        thread.start()
        time.sleep(1)  # no sign tells that it waits in libvirt; closed before that, the test shows less
        host.close()
        assert ended == []
    thread.join(PATIENCE)
    assert len(ended) == 1
    assert ended[0] is None or isinstance(ended[0], hyperkit.InvalidState)  # closed, and it wants to look once more
    with hyperkit.connect(machine.uri) as another:
        assert another.vms.one("hung").state is hyperkit.PowerState.RUNNING
        another.vms.one("hung").delete(force=True)
    assert_back_to(before)


def assert_back_to(before: tuple[int, int]) -> None:
    """Threads and descriptors are as many as then, once the daemon has hung up too."""
    end = time.monotonic() + PATIENCE
    while now_above(before) and time.monotonic() < end:
        time.sleep(0.05)
    assert now_above(before) == []


def now_above(before: tuple[int, int]) -> list[tuple[int, int]]:
    return [
        (now, then) for now, then in zip((threading.active_count(), descriptors()), before, strict=True) if now > then
    ]
