"""The vSphere bed tried by itself: sessions, reads, waiting, faults. What hyperkit is tested on is strict and true."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import time
from typing import TYPE_CHECKING

import pytest

from tests.beds import vcsim

if _reasons := vcsim.missing():
    pytest.skip("; ".join(_reasons), allow_module_level=True)

from pyVmomi import vim, vmodl

from tests.beds.vcsim import BedFailure, Vcsim
from tests.beds.vcsim.client import Client, Collector, refused, result

if TYPE_CHECKING:
    from typing import Any


def test_the_certificate_is_trusted_with_its_authority_and_not_without(esx: Client) -> None:
    # pyVmomi itself verifies nothing on loopback, unless it is given a context.
    for context, trusted in (
        (ssl.create_default_context(), False),
        (ssl.create_default_context(cafile=str(esx.sim.ca_file)), True),
    ):
        connection = http.client.HTTPSConnection(esx.sim.host, esx.sim.port, context=context)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError:
            assert not trusted
        else:
            assert trusted
            certificate = connection.sock.getpeercert(binary_form=True)
            assert certificate is not None
            digits = hashlib.sha1(certificate, usedforsecurity=False).hexdigest().upper()
            assert esx.sim.thumbprint.replace(":", "") == digits
        finally:
            connection.close()


def test_a_wrong_password_is_refused(esx: Client) -> None:
    esx.content.sessionManager.Logout()
    with refused(vim.fault.InvalidLogin):
        esx.log_in("wrong")


def test_it_starts_in_well_under_a_second() -> None:
    vcsim.build.program()
    begin = time.monotonic()
    with Vcsim():
        assert time.monotonic() - begin < 1


def test_it_ends_with_its_user() -> None:
    with Vcsim() as sim:
        address = sim.host, sim.port
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(*address, timeout=5).connect()


def test_pages_are_as_large_as_asked_for_and_go_on_until_the_end() -> None:
    with Vcsim(machines=5) as sim:
        client = Client(sim)
        page = client.collect(vim.VirtualMachine, "name", most=2)
        sizes, names = [], []
        while page:
            sizes.append(len(page.objects))
            names += [each.propSet[0].val for each in page.objects]
            if page.token is None:
                break
            page = client.content.propertyCollector.ContinueRetrievePropertiesEx(page.token)
        assert sizes == [2, 2, 1]
        assert len(set(names)) == 5
        token = client.collect(vim.VirtualMachine, "name", most=2).token
        client.content.propertyCollector.CancelRetrievePropertiesEx(token)
        with refused(vmodl.fault.InvalidArgument):
            client.content.propertyCollector.ContinueRetrievePropertiesEx(token)
        sim.control.page_limit(3)
        assert len(client.collect(vim.VirtualMachine, "name").objects) == 3
        client.close()


def test_what_is_not_set_is_read_as_nothing_and_what_does_not_exist_is_refused(vsphere: Client) -> None:
    vm = vsphere.create("web1")
    assert vm.snapshot is None
    assert vm.runtime.question is None
    assert vsphere.collect(vim.VirtualMachine, "snapshot", "runtime.question").objects[0].propSet == []
    with refused(vmodl.query.InvalidProperty):
        vsphere.collect(vim.VirtualMachine, "config.colour")
    assert not vsphere.collect(vim.VirtualApp, "name")


def _watch(client: Client, obj: Any, *paths: str) -> Any:
    collector = client.content.propertyCollector.CreatePropertyCollector()
    collector.CreateFilter(
        Collector.FilterSpec(
            propSet=[Collector.PropertySpec(type=type(obj), pathSet=list(paths))],
            objectSet=[Collector.ObjectSpec(obj=obj)],
        ),
        partialUpdates=True,
    )
    return collector


def _wait(collector: Any, version: str, seconds: int) -> Any:
    return collector.WaitForUpdatesEx(version, Collector.WaitOptions(maxWaitSeconds=seconds))


def test_waiting_ends_at_once_when_something_changes_and_with_nothing_in_the_end(vsphere: Client) -> None:
    vm = vsphere.create("web1")
    collector = _watch(vsphere, vm, "runtime.powerState", "config.annotation", "snapshot")
    first = _wait(collector, "", 5)
    assert first.filterSet[0].objectSet[0].kind == "enter"
    begin = time.monotonic()
    assert _wait(collector, first.version, 1) is None
    assert time.monotonic() - begin >= 1
    vsphere.sim.faults.slow_task("PowerOnVM_Task", seconds=0.2)
    vm.PowerOnVM_Task()
    begin = time.monotonic()
    update = _wait(collector, first.version, 9)
    assert time.monotonic() - begin < 2
    (change,) = update.filterSet[0].objectSet[0].changeSet
    assert (change.name, change.op, change.val) == ("runtime.powerState", "assign", "poweredOn")
    result(vm.PowerOffVM_Task())
    result(vm.Destroy_Task())
    assert _wait(collector, update.version, 9).filterSet[0].objectSet[0].kind == "leave"
    with refused(vmodl.query.InvalidCollectorVersion):
        _wait(collector, "999", 1)


def test_an_update_is_truncated_where_fewer_objects_are_wanted() -> None:
    with Vcsim(machines=3) as sim:
        client = Client(sim)
        collector = client.content.propertyCollector.CreatePropertyCollector()
        machines = client.all(vim.VirtualMachine)
        collector.CreateFilter(
            Collector.FilterSpec(
                propSet=[Collector.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
                objectSet=[Collector.ObjectSpec(obj=each) for each in machines],
            ),
            partialUpdates=True,
        )
        options = Collector.WaitOptions(maxWaitSeconds=1, maxObjectUpdates=2)
        first = collector.WaitForUpdatesEx("", options)
        second = collector.WaitForUpdatesEx(first.version, options)
        assert (first.truncated, len(first.filterSet[0].objectSet)) == (True, 2)
        assert (second.truncated, len(second.filterSet[0].objectSet)) == (False, 1)
        client.close()


def test_a_slow_task_shows_progress_and_ends_when_cancelled(vsphere: Client) -> None:
    vm = vsphere.create("web1")
    vsphere.sim.faults.slow_task("PowerOnVM_Task", seconds=30)
    task = vm.PowerOnVM_Task()
    assert task.info.state == "running"
    assert task.info.cancelable
    assert task.info.entity == vm
    task.CancelTask()
    with refused(vmodl.fault.RequestCanceled):
        result(task)
    assert vm.runtime.powerState == "poweredOff"
    with refused(vim.fault.InvalidState):
        task.CancelTask()
    vsphere.sim.faults.slow_task("PowerOnVM_Task", seconds=0.3)
    result(vm.PowerOnVM_Task())
    assert vm.runtime.powerState == "poweredOn"


def test_a_session_ends_at_will_and_nothing_is_answered_without_one(vsphere: Client) -> None:
    assert vsphere.sim.control.sessions() == 1
    vsphere.sim.control.expire_sessions()
    with refused(vim.fault.NotAuthenticated):
        vsphere.all(vim.VirtualMachine)
    with refused(vim.fault.NotAuthenticated):
        _wait(vsphere.content.propertyCollector, "", 1)
    vsphere.log_in()
    assert vsphere.all(vim.VirtualMachine) == []
    vsphere.sim.faults.expire("CreateContainerView")
    with refused(vim.fault.NotAuthenticated):
        vsphere.all(vim.VirtualMachine)


def test_faults_hit_the_calls_they_are_for(esx: Client) -> None:
    vm, faults = esx.create("web1"), esx.sim.faults
    faults.drop("PowerOnVM_Task")
    with pytest.raises(http.client.RemoteDisconnected):
        vm.PowerOnVM_Task()
    assert vm.runtime.powerState == "poweredOff"
    faults.lose_answer("PowerOnVM_Task")
    with pytest.raises(http.client.RemoteDisconnected):
        vm.PowerOnVM_Task()
    assert vm.runtime.powerState == "poweredOn"
    faults.http("PowerOffVM_Task", status=503)
    with pytest.raises(http.client.HTTPException, match="503"):
        vm.PowerOffVM_Task()
    faults.fault("PowerOffVM_Task", "HostNotConnected", skip=1)
    faults.task_fault("PowerOffVM_Task", "Timedout")
    with refused(vim.fault.Timedout):
        result(vm.PowerOffVM_Task())
    with refused(vmodl.fault.HostNotConnected):
        vm.PowerOffVM_Task()
    result(vm.PowerOffVM_Task())
    faults.delay("Fetch", seconds=0.3)
    begin = time.monotonic()
    assert vm.name == "web1"
    assert time.monotonic() - begin >= 0.3
    faults.fault("*", "HostNotConnected", count=-1)
    with refused(vmodl.fault.HostNotConnected):
        vm.PowerOnVM_Task()
    faults.clear()
    with pytest.raises(BedFailure, match="NoSuchFault"):
        faults.fault("*", "NoSuchFault")


def test_calls_and_bytes_are_counted(esx: Client) -> None:
    esx.sim.control.reset_calls()
    esx.collect(vim.VirtualMachine, "name")
    calls = esx.sim.calls()
    assert calls.methods == {"CreateContainerView": 1, "RetrievePropertiesEx": 1}
    assert calls.requests == 2
    assert calls.received > 1000
    assert calls.sent > 500


def test_idle_connections_are_closed_on_command(esx: Client) -> None:
    connection = http.client.HTTPSConnection(
        esx.sim.host, esx.sim.port, context=ssl.create_default_context(cafile=str(esx.sim.ca_file))
    )
    connection.request("GET", "/about")
    connection.getresponse().read()
    assert esx.sim.control.close_idle() >= 1
    assert connection.sock.recv(1) == b""
    connection.close()


def test_the_product_is_what_it_is_told_to_be(esx: Client) -> None:
    assert esx.content.about.productLineId == "embeddedEsx"
    esx.sim.control.product("esx", version="4.1.0")
    about = esx.instance.RetrieveContent().about
    assert (about.productLineId, about.version, about.name) == ("esx", "4.1.0", "VMware ESX")


def test_a_free_licence_refuses_every_change_and_no_read(esx: Client) -> None:
    vm = esx.create("web1")
    esx.sim.control.restrict()
    for change in (
        vm.PowerOnVM_Task,
        vm.Destroy_Task,
        lambda: vm.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=1)),
        lambda: vm.CreateSnapshot_Task("s", "", False, False),
        lambda: esx.networks.AddVirtualSwitch("vSwitch9"),
        lambda: esx.create("web2"),
    ):
        with refused(vim.fault.RestrictedVersion):
            change()
    assert vm.name == "web1"
    assert esx.collect(vim.VirtualMachine, "name").objects
