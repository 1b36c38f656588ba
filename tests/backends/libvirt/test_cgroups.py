"""That limits and shares arrive where they count: in the control groups of the QEMU that runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import hyperkit
from hyperkit import VM, Allocation, Busy, Host, MiB
from tests.beds.libvirt_qemu import LibvirtHost, missing
from tests.beds.libvirt_qemu.cgroups import may_lock

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        if not machine.cgroups:
            pytest.skip("no version 1 control groups here")
        yield machine


@pytest.fixture
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host
        for vm in host.vms.list():
            vm.delete(force=True)


def kernel_says(machine: LibvirtHost, vm: VM, controller: str, *settings: str) -> tuple[int, ...]:
    """What is set for the running VM; QEMU's own process is in the group or in one below it."""
    (group,) = machine.cgroup(controller).glob(f"machine/qemu-*-{vm.name}.libvirt-qemu")
    tasks = [task for tasks in group.rglob("tasks") for task in tasks.read_text().split()]
    assert any(b"qemu-system" in Path(f"/proc/{task}/cmdline").read_bytes() for task in tasks)
    return tuple(int((group / setting).read_text()) for setting in settings)


def test_cpu_limit_and_shares(machine: LibvirtHost, host: Host) -> None:
    busy = host.vms.create("busy", memory=64 * MiB, cpus=2, cpu_allocation=Allocation(limit=1500, shares=250)).start()
    plain = host.vms.create("plain", memory=64 * MiB, cpus=2).start()
    settings = ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares")
    quota, period, shares = kernel_says(machine, busy, "cpu", *settings)
    assert (quota * 1000 / period, shares) == (1500, 2560)
    assert kernel_says(machine, plain, "cpu", *settings) == (-1, 100_000, 1024)


def test_a_change_counts_from_the_next_start(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("vm", memory=64 * MiB, cpu_allocation=Allocation(limit=500, shares=50)).start()
    assert kernel_says(machine, vm, "cpu", "cpu.cfs_quota_us", "cpu.shares") == (50_000, 512)
    vm.stop().configure(cpu_allocation=Allocation(limit=250)).start()
    assert kernel_says(machine, vm, "cpu", "cpu.cfs_quota_us", "cpu.shares") == (25_000, 1024)


def test_memory_limit(machine: LibvirtHost, host: Host) -> None:
    limit = 512 * MiB
    if not may_lock(limit):
        pytest.skip("no CAP_SYS_RESOURCE: libvirt sets the limit of locked memory with it, and may not raise that here")
    vm = host.vms.create("vm", memory=64 * MiB, memory_allocation=Allocation(limit=limit)).start()
    assert kernel_says(machine, vm, "memory", "memory.limit_in_bytes") == (limit,)


def test_limits_and_shares_change_while_a_vm_runs(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("vm", memory=64 * MiB, cpus=2).start()
    cpu = ("cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares")
    for allocation, expected in (
        (Allocation(limit=1500, shares=250), (150_000, 100_000, 2560)),
        (Allocation(limit=1), (1000, 1_000_000, 1024)),  # a longer period, below the kernel's least quota
        (Allocation(shares=50), (-1, 100_000, 512)),
    ):
        assert vm.configure(cpu_allocation=allocation).record.cpu_allocation == allocation
        assert kernel_says(machine, vm, "cpu", *cpu) == expected
    vm.stop().start()
    assert vm.refresh().record.cpu_allocation == Allocation(shares=50)
    assert kernel_says(machine, vm, "cpu", *cpu) == (-1, 100_000, 512)


def test_a_limit_per_vcpu_of_somebody_else_is_replaced(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("vm", memory=64 * MiB, cpus=2)
    raw = libvirt.open(machine.uri)
    domain = raw.lookupByName("vm")
    domain.setSchedulerParametersFlags({"vcpu_quota": 50_000, "vcpu_period": 100_000}, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    assert vm.start().refresh().record.cpu_allocation == Allocation(limit=1000)
    vm.configure(cpu_allocation=Allocation(limit=1200))
    parameters = domain.schedulerParametersFlags(libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert (parameters["vcpu_quota"], parameters["global_quota"]) == (-1, 120_000)
    assert vm.refresh().record.cpu_allocation == Allocation(limit=1200)
    raw.close()


def test_a_memory_limit_comes_and_goes_while_a_vm_runs(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("vm", memory=64 * MiB).start()
    (before,) = kernel_says(machine, vm, "memory", "memory.limit_in_bytes")
    vm.configure(memory_allocation=Allocation(limit=512 * MiB))
    assert kernel_says(machine, vm, "memory", "memory.limit_in_bytes") == (512 * MiB,)
    # Less than QEMU has in use: the kernel refuses, and what was changed before is changed back.
    with pytest.raises(Busy):
        vm.configure(memory_allocation=Allocation(limit=1 * MiB), cpu_allocation=Allocation(limit=500), notes="n")
    assert kernel_says(machine, vm, "memory", "memory.limit_in_bytes") == (512 * MiB,)
    assert kernel_says(machine, vm, "cpu", "cpu.cfs_quota_us") == (-1,)
    assert (vm.refresh().notes, vm.record.cpu_allocation) == ("", Allocation())
    vm.configure(memory_allocation=Allocation())
    assert kernel_says(machine, vm, "memory", "memory.limit_in_bytes") == (before,)
    assert vm.stop().record.memory_allocation == Allocation()
