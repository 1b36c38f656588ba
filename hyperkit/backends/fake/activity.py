"""What the fake's VMs do while the clock goes: so much a second, so that a test can say what a counter will show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

import attrs

from hyperkit.backends.fake.memory import IN_MEMORY
from hyperkit.metrics import DiskMetrics, MetricsRecord, NicMetrics
from hyperkit.records import VMRecord
from hyperkit.states import PowerState
from hyperkit.units import KiB

CPU = "cpu_seconds"
DISK = tuple(field.name for field in attrs.fields(DiskMetrics) if field.name != "id")
NIC = tuple(field.name for field in attrs.fields(NicMetrics) if field.name != "id")

USUAL: Mapping[str, float] = MappingProxyType(
    {
        CPU: 0.25,
        "read_bytes": 16 * KiB,
        "read_requests": 4,
        "write_bytes": 32 * KiB,
        "write_requests": 8,
        "rx_bytes": 16 * KiB,
        "rx_packets": 16,
        "tx_bytes": 8 * KiB,
        "tx_packets": 8,
    }
)
"""What is counted in a second of running: of the VM, and of each disk and each NIC that has a link to a switch."""


@attrs.define
class Activity:
    """How busy a VM is, and what it has done since it was started.

    Attributes:
        rates: what it does in a second of running.
        run: how many times it was started.
        totals: what was counted up to ``at``, by device (empty for the VM itself) and counter.
        at: a time of the clock.
        memory_used: bytes in use inside; None while its guest does not tell.
        memory_resident: bytes of the host's memory that it takes; None for all that it has.
    """

    rates: Mapping[str, float] = USUAL
    run: int = 0
    totals: dict[tuple[str, str], float] = attrs.field(factory=dict)
    at: float = 0.0
    memory_used: int | None = None
    memory_resident: int | None = None

    def begin(self, now: float) -> None:
        """A new run, which counts from zero."""
        self.run += 1
        self.totals.clear()
        self.at = now

    def go_on(self, record: VMRecord, now: float) -> None:
        """Count what the VM did since the last time; since then it was as ``record`` says."""
        passed, self.at = now - self.at, now
        if passed and record.state is PowerState.RUNNING:
            for device, counter in _moving(record):
                rate = self.rates.get(counter, 0)
                self.totals[device, counter] = self.totals.get((device, counter), 0) + passed * rate

    def reading(self, record: VMRecord, time: datetime) -> MetricsRecord:
        """The counters as they stand."""
        if record.state not in IN_MEMORY:
            return MetricsRecord(vm_id=record.id, time=time)
        return MetricsRecord(
            vm_id=record.id,
            time=time,
            run=str(self.run),
            cpu_seconds=round(self.totals.get(("", CPU), 0.0), 9),
            memory_assigned=record.memory,
            memory_used=self.memory_used,
            memory_resident=record.memory if self.memory_resident is None else self.memory_resident,
            disks=tuple(DiskMetrics(id=drive, **self._counted(drive, DISK)) for drive in drives(record)),
            nics=tuple(NicMetrics(id=nic.id, **self._counted(nic.id, NIC)) for nic in record.nics),
        )

    def _counted(self, device: str, counters: tuple[str, ...]) -> dict[str, int]:
        return {name: round(self.totals.get((device, name), 0)) for name in counters}


def drives(record: VMRecord) -> tuple[str, ...]:
    """The ids of its disks and CD-ROM drives."""
    return (*(disk.id for disk in record.disks), *(cdrom.id for cdrom in record.cdroms))


def _moving(record: VMRecord) -> Iterator[tuple[str, str]]:
    """The counters that move while a VM runs, each with its device."""
    yield "", CPU
    for disk in record.disks:
        for name in DISK:
            yield disk.id, name
    for nic in record.nics:
        if nic.switch_id is not None and nic.link_up:
            for name in NIC:
                yield nic.id, name
