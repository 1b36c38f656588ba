"""Network cards of a VM that exists."""

from __future__ import annotations

import pytest

from hyperkit.errors import AlreadyExists, InvalidRequest, InvalidState, NotFound
from hyperkit.specs import NicSpec
from hyperkit.specs.isolation import IsolationPolicy
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import ANY_POLICY, ANY_SWITCH, now_and_after_a_restart, policies

MAC = "52:54:00:0b:ad:02"


@behaviour(
    "nics.attach",
    "An attached NIC comes after those that were there, on the switch asked for.",
    requires=("attach", ANY_SWITCH),
)
def test_an_attached_nic_comes_after_those_that_were_there(bed: Bed) -> None:
    switch = bed.switch()
    vm = bed.vm(nics=[NicSpec(), NicSpec()])
    before = [nic.id for nic in vm.nics]
    attached = vm.nics.attach(NicSpec(switch=switch.name, mac=MAC))
    there = bed.seen(vm).nics
    assert [nic.id for nic in there] == [*before, attached.id]
    assert (there[2].mac, there[2].switch, there[2].record.switch_id) == (MAC, switch.name, switch.id)
    assert MAC in bed.backdoor.shape(vm.id).macs


@behaviour("nics.attach", "An attached NIC's MAC address that another VM has is AlreadyExists.", requires=("attach",))
def test_an_attached_nics_mac_address_that_another_vm_has_is_already_exists(bed: Bed) -> None:
    bed.vm(nics=[NicSpec(mac=MAC)])
    vm = bed.vm()
    with pytest.raises(AlreadyExists):
        vm.nics.attach(NicSpec(mac=MAC))
    assert len(bed.seen(vm).nics) == 0


@behaviour(
    "nics.attach",
    "A NIC is attached to a running VM, and is still there after a restart.",
    requires=("attach", "hot_nic", ANY_SWITCH),
)
def test_a_nic_is_attached_to_a_running_vm(bed: Bed) -> None:
    switch = bed.switch()
    vm = bed.running(nics=[NicSpec()])
    attached = vm.nics.attach(NicSpec(switch=switch.name))
    for _ in now_and_after_a_restart(vm):
        there = bed.seen(vm).nics
        assert [nic.mac for nic in there] == [vm.nics[0].mac, attached.mac]
        assert there[1].switch == switch.name
        assert bed.backdoor.shape(vm.id).macs == {vm.nics[0].mac, attached.mac}


@behaviour("nics.attach", "One NIC more than the host allows is refused.", requires=("attach", "max_nics"))
def test_one_nic_more_than_the_host_allows_is_refused(bed: Bed) -> None:
    most = bed.host.capabilities.max_nics or 0
    vm = bed.vm(nics=[NicSpec()] * most)
    with pytest.raises(InvalidRequest):
        vm.nics.attach(NicSpec())
    assert len(bed.seen(vm).nics) == most


@behaviour("nics.detach", "A detached NIC is gone, and the others keep their ids and addresses.", requires=("attach",))
def test_a_detached_nic_is_gone_and_the_others_keep_their_ids(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(), NicSpec(), NicSpec()])
    first, middle, last = vm.nics
    middle.detach()
    kept = [(nic.id, nic.mac) for nic in bed.seen(vm).nics]
    assert kept == [(first.id, first.mac), (last.id, last.mac)]
    assert bed.backdoor.shape(vm.id).macs == {first.mac, last.mac}


@behaviour("nics.detach", "A NIC id that the VM does not have is NotFound.", requires=("attach",))
def test_a_nic_id_that_the_vm_does_not_have_is_not_found(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(), NicSpec()])
    stale = vm.nics[1]
    bed.seen(vm).nics[1].detach()
    with pytest.raises(NotFound):
        stale.detach()
    with pytest.raises(NotFound):
        bed.host.driver.nics.detach(vm.id, stale.id)
    assert len(bed.seen(vm).nics) == 1


@behaviour(
    "nics.detach",
    "A NIC is detached from a running VM, and is still gone after a restart.",
    requires=("attach", "hot_nic"),
    facts=("guest",),
)
def test_a_nic_is_detached_from_a_running_vm(bed: Bed) -> None:
    vm = bed.booted(nics=[NicSpec(), NicSpec()])
    *_, gone, kept = vm.nics
    gone.detach()
    for _ in now_and_after_a_restart(vm):
        there = [nic.mac for nic in bed.seen(vm).nics]
        assert gone.mac not in there
        assert there[-1] == kept.mac
        assert bed.backdoor.shape(vm.id).macs == set(there)


