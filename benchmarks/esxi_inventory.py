"""Every VM of a vCenter with all its facts: ``host.vms.list()`` / the quickest that people write with pyVmomi.

The vCenter is simulated, with 1,000 or 5,000 VMs. pyVmomi's read is tuned by hand: one RetrievePropertiesEx of all VMs
from a view that is there already, without pages, of the very properties that hyperkit reads; what is decoded is not
looked at again. hyperkit makes its records of them, with the names of networks and hosts, for which it asks once more.
Both go over TLS to the same process. Its own time is in both, and is the least that any client needs.

A third row has Apache Libcloud's driver, whose nodes hold far less: it reads each VM's snapshots and its host's name
one by one.
"""

from __future__ import annotations

import importlib
import importlib.util
import ssl
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hyperkit
from benchmarks.esxi_bed import vcsim_bed
from benchmarks.harness import Benchmark, BenchmarkFailed, CannotRun, Row, alternate, median, say, scaled, timed

_VMS = 1000
_MANY = 5000
_ROUNDS = 7
_FEW_ROUNDS = 3
_OTHER = "pyVmomi, one RetrievePropertiesEx of the same properties"


class Bare:
    """pyVmomi's read, tuned by hand."""

    def __init__(self, sim: Any) -> None:
        from pyVim import connect  # noqa: PLC0415 - the rest of the benchmarks runs without

        context = ssl.create_default_context(cafile=str(sim.ca_file))
        self.instance = connect.SmartConnect(
            host=sim.host, port=sim.port, user=sim.user, pwd=sim.password, sslContext=context
        )
        self._end: Callable[[], object] = lambda: connect.Disconnect(self.instance)
        content = self.instance.RetrieveContent()
        self._collector = content.propertyCollector
        self._wanted = self._specification(content)

    @staticmethod
    def _specification(content: Any) -> Any:
        from pyVmomi import vim, vmodl  # noqa: PLC0415 - the rest of the benchmarks runs without

        from hyperkit.backends.esxi import reader  # noqa: PLC0415 - imports pyVmomi

        collector = vmodl.query.PropertyCollector
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
        through = collector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
        return collector.FilterSpec(
            objectSet=[collector.ObjectSpec(obj=view, skip=True, selectSet=[through])],
            propSet=[collector.PropertySpec(type=vim.VirtualMachine, all=False, pathSet=[*reader.PATHS, reader.KEPT])],
        )

    def read(self) -> Any:
        from pyVmomi import vmodl  # noqa: PLC0415 - the rest of the benchmarks runs without

        return self._collector.RetrievePropertiesEx([self._wanted], vmodl.query.PropertyCollector.RetrieveOptions())

    def state(self, name: str) -> str | None:
        """The power state of the VM of this name, in vSphere's words; None if there is none."""
        found = (
            each.obj
            for each in self.read().objects
            for value in each.propSet
            if (value.name, value.val) == ("name", name)
        )
        vm = next(found, None)
        return None if vm is None else str(vm.runtime.powerState)

    def close(self) -> None:
        self._end()


@contextmanager
def both(vms: int) -> Iterator[tuple[Any, hyperkit.Host, Bare]]:
    """A vCenter with so many VMs, hyperkit's way to it and the other."""
    with vcsim_bed(vms) as sim:
        url, secrets = sim.hyperkit_url, {"password": sim.password, "verify": str(sim.ca_file)}
        with hyperkit.connect(url, **secrets) as host:
            bare = Bare(sim)
            try:
                yield sim, host, bare
            finally:
                bare.close()


def run(scale: float) -> Row:
    """Measure 1,000 VMs, in milliseconds for a whole list."""
    return _run("esxi-inventory", scaled(_VMS, scale, least=2), _ROUNDS)


def run_many(scale: float) -> Row:
    """Measure 5,000 VMs, in milliseconds for a whole list."""
    return _run("esxi-inventory-5000", scaled(_MANY, scale, least=2), _FEW_ROUNDS)


