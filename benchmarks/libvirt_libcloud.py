"""Every VM of a libvirt host: ``host.vms.list()`` / ``list_nodes()`` of Apache Libcloud's libvirt driver.

The host is that of `benchmarks.libvirt_inventory`. Libcloud's nodes hold less than hyperkit's records do: a state,
CPUs, memory, the kind of hypervisor, and addresses, for which it runs ``arp`` or ``ip neigh`` once for each domain.
"""

from __future__ import annotations

import importlib
import importlib.util
from contextlib import closing
from typing import Any

import hyperkit
from benchmarks.harness import Benchmark, BenchmarkFailed, CannotRun, Row, alternate, median, timed
from benchmarks.libvirt_bed import libvirt_bed
from benchmarks.libvirt_inventory import populate, trips_of
from hyperkit import MiB

_ROUNDS = 7


def run(scale: float) -> Row:
    """Measure, in milliseconds for a whole list."""
    if importlib.util.find_spec("libcloud") is None:
        raise CannotRun("no Python module libcloud: pip install apache-libcloud")
    drivers = importlib.import_module("libcloud.compute.drivers.libvirt_driver")

    def libcloud(connection: Any) -> Any:
        driver = drivers.LibvirtNodeDriver(bed.uri)
        # It opens a connection of its own; trips are counted on the one given here.
        driver.connection.close()
        driver.connection = connection
        return driver

    with libvirt_bed() as bed:
        count = populate(bed, scale)
        with hyperkit.connect(bed.uri) as host, closing(bed.libvirt.open(bed.uri)) as connection:
            driver = libcloud(connection)
            _compare(host.vms.list(), driver.list_nodes())
            ours, other = alternate(timed(host.vms.list), timed(driver.list_nodes), rounds=_ROUNDS)
        trips = trips_of(bed, lambda connection: libcloud(connection).list_nodes())
    return Row.of(
        "libvirt-inventory-libcloud", f"ms/{count} VMs", median(ours) * 1e3, median(other) * 1e3, "Libcloud", trips
    )


def _compare(vms: list[hyperkit.VM], nodes: list[Any]) -> None:
    """Whether both saw the same VMs with the same memory and CPUs."""
    seen = {(vm.id, vm.name, vm.memory, vm.cpus) for vm in vms}
    told = {
        (node.extra["uuid"], node.name, int(node.extra["used_memory"] * MiB), node.extra["vcpu_count"])
        for node in nodes
    }
    if seen != told:
        raise BenchmarkFailed(f"hyperkit and Libcloud do not see the same host: {sorted(seen ^ told)[:2]}")


BENCHMARK = Benchmark(
    "libvirt-inventory-libcloud",
    "host.vms.list() of 520 VMs on a real libvirtd / Apache Libcloud's list_nodes()",
    run,
    most=0.2,
)
