"""A session lasts: it is renewed once it ended, and what breaks is repeated only where that is safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import hyperkit
from hyperkit.errors import AuthenticationFailed, ConnectionFailed, ConnectionLost, InvalidState
from tests.beds.vcsim import Vcsim

pytest.importorskip("pyVmomi")
from pyVmomi import vmodl

from hyperkit.backends.esxi import stub as stub_module
from hyperkit.backends.esxi.connection import Connection

Session = Callable[..., Connection]


def names(connection: Connection) -> list[str]:
    return [found.ref.id for found in connection.properties.all("VirtualMachine", ["name"])]


def any_vm(connection: Connection) -> Any:
    return connection.vm(names(connection)[0])


def powered_off(connection: Connection, vm_id: str) -> bool:
    state = connection.properties.one("VirtualMachine", vm_id, ["runtime.powerState"]).values["runtime.powerState"]
    return bool(state.text == "poweredOff")


def test_connecting_takes_three_round_trips(esx: Vcsim, vcenter: Vcsim, session: Session) -> None:
    for bed in (esx, vcenter):
        session(bed)
        assert bed.calls().methods == {"RetrieveServiceContent": 1, "Login": 1, "RetrievePropertiesEx": 1}


def test_a_session_that_ended_is_renewed_and_the_call_repeated(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    vm = any_vm(connection)
    esx.control.expire_sessions()
    esx.control.reset_calls()
    vm.PowerOnVM_Task()  # also one that changes something: the host had refused it
    assert esx.calls().methods == {"PowerOnVM_Task": 2, "Login": 1}
    assert esx.control.sessions() == 1
    vm.PowerOffVM_Task()


def test_eight_threads_renew_a_session_once(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    expected = names(connection)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: names(connection), range(8)))
        esx.control.expire_sessions()
        esx.control.reset_calls()
        assert list(threads.map(lambda _: names(connection), range(8))) == [expected] * 8
    assert esx.calls().methods["Login"] == 1
    assert esx.control.sessions() == 1


def test_eight_threads_use_one_host(esx: Vcsim) -> None:
    with hyperkit.connect(esx.hyperkit_url, password=esx.password, verify=str(esx.ca_file)) as host:
        with ThreadPoolExecutor(8) as threads:
            told = list(threads.map(lambda _: host.driver.host.info(), range(40)))
        assert told == [host.info] * 40


def test_a_password_that_was_changed_is_tried_once(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    esx.control.expire_sessions()
    esx.faults.fault("Login", "InvalidLogin", count=-1)
    esx.control.reset_calls()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            names(connection)
    assert esx.calls().methods["Login"] == 1


def test_a_host_that_is_not_reached_for_a_time_is_found_again(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    esx.control.expire_sessions()
    esx.faults.http("Login", status=503, count=2)
    with pytest.raises(ConnectionLost):
        names(connection)
    esx.faults.clear()
    assert names(connection)


def test_a_read_is_repeated_when_the_connection_breaks(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    for fail in (esx.faults.drop, esx.faults.lose_answer, esx.faults.http):
        fail("RetrievePropertiesEx")
        esx.control.reset_calls()
        assert names(connection)
        assert esx.calls().methods["RetrievePropertiesEx"] == 2


def test_a_read_is_repeated_once(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    esx.faults.drop("RetrievePropertiesEx", count=-1)
    esx.control.reset_calls()
    with pytest.raises(ConnectionLost):
        names(connection)
    assert esx.calls().methods["RetrievePropertiesEx"] == 2


@pytest.mark.parametrize("fault", ["drop", "lose_answer", "http"])
def test_a_change_is_not_repeated_when_the_connection_breaks(esx: Vcsim, session: Session, fault: str) -> None:
    connection = session(esx)
    vm = any_vm(connection)
    getattr(esx.faults, fault)("PowerOnVM_Task")
    esx.control.reset_calls()
    with pytest.raises(ConnectionLost) as raised:
        vm.PowerOnVM_Task()
    assert raised.value.retryable
    assert esx.calls().methods == {"PowerOnVM_Task": 1}
    assert powered_off(connection, vm._moId) == (fault != "lose_answer")
    if fault == "lose_answer":
        vm.PowerOffVM_Task()


def test_connections_that_the_host_closed_meanwhile_are_not_used(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    vm = any_vm(connection)
    assert esx.control.close_idle() > 0
    time.sleep(0.05)
    vm.PowerOnVM_Task()
    esx.control.close_idle()
    vm.PowerOffVM_Task()


def test_what_belongs_to_a_session_is_made_anew(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    made = []

    def count_with_a_collector_of_its_own() -> int:
        collector = connection.content.propertyCollector.CreatePropertyCollector()
        made.append(collector._moId)
        if len(made) == 1:
            esx.control.expire_sessions()
        collector.WaitForUpdatesEx(None, vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=0))
        return len(made)

    assert connection.renewing(count_with_a_collector_of_its_own) == 2


def test_the_end_is_seen_by_the_host_and_further_calls_are_refused(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    vm = any_vm(connection)
    assert esx.control.sessions() == 1
    connection.close()
    assert esx.control.sessions() == 0
    connection.close()
    assert esx.calls().methods["Logout"] == 1
    with pytest.raises(InvalidState, match="closed"):
        vm.PowerOnVM_Task()


def test_a_session_that_is_closed_is_not_renewed(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    vm = any_vm(connection)
    esx.faults.delay("PowerOnVM_Task", seconds=0.6)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(vm.PowerOnVM_Task)
        time.sleep(0.2)
        connection.close()
        with pytest.raises(InvalidState, match="closed"):
            call.result()
    assert esx.control.sessions() == 0


def test_a_host_that_is_gone_or_says_nothing_keeps_no_one_from_closing(
    esx: Vcsim, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stub_module, "_FAREWELL", 0.3)
    connection = session(esx)
    esx.faults.delay("Logout", seconds=3)
    began = time.monotonic()
    connection.close()
    assert time.monotonic() - began < 2
    with Vcsim("esx") as gone:
        other = session(gone)
    other.close()


def test_a_silent_host_is_given_up_after_the_timeout(esx: Vcsim, session: Session) -> None:
    connection = session(esx, timeout=0.5)
    esx.faults.delay("RetrievePropertiesEx", seconds=4)
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="no answer in time"):
        names(connection)
    assert 0.4 < time.monotonic() - began < 2


def test_a_host_without_its_service_cannot_be_connected_to(esx: Vcsim, session: Session) -> None:
    for status in (503, 404):
        esx.faults.http("*", status=status, count=-1)
        with pytest.raises(ConnectionFailed, match=str(status)):
            session(esx)
        esx.faults.clear()


def test_a_host_that_is_gone_cannot_be_reached(session: Session) -> None:
    with Vcsim("esx", machines=1) as bed:
        connection = session(bed)
        vm = any_vm(connection)
    with pytest.raises(ConnectionFailed, match="refused"):
        names(connection)
    with pytest.raises(ConnectionFailed):
        vm.PowerOnVM_Task()
    with pytest.raises(ConnectionFailed):
        session(bed, verify=False)


def test_calls_of_many_threads_use_many_connections(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    esx.faults.delay("CurrentTime", seconds=0.4, count=8)
    began = time.monotonic()
    threads = [threading.Thread(target=connection.native.CurrentTime) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 2
