"""Virtual switches."""

from __future__ import annotations

import pytest

from hyperkit.capabilities import Capabilities
from hyperkit.errors import AlreadyExists, Busy, InvalidRequest, NotFound
from hyperkit.specs import NicSpec, SwitchKind
from hyperkit.specs.isolation import OPEN, IsolationPolicy
from hyperkit.specs.lease import StaticLease
from hyperkit.states import PowerState
from hyperkit.switch import Switch
from hyperkit.tasks import wait_until
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import ANY_SWITCH, ANY_SWITCH_POLICY


@behaviour(
    "switches.list",
    "Every switch is listed once, and its record equals the one that get returns.",
    requires=(ANY_SWITCH,),
)
def test_every_switch_is_listed_once(bed: Bed) -> None:
    made = {bed.switch().name, bed.switch().name}
    listed = bed.host.switches.list()
    assert made <= bed.backdoor.switch_names()
    assert sorted(switch.name for switch in listed) == sorted(bed.backdoor.switch_names())
    for switch in listed:
        assert switch.record == bed.second.switches.get(switch.id).record


@behaviour("switches.get", "A switch id that does not exist is NotFound.")
def test_a_switch_id_that_does_not_exist_is_not_found(bed: Bed) -> None:
    for switch_id in ("no-such-switch", "11111111-2222-4333-8444-555555555555"):
        with pytest.raises(NotFound):
            bed.host.switches.get(switch_id)


@behaviour("switches.create", "A private switch has neither uplink nor subnet.", requires=("switch_private",))
def test_a_private_switch_has_neither_uplink_nor_subnet(bed: Bed) -> None:
    switch = bed.host.switches.create(bed.name_for("private"), SwitchKind.PRIVATE)
    assert switch.name in bed.backdoor.switch_names()
    there = bed.second.switches.get(switch.id).record
    assert (there.kind, there.uplink, there.subnet) == (SwitchKind.PRIVATE, None, None)
    really = bed.backdoor.network(switch.name)
    assert (really.uplink, really.subnet, really.nat, really.dhcp) == (None, None, False, False)
    assert not there.dhcp
    assert not there.nat


@behaviour(
    "switches.create",
    "An internal switch has the subnet, NAT and DHCP asked for.",
    requires=("switch_internal", "switch_subnet"),
)
def test_an_internal_switch_has_the_subnet_nat_and_dhcp_asked_for(bed: Bed) -> None:
    for subnet, nat, dhcp in ((bed.subnets[0], True, False), (bed.subnets[1], False, True)):
        name = bed.name_for("internal")
        switch = bed.host.switches.create(name, SwitchKind.INTERNAL, subnet=subnet, nat=nat, dhcp=dhcp)
        there = bed.second.switches.get(switch.id).record
        assert (there.kind, there.subnet, there.nat, there.dhcp) == (SwitchKind.INTERNAL, subnet, nat, dhcp)
        really = bed.backdoor.network(name)
        assert (really.subnet, really.nat, really.dhcp) == (subnet, nat, dhcp)


@behaviour(
    "switches.create",
    "An external switch has the uplink asked for.",
    requires=("switch_external",),
    facts=("uplink",),
)
def test_an_external_switch_has_the_uplink_asked_for(bed: Bed) -> None:
    switch = bed.host.switches.create(bed.name_for("external"), SwitchKind.EXTERNAL, uplink=bed.uplink)
    there = bed.second.switches.get(switch.id).record
    assert (there.kind, there.uplink) == (SwitchKind.EXTERNAL, bed.uplink)
    assert bed.backdoor.network(switch.name).uplink == bed.uplink


@behaviour(
    "switches.create",
    "A switch of Open vSwitch has the bridge asked for, and carries VLANs.",
    requires=("switch_external", "switch_openvswitch"),
    facts=("open_vswitch",),
)
def test_a_switch_of_open_vswitch_has_the_bridge_asked_for(bed: Bed) -> None:
    name, bridge = bed.name_for("ovs"), bed.open_vswitch
    switch = bed.host.switches.create(name, SwitchKind.EXTERNAL, uplink=bridge, openvswitch=True)
    there = bed.second.switches.get(switch.id).record
    assert (there.kind, there.uplink, there.openvswitch) == (SwitchKind.EXTERNAL, bridge, True)
    assert there.carries_vlans
    really = bed.backdoor.network(name)
    assert (really.uplink, really.openvswitch, really.vlan) == (bridge, True, None)


@behaviour("switches.create", "A switch has the VLAN asked for.", requires=("switch_external", "switch_vlan"))
def test_a_switch_has_the_vlan_asked_for(bed: Bed) -> None:
    ovs = bed.host.capabilities.switch_openvswitch
    uplink = bed.open_vswitch if ovs else bed.uplink
    name = bed.name_for("vlan")
    switch = bed.host.switches.create(name, SwitchKind.EXTERNAL, uplink=uplink, openvswitch=ovs, vlan=42)
    assert bed.second.switches.get(switch.id).record.vlan == bed.backdoor.network(name).vlan == 42


