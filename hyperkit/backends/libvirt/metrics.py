"""What VMs use, in one round trip for all of them.

A NIC's counters come under the name of its interface on the host (``vnet3``), which only the VM's XML connects with
the NIC's id. That is read once for each VM that runs, and again when a name turns up that is not known.

Of a VM that hangs the CPU time is asked for alone, which the daemon knows without its QEMU: one more round trip. A
driver without statistics in bulk (LXC) is asked VM by VM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs
import libvirt

from hyperkit.backends.libvirt import errors, xml_read
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.listing import read_each, unless_gone
from hyperkit.backends.libvirt.reader import Reader, parse_domain
from hyperkit.backends.libvirt.stats import Found, Stats
from hyperkit.errors import NotFound
from hyperkit.metrics import DiskMetrics, MetricsRecord, NicMetrics
from hyperkit.units import KiB

T = TypeVar("T")

_GROUPS = (
    libvirt.VIR_DOMAIN_STATS_STATE
    | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
_NANOSECONDS = 1_000_000_000
_OFF = -1
"""The number of a domain that does not run; one that does gets another at each start."""

_DISK = {
    "read_bytes": "rd.bytes",
    "read_requests": "rd.reqs",
    "write_bytes": "wr.bytes",
    "write_requests": "wr.reqs",
}
# As the guest sees it: libvirt exchanges the two directions of its tap device.
_NIC = {
    f"{way}_{ours}": f"{way}.{theirs}"
    for way in ("rx", "tx")
    for ours, theirs in (("bytes", "bytes"), ("packets", "pkts"), ("errors", "errs"), ("dropped", "drop"))
}


@attrs.frozen
class _Devices:
    """The devices of one run of a VM: its disks' and drives' ids, and its NICs' by their interface."""

    run: int
    drives: tuple[str, ...] = ()
    nics: Mapping[str, str] = attrs.field(factory=dict)


class Metrics:
    """`MetricsPort`."""

    def __init__(self, connection: Connection, reader: Reader, statistics: Stats) -> None:
        self._connection = connection
        self._reader = reader
        self._statistics = statistics
        self._known: dict[str, _Devices] = {}

    def read(self, vm_ids: Sequence[str] | None) -> Sequence[MetricsRecord]:
        return self._connection.repeat(lambda: self._read(vm_ids)) if vm_ids != () else []

    def _read(self, vm_ids: Sequence[str] | None) -> Sequence[MetricsRecord]:
        found = self._found(vm_ids)
        time = self._connection.clock.utcnow()
        devices = self._devices(found)
        if vm_ids is None:
            self._known = devices
        else:
            self._known.update(devices)
        records = []
        for domain, stats in found:
            with unless_gone():
                records.append(_record(domain, stats, devices.get(domain.UUIDString()), time))
        return records

    def _found(self, vm_ids: Sequence[str] | None) -> Found:
        """The statistics of these VMs: of one by its id, of several by reading all, since each lookup is a call."""
        domains = None
        if vm_ids is not None and len(vm_ids) == 1:
            try:
                domains = [self._connection.domain(vm_ids[0])]
            except NotFound:
                return []
        found = self._statistics.read(_GROUPS, domains, _alone)
        return found if vm_ids is None else [each for each in found if each[0].UUIDString() in vm_ids]

    def _devices(self, found: Found) -> dict[str, _Devices]:
        """What is known of the devices of each VM that runs, now that it was asked where something is not."""
        devices = {}
        unknown = []
        for domain, stats in found:
            vm_id, run = domain.UUIDString(), domain.ID()
            if run == _OFF:
                continue
            known = self._known.get(vm_id, _Devices(run))
            if known.run != run or not interfaces(stats) <= known.nics.keys() or "block.count" not in stats:
                unknown.append(domain)
            devices[vm_id] = known
        texts = read_each(
            self._connection,
            unknown,
            lambda domain: str(domain.XMLDesc(0)),
            again=lambda: self._connection.conn.listAllDomains(0),
            key=lambda domain: str(domain.UUIDString()),
        )
        for domain, text in texts:
            tree = parse_domain(text)
            record = self._reader.present(tree)
            targets = [xml_read.interface_of(device) for device in tree.iterfind("devices/interface")]
            devices[domain.UUIDString()] = _Devices(
                domain.ID(),
                (*(disk.id for disk in record.disks), *(cdrom.id for cdrom in record.cdroms)),
                dict(zip(targets, (nic.id for nic in record.nics), strict=True)),
            )
        return devices


