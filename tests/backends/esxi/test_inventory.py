"""Reading VMs of a simulated ESXi host and vCenter: what it costs, and what goes wrong meanwhile."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from pytest_mock import MockerFixture
from pyVmomi import vim, vmodl

from hyperkit import Allocation, BackendError, ConnectionLost, MiB, PowerState
from hyperkit.backends.esxi import kept, properties
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.driver import Target
from tests.beds import vcsim

pytestmark = pytest.mark.skipif(bool(vcsim.missing()), reason=f"no vSphere simulator here: {vcsim.missing()}")

MODELS = ("esx", "vcenter")


@pytest.fixture(scope="module", params=MODELS)
def sim(request: pytest.FixtureRequest) -> Iterator[vcsim.Vcsim]:
    with vcsim.Vcsim(request.param, machines=5, autostart=True) as sim:
        yield sim


@pytest.fixture
def connection(sim: vcsim.Vcsim) -> Iterator[Connection]:
    sim.faults.clear()
    with closing(connected(sim)) as connection:
        yield connection


@pytest.fixture
def inventory(connection: Connection) -> Inventory:
    return Inventory(connection)


def connected(sim: vcsim.Vcsim, path: str = "/DC0") -> Connection:
    esx = sim.model == "esx"
    return Connection(
        Target(
            url=sim.hyperkit_url,
            scheme="esxi" if esx else "vcenter",
            host=sim.host,
            port=sim.port,
            path="" if esx else path,
            user=sim.user,
            password=sim.password,
            verify=str(sim.ca_file),
        )
    )


def changed(connection: Connection, vm_id: str, **fields: Any) -> None:
    task = connection.vm(vm_id).ReconfigVM_Task(vim.vm.ConfigSpec(**fields))
    collector = properties.Properties(connection)
    while text(collector.one("Task", task._moId, ["info.state"])) not in ("success", "error"):
        pass
    assert text(collector.one("Task", task._moId, ["info.state"])) == "success"


def text(found: properties.Found) -> str:
    (value,) = found.values.values()
    return value.text or ""


def methods(sim: vcsim.Vcsim) -> dict[str, int]:
    return dict(sim.control.reset_calls().methods)


# What it costs


def test_a_list_takes_two_calls_and_one_for_the_view_once(sim: vcsim.Vcsim, inventory: Inventory) -> None:
    sim.control.reset_calls()
    vms = inventory.list()
    assert methods(sim) == {"CreateContainerView": 1, "RetrievePropertiesEx": 2}
    assert inventory.list() == vms
    assert methods(sim) == {"RetrievePropertiesEx": 2}
    assert len(vms) == (5 if sim.model == "esx" else 10)


def test_one_vm_and_its_power_take_a_call_each(sim: vcsim.Vcsim, inventory: Inventory) -> None:
    for vm in inventory.list():
        sim.control.reset_calls()
        assert inventory.get(vm.id) == vm
        assert inventory.power(vm.id).state is vm.state
        assert methods(sim) == {"RetrievePropertiesEx": 2}


def test_pages_are_asked_for_one_by_one(
    sim: vcsim.Vcsim, inventory: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    vms = inventory.list()
    monkeypatch.setattr(properties, "PAGE", 2)
    sim.control.reset_calls()
    assert inventory.list() == vms
    # What they refer to may need pages, too.
    assert methods(sim)["ContinueRetrievePropertiesEx"] >= (len(vms) + 1) // 2 - 1


def test_who_stops_reading_has_the_rest_forgotten(
    sim: vcsim.Vcsim, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(properties, "PAGE", 1)
    some = connection.properties.all("VirtualMachine", ["name"])
    next(some)
    sim.control.reset_calls()
    some.close()  # type: ignore[attr-defined]  # it is a generator
    assert methods(sim) == {}
    next(connection.properties.all("VirtualMachine", ["name"]))
    assert methods(sim) == {"CancelRetrievePropertiesEx": 1, "RetrievePropertiesEx": 1}


def test_a_host_that_tells_no_option_by_its_key_tells_all(sim: vcsim.Vcsim, inventory: Inventory) -> None:
    vms = inventory.list()
    sim.faults.fault("RetrievePropertiesEx", "InvalidProperty", skip=1)  # the first is for what VMs refer to
    sim.control.reset_calls()
    assert inventory.list() == vms
    assert methods(sim) == {"RetrievePropertiesEx": 3}
    assert inventory.list() == vms
    assert methods(sim) == {"RetrievePropertiesEx": 2}


# What is read


def test_a_record_has_what_the_host_was_told(connection: Connection, inventory: Inventory) -> None:
    vm = inventory.list()[0]
    ours = kept.Kept(tags=("blue",), guest_os="debian12", max_cpus=8)
    changed(
        connection,
        vm.id,
        name='50%25 a%2fb%5cc "q" <&>',
        annotation="first line\n  second <b>&amp;</b> ünïcode",
        extraConfig=[vim.option.OptionValue(key="a", value="b"), kept.option(ours)],
        memoryAllocation=vim.ResourceAllocationInfo(
            reservation=16, limit=24, shares=vim.SharesInfo(level="high", shares=0)
        ),
    )
    record = inventory.get(vm.id)
    assert record == next(one for one in inventory.list() if one.id == vm.id)
    assert record.name == '50% a/b\\c "q" <&>'
    assert record.notes == "first line\n  second <b>&amp;</b> ünïcode"
    assert (record.tags, record.max_cpus) == (("blue",), 8)
    assert record.memory_allocation == Allocation(reservation=16 * MiB, limit=24 * MiB, shares=200)
    assert record.state is PowerState.RUNNING


def test_nics_name_their_port_groups_and_vms_their_hosts(sim: vcsim.Vcsim, inventory: Inventory) -> None:
    for vm in inventory.list():
        (nic,) = vm.nics
        assert nic.switch == ("VM Network" if sim.model == "esx" else "DC0_DVPG0")
        assert nic.switch_id
        assert nic.mac == nic.mac.lower()
        assert (vm.host == "") == (sim.model == "esx")
        assert [(disk.path.endswith("/disk1.vmdk"), disk.size) for disk in vm.disks] == [(True, MiB)]


def test_a_scope_has_its_own_vms_alone() -> None:
    with vcsim.Vcsim("vcenter", machines=2) as sim:
        with closing(connected(sim, "/DC0/DC0_H0/DC0_H0")) as one, closing(connected(sim, "/DC0/DC0_C0")) as cluster:
            alone, clustered = Inventory(one).list(), Inventory(cluster).list()
        assert {vm.name for vm in alone} == {"DC0_H0_VM0", "DC0_H0_VM1"}
        assert {vm.name for vm in clustered} == {"DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1"}
        assert all(nic.switch == "DC0_DVPG0" for vm in (*alone, *clustered) for nic in vm.nics)


# What goes wrong


@pytest.mark.parametrize("vm_id", ["vm-99999", "", "x' <&> ]]>", "host-1"])
def test_an_id_that_no_vm_has_is_not_found(inventory: Inventory, vm_id: str) -> None:
    for read in (inventory.get, inventory.power):
        with pytest.raises(vmodl.fault.ManagedObjectNotFound):
            read(vm_id)


def test_a_session_that_ends_is_begun_anew_with_a_view_of_its_own(sim: vcsim.Vcsim, inventory: Inventory) -> None:
    vms = inventory.list()
    sim.control.expire_sessions()
    sim.control.reset_calls()
    assert inventory.list() == vms
    assert {"Login": 1, "CreateContainerView": 1}.items() <= methods(sim).items()


def test_a_session_that_ends_between_pages_is_the_end_of_the_read(
    sim: vcsim.Vcsim, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(properties, "PAGE", 1)
    some = connection.properties.all("VirtualMachine", ["name"])
    next(some)
    sim.control.expire_sessions()
    with pytest.raises(vmodl.fault.InvalidArgument):
        list(some)
    assert list(connection.properties.all("VirtualMachine", ["name"]))


_BOMB = b"""<?xml version="1.0"?><!DOCTYPE e [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;">]>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><r>&d;</r></s:Body></s:Envelope>"""
_FILE = b"""<?xml version="1.0"?><!DOCTYPE e [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><r>&a;</r></s:Body></s:Envelope>"""
_ENVELOPE = b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>%b</s:Body></s:Envelope>'


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (_BOMB, BackendError),
        (_FILE, BackendError),
        (b"", ConnectionLost),
        (b"<html><body>busy</body></html>", ConnectionLost),
        (_ENVELOPE % b"", ConnectionLost),
        (_ENVELOPE[:70], ConnectionLost),
        (_ENVELOPE % b"<r>\x01</r>", ConnectionLost),
        (_ENVELOPE % b"<r>\xff\xfe</r>", ConnectionLost),
        (_ENVELOPE % (b"<r>" + b"a" * 11_000_000 + b"</r>"), ConnectionLost),
        (_ENVELOPE % (b"<r>" * 300 + b"</r>" * 300), ConnectionLost),
        (_ENVELOPE % b"<r>&nbsp;</r>", ConnectionLost),
    ],
    ids=["bomb", "file", "empty", "html", "body", "cut", "control", "utf8", "huge", "deep", "entity"],
)
def test_an_answer_that_is_none_is_refused_and_its_connection_closed(
    connection: Connection, inventory: Inventory, mocker: MockerFixture, body: bytes, error: type[Exception]
) -> None:
    vms = inventory.list()
    before = list(connection.stub.pool)
    mocker.patch("hyperkit.backends.esxi.stub.Body", return_value=io.BytesIO(body))
    with pytest.raises(error) as raised:
        connection.properties.one("VirtualMachine", vms[0].id, ["name"])
    assert type(raised.value) is error
    assert "root:" not in str(raised.value)
    assert all(line.sock is None for line in before)
    mocker.stopall()
    assert inventory.list() == vms