def leasing(bed: Bed, *leases: StaticLease) -> Switch:
    """A new switch that keeps these leases in the bed's first subnet."""
    name = bed.name_for("leasing")
    return bed.host.switches.create(name, SwitchKind.INTERNAL, subnet=bed.subnets[0], leases=leases)


def switch_policies(able: Capabilities) -> tuple[IsolationPolicy, ...]:
    """Policies of a switch with one part that the host has, then with all."""
    guarded = IsolationPolicy(spoof_guard=able.switch_spoof_guard)
    promiscuous = IsolationPolicy(promiscuous=able.switch_promiscuous)
    both = IsolationPolicy(spoof_guard=able.switch_spoof_guard, promiscuous=able.switch_promiscuous)
    return tuple(policy for policy in (guarded, promiscuous, both) if policy != OPEN)


def lease(bed: Bed, number: int, name: str = "") -> StaticLease:
    """The lease of the subnet's address with this number."""
    return StaticLease(f"52:54:00:0b:ad:{number:02x}", bed.subnets[0].replace(".0/24", f".{number}"), name)


@behaviour(
    "switches.create", "A switch has the static leases asked for.", requires=("switch_internal", "switch_leases")
)
def test_a_switch_has_the_static_leases_asked_for(bed: Bed) -> None:
    leases = (lease(bed, 20, "web1"), lease(bed, 10))
    switch = leasing(bed, *leases)
    assert bed.second.switches.get(switch.id).leases == leases


@behaviour("switches.create", "A switch's policy is the one asked for.", requires=(ANY_SWITCH, ANY_SWITCH_POLICY))
def test_a_switchs_policy_is_the_one_asked_for(bed: Bed) -> None:
    able, like = bed.host.capabilities, bed.switch().record
    for policy in switch_policies(able):
        switch = bed.host.switches.create(bed.name_for("policy"), like.kind, uplink=like.uplink, policy=policy)
        assert bed.second.switches.get(switch.id).policy == policy
        assert bed.backdoor.network(switch.name).policy == policy
    assert bed.backdoor.network(like.name).policy == OPEN


@behaviour("switches.create", "A new switch is active.", requires=(ANY_SWITCH,))
def test_a_new_switch_is_active(bed: Bed) -> None:
    switch = bed.switch()
    assert switch.record.active
    assert bed.second.switches.get(switch.id).record.active
    assert bed.backdoor.network(switch.name).active


@behaviour(
    "switches.create",
    "A switch name that is taken is AlreadyExists where names must be unique.",
    requires=("unique_switch_names", ANY_SWITCH),
)
def test_a_switch_name_that_is_taken_is_already_exists(bed: Bed) -> None:
    switch = bed.switch()
    names = bed.backdoor.switch_names()
    with pytest.raises(AlreadyExists):
        bed.second.switches.create(switch.name, switch.switch_kind, uplink=switch.record.uplink)
    assert bed.backdoor.switch_names() == names
    assert bed.host.switches.one(name=switch.name) == switch


@behaviour(
    "switches.create",
    "Two switches may have one name where they need not be unique.",
    requires=("!unique_switch_names", ANY_SWITCH),
)
def test_two_switches_may_have_one_name(bed: Bed) -> None:
    one = bed.switch()
    other = bed.host.switches.create(one.name, one.switch_kind, uplink=one.record.uplink)
    assert one.id != other.id
    assert bed.second.switches.find(name=one.name) == [one, other]
    vm = bed.vm(nics=[NicSpec(switch=other.id), NicSpec(switch=one.id)])
    assert [nic.record.switch_id for nic in bed.seen(vm).nics] == [other.id, one.id]


@behaviour(
    "switches.create",
    "A subnet that another switch has is InvalidRequest, and no switch is made.",
    requires=("switch_internal", "switch_subnet"),
)
def test_a_subnet_that_another_switch_has_is_refused(bed: Bed) -> None:
    subnet = bed.subnets[0]
    bed.host.switches.create(bed.name_for("internal"), SwitchKind.INTERNAL, subnet=subnet)
    switches = bed.backdoor.switch_names()
    with pytest.raises(InvalidRequest) as refused:
        bed.host.switches.create(bed.name_for("internal"), SwitchKind.INTERNAL, subnet=subnet)
    assert refused.value.field == "subnet"
    assert bed.backdoor.switch_names() == switches


@behaviour("switches.create", "VMs on a new switch can be started.", requires=(ANY_SWITCH,))
def test_vms_on_a_new_switch_can_be_started(bed: Bed) -> None:
    switch = bed.switch()
    vm = bed.running(nics=[NicSpec(switch=switch.name)])
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.seen(vm).nics[0].switch == switch.name


