"""Every VM of a libvirt host with all its facts: ``host.vms.list()`` / a loop over the bare binding.

The host is real: 500 domains that are defined, and 20 with a QEMU that was paused at its start. The loop is the one
that people write with libvirt-python, and it reads what hyperkit's records hold and no more: of each domain the state
with its reason, the XML (parsed), autostart, managed save and the size of each disk. Both results are compared.

The time is measured on the daemon's own socket; trips are counted on another one, by `benchmarks.rpc_proxy`. A second
benchmark does the same over a line that adds 20 ms each way, as to a data centre on the same continent.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import closing
from typing import Any

import attrs

import hyperkit
from benchmarks.harness import Benchmark, BenchmarkFailed, Row, alternate, median, say, scaled, timed
from benchmarks.libvirt_bed import Bed, libvirt_bed
from benchmarks.rpc_proxy import RpcProxy
from hyperkit import PowerState

_DEFINED = 500
_RUNNING = 20
_ROUNDS = 15
_DELAY = 0.02
_DELAYED_ROUNDS = 3
_OTHER = "libvirt-python, one domain after the other"


@attrs.frozen
class Facts:
    """What the loop learns of a domain."""

    name: str
    state: int
    reason: int
    memory_kib: int
    vcpus: int
    notes: str
    disks: tuple[tuple[str, int], ...]
    macs: tuple[str, ...]
    autostart: bool
    saved: bool


def bare(connection: Any) -> dict[str, Facts]:
    """The loop."""
    found = {}
    for domain in connection.listAllDomains():
        state, reason = domain.state()
        tree = ET.fromstring(domain.XMLDesc())
        paths = [source.get("file", "") for source in tree.iterfind("devices/disk[@device='disk']/source")]
        found[domain.UUIDString()] = Facts(
            name=domain.name(),
            state=state,
            reason=reason,
            memory_kib=int(tree.findtext("memory", "0")),
            vcpus=int(tree.findtext("vcpu", "0")),
            notes=tree.findtext("description", ""),
            disks=tuple((path, domain.blockInfo(path)[0]) for path in paths),
            macs=tuple(mac.get("address", "") for mac in tree.iterfind("devices/interface/mac")),
            autostart=bool(domain.autostart()),
            saved=bool(domain.hasManagedSaveImage()),
        )
    return found


def run(scale: float) -> Row:
    """Measure, in milliseconds for a whole list."""
    with libvirt_bed() as bed:
        count = populate(bed, scale)
        with hyperkit.connect(bed.uri) as host:
            _compare(host.vms.list(), bare(bed.connection))
            ours, other = alternate(timed(host.vms.list), timed(lambda: bare(bed.connection)), rounds=_ROUNDS)
        trips = trips_of(bed, bare)
    return Row.of("libvirt-inventory", f"ms/{count} VMs", median(ours) * 1e3, median(other) * 1e3, _OTHER, trips)


def run_delayed(scale: float) -> Row:
    """Measure over the slow line, in seconds for a whole list."""
    with libvirt_bed() as bed:
        count = populate(bed, scale)
        trips = trips_of(bed, bare)
        with (
            RpcProxy(bed.socket, delay=_DELAY) as line,
            hyperkit.connect(line.uri) as host,
            closing(bed.libvirt.open(line.uri)) as connection,
        ):
            say(f"each round of the loop takes about {2 * _DELAY * trips['other']:.0f} s ...")
            # Nothing to warm up: a round is thousands of waits.
            ours, other = alternate(
                timed(host.vms.list), timed(lambda: bare(connection)), rounds=_DELAYED_ROUNDS, warm_up=0
            )
    return Row.of("libvirt-inventory-delayed", f"s/{count} VMs", median(ours), median(other), _OTHER, trips)


def populate(bed: Bed, scale: float) -> int:
    """Make the domains; returns how many there are."""
    defined, running = scaled(_DEFINED, scale), scaled(_RUNNING, scale)
    say(f"defining {defined} domains, and starting {running} more ...")
    for number in range(defined):
        bed.define(f"off{number}")
    for number in range(running):
        # A guest that never runs an instruction burns no CPU either.
        bed.define(f"on{number}").createWithFlags(bed.libvirt.VIR_DOMAIN_START_PAUSED)
    return defined + running


def trips_of(bed: Bed, read: Callable[[Any], object]) -> dict[str, int]:
    """Round trips of one list by hyperkit, and of ``read(connection)``."""
    with RpcProxy(bed.socket) as proxy:
        with hyperkit.connect(proxy.uri) as host:
            host.vms.list()  # what a backend looks up once belongs to connecting
            # A thread that found nothing left to read opens its session in a later list: not that one is meant.
            ours = min(proxy.count(host.vms.list) for _ in range(3))
        with closing(bed.libvirt.open(proxy.uri)) as connection:
            other = proxy.count(lambda: read(connection))
    return {"hyperkit": ours, "other": other}


def _compare(vms: list[hyperkit.VM], facts: dict[str, Facts]) -> None:
    """Whether both saw the same host."""
    seen = {vm.id: _facts_of(vm) for vm in vms}
    told = {
        uuid: (f.name, _power(f), f.memory_kib * 1024, f.vcpus, f.notes, f.disks, f.macs, f.autostart)
        for uuid, f in facts.items()
    }
    if seen != told:
        differing = [(seen.get(uuid), told.get(uuid)) for uuid in seen | told if seen.get(uuid) != told.get(uuid)]
        raise BenchmarkFailed(f"{len(differing)} VMs differ, the first as hyperkit and libvirt tell: {differing[0]}")


def _facts_of(vm: hyperkit.VM) -> tuple[object, ...]:
    record = vm.record
    disks = tuple((disk.path, disk.size) for disk in record.disks)
    macs = tuple(nic.mac for nic in record.nics)
    return record.name, record.state, record.memory, record.cpus, record.notes, disks, macs, record.autostart


def _power(facts: Facts) -> PowerState:
    """What the loop's numbers mean, of the states that these domains are in."""
    if facts.saved:
        return PowerState.SUSPENDED
    return {(3, 1): PowerState.PAUSED, (5, 0): PowerState.OFF}.get((facts.state, facts.reason), PowerState.UNKNOWN)


BENCHMARK = Benchmark(
    "libvirt-inventory", "host.vms.list() of 520 VMs on a real libvirtd / a loop over libvirt-python", run, most=1.2
)
DELAYED = Benchmark(
    "libvirt-inventory-delayed", "the same over a line that adds 20 ms each way", run_delayed, most=0.25
)