def interfaces(stats: Mapping[str, Any]) -> set[str]:
    """The host's names of a VM's NICs."""
    return {stats.get(f"net.{index}.name", "") for index in range(stats.get("net.count", 0))}


def _record(domain: Any, stats: Mapping[str, Any], devices: _Devices | None, time: datetime) -> MetricsRecord:
    vm_id = domain.UUIDString()
    if devices is None:  # it does not run; libvirt has counters of it all the same, which are not its own
        return MetricsRecord(vm_id=vm_id, time=time)
    cpu = stats["cpu.time"] if "cpu.time" in stats else domain.info()[4]
    blocks = [f"block.{index}." for index in range(stats.get("block.count", 0))]
    drives = {stats.get(f"{block}name", ""): block for block in blocks} or dict.fromkeys(devices.drives, "")
    nics = {stats.get(f"net.{index}.name", ""): f"net.{index}." for index in range(stats.get("net.count", 0))}
    return MetricsRecord(
        vm_id=vm_id,
        time=time,
        run=str(devices.run),
        cpu_seconds=cpu / _NANOSECONDS,
        memory_assigned=_bytes(stats, "balloon.current"),
        memory_used=_used(stats),
        memory_resident=_bytes(stats, "balloon.rss"),
        disks=tuple(
            DiskMetrics(id=target, **{ours: stats.get(block + theirs) for ours, theirs in _DISK.items()})
            for target, block in drives.items()
        ),
        nics=tuple(
            NicMetrics(id=nic_id, **{ours: stats.get(nics.get(name, "") + theirs) for ours, theirs in _NIC.items()})
            for name, nic_id in devices.nics.items()
        ),
    )


def _bytes(stats: Mapping[str, Any], name: str) -> int | None:
    return stats[name] * KiB if name in stats else None


def _used(stats: Mapping[str, Any]) -> int | None:
    """The guest's own sum: what it has, less what it could hand out; old guests tell only what lies idle."""
    total = _bytes(stats, "balloon.available")
    idle = _bytes(stats, "balloon.usable" if "balloon.usable" in stats else "balloon.unused")
    return None if total is None or idle is None else max(total - idle, 0)


def _alone(domain: Any) -> Mapping[str, Any]:
    """What the bulk call tells of a VM, put together from calls of which each driver has some."""
    state, _most, memory, _cpus, cpu_time = domain.info()
    stats: dict[str, Any] = {"state.state": state}
    if domain.ID() == _OFF:
        return stats
    told = _told(domain.memoryStats) or {}
    # LXC calls "memory" what a container uses, and "actual" what it has.
    stats |= {"cpu.time": cpu_time, "balloon.current": told.get("actual", memory)}
    stats |= {f"balloon.{name}": value for name, value in told.items()}
    tree = parse_domain(domain.XMLDesc(0))
    interfaces = [xml_read.interface_of(device) for device in tree.iterfind("devices/interface")]
    stats["net.count"] = len(interfaces)
    for index, name in enumerate(interfaces):
        stats[f"net.{index}.name"] = name
        counted = _told(domain.interfaceStats, name) or ()
        stats |= {f"net.{index}.{theirs}": value for theirs, value in zip(_NIC.values(), counted, strict=False)}
    targets = [xml_read.target_of(device) for device in tree.iterfind("devices/disk")]
    stats["block.count"] = len(targets)
    for index, target in enumerate(targets):
        stats[f"block.{index}.name"] = target
        counted = _told(domain.blockStats, target) or ()
        for theirs, value in zip(("rd.reqs", "rd.bytes", "wr.reqs", "wr.bytes"), counted, strict=False):
            stats[f"block.{index}.{theirs}"] = value
    return stats


def _told(call: Callable[..., T], *args: Any) -> T | None:
    """The answer of a call that a driver may lack, or refuse for this VM."""
    try:
        return call(*args)
    except libvirt.libvirtError as error:
        if errors.is_lost(error) or error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise
        return None
