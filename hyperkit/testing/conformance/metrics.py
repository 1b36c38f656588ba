"""What VMs use, counted."""

from __future__ import annotations

from datetime import timedelta

from hyperkit.metrics import MetricsRecord
from hyperkit.specs import DiskSpec, NicSpec
from hyperkit.tasks import wait_until
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.units import MiB
from hyperkit.vm import VM


def measured(bed: Bed, vm: VM, used: float = 0.0) -> MetricsRecord:
    """What the second connection measures, once the VM has used so many seconds of CPU."""

    def reading() -> MetricsRecord | None:
        found = bed.seen(vm).metrics()
        return found if (found.cpu_seconds or 0) >= used else None

    return wait_until(reading, clock=bed.host.clock, timeout=bed.timeout, what=f"{vm.label} to use {used} s of CPU")


@behaviour(
    "metrics.read",
    "All VMs are measured, or those that are named; one that is gone is left out.",
    requires=("metrics",),
)
def test_all_vms_are_measured_or_those_that_are_named(bed: Bed) -> None:
    runs, off, gone = bed.running(), bed.vm(), bed.vm()
    gone.delete()
    found = [record.vm_id for record in bed.second.metrics.read()]
    assert sorted(found) == sorted(bed.backdoor.vm_ids())
    assert {runs.id, off.id} <= set(found)
    named = [record.vm_id for record in bed.second.metrics.read([off, gone, runs.id])]
    assert sorted(named) == sorted([off.id, runs.id])
    assert bed.second.metrics.read([]) == []


@behaviour("metrics.read", "The time of a reading is aware and in UTC.", requires=("metrics",))
def test_the_time_of_a_reading_is_aware_and_in_utc(bed: Bed) -> None:
    vm, clock = bed.vm(), bed.second.clock
    before = clock.utcnow()
    reading = measured(bed, vm)
    assert reading.time.utcoffset() == timedelta(0)
    assert before <= reading.time <= clock.utcnow()


@behaviour("metrics.read", "A VM that is off has used nothing and has no memory.", requires=("metrics",))
def test_a_vm_that_is_off_has_used_nothing_and_has_no_memory(bed: Bed) -> None:
    vm = bed.running()
    assert measured(bed, vm).run is not None
    vm.stop()
    reading = measured(bed, vm)
    assert (reading.run, reading.cpu_seconds) == (None, 0)
    assert (reading.memory_assigned, reading.memory_used, reading.memory_resident) == (0, None, 0)


@behaviour("metrics.read", "A VM that runs has the memory that it was given.", requires=("metrics",))
def test_a_vm_that_runs_has_the_memory_that_it_was_given(bed: Bed) -> None:
    vm = bed.running()
    reading = measured(bed, vm)
    assert reading.memory_assigned == bed.backdoor.shape(vm.id).memory == vm.memory
    assert reading.memory_resident is None or reading.memory_resident > 0


@behaviour("metrics.read", "The CPU time of a VM that runs grows.", requires=("metrics",))
def test_the_cpu_time_of_a_vm_that_runs_grows(bed: Bed) -> None:
    vm = bed.running(**bed.guest or {})
    first = measured(bed, vm, 0.01)
    later = measured(bed, vm, (first.cpu_seconds or 0) + 0.1)
    rates = later.since(first)
    used = (later.cpu_seconds or 0) - (first.cpu_seconds or 0)
    assert rates.cpu is not None
    assert abs(rates.cpu * rates.seconds - used * 1000) < 0.001


@behaviour("metrics.read", "The disks and NICs measured have the ids that the record has.", requires=("metrics",))
def test_the_disks_and_nics_measured_have_the_ids_that_the_record_has(bed: Bed) -> None:
    able, nics = bed.host.capabilities, [NicSpec(), NicSpec()]
    disks = [DiskSpec(size=8 * MiB), DiskSpec(size=8 * MiB)] if able.disks else []
    vm = bed.running(disks=disks, nics=nics, cdrom=able.cdrom)
    reading, record = measured(bed, vm), bed.seen(vm).record
    assert [nic.id for nic in reading.nics] == [nic.id for nic in record.nics]
    drives = [*(disk.id for disk in record.disks), *(cdrom.id for cdrom in record.cdroms)]
    assert sorted(disk.id for disk in reading.disks) == sorted(drives)


@behaviour("metrics.read", "A VM that was started again counts from zero.", requires=("metrics",))
def test_a_vm_that_was_started_again_counts_from_zero(bed: Bed) -> None:
    vm = bed.running()
    first = measured(bed, vm, 0.001)
    vm.stop().start()
    again = measured(bed, vm, 0.001)
    assert first.run != again.run
    across = again.since(first)
    assert across.cpu is not None
    assert abs(across.cpu * across.seconds - (again.cpu_seconds or 0) * 1000) < 0.001