def _run(name: str, vms: int, rounds: int) -> Row:
    with both(vms) as (sim, host, bare):
        found = host.vms.list()
        _compare(found, bare.read())
        ours, other = alternate(timed(host.vms.list), timed(bare.read), rounds=rounds)
        counted = {"hyperkit": trips(sim, host.vms.list), "other": trips(sim, bare.read)}
        peaks = [_peak(host.vms.list), _peak(bare.read)]
    say(f"{name}: at most {peaks[0]} MB of Python's memory at a time with what is returned, the other {peaks[1]} MB")
    return Row.of(name, f"ms/{len(found)} VMs", median(ours) * 1e3, median(other) * 1e3, _OTHER, counted)


def run_libcloud(scale: float) -> Row:
    """Measure 1,000 VMs against Libcloud, in milliseconds for a whole list."""
    if importlib.util.find_spec("libcloud") is None:
        raise CannotRun("no Python module libcloud: pip install apache-libcloud")
    drivers = importlib.import_module("libcloud.compute.drivers.vsphere")
    with vcsim_bed(scaled(_VMS, scale, least=2)) as sim:
        driver = drivers.VSphereNodeDriver(
            host=sim.host, port=sim.port, username=sim.user, password=sim.password, ca_cert=str(sim.ca_file)
        )
        with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as host:
            vms = host.vms.list()
            nodes = driver.list_nodes()
            if {(vm.name, vm.cpus) for vm in vms} != {(node.name, node.extra["cpus"]) for node in nodes}:
                raise BenchmarkFailed("hyperkit and Libcloud do not see the same VMs")
            ours, other = alternate(timed(host.vms.list), timed(driver.list_nodes), rounds=_FEW_ROUNDS)
            counted = {"hyperkit": trips(sim, host.vms.list), "other": trips(sim, driver.list_nodes)}
    return Row.of(
        "esxi-inventory-libcloud", f"ms/{len(vms)} VMs", median(ours) * 1e3, median(other) * 1e3, "Libcloud", counted
    )


def trips(sim: Any, work: Callable[[], object]) -> int:
    """Round trips of a piece of work, counted on the wire."""
    sim.control.reset_calls()
    work()
    return int(sim.control.reset_calls().requests)


def _peak(work: Callable[[], object]) -> float:
    """Megabytes of Python's own memory that a piece of work takes at most; lxml's is not among them."""
    tracemalloc.start()
    try:
        result = work()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return round(peak / 1e6, 1)


def _compare(vms: list[hyperkit.VM], answer: Any) -> None:
    """Whether both saw the same VMs with the same hardware."""
    told = {}
    for content in answer.objects:
        values = {each.name: each.val for each in content.propSet}
        devices = values["config.hardware"].device
        told[content.obj._moId] = (
            values["name"],
            values["config.hardware"].memoryMB * hyperkit.MiB,
            [device.capacityInKB * 1024 for device in devices if hasattr(device, "capacityInKB")],
            [device.macAddress for device in devices if hasattr(device, "macAddress")],
        )
    seen = {vm.id: (vm.name, vm.memory, [d.size for d in vm.disks], [n.mac for n in vm.nics]) for vm in vms}
    if seen != told:
        differing = [(seen.get(one), told.get(one)) for one in seen | told if seen.get(one) != told.get(one)]
        raise BenchmarkFailed(f"{len(differing)} VMs differ, the first as hyperkit and pyVmomi tell: {differing[0]}")


BENCHMARK = Benchmark(
    "esxi-inventory", "host.vms.list() of 1,000 VMs in a simulated vCenter / hand-tuned pyVmomi", run, most=0.25
)
MANY = Benchmark("esxi-inventory-5000", "the same with 5,000 VMs", run_many, most=0.25)
LIBCLOUD = Benchmark(
    "esxi-inventory-libcloud",
    "host.vms.list() of 1,000 VMs in a simulated vCenter / Apache Libcloud's list_nodes()",
    run_libcloud,
    most=0.2,
)
