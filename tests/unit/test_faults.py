"""Faults on purpose."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest

import hyperkit
from hyperkit import (
    BackendError,
    Busy,
    Cancelled,
    ConnectionLost,
    Host,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PowerState,
    ResourceExhausted,
    TaskFailed,
    Timeout,
)
from hyperkit.driver import PORTS, Driver, operations
from hyperkit.testing import Calls, Faults
from hyperkit.testing.operations import ALL, JOBS


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def host(faults: Faults) -> Host:
    return hyperkit.connect("fake://", wrap=[faults])


def connect(faults: Faults, jobs: str) -> Host:
    return hyperkit.connect(f"fake://?jobs={jobs}", wrap=[faults])


def test_without_a_fault_all_goes_well(host: Host) -> None:
    assert host.vms.create("web1").start().state is PowerState.RUNNING


def test_a_call_fails_with_the_error_given_located(host: Host, faults: Faults) -> None:
    fault = faults.fail("vms.set_power", ResourceExhausted("no memory"))
    vm = host.vms.create("web1")
    with pytest.raises(ResourceExhausted, match=r"VM 'web1': no memory on fake://") as caught:
        vm.start()
    assert caught.value.operation == "vms.set_power"
    assert vm.refresh().state is PowerState.OFF
    assert fault.hits == 1


def test_each_call_gets_an_error_of_its_own(host: Host, faults: Faults) -> None:
    error = ResourceExhausted("no memory")
    faults.fail("vms.set_power", error, times=None)
    raised = []
    for name in ("a", "b"):
        with pytest.raises(ResourceExhausted) as caught:
            host.vms.create(name).start()
        raised.append(caught.value)
    assert [one.resource for one in raised] == ["VM 'a'", "VM 'b'"]
    assert error.resource == ""


def test_an_error_may_be_given_by_its_class(host: Host, faults: Faults) -> None:
    faults.fail("vms.list", PermissionDenied)
    with pytest.raises(PermissionDenied):
        host.vms.list()


def test_one_call_fails_unless_more_are_asked_for(host: Host, faults: Faults) -> None:
    once = faults.fail("vms.list", Busy("busy"))
    always = faults.fail("vms.get", Busy("busy"), times=None)
    with pytest.raises(Busy):
        host.vms.list()
    for _ in range(4):
        assert host.vms.list() == []
        with pytest.raises(Busy):
            host.vms.get("any")
    assert (once.hits, always.hits) == (1, 4)


def test_some_calls_succeed_before_and_some_after(host: Host, faults: Faults) -> None:
    fault = faults.fail("vms.create", Busy("later"), after=2, times=2)
    outcomes = []
    for number in range(6):
        try:
            host.vms.create(f"web{number}")
            outcomes.append(True)
        except Busy:
            outcomes.append(False)
    assert outcomes == [True, True, False, False, True, True]
    assert (fault.seen, fault.hits) == (6, 2)


def test_only_the_calls_that_are_meant_count(host: Host, faults: Faults) -> None:
    faults.fail("vms.set_power", Busy("busy"), when=lambda vm_id, action: action == "stop", after=1)
    vm = host.vms.create("web1")
    vm.start().stop()
    vm.start()
    with pytest.raises(Busy):
        vm.stop()


def test_a_pattern_means_several_operations(host: Host, faults: Faults) -> None:
    vm = host.vms.create("web1")
    faults.fail("snapshots.*", Busy("busy"), times=2)
    for call in (vm.snapshots.list, lambda: vm.snapshots.create("s")):
        with pytest.raises(Busy):
            call()
    assert vm.refresh().name == "web1"


def test_the_first_fault_that_is_due_acts_and_all_count(host: Host, faults: Faults) -> None:
    second = faults.fail("vms.list", Busy("from the second call on"), after=1)
    first = faults.fail("vms.list", PermissionDenied("once"))
    with pytest.raises(PermissionDenied):
        host.vms.list()
    with pytest.raises(Busy):
        host.vms.list()
    assert (first.hits, second.hits, second.seen) == (1, 1, 2)


def test_cleared_faults_are_gone(host: Host, faults: Faults) -> None:
    faults.fail("vms.list", Busy("busy"))
    faults.delay("vms.list", 60)
    faults.clear()
    assert host.vms.list() == []
    assert host.clock.monotonic() == 0


class _VendorError(Exception):
    """A vendor's exception that cannot be made from what it keeps, as libvirt's."""

    def __init__(self, code: int, *, where: str) -> None:
        super().__init__(f"{code} at {where}")


def test_a_vendors_exception_is_translated_as_the_backend_would(faults: Faults) -> None:
    def vendor(driver: Driver) -> Driver:
        return attrs.evolve(driver, translate=lambda error: Busy("locked") if isinstance(error, _VendorError) else None)

    host = hyperkit.connect("fake://", wrap=[vendor, faults])
    thrown = _VendorError(55, where="storage")
    faults.fail("vms.list", thrown)
    with pytest.raises(Busy, match="locked") as caught:
        host.vms.list()
    assert isinstance(caught.value.__cause__, _VendorError)
    faults.clear()
    faults.fail("vms.list", OSError("whatever"))
    with pytest.raises(BackendError):
        host.vms.list()


# The lost answer


def test_a_lost_answer_is_that_of_a_call_which_took_effect(host: Host, faults: Faults) -> None:
    faults.fail("vms.create", lost=True)
    with pytest.raises(ConnectionLost, match="whether it took effect is unknown") as caught:
        host.vms.create("web1")
    assert caught.value.retryable
    assert "web1" in host.vms


@pytest.mark.parametrize("jobs", ["polls:5", "seconds:30"])
def test_the_job_of_a_lost_answer_runs_to_its_end(faults: Faults, jobs: str) -> None:
    host = connect(faults, jobs)
    faults.fail("vms.create", lost=True)
    with pytest.raises(ConnectionLost):
        host.vms.create("web1")
    assert "web1" in host.vms


def test_a_lost_answer_may_have_an_error_of_its_own_and_a_call_that_fails_has_its_own(
    host: Host, faults: Faults
) -> None:
    faults.fail("vms.*", Timeout("no answer"), lost=True, when=lambda *args: args != ("nobody",))
    with pytest.raises(Timeout):
        host.vms.create("web1")
    faults.clear()
    faults.fail("vms.get", lost=True)
    with pytest.raises(NotFound):
        host.vms.get("nobody")


# Jobs


@pytest.mark.parametrize("jobs", ["now", "polls:4", "seconds:10"])
def test_a_job_fails_at_a_fraction_and_nothing_was_made(faults: Faults, jobs: str) -> None:
    host = connect(faults, jobs)
    faults.fail("vms.create", TaskFailed("the disk is full"), at=0.5)
    task = host.vms.begin_create("web1")
    seen: list[float | None] = []
    task.on_progress(lambda progress: seen.append(progress.fraction))
    with pytest.raises(TaskFailed, match="the disk is full"):
        task.result(timeout=60)
    assert seen == [0.0, 0.25, 0.5]
    assert len(host.vms.list()) == 0
    assert host.vms.create("web1").name == "web1"


def test_a_vendors_exception_in_a_job_becomes_ours(host: Host, faults: Faults) -> None:
    faults.fail("vms.create", OSError("cable"), at=0.1)
    with pytest.raises(BackendError, match="cable"):
        host.vms.create("web1")


def test_a_job_that_is_to_fail_can_be_cancelled_before(host: Host, faults: Faults) -> None:
    faults.fail("vms.create", TaskFailed("too late"), at=0.9)
    task = host.vms.begin_create("web1")
    task.cancel()
    with pytest.raises(Cancelled):
        task.result()


@pytest.mark.parametrize("jobs", ["now", "polls:2", "seconds:10"])
def test_a_job_hangs_until_it_is_cancelled(faults: Faults, jobs: str) -> None:
    host = connect(faults, jobs)
    vm = host.vms.create("web1")
    faults.hang("snapshots.create", at=0.3)
    began = host.clock.monotonic()
    task = vm.snapshots.begin_create("s")
    with pytest.raises(Timeout):
        task.result(timeout=3600)
    assert host.clock.monotonic() - began >= 3600
    assert task.progress.fraction == 0.3
    task.cancel()
    assert task.done
    with pytest.raises(Cancelled):
        task.result()
    assert vm.snapshots.list() == []


def test_operations_that_are_never_jobs_cannot_hang(faults: Faults) -> None:
    with pytest.raises(InvalidRequest, match=r"that may be a job is called 'vms\.list'; there are vms\.create"):
        faults.hang("vms.list")
    with pytest.raises(InvalidRequest):
        faults.fail("vms.get", Busy("busy"), at=0.5)
    assert faults.hang("vms.*").operations == {"vms.create", "vms.set_power", "vms.delete"}


# Delays


def test_delays_pass_by_the_hosts_clock_and_add_up(host: Host, faults: Faults) -> None:
    faults.delay("vms.*", 2.5)
    faults.delay("vms.list", 60, times=1)
    host.vms.list()
    host.vms.list()
    host.switches.list()
    assert host.clock.monotonic() == 65


def test_a_delayed_call_may_fail_too(host: Host, faults: Faults) -> None:
    faults.delay("vms.list", 30)
    faults.fail("vms.list", Timeout("no answer"))
    with pytest.raises(Timeout):
        host.vms.list()
    assert host.clock.monotonic() == 30


# What is refused, and the rest


def test_every_operation_of_the_contract_can_be_named() -> None:
    assert tuple(f"{port}.{method}" for port in PORTS for method in operations(port)) == ALL
    assert set(JOBS) == {
        "vms.create", "vms.set_power", "vms.delete", "volumes.create",
        "snapshots.create", "snapshots.revert", "snapshots.delete", "clones.clone", "guests.execute",
        "upkeep.consolidate",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda faults: faults.fail("vms.creat", Busy("x")), "no port call is called 'vms.creat'; there are host.info"),
        (lambda faults: faults.fail("create", Busy("x")), "vms.create"),
        (lambda faults: faults.delay("vm.*", 1), "no port call"),
        (lambda faults: faults.fail("vms.create", "no memory"), "an exception, such as"),
        (lambda faults: faults.fail("vms.create"), "an exception, such as"),
        (lambda faults: faults.fail("vms.create", KeyboardInterrupt), "an exception, such as"),
        (lambda faults: faults.fail("vms.create", Busy("x"), after=-1), "at least 0"),
        (lambda faults: faults.fail("vms.create", Busy("x"), times=0), "at least 1"),
        (lambda faults: faults.fail("vms.create", Busy("x"), when="stop"), "a function"),
        (lambda faults: faults.fail("vms.create", Busy("x"), at=1.0), "a fraction"),
        (lambda faults: faults.fail("vms.create", at=0.5, lost=True), "not both"),
        (lambda faults: faults.hang("vms.create", at=True), "a fraction"),
        (lambda faults: faults.delay("vms.create", -1), "0 or more"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(faults: Faults, wrong: Callable[[Faults], Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wrong(faults)
    assert message in str(caught.value)
    assert repr(faults) == "<Faults: 0 faults, 0 delays>"


def test_connecting_itself_can_fail(faults: Faults) -> None:
    faults.fail("host.info", ConnectionLost("gone"))
    with pytest.raises(ConnectionLost):
        hyperkit.connect("fake://", wrap=[faults])


def test_several_connections_share_faults(faults: Faults) -> None:
    one, two = connect(faults, "now"), connect(faults, "now")
    faults.fail("vms.list", Busy("busy"), after=1)
    one.vms.list()
    with pytest.raises(Busy):
        two.vms.list()


def test_threads_share_faults_exactly(host: Host, faults: Faults) -> None:
    def never(_spec: object) -> bool:
        time.sleep(0.0001)  # another thread's turn, between the first fault's being due and its being counted
        return False

    fault = faults.fail("vms.create", Busy("busy"), after=50, times=30)
    faults.fail("vms.create", Busy("never"), when=never)

    def create(number: int) -> bool:
        try:
            host.vms.create(f"vm{number}")
        except Busy:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(create, range(200)))
    assert (created.count(False), fault.hits, fault.seen, len(host.vms.list())) == (30, 30, 200, 170)


def test_they_stand_around_any_driver() -> None:
    calls, faults = Calls(), Faults()
    host = hyperkit.connect("fake://", wrap=[calls, faults])
    calls.clear()
    faults.fail("vms.list", Busy("busy"))
    with pytest.raises(Busy):
        host.vms.list()
    # Named the other way round: what a fault ended never reached the record.
    assert calls.count() == 0
