"""Port groups on simulated machines: on all of them, or on none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from pyVmomi import vim

import hyperkit
from hyperkit import Host, InvalidRequest, NicSpec, Unsupported
from hyperkit.backends.esxi import host_networks
from hyperkit.backends.esxi.connection import Connection
from hyperkit.connection import parse
from hyperkit.errors import AlreadyExists, Busy, ConnectionLost, HyperkitError
from hyperkit.specs import SwitchChange, SwitchSpec
from hyperkit.specs.isolation import IsolationPolicy
from tests.beds.vcsim import Vcsim, missing


@pytest.fixture(scope="module", params=["esx", "vcenter"])
def a_sim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(request.param) as sim:
        yield sim


@pytest.fixture
def sim(a_sim: Vcsim) -> Iterator[Vcsim]:
    yield a_sim
    a_sim.faults.clear()


@pytest.fixture
def host(sim: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as host:
        present = {switch.id for switch in host.switches}
        yield host
        sim.faults.clear()
        for vm in host.vms:
            vm.delete(disks="all", force=True)
        for switch in host.switches:
            if switch.id not in present:
                switch.delete()
        assert {name for machine in networks(host) for name in machine.switches} == {"vSwitch0"}


def networks(host: Host) -> list[host_networks.HostNetworks]:
    """What the machines have, read on a connection of its own."""
    connection = Connection(parse(host.url, password=Vcsim.password, verify=False))
    try:
        return host_networks.read(connection)
    finally:
        connection.close()


def machines(sim: Vcsim) -> int:
    return 1 if sim.model == "esx" else 4


def test_a_list_costs_two_calls(sim: Vcsim, host: Host) -> None:
    host.switches.list()
    sim.control.reset_calls()
    host.switches.list()
    assert sim.control.calls().requests == 2


def test_a_switch_is_on_every_machine(sim: Vcsim, host: Host) -> None:
    host.switches.create("lan", vlan=7)
    found = networks(host)
    assert len(found) == machines(sim)
    assert all("lan" in each.groups and each.switch_of("lan") is not None for each in found)
    assert [switch.name for switch in host.switches].count("lan") == 1


@pytest.mark.parametrize("method", ["AddVirtualSwitch", "AddPortGroup"])
@pytest.mark.parametrize("kind", ["fault", "lose_answer"])
def test_a_switch_that_fails_on_the_last_machine_is_on_none(sim: Vcsim, host: Host, method: str, kind: str) -> None:
    before = host.driver.switches.list()
    if kind == "fault":
        sim.faults.fault(method, "HostConfigFault", skip=machines(sim) - 1)
    else:
        sim.faults.lose_answer(method, skip=machines(sim) - 1)
    with pytest.raises(ConnectionLost if kind == "lose_answer" else HyperkitError):
        host.switches.create("lan")
    assert host.driver.switches.list() == before
    assert all(set(each.switches) == {"vSwitch0"} for each in networks(host))


def test_a_change_that_fails_on_the_last_machine_is_on_none(sim: Vcsim, host: Host) -> None:
    switch = host.switches.create("lan", vlan=7)
    sim.faults.fault("UpdatePortGroup", "HostConfigFault", skip=machines(sim) - 1)
    with pytest.raises(HyperkitError):
        host.driver.switches.update(switch.id, SwitchChange(vlan=8))
    assert {each.specification("lan").vlanId for each in networks(host)} == {7}


def test_a_name_too_long_for_a_vswitch_is_a_port_groups_all_the_same(host: Host) -> None:
    name = "a long name " * 6 + "%"
    switch = host.switches.create(name)
    assert host.switches.get(switch.id).name == name


def test_a_vswitch_that_another_port_group_came_to_stays(sim: Vcsim, host: Host) -> None:
    switch = host.switches.create("wan", "external", uplink="vmnic1")
    other = host.switches.create("wan2", "external", uplink="vmnic1")
    switch.delete()
    assert all("wan" in each.switches for each in networks(host))
    assert [each.name for each in host.switches if each.record.uplink == "vmnic1"] == ["wan2"]
    other.delete()
    for each in networks(host):
        vim.host.NetworkSystem(each.system, cast(Any, host.native)._stub).RemoveVirtualSwitch("wan")


def test_an_uplink_on_a_switch_that_is_there_is_used(host: Host) -> None:
    host.switches.create("second", "external", uplink="vmnic0")
    switches = [each.switch_of("second") for each in networks(host)]
    assert {switch.name if switch is not None else "" for switch in switches} == {"vSwitch0"}


def test_the_policy_is_written_whole(host: Host) -> None:
    host.switches.create(SwitchSpec("strict", policy=IsolationPolicy(spoof_guard=True)))
    for each in networks(host):
        security = each.specification("strict").policy.security
        assert (security.allowPromiscuous, security.macChanges, security.forgedTransmits) == (False, False, False)


def test_an_unknown_uplink_names_those_there_are(host: Host) -> None:
    with pytest.raises(InvalidRequest, match="vmnic0, vmnic1") as caught:
        host.switches.create("wan", "external", uplink="eth0")
    assert caught.value.field == "uplink"


def test_a_name_that_the_machine_itself_uses_is_taken(host: Host) -> None:
    with pytest.raises(AlreadyExists):
        host.switches.create("Management Network")


def test_a_switch_of_a_template_or_a_vm_that_is_off_is_in_use(sim: Vcsim, host: Host) -> None:
    switch = host.switches.create("lan")
    host.vms.create("web1", nics=[NicSpec(switch="lan")])
    with pytest.raises(Busy, match="web1"):
        host.driver.switches.delete(switch.id)


def test_distributed_port_groups_are_left_as_they_are(sim: Vcsim, host: Host) -> None:
    if sim.model == "esx":
        pytest.skip("a host by itself has no distributed switches")
    group = host.switches.one(name="DC0_DVPG0")
    assert (group.record.kind, group.record.uplink) == ("external", "DVS0")
    with pytest.raises(Unsupported, match="DVS0"):
        host.driver.switches.delete(group.id)
    with pytest.raises(Unsupported, match="DVS0"):
        host.driver.switches.update(group.id, SwitchChange(vlan=3))
