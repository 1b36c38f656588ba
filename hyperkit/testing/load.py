"""What a fake's VM uses: how busy it is, and what its counters show."""

from __future__ import annotations

from collections.abc import Mapping

from hyperkit import checks
from hyperkit.backends.fake.activity import CPU, DISK, NIC, drives
from hyperkit.backends.fake.memory import IN_MEMORY
from hyperkit.backends.fake.world import Machine

MEMORY = ("memory_used", "memory_resident")


def set_rates(machine: Machine, rates: Mapping[str, float]) -> None:
    """How much a VM does in a second of running, from now on.

    Raises:
        InvalidRequest: no such counter, or a number below zero.
    """
    for counter, rate in rates.items():
        _check(counter, rate, (CPU, *DISK, *NIC))
    machine.activity.rates = {**machine.activity.rates, **rates}


def set_counters(machine: Machine, device: str, counters: Mapping[str, float]) -> None:
    """What the counters of a running VM, or of one of its devices, show now.

    Raises:
        InvalidRequest: no such device or counter, a number below zero, or the VM does not run.
    """
    record = machine.record
    if record.state not in IN_MEMORY:
        checks.refuse("state", record.state.value, f"VM {record.name!r} counts nothing unless it runs")
    disks = drives(record)
    nics = [nic.id for nic in record.nics]
    if device and device not in (*disks, *nics):
        checks.refuse("device", device, f"the id of a device of VM {record.name!r}: {', '.join((*disks, *nics))}")
    known = (CPU, *MEMORY) if not device else DISK if device in disks else NIC
    for counter, value in counters.items():
        _check(counter, value, known)
    for counter, value in counters.items():
        if counter in MEMORY:
            setattr(machine.activity, counter, int(value))
        else:
            machine.activity.totals[device, counter] = value


def _check(counter: str, value: float, known: tuple[str, ...]) -> None:
    if counter not in known:
        checks.refuse("counter", counter, f"one of {', '.join(known)}")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        checks.refuse(counter, value, "a number that is not below zero")