@behaviour(
    "nics.detach",
    "A paused VM's NIC, which no guest can let go, stays attached: InvalidState.",
    requires=("attach", "pause", "hot_nic"),
)
def test_a_paused_vms_nic_stays_attached(bed: Bed) -> None:
    vm = bed.running(nics=[NicSpec(), NicSpec(mac=MAC)]).pause()
    macs = [nic.mac for nic in vm.nics]
    with pytest.raises(InvalidState):
        vm.nics[1].detach()
    vm.resume()
    for _ in now_and_after_a_restart(vm):
        assert [nic.mac for nic in bed.seen(vm).nics] == macs
        assert bed.backdoor.shape(vm.id).macs == set(macs)


@behaviour(
    "nics.update", "A NIC moves to another switch and keeps its id and address.", requires=("attach", ANY_SWITCH)
)
def test_a_nic_moves_to_another_switch(bed: Bed) -> None:
    here, there = bed.switch(), bed.switch()
    vm = bed.vm(nics=[NicSpec(switch=here.name), NicSpec(switch=here.name)])
    first, second = ((nic.id, nic.mac) for nic in vm.nics)
    assert vm.nics[1].connect(there.name).switch == there.name
    moved = [((nic.id, nic.mac), nic.switch) for nic in bed.seen(vm).nics]
    assert moved == [(first, here.name), (second, there.name)]
    assert {mac: plug.switch for mac, plug in bed.backdoor.plugs(vm.id).items()} == {
        first[1]: here.name,
        second[1]: there.name,
    }


@behaviour("nics.update", "A NIC is unplugged and stays in the VM.", requires=("attach", ANY_SWITCH))
def test_a_nic_is_unplugged_and_stays_in_the_vm(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(switch=bed.switch().name)])
    before = [(nic.id, nic.mac) for nic in vm.nics]
    assert vm.nics[0].disconnect().switch is None
    there = bed.seen(vm).nics
    assert [(nic.id, nic.mac) for nic in there] == before
    assert there[0].switch is None
    assert bed.backdoor.plugs(vm.id)[there[0].mac].switch is None


@behaviour("nics.update", "A NIC's link goes down and up.", requires=("attach", "nic_link"))
def test_a_nics_link_goes_down_and_up(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec()])
    assert bed.seen(vm).nics[0].link_up
    for up in (False, True):
        assert vm.nics[0].set_link(up).link_up is up
        assert bed.seen(vm).nics[0].link_up is up
        assert bed.backdoor.plugs(vm.id)[vm.nics[0].mac].link_up is up


@behaviour("nics.update", "A NIC gets another address and keeps its place.", requires=("attach",))
def test_a_nic_gets_another_address(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(), NicSpec(), NicSpec()])
    first, _, last = (nic.mac for nic in vm.nics)
    assert vm.nics[1].set_mac("52-54-00-0B-AD-02").mac == MAC
    assert [nic.mac for nic in bed.seen(vm).nics] == [first, MAC, last]
    assert bed.backdoor.shape(vm.id).macs == {first, MAC, last}


@behaviour(
    "nics.update",
    "A NIC's new address that another VM has is AlreadyExists, and it keeps its own.",
    requires=("attach",),
)
def test_a_nics_new_address_that_another_vm_has_is_already_exists(bed: Bed) -> None:
    bed.vm(nics=[NicSpec(mac=MAC)])
    vm = bed.vm(nics=[NicSpec()])
    before = vm.nics[0].mac
    with pytest.raises(AlreadyExists):
        vm.nics[0].set_mac(MAC)
    assert [nic.mac for nic in bed.seen(vm).nics] == [before]


@behaviour(
    "nics.update",
    "A running VM's NIC changes switch and link, and the change outlives a restart.",
    requires=("attach", "hot_nic", "nic_link", ANY_SWITCH),
)
def test_a_running_vms_nic_changes_switch_and_link(bed: Bed) -> None:
    here, there = bed.switch(), bed.switch()
    vm = bed.running(nics=[NicSpec(switch=here.name), NicSpec(switch=here.name)])
    macs = [nic.mac for nic in vm.nics]
    assert vm.nics[0].connect(there.name).switch == there.name
    assert vm.nics[1].set_link(False).link_up is False
    for _ in now_and_after_a_restart(vm):
        now = bed.seen(vm).nics
        assert [(nic.switch, nic.link_up) for nic in now] == [(there.name, True), (here.name, False)]
        assert [nic.mac for nic in now] == macs
        really = [bed.backdoor.plugs(vm.id)[mac] for mac in macs]
        assert [(plug.switch, plug.link_up) for plug in really] == [(there.name, True), (here.name, False)]


