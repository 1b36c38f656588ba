"""Ten thousand VMs created, started, snapshotted once each and listed: ``fake://`` / libvirt's test driver.

``test:///default`` is what people take who test libvirt code without a hypervisor: an inventory in memory, in this
process, in C, as complete in these verbs as hyperkit's fake. moto and the like simulate a cloud's HTTP interface, which
takes milliseconds a call; they would make any ratio look good. libvirt's driver is asked in the fewest calls that do
the work, by a program that holds on to its objects. Its list reads name, UUID and ``info()`` (state, CPUs, memory),
less than hyperkit's records hold.

Each sample begins with a world of its own, which is made and thrown away outside the measured time.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import hyperkit
from benchmarks.harness import Benchmark, BenchmarkFailed, CannotRun, Row, alternate, median, scaled
from hyperkit import MiB, PowerState

_VMS = 10_000
_ROUNDS = 5
_DOMAIN = """\
<domain type='test'>
  <name>{name}</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os><type>hvm</type></os>
</domain>"""
_SNAPSHOT = "<domainsnapshot><name>clean</name></domainsnapshot>"


def run(scale: float) -> Row:
    """Measure, in microseconds for each VM."""
    try:
        import libvirt  # noqa: PLC0415 - the rest of the benchmarks runs without
    except ModuleNotFoundError as error:
        raise CannotRun("no Python module libvirt: pip install libvirt-python") from error
    count = scaled(_VMS, scale)
    ours, other = alternate(partial(_hyperkit, count), partial(_libvirt, libvirt, count), rounds=_ROUNDS)
    each = 1e6 / count
    return Row.of(
        "fake-throughput", "us/VM", median(ours) * each, median(other) * each, "libvirt-python on test:///default"
    )


def _hyperkit(count: int) -> float:
    with hyperkit.connect("fake://") as host:
        started = time.perf_counter()
        vms = [host.vms.create(f"vm{number}", cpus=1, memory=512 * MiB) for number in range(count)]
        for vm in vms:
            vm.start()
        for vm in vms:
            vm.snapshots.create("clean")
        listed = host.vms.list()
        spent = time.perf_counter() - started
        running = sum(vm.state is PowerState.RUNNING for vm in listed)
        _check("fake://", running, count, len(vms[-1].snapshots.list()))
    return spent


def _libvirt(libvirt: Any, count: int) -> float:
    # The world of test:///default is one for the process; it is gone when its last connection and object are.
    connection = libvirt.open("test:///default")
    for domain in connection.listAllDomains():
        domain.destroy()
        domain.undefine()
    started = time.perf_counter()
    domains = [connection.defineXML(_DOMAIN.format(name=f"vm{number}")) for number in range(count)]
    for domain in domains:
        domain.create()
    for domain in domains:
        domain.snapshotCreateXML(_SNAPSHOT)
    listed = [(domain.name(), domain.UUIDString(), domain.info()) for domain in connection.listAllDomains()]
    spent = time.perf_counter() - started
    running = sum(info[0] == libvirt.VIR_DOMAIN_RUNNING for _name, _uuid, info in listed)
    _check("test:///default", running, count, domains[-1].snapshotNum())
    del domain, domains
    connection.close()
    return spent


def _check(url: str, running: int, wanted: int, snapshots: int) -> None:
    if (running, snapshots) != (wanted, 1):
        raise BenchmarkFailed(f"{url} has {running} running VMs of {wanted}, the last with {snapshots} snapshots")


BENCHMARK = Benchmark(
    "fake-throughput", "create, start, snapshot and list 10,000 VMs on fake:// / libvirt-python on test:///default", run
)
