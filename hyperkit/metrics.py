"""What VMs use: cumulative counters as a host reports them, and the rates between two readings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from hyperkit.checks import as_tuple, refuse
from hyperkit.collection import id_of
from hyperkit.handle import Handle

if TYPE_CHECKING:
    from hyperkit.host import Host
    from hyperkit.vm import VM


@attrs.frozen(slots=False, kw_only=True)
class DiskMetrics:
    """What went through a disk or a CD-ROM drive; None where the host cannot tell now.

    Attributes:
        id: that of its `DiskRecord` or `CdromRecord`.
    """

    id: str
    read_bytes: int | None = None
    read_requests: int | None = None
    write_bytes: int | None = None
    write_requests: int | None = None


@attrs.frozen(slots=False, kw_only=True)
class NicMetrics:
    """What went through a network card, as its guest sees it: rx is what it received. None: the host cannot tell now.

    Attributes:
        id: that of its `NicRecord`.
    """

    id: str
    rx_bytes: int | None = None
    rx_packets: int | None = None
    rx_errors: int | None = None
    rx_dropped: int | None = None
    tx_bytes: int | None = None
    tx_packets: int | None = None
    tx_errors: int | None = None
    tx_dropped: int | None = None


@attrs.frozen(kw_only=True)
class DiskRates:
    """`DiskMetrics`, per second."""

    id: str
    read_bytes: float | None
    read_requests: float | None
    write_bytes: float | None
    write_requests: float | None


@attrs.frozen(kw_only=True)
class NicRates:
    """`NicMetrics`, per second."""

    id: str
    rx_bytes: float | None
    rx_packets: float | None
    rx_errors: float | None
    rx_dropped: float | None
    tx_bytes: float | None
    tx_packets: float | None
    tx_errors: float | None
    tx_dropped: float | None


@attrs.frozen(kw_only=True)
class Rates:
    """What a VM used between two readings. None where one of them does not tell.

    Attributes:
        vm_id: which VM.
        seconds: from the one to the other.
        cpu: thousandths of a host CPU, as in `Allocation`: 1000 is one host CPU kept busy.
        disks: per second, of the disks and drives that it has at the end.
        nics: per second, of the cards that it has at the end.
    """

    vm_id: str
    seconds: float
    cpu: float | None
    disks: tuple[DiskRates, ...]
    nics: tuple[NicRates, ...]


@attrs.frozen(slots=False, kw_only=True)
class MetricsRecord:
    """One reading of a VM. Its counters begin at zero when the VM is started; an off VM's are zero.

    Attributes:
        vm_id: which VM.
        time: of the reading, UTC.
        run: which run of the VM the counters are of, in the host's own words; None while it does not run.
        cpu_seconds: seconds of CPU that the host spent on it, its emulator's included.
        memory_assigned: bytes that it has now: less than `VMRecord.memory` while its balloon is inflated, 0 while off.
        memory_used: bytes in use inside, without caches, as its guest tells; None without a guest that does.
        memory_resident: bytes of the host's memory that it takes.
        disks: of its disks and CD-ROM drives.
        nics: of its network cards.

    None is what the host cannot tell, or not now: most counters of a VM that hangs.
    """

    vm_id: str
    time: datetime
    run: str | None = None
    cpu_seconds: float | None = 0.0
    memory_assigned: int | None = 0
    memory_used: int | None = None
    memory_resident: int | None = 0
    disks: tuple[DiskMetrics, ...] = ()
    nics: tuple[NicMetrics, ...] = ()

    def since(self, earlier: MetricsRecord) -> Rates:
        """The rates between an earlier reading of the same VM and this one.

        They are never below zero: a counter that began anew in between, because the VM was started or a device
        exchanged, counts from zero.

        Raises:
            InvalidRequest: ``earlier`` is of another VM, or not earlier.
        """
        if earlier.vm_id != self.vm_id:
            refuse("earlier", earlier.vm_id, f"a reading of the same VM, {self.vm_id}")
        seconds = (self.time - earlier.time).total_seconds()
        if seconds <= 0:
            refuse("earlier", earlier.time.isoformat(), f"a reading made before this one of {self.time.isoformat()}")
        same = earlier.run == self.run
        spent = _grown(self.cpu_seconds, earlier.cpu_seconds if same else 0)
        return Rates(
            vm_id=self.vm_id,
            seconds=seconds,
            # It has one beginning, the run's: what is less by a trifle was told by another source.
            cpu=None if spent is None else max(spent, 0) * 1000 / seconds,
            disks=_rates(self.disks, earlier.disks if same else (), seconds, DiskRates),
            nics=_rates(self.nics, earlier.nics if same else (), seconds, NicRates),
        )


def _grown(now: float | None, before: float | None) -> float | None:
    return None if now is None or before is None else now - before


def _rate(now: float | None, before: float | None, seconds: float) -> float | None:
    grown = _grown(now, before)
    if grown is None or now is None:
        return None
    return (now if grown < 0 else grown) / seconds


R = TypeVar("R", DiskRates, NicRates)


def _rates(now: Iterable[Any], before: Iterable[Any], seconds: float, kind: type[R]) -> tuple[R, ...]:
    """Of each device; one that was not there before counts from zero."""
    known = {device.id: device for device in before}
    counters = [field.name for field in attrs.fields(kind) if field.name != "id"]

    def rates(device: Any) -> R:
        old = known.get(device.id)
        return kind(
            id=device.id,
            **{
                name: _rate(getattr(device, name), 0 if old is None else getattr(old, name), seconds)
                for name in counters
            },
        )

    return tuple(rates(device) for device in now)


class MetricsSource:
    """``host.metrics``."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def read(self, vms: VM | Iterable[VM | str] | None = None) -> Sequence[MetricsRecord]:
        """Read the counters of all VMs, or of those given, at once; one that is gone is left out.

        Raises:
            InvalidRequest: neither VMs of this host nor ids of such.
            Unsupported: the host counts nothing (capability ``metrics``).
        """
        if isinstance(vms, str):
            refuse("vms", vms, "several VMs or ids, in a list; vm.metrics() reads one")
        wanted = (
            None
            if vms is None
            else tuple(id_of(self._host, "VM", vm) for vm in ((vms,) if isinstance(vms, Handle) else as_tuple(vms)))
        )
        port = self._host.driver.metrics
        if port is None:
            self._host.capabilities.refuse("metrics", self._host.url)
        return port.read(wanted)