@behaviour("nics.update", "A NIC gets another VLAN, and none.", requires=("attach", "nic_vlan", ANY_SWITCH))
def test_a_nic_gets_another_vlan_and_none(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(switch=bed.vlan_switch().name, vlan=10)])
    for vlan in (20, None, 4094):
        assert vm.nics[0].set_vlan(vlan).vlan == vlan
        assert bed.seen(vm).nics[0].vlan == bed.backdoor.plugs(vm.id)[vm.nics[0].mac].vlan == vlan


@behaviour(
    "nics.update",
    "A NIC gets another isolation policy, and none.",
    requires=("attach", ANY_POLICY, ANY_SWITCH),
)
def test_a_nic_gets_another_isolation_policy_and_none(bed: Bed) -> None:
    one, other = policies(bed.host.capabilities)
    vm = bed.vm(nics=[NicSpec(switch=bed.switch().name, policy=one)])
    for policy in (other, IsolationPolicy(), one):
        assert vm.nics[0].set_policy(policy).policy == policy
        assert bed.seen(vm).nics[0].policy == policy


@behaviour(
    "nics.update",
    "A NIC that is unplugged, plugged in again or gets another address keeps its policy.",
    requires=("attach", ANY_POLICY, ANY_SWITCH),
)
def test_a_nic_keeps_its_policy(bed: Bed) -> None:
    policy, _ = policies(bed.host.capabilities)
    switch = bed.switch().name
    vm = bed.vm(nics=[NicSpec(switch=switch, policy=policy)])
    assert vm.nics[0].disconnect().policy == policy
    assert bed.seen(vm).nics[0].policy == policy
    vm.nics[0].connect(switch)
    vm.nics[0].set_mac(MAC)
    there = bed.seen(vm).nics[0]
    assert (there.policy, there.switch, there.mac) == (policy, switch, MAC)


@behaviour(
    "nics.update",
    "A NIC of another isolation policy keeps switch, address and link.",
    requires=("attach", "nic_link", ANY_POLICY, ANY_SWITCH),
)
def test_a_nic_of_another_policy_keeps_all_else(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(switch=bed.switch().name, link_up=False)])
    before = vm.nics[0].record
    vm.nics[0].set_policy(policies(bed.host.capabilities)[0])
    after = bed.seen(vm).nics[0].record
    kept = ("id", "mac", "switch", "switch_id", "link_up", "model", "vlan", "trunk")
    assert [getattr(after, field) for field in kept] == [getattr(before, field) for field in kept]


@behaviour(
    "nics.update",
    "A running VM's NIC changes its isolation policy, and the change outlives a restart.",
    requires=("attach", "hot_nic", ANY_POLICY, ANY_SWITCH),
)
def test_a_running_vms_nic_changes_its_isolation_policy(bed: Bed) -> None:
    switch, (one, other) = bed.switch().name, policies(bed.host.capabilities)
    vm = bed.running(nics=[NicSpec(switch), NicSpec(switch, policy=one), NicSpec(switch, policy=one)])
    for nic, policy in zip(vm.nics, (one, other, IsolationPolicy()), strict=True):
        nic.set_policy(policy)
    for _ in now_and_after_a_restart(vm):
        assert [nic.policy for nic in bed.seen(vm).nics] == [one, other, IsolationPolicy()]


@behaviour(
    "nics.update",
    "A running VM's NIC is unplugged and plugged in, and the change outlives a restart.",
    requires=("attach", "hot_nic", "hot_nic_unplug", ANY_SWITCH),
)
def test_a_running_vms_nic_is_unplugged_and_plugged_in(bed: Bed) -> None:
    switch = bed.switch().name
    vm = bed.running(nics=[NicSpec(switch=switch), NicSpec()])
    macs = [nic.mac for nic in vm.nics]
    assert vm.nics[0].disconnect().switch is None
    assert vm.nics[1].connect(switch).switch == switch
    for _ in now_and_after_a_restart(vm):
        now = bed.seen(vm).nics
        assert [nic.switch for nic in now] == [None, switch]
        assert [bed.backdoor.plugs(vm.id)[mac].switch for mac in macs] == [None, switch]
        assert [nic.mac for nic in now] == macs


@behaviour(
    "nics.update",
    "A NIC keeps its address unless the VM is off: a change is InvalidState.",
    requires=("attach",),
)
def test_a_nic_keeps_its_address_unless_the_vm_is_off(bed: Bed) -> None:
    vm = bed.running(nics=[NicSpec(), NicSpec()])
    macs = [nic.mac for nic in vm.nics]
    with pytest.raises(InvalidState):
        vm.nics[1].set_mac(MAC)
    for _ in now_and_after_a_restart(vm):
        assert [nic.mac for nic in bed.seen(vm).nics] == macs
        assert bed.backdoor.shape(vm.id).macs == set(macs)
