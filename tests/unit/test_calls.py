"""The record of port calls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import hyperkit
from hyperkit import AlreadyExists, Host, InvalidRequest, PowerState, ResourceExhausted, Unsupported
from hyperkit.specs import VMSpec
from hyperkit.states import PowerAction
from hyperkit.testing import Call, Calls, Faults


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def host(calls: Calls) -> Host:
    host = hyperkit.connect("fake://", wrap=[calls])
    calls.clear()
    return host


def test_each_call_is_on_record_in_order_with_its_arguments(host: Host, calls: Calls) -> None:
    vm = host.vms.create("web1")
    vm.start()
    assert list(calls) == [
        Call("vms.create", (VMSpec("web1"),), None),
        Call("vms.power", (vm.id,), None),
        Call("vms.set_power", (vm.id, PowerAction.START), None),
    ]


def test_connecting_asks_for_the_host_alone() -> None:
    calls = Calls()
    hyperkit.connect("fake://", wrap=[calls])
    assert [call.operation for call in calls] == ["host.info"]


def test_a_call_that_fails_is_on_record_with_its_error(host: Host, calls: Calls) -> None:
    host.vms.create("web1")
    with pytest.raises(AlreadyExists) as caught:
        host.vms.create("web1")
    assert [call.error for call in calls.of("vms.create")] == [None, caught.value]


def test_a_fault_named_before_is_on_record_too() -> None:
    faults, calls = Faults(), Calls()
    host = hyperkit.connect("fake://", wrap=[faults, calls])
    faults.fail("vms.create", ResourceExhausted("no memory"))
    with pytest.raises(ResourceExhausted):
        host.vms.create("web1")
    (call,) = calls.of("vms.create")
    assert isinstance(call.error, ResourceExhausted)


def test_operations_are_counted_by_name_or_pattern(host: Host, calls: Calls) -> None:
    host.vms.create("web1").start()
    host.switches.create("lan")
    assert (calls.count("vms.create"), calls.count("vms.*"), calls.count("*.create"), calls.count()) == (1, 3, 2, 4)
    assert calls.count("disks.attach") == 0


def test_an_operation_that_does_not_exist_is_refused_with_those_that_do(calls: Calls) -> None:
    with pytest.raises(InvalidRequest, match=r"no port call is called 'vms\.creat'; there are host\.info, vms\.list"):
        calls.count("vms.creat")


def test_what_hyperkit_refuses_by_itself_is_no_call() -> None:
    calls = Calls()
    host = hyperkit.connect("fake://?profile=esxi", wrap=[calls])
    vm = host.vms.create("web1").start()
    calls.clear()
    with pytest.raises(Unsupported):
        vm.pause()
    assert len(calls) == 0


def test_listing_takes_one_call_however_many_there_are(host: Host, calls: Calls) -> None:
    for number in range(20):
        host.vms.create(f"web{number}")
    calls.clear()
    assert len(host.vms.find(state=PowerState.OFF)) == 20
    assert calls.count() == 1


def test_a_record_is_true_even_when_empty_and_prints_its_calls(host: Host, calls: Calls) -> None:
    assert calls
    assert repr(calls) == "<0 calls>"
    host.vms.list()
    with pytest.raises(hyperkit.NotFound):
        host.vms.get("nobody")
    assert repr(calls) == "<2 calls:\n  vms.list()\n  vms.get('nobody') -> NotFound>"


def test_threads_share_a_record(host: Host, calls: Calls) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: host.vms.create(f"vm{number}"), range(200)))
    assert calls.count("vms.create") == len(calls) == 200
