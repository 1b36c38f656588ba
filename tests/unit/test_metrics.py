"""Metrics: counters that move with the fake's clock, and the rates between two readings."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hyperkit import (
    DiskMetrics,
    DiskSpec,
    InvalidRequest,
    MetricsRecord,
    MiB,
    NicMetrics,
    NicSpec,
    NotFound,
    SwitchKind,
    Unsupported,
    to_dict,
)
from hyperkit.testing import Fake
from tests.unit.support import refusal

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def reading(seconds: float = 0, **fields: Any) -> MetricsRecord:
    return MetricsRecord(vm_id="vm", time=NOON + timedelta(seconds=seconds), **{"run": "1", **fields})


# Rates


def test_rates_are_per_second_and_cpu_in_thousandths_of_a_host_cpu() -> None:
    before = reading(cpu_seconds=1, disks=(DiskMetrics(id="vda", read_bytes=100, write_requests=7),))
    after = reading(4, cpu_seconds=7, disks=(DiskMetrics(id="vda", read_bytes=500, write_requests=7),))
    rates = after.since(before)
    assert (rates.vm_id, rates.seconds, rates.cpu) == ("vm", 4, 1500)
    (disk,) = rates.disks
    assert (disk.id, disk.read_bytes, disk.write_requests) == ("vda", 100, 0)
    assert (disk.read_requests, disk.write_bytes) == (None, None)  # neither reading tells


def test_what_one_of_two_readings_does_not_tell_has_no_rate() -> None:
    told = reading(4, cpu_seconds=7, nics=(NicMetrics(id="nic0", rx_bytes=8),))
    untold = reading(0, cpu_seconds=None, nics=(NicMetrics(id="nic0"),))
    rates = told.since(untold)
    assert rates.cpu is None
    assert [nic.rx_bytes for nic in rates.nics] == [None]
    assert reading(8, cpu_seconds=None).since(told).cpu is None


def test_a_vm_that_was_started_again_counts_from_zero() -> None:
    before = reading(cpu_seconds=5, disks=(DiskMetrics(id="vda", read_bytes=100),))
    after = reading(2, run="2", cpu_seconds=6, disks=(DiskMetrics(id="vda", read_bytes=300),))
    rates = after.since(before)
    assert rates.cpu == 3000  # six seconds in this run, not one more than in the last
    assert [disk.read_bytes for disk in rates.disks] == [150]


def test_a_vm_that_went_off_used_nothing_since() -> None:
    off = reading(2, run=None)
    assert off.since(reading(cpu_seconds=5, disks=(DiskMetrics(id="vda", read_bytes=1),))).cpu == 0


def test_a_counter_that_began_anew_counts_from_zero() -> None:
    before = reading(nics=(NicMetrics(id="nic0", rx_bytes=1000),))
    after = reading(2, nics=(NicMetrics(id="nic0", rx_bytes=10), NicMetrics(id="nic1", rx_bytes=20)))
    assert [nic.rx_bytes for nic in after.since(before).nics] == [5, 10]


def test_cpu_time_that_two_sources_tell_differently_is_not_a_new_beginning() -> None:
    assert reading(1, cpu_seconds=99.9).since(reading(cpu_seconds=100)).cpu == 0


@pytest.mark.parametrize("earlier", [reading(2), reading(3), MetricsRecord(vm_id="other", time=NOON)])
def test_rates_are_since_an_earlier_reading_of_the_same_vm(earlier: MetricsRecord) -> None:
    with pytest.raises(InvalidRequest) as caught:
        reading(2).since(earlier)
    assert caught.value.field == "earlier"


def test_a_reading_is_plain_data() -> None:
    data = json.loads(json.dumps(to_dict(reading(disks=(DiskMetrics(id="vda", read_bytes=1),)))))
    assert data["disks"][0]["read_bytes"] == 1
    assert data["time"] == NOON.isoformat()


# host.metrics and vm.metrics on the fake


def test_counters_move_with_the_clock_while_the_vm_runs(hyperkit_fake: Fake) -> None:
    lan = hyperkit_fake.host.switches.create("lan", SwitchKind.PRIVATE)
    disks, nics = [DiskSpec(size=8 * MiB)], [NicSpec(switch=lan.name), NicSpec()]
    vm = hyperkit_fake.host.vms.create("web1", disks=disks, nics=nics)
    clock = hyperkit_fake.clock
    clock.advance(100)
    assert (vm.metrics().run, vm.metrics().cpu_seconds) == (None, 0)
    vm.start()
    clock.advance(10)
    vm.pause()
    clock.advance(1000)
    vm.resume()
    clock.advance(10)
    counted = vm.metrics()
    assert (counted.run, counted.cpu_seconds) == ("1", 5)
    assert (counted.disks[0].id, counted.disks[0].read_requests) == (vm.disks[0].id, 80)
    assert [nic.rx_packets for nic in counted.nics] == [320, 0]  # the second is plugged into nothing
    vm.reset()
    assert vm.metrics() == counted  # the same power, so the same counters
    vm.suspend().start()
    assert (vm.metrics().run, vm.metrics().cpu_seconds) == ("2", 0)


def test_a_test_says_what_a_vm_does_and_what_its_counters_show(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=[{"name": "web1", "state": "running", "disks": [{"size": "1 GiB"}]}])
    vm = hyperkit_fake.host.vms.one(name="web1")
    hyperkit_fake.clock.advance(4)
    before = vm.metrics()
    hyperkit_fake.load(vm, cpu_seconds=1.5, read_bytes=0)
    hyperkit_fake.clock.advance(4)
    rates = vm.metrics().since(before)
    assert (rates.cpu, rates.disks[0].read_bytes, rates.disks[0].write_requests) == (1500, 0, 8)
    hyperkit_fake.counters("web1", cpu_seconds=1000, memory_used=5 * MiB, memory_resident=6 * MiB)
    hyperkit_fake.counters("web1", vm.disks[0].id, write_bytes=77)
    shown = vm.metrics()
    assert (shown.cpu_seconds, shown.memory_used, shown.memory_resident) == (1000, 5 * MiB, 6 * MiB)
    assert shown.disks[0].write_bytes == 77
    assert vm.metrics().memory_assigned == vm.memory


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda fake: fake.load("web1", cpu=1), "counter"),
        (lambda fake: fake.load("web1", cpu_seconds=-1), "cpu_seconds"),
        (lambda fake: fake.load("web1", cpu_seconds=True), "cpu_seconds"),
        (lambda fake: fake.counters("web1", read_bytes=1), "counter"),
        (lambda fake: fake.counters("web1", "disk0", rx_bytes=1), "counter"),
        (lambda fake: fake.counters("web1", "disk7", read_bytes=1), "device"),
        (lambda fake: fake.counters("off", cpu_seconds=1), "state"),
    ],
)
def test_what_no_vm_counts_is_refused(hyperkit_fake: Fake, change: Any, field: str) -> None:
    hyperkit_fake.seed(vms=[{"name": "web1", "state": "running", "disks": [{"size": "1 GiB"}]}, "off"])
    error = refusal(InvalidRequest, lambda: change(hyperkit_fake))
    assert error is not None
    assert error.field == field


def test_one_reading_of_all_is_one_call(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=["a", "b", "c"])
    host = hyperkit_fake.host
    assert len(host.metrics.read()) == 3
    assert [call.args for call in hyperkit_fake.calls.of("metrics.read")] == [(None,)]
    ids = [vm.id for vm in host.vms.find(name="[ab]")]
    assert [record.vm_id for record in host.metrics.read(ids)] == ids


def test_a_string_is_not_several_vms(hyperkit_fake: Fake) -> None:
    with pytest.raises(InvalidRequest, match="in a list"):
        hyperkit_fake.host.metrics.read("web1")


def test_a_vm_that_is_gone_has_no_counters(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=["web1"])
    vm = hyperkit_fake.host.vms.one(name="web1")
    vm.delete()
    with pytest.raises(NotFound) as caught:
        vm.metrics()
    assert (caught.value.operation, caught.value.resource) == ("metrics.read", "VM 'web1'")


@pytest.mark.hyperkit(without=["metrics"])
def test_a_host_that_counts_nothing_says_so(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=["web1"])
    for read in (hyperkit_fake.host.metrics.read, hyperkit_fake.host.vms.one(name="web1").metrics):
        with pytest.raises(Unsupported) as caught:
            read()
        assert caught.value.capability == "metrics"