@behaviour(
    "switches.update",
    "Static leases that are given take the place of all that were there, while a VM runs on the switch.",
    requires=("switch_internal", "switch_leases"),
)
def test_static_leases_take_the_place_of_those_that_were_there(bed: Bed) -> None:
    one, two, three = lease(bed, 10), lease(bed, 20, "two"), lease(bed, 30)
    switch = leasing(bed, one, two)
    vm = bed.running(nics=[NicSpec(switch=switch.name)])
    for leases in ((three, two), (), (lease(bed, 11), one)):
        assert switch.configure(leases=leases).leases == leases
        assert bed.second.switches.get(switch.id).leases == leases
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "switches.update",
    "Leases that one switch cannot keep are InvalidRequest, and those that it has stay.",
    requires=("switch_internal", "switch_leases"),
)
def test_leases_that_one_switch_cannot_keep_are_refused(bed: Bed) -> None:
    kept = lease(bed, 10)
    switch = leasing(bed, kept)
    same_mac, outside = StaticLease(kept.mac, lease(bed, 11).address), StaticLease(lease(bed, 12).mac, "203.0.113.9")
    for leases in ((kept, same_mac), (kept, outside), (lease(bed, 1),)):
        with pytest.raises(InvalidRequest) as refused:
            switch.configure(leases=leases)
        assert "leases[" in (refused.value.field or "")
        assert bed.second.switches.get(switch.id).leases == (kept,)


@behaviour(
    "switches.update",
    "A guest gets the address of its lease.",
    requires=("switch_internal", "switch_leases", "guest_addresses"),
    facts=("guest",),
)
def test_a_guest_gets_the_address_of_its_lease(bed: Bed) -> None:
    wanted, clock = lease(bed, 77), bed.host.clock
    switch = leasing(bed, lease(bed, 78)).configure(leases=[wanted])
    vm = bed.booted(nics=[NicSpec(switch=switch.name, mac=wanted.mac)])

    def told() -> str | None:
        return next((found.address for found in bed.seen(vm).addresses() if found.mac == wanted.mac), None)

    found = wait_until(told, clock=clock, timeout=bed.timeout, what="the address", pause=lambda _: clock.sleep(0.2))
    assert found == wanted.address


@behaviour(
    "switches.update",
    "A switch gets another VLAN, and none.",
    requires=("switch_external", "switch_vlan", "switch_vlan_change"),
)
def test_a_switch_gets_another_vlan_and_none(bed: Bed) -> None:
    ovs = bed.host.capabilities.switch_openvswitch
    uplink, name = bed.open_vswitch if ovs else bed.uplink, bed.name_for("vlan")
    switch = bed.host.switches.create(name, SwitchKind.EXTERNAL, uplink=uplink, openvswitch=ovs, vlan=42)
    vm = bed.running(nics=[NicSpec(switch=switch.id)])
    for vlan, there in ((43, 43), (0, None), (44, 44)):
        assert switch.configure(vlan=vlan).vlan == there
        assert bed.second.switches.get(switch.id).vlan == bed.backdoor.network(name).vlan == there
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.seen(vm).nics[0].switch == name


@behaviour("switches.update", "A switch gets another policy, and none.", requires=(ANY_SWITCH, ANY_SWITCH_POLICY))
def test_a_switch_gets_another_policy_and_none(bed: Bed) -> None:
    switch = bed.switch()
    vm = bed.running(nics=[NicSpec(switch=switch.id)])
    for policy in (*switch_policies(bed.host.capabilities), OPEN):
        assert switch.configure(policy=policy).policy == policy
        assert bed.second.switches.get(switch.id).policy == policy
        assert bed.backdoor.network(switch.name).policy == policy
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour("switches.delete", "A deleted switch is gone.", requires=(ANY_SWITCH,))
def test_a_deleted_switch_is_gone(bed: Bed) -> None:
    switch, other = bed.switch(), bed.switch()
    switch.delete()
    assert switch.name not in bed.backdoor.switch_names()
    assert other.name in bed.backdoor.switch_names()
    with pytest.raises(NotFound):
        bed.second.switches.get(switch.id)


@behaviour(
    "switches.delete",
    "A switch that a VM is plugged into is not deleted: Busy, and the error names the VM.",
    requires=(ANY_SWITCH,),
)
def test_a_switch_that_a_vm_is_plugged_into_is_not_deleted(bed: Bed) -> None:
    switch = bed.switch()
    vm = bed.vm(nics=[NicSpec(switch=switch.name)])
    with pytest.raises(Busy, match=vm.name):
        switch.delete()
    assert switch.name in bed.backdoor.switch_names()
