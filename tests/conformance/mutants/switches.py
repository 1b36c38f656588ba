"""Mutants of virtual switches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from hyperkit.driver import Driver
from hyperkit.errors import AlreadyExists
from hyperkit.records import SwitchRecord, changed
from hyperkit.specs import SwitchChange, SwitchSpec
from hyperkit.specs.isolation import OPEN, IsolationPolicy
from hyperkit.states import PowerAction
from hyperkit.switch import Switch
from tests.conformance.mutants.kit import Call, layer, machine, nothing, port, world


def edited(driver: Driver, switch: SwitchRecord, **changes: Any) -> SwitchRecord:
    """A switch, changed behind the port's back."""
    after = world(driver).switches[switch.id] = changed(switch, **changes)
    return after


@port("test_every_switch_is_listed_once", "switches.list")
def lists_a_switch_twice(driver: Driver, call: Call) -> Sequence[SwitchRecord]:
    found = call()
    return [*found, found[0]]


@port("test_a_switch_id_that_does_not_exist_is_not_found", "switches.get")
def finds_some_switch_for_every_id(driver: Driver, call: Call, switch_id: str) -> SwitchRecord:
    return world(driver).switches.get(switch_id) or driver.switches.list()[0]


@port("test_a_private_switch_has_neither_uplink_nor_subnet", "switches.create")
def gives_every_switch_a_subnet(driver: Driver, call: Call, spec: SwitchSpec) -> SwitchRecord:
    return edited(driver, call(spec), subnet=spec.subnet or "192.168.122.0/24")


@port("test_an_internal_switch_has_the_subnet_nat_and_dhcp_asked_for", "switches.create")
def translates_addresses_on_every_switch(driver: Driver, call: Call, spec: SwitchSpec) -> Any:
    return call(attrs.evolve(spec, nat=True))


@port("test_an_external_switch_has_the_uplink_asked_for", "switches.create")
def uses_the_last_uplink_there_is(driver: Driver, call: Call, spec: SwitchSpec) -> Any:
    return call(attrs.evolve(spec, uplink=max(world(driver).uplinks)))


@port("test_a_switch_of_open_vswitch_has_the_bridge_asked_for", "switches.create")
def takes_open_vswitch_for_a_linux_bridge(driver: Driver, call: Call, spec: SwitchSpec) -> SwitchRecord:
    return edited(driver, call(spec), openvswitch=False, carries_vlans=False)


@port("test_a_switch_has_the_vlan_asked_for", "switches.create")
def forgets_the_vlan_of_a_switch(driver: Driver, call: Call, spec: SwitchSpec) -> Any:
    return call(attrs.evolve(spec, vlan=None))


@port("test_a_switch_has_the_static_leases_asked_for", "switches.create")
def forgets_the_names_of_leases(driver: Driver, call: Call, spec: SwitchSpec) -> Any:
    return call(attrs.evolve(spec, leases=[attrs.evolve(lease, name="") for lease in spec.leases]))


@port("test_static_leases_take_the_place_of_those_that_were_there", "switches.update")
def adds_leases_to_those_that_are_there(
    driver: Driver, call: Call, switch_id: str, change: SwitchChange
) -> SwitchRecord:
    there = world(driver).switches[switch_id].leases
    new = [lease for lease in change.leases or () if lease not in there]
    record: SwitchRecord = call(switch_id, SwitchChange(leases=[*there, *new]))
    return record


@layer("test_leases_that_one_switch_cannot_keep_are_refused")
def leaves_leases_to_the_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.switch.check_leases", nothing)


@port("test_a_guest_gets_the_address_of_its_lease", "switches.update")
def writes_leases_down_for_the_next_start_of_the_switch(
    driver: Driver, call: Call, switch_id: str, change: SwitchChange
) -> SwitchRecord:
    return changed(driver.switches.get(switch_id), leases=change.leases)


@port("test_a_switchs_policy_is_the_one_asked_for", "switches.create")
def makes_a_switch_without_its_policy(driver: Driver, call: Call, spec: SwitchSpec) -> SwitchRecord:
    record: SwitchRecord = call(attrs.evolve(spec, policy=OPEN))
    return changed(record, policy=spec.policy)


@port("test_a_switch_gets_another_vlan_and_none", "switches.update")
def takes_no_vlan_for_no_change(driver: Driver, call: Call, switch_id: str, change: SwitchChange) -> Any:
    return call(switch_id, attrs.evolve(change, vlan=change.vlan or None))


@port("test_a_switch_gets_another_policy_and_none", "switches.update")
def adds_to_the_policy_that_is_there(driver: Driver, call: Call, switch_id: str, change: SwitchChange) -> Any:
    there, new = world(driver).switches[switch_id].policy, change.policy or OPEN
    both = IsolationPolicy(
        spoof_guard=there.spoof_guard or new.spoof_guard, promiscuous=there.promiscuous or new.promiscuous
    )
    return call(switch_id, attrs.evolve(change, policy=both))


@port("test_a_new_switch_is_active", "switches.create")
def defines_a_switch_and_does_not_start_it(driver: Driver, call: Call, spec: SwitchSpec) -> SwitchRecord:
    return edited(driver, call(spec), active=False)


@layer("test_a_subnet_that_another_switch_has_is_refused")
def routes_one_subnet_to_two_switches(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.switch.check_subnet_free", nothing)


@port("test_a_switch_name_that_is_taken_is_already_exists", "switches.create")
def makes_two_switches_of_one_name(driver: Driver, call: Call, spec: SwitchSpec) -> SwitchRecord:
    return edited(driver, call(attrs.evolve(spec, name=f"{spec.name} again")), name=spec.name)


@port("test_two_switches_may_have_one_name", "switches.create")
def refuses_a_switchs_name_that_is_taken_everywhere(driver: Driver, call: Call, spec: SwitchSpec) -> Any:
    if any(switch.name == spec.name for switch in driver.switches.list()):
        raise AlreadyExists(f"there is a switch {spec.name!r}")
    return call(spec)


@port("test_vms_on_a_new_switch_can_be_started", "vms.set_power")
def does_not_start_vms_that_are_plugged_in(driver: Driver, call: Call, vm_id: str, action: PowerAction) -> Any:
    if any(nic.switch_id for nic in machine(driver, vm_id).record.nics):
        return driver.vms.get(vm_id)
    return call(vm_id, action)


@port("test_a_deleted_switch_is_gone", "switches.delete")
def stops_a_switch_and_does_not_delete_it(driver: Driver, call: Call, switch_id: str) -> None:
    edited(driver, driver.switches.get(switch_id), active=False)


@layer("test_a_switch_that_a_vm_is_plugged_into_is_not_deleted")
def deletes_a_switch_that_vms_are_plugged_into(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Switch, "vms", lambda self: [])
