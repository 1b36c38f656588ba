"""Reservation, limit and shares: thousandths of a CPU and bytes here, MHz and MB in vSphere, -1 for no limit.

Shares are weights. vSphere's level *normal* is 1000 for each vCPU and 10 for each MB of memory (``SharesInfo`` in the
API reference), which is our 100; anything else is a custom number in the same proportion.
"""

from __future__ import annotations

from typing import Any

from pyVmomi import vim

from hyperkit.backends.esxi.elements import Element, fields, number, text
from hyperkit.specs import DEFAULT_ALLOCATION, NORMAL_SHARES, Allocation
from hyperkit.units import MiB, to_unit

SHARES_PER_CPU = 1000
SHARES_PER_MB = 10
_UNLIMITED = -1
_LEVELS = {"low": NORMAL_SHARES // 2, "normal": NORMAL_SHARES, "high": NORMAL_SHARES * 2}
_NAMES = {shares: level for level, shares in _LEVELS.items()}


def cpu_to_vsphere(allocation: Allocation, *, cpus: int, mhz: int) -> Any:
    """A ``vim.ResourceAllocationInfo`` of CPU, for a VM with so many vCPUs on CPUs of this speed."""
    limit = _UNLIMITED if allocation.limit is None else max(1, _mhz(allocation.limit, mhz))
    return _info(_mhz(allocation.reservation, mhz), limit, allocation.shares, cpus * SHARES_PER_CPU)


def memory_to_vsphere(allocation: Allocation, *, memory: int) -> Any:
    """A ``vim.ResourceAllocationInfo`` of memory, for a VM with so many bytes.

    Raises:
        InvalidRequest: a size is no whole number of MiB.
    """
    reservation = to_unit(allocation.reservation, MiB, field="memory_allocation.reservation")
    limit = _UNLIMITED
    if allocation.limit is not None:
        limit = to_unit(allocation.limit, MiB, field="memory_allocation.limit")
    return _info(reservation, limit, allocation.shares, memory // MiB * SHARES_PER_MB)


def cpu_from_vsphere(info: Element | None, *, cpus: int, mhz: int) -> Allocation:
    """What a ``ResourceAllocationInfo`` of CPU means."""
    return _allocation(info, cpus * SHARES_PER_CPU, lambda value: _thousandths(value, mhz))


def memory_from_vsphere(info: Element | None, *, memory: int) -> Allocation:
    """What a ``ResourceAllocationInfo`` of memory means."""
    return _allocation(info, memory // MiB * SHARES_PER_MB, lambda value: value * MiB)


def _info(reservation: int, limit: int, shares: int, normal: int) -> Any:
    level = _NAMES.get(shares, "custom")
    wanted = vim.SharesInfo(level=level, shares=max(1, round(shares * normal / NORMAL_SHARES)))
    return vim.ResourceAllocationInfo(reservation=reservation, limit=limit, shares=wanted)


def _allocation(info: Element | None, normal: int, ours: Any) -> Allocation:
    told = fields(info)
    if not told:
        return DEFAULT_ALLOCATION
    reservation, limit = number(told.get("reservation")) or 0, number(told.get("limit"))
    weight = fields(told.get("shares"))
    shares = _LEVELS.get(text(weight.get("level")))
    if shares is None:
        count = number(weight.get("shares")) or normal
        shares = min(10_000, max(1, round(count * NORMAL_SHARES / normal))) if normal else NORMAL_SHARES
    if reservation == 0 and limit in (None, _UNLIMITED) and shares == NORMAL_SHARES:
        return DEFAULT_ALLOCATION
    promised = ours(reservation)
    most = None if limit is None or limit < 0 else max(1, promised, ours(limit))
    return Allocation(reservation=promised, limit=most, shares=shares)


def _mhz(thousandths: int, mhz: int) -> int:
    return round(thousandths * mhz / 1000)


def _thousandths(megahertz: int, mhz: int) -> int:
    return round(megahertz * 1000 / mhz)
