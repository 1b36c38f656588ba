"""Mutants of creating VMs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import pytest

from hyperkit import vms as shared
from hyperkit.backends.fake.images import make_disk
from hyperkit.backends.fake.vms import FakeVMs
from hyperkit.backends.fake.world import IMAGES, World
from hyperkit.driver import Driver
from hyperkit.errors import NotFound
from hyperkit.host import Host
from hyperkit.records import DiskRecord, SwitchRecord, VMRecord, changed
from hyperkit.specs import Allocation, CpuTopology, NicSpec, VMFields, VMSpec
from hyperkit.states import PowerAction
from hyperkit.units import KiB, MiB
from tests.conformance.mutants.kit import Call, edit, layer, nothing, port, world


def asks_for(test: str, change: Any) -> None:
    """A mutant that creates something else than it was asked for: ``change`` says what."""

    def instead(driver: Driver, call: Call, spec: VMSpec) -> Any:
        return call(changed(spec, **change(spec)))

    instead.__name__ = change.__name__
    port(test, "vms.create")(instead)


@port("test_a_new_vm_is_off", "vms.create")
def starts_every_new_vm(driver: Driver, call: Call, spec: VMSpec) -> Any:
    return driver.vms.set_power(call(spec).id, PowerAction.START)


def rounds_memory_to_16_mib(spec: VMSpec) -> dict[str, Any]:
    return {"memory": spec.memory // (16 * MiB) * 16 * MiB}


@layer("test_a_vms_id_is_its_own_and_the_same_after_a_reconnect")
def gives_every_vm_the_same_id(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "new_id", lambda self: "vm-1")


@layer("test_a_name_that_is_taken_is_already_exists")
def accepts_a_name_that_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "name_taken", lambda self, name: False)


@layer("test_two_vms_may_have_one_name")
def refuses_a_name_that_is_taken_everywhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "name_taken", lambda self, name: name in self._names)


def sorts_nics_by_address(spec: VMSpec) -> dict[str, Any]:
    return {"nics": tuple(sorted(spec.nics, key=lambda nic: nic.mac or ""))}


@port("test_a_new_disk_has_the_size_asked_for", "vms.create")
def forgets_that_it_created_a_disk(driver: Driver, call: Call, spec: VMSpec) -> VMRecord:
    record = call(spec)
    return edit(driver, record.id, disks=tuple(changed(disk, created=False) for disk in record.disks))


def rounds_sizes_of_disks_up(spec: VMSpec) -> dict[str, Any]:
    return {"disks": tuple(attrs.evolve(disk, size=-(-(disk.size or 0) // KiB) * KiB) for disk in spec.disks)}


def copies_where_it_should_link(spec: VMSpec) -> dict[str, Any]:
    return {"disks": tuple(attrs.evolve(disk, linked=False) for disk in spec.disks)}


def links_where_it_should_copy(spec: VMSpec) -> dict[str, Any]:
    return {"disks": tuple(attrs.evolve(disk, linked=True) for disk in spec.disks)}


def takes_the_size_of_the_base_in_silence(spec: VMSpec) -> dict[str, Any]:
    return {"disks": tuple(attrs.evolve(disk, size=None) if disk.base else disk for disk in spec.disks)}


@port("test_an_existing_disk_is_attached_as_it_is", "vms.create")
def takes_an_existing_disk_for_its_own(driver: Driver, call: Call, spec: VMSpec) -> VMRecord:
    record = call(spec)
    return edit(driver, record.id, disks=tuple(changed(disk, created=True) for disk in record.disks))


@port("test_a_disk_path_that_leads_nowhere_is_not_found", "vms.create")
def makes_a_disk_file_that_is_missing(driver: Driver, call: Call, spec: VMSpec) -> Any:
    for disk in spec.disks:
        if disk.path is not None:
            world(driver).add_file(disk.path, MiB)
    return call(spec)


@layer("test_a_disk_path_that_is_a_directory_is_refused")
def takes_a_directory_for_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "_is_directory", lambda self, path: False)


@layer("test_a_nic_without_an_address_gets_one_of_its_own")
def gives_every_nic_the_same_address(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "new_mac", lambda self: "52:54:00:00:00:01")


def chooses_every_address_itself(spec: VMSpec) -> dict[str, Any]:
    return {"nics": tuple(attrs.evolve(nic, mac=None) for nic in spec.nics)}


@layer("test_a_mac_address_that_another_vm_has_is_already_exists")
def accepts_a_mac_address_that_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.macs.check_macs_free", nothing)


@port("test_a_nic_without_a_switch_is_plugged_into_none", "vms.create")
def plugs_every_nic_into_the_first_switch(driver: Driver, call: Call, spec: VMSpec) -> Any:
    first = driver.switches.list()[0].id
    return call(changed(spec, nics=tuple(changed(nic, switch=nic.switch or first) for nic in spec.nics)))


@layer("test_a_switch_that_does_not_exist_is_not_found")
def leaves_out_a_switch_that_does_not_exist(patch: pytest.MonkeyPatch) -> None:
    def resolve(host: Host, nics: Iterable[NicSpec]) -> tuple[NicSpec, ...]:
        return tuple(changed(nic, switch=None) for nic in nics)

    patch.setattr("hyperkit.vms.resolve_nics", resolve)


@layer("test_a_datastore_that_does_not_exist_is_not_found")
def does_not_say_which_datastores_there_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.collection.not_found", lambda *_args: NotFound("no such thing"))


def makes_the_drive_and_forgets_the_iso(spec: VMSpec) -> dict[str, Any]:
    return {"iso": None, "cdrom": spec.cdrom or spec.iso is not None}


@port("test_an_iso_path_that_leads_nowhere_is_not_found", "vms.create")
def leaves_the_drive_empty_if_the_iso_is_missing(driver: Driver, call: Call, spec: VMSpec) -> Any:
    return call(spec if spec.iso in world(driver).volumes else changed(spec, iso=None))


def forgets_the_tpm(spec: VMSpec) -> dict[str, Any]:
    return {"tpm": False}


def forgets_the_initial_ram_disk(spec: VMSpec) -> dict[str, Any]:
    return {"kernel": spec.kernel and attrs.evolve(spec.kernel, initrd=None)}


def makes_every_disk_in_the_default_format(spec: VMSpec) -> dict[str, Any]:
    return {"disks": tuple(attrs.evolve(disk, format=None) for disk in spec.disks)}


def lets_the_guest_write_to_every_disk(spec: VMSpec) -> dict[str, Any]:
    return {"disks": tuple(attrs.evolve(disk, read_only=False) for disk in spec.disks)}


@port("test_a_disks_file_has_the_name_asked_for", "vms.create")
def overwrites_a_disk_of_the_same_name(driver: Driver, call: Call, spec: VMSpec) -> Any:
    for disk in spec.disks:
        world(driver).volumes.pop(f"{IMAGES}/{disk.name}.qcow2", None)
    return call(spec)


def makes_every_disk_thin(spec: VMSpec) -> dict[str, Any]:
    return {"disks": tuple(attrs.evolve(disk, thin=True) for disk in spec.disks)}


def forgets_the_model(spec: VMSpec) -> dict[str, Any]:
    return {"nics": tuple(attrs.evolve(nic, model=None) for nic in spec.nics)}


def gives_every_nic_a_link(spec: VMSpec) -> dict[str, Any]:
    return {"nics": tuple(attrs.evolve(nic, link_up=True) for nic in spec.nics)}


def forgets_the_vlan(spec: VMSpec) -> dict[str, Any]:
    return {"nics": tuple(attrs.evolve(nic, vlan=None) for nic in spec.nics)}


def tags_the_native_vlan_too(spec: VMSpec) -> dict[str, Any]:
    # Past the spec's own check, which no user gets round.
    return {"nics": tuple(changed(nic, trunk=tuple(sorted({*nic.trunk, nic.vlan or 1}))) for nic in spec.nics)}


def sorts_the_rules_of_policies(spec: VMSpec) -> dict[str, Any]:
    def by_text(nic: NicSpec) -> NicSpec:
        return changed(nic, policy=changed(nic.policy, rules=tuple(sorted(nic.policy.rules, key=repr))))

    return {"nics": tuple(by_text(nic) for nic in spec.nics)}


def tries_disks_first_whatever_is_said(spec: VMSpec) -> dict[str, Any]:
    return {"boot_order": tuple(sorted(spec.boot_order))}


def takes_cores_for_sockets(spec: VMSpec) -> dict[str, Any]:
    assert spec.topology is not None
    return {"topology": CpuTopology(spec.topology.cores, spec.topology.sockets, spec.topology.threads)}


def leaves_no_room_to_grow(spec: VMSpec) -> dict[str, Any]:
    return {"max_cpus": spec.cpus, "max_memory": spec.memory}


def forgets_the_shares(spec: VMSpec) -> dict[str, Any]:
    return {"cpu_allocation": Allocation(spec.cpu_allocation.reservation, spec.cpu_allocation.limit)}


def takes_every_guest_for_the_same_os(spec: VMSpec) -> dict[str, Any]:
    return {"guest_os": "debian12"}


def strips_the_notes(spec: VMSpec) -> dict[str, Any]:
    return {"notes": spec.notes.strip()}


def keeps_one_tag(spec: VMSpec) -> dict[str, Any]:
    return {"tags": spec.tags[:1]}


def forgets_autostart(spec: VMSpec) -> dict[str, Any]:
    return {"autostart": False}


@layer("test_a_vlan_on_a_switch_that_carries_none_is_refused")
def puts_nics_into_vlans_on_every_switch(patch: pytest.MonkeyPatch) -> None:
    def somehow(nic: NicSpec, switches: Sequence[SwitchRecord], *_: str) -> NicSpec:
        return changed(nic, switch=next(switch.id for switch in switches if nic.switch in (switch.id, switch.name)))

    patch.setattr("hyperkit.resolve.plugged", somehow)


@layer("test_more_cpus_than_the_host_allows_are_refused")
def leaves_limits_to_the_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.guard._limits_of_size", nothing)


@layer("test_more_disks_or_nics_than_the_host_allows_are_refused")
def leaves_the_number_of_devices_to_the_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.guard._limits_of_vm", nothing)


@layer("test_a_create_that_fails_half_way_leaves_nothing")
def leaves_the_disks_that_it_made_before_it_failed(patch: pytest.MonkeyPatch) -> None:
    def make_disks(self: FakeVMs, spec: VMSpec) -> tuple[DiskRecord, ...]:
        return tuple(make_disk(self._world, spec.name, f"disk{n}", disk) for n, disk in enumerate(spec.disks))

    patch.setattr(FakeVMs, "_make_disks", make_disks)


@layer("test_changing_what_was_passed_after_the_call_changes_nothing")
def keeps_the_callers_own_list_of_nics(patch: pytest.MonkeyPatch) -> None:
    make_spec, get = shared._spec, FakeVMs.get
    kept: list[Any] = []

    def remember(name: str, fields: VMFields) -> VMSpec:
        kept.append(fields["nics"])
        return make_spec(name, fields)

    def as_the_list_is_now(self: FakeVMs, vm_id: str) -> VMRecord:
        record = get(self, vm_id)
        return changed(record, nics=record.nics[: len(kept[0])])

    patch.setattr("hyperkit.vms._spec", remember)
    patch.setattr(FakeVMs, "get", as_the_list_is_now)


asks_for("test_name_cpus_and_memory_are_exactly_those_asked_for", rounds_memory_to_16_mib)
asks_for("test_disks_and_nics_are_in_the_order_of_the_spec", sorts_nics_by_address)
asks_for("test_a_disks_size_is_kept_to_the_last_512_bytes", rounds_sizes_of_disks_up)
asks_for("test_a_linked_disk_names_its_base_and_is_as_large", copies_where_it_should_link)
asks_for("test_a_copied_disk_has_the_size_of_its_base", links_where_it_should_copy)
asks_for("test_a_disk_size_below_the_base_images_is_refused", takes_the_size_of_the_base_in_silence)
asks_for("test_a_mac_address_asked_for_is_kept", chooses_every_address_itself)
asks_for("test_an_iso_is_in_the_cdrom_drive", makes_the_drive_and_forgets_the_iso)
asks_for("test_firmware_secure_boot_and_tpm_are_those_asked_for", forgets_the_tpm)
asks_for("test_a_kernel_to_boot_directly_is_the_one_asked_for", forgets_the_initial_ram_disk)
asks_for("test_a_disks_format_is_the_one_asked_for", makes_every_disk_in_the_default_format)
asks_for("test_a_disks_bus_and_write_protection_are_those_asked_for", lets_the_guest_write_to_every_disk)
asks_for("test_a_disk_that_is_not_thin_takes_its_space_at_once", makes_every_disk_thin)
asks_for("test_a_nics_model_is_the_one_asked_for", forgets_the_model)
asks_for("test_a_nics_link_is_up_or_down_as_asked_for", gives_every_nic_a_link)
asks_for("test_a_nics_vlan_is_the_one_asked_for", forgets_the_vlan)
asks_for("test_a_nics_trunk_has_the_vlans_asked_for", tags_the_native_vlan_too)
asks_for("test_a_nics_isolation_policy_is_the_one_asked_for", sorts_the_rules_of_policies)
asks_for("test_the_boot_order_is_the_one_asked_for", tries_disks_first_whatever_is_said)
asks_for("test_the_cpu_topology_is_the_one_asked_for", takes_cores_for_sockets)
asks_for("test_a_ceiling_above_the_cpus_and_memory_at_start_is_kept", leaves_no_room_to_grow)
asks_for("test_reservation_limit_and_shares_are_exactly_those_asked_for", forgets_the_shares)
asks_for("test_the_guest_os_hint_is_kept", takes_every_guest_for_the_same_os)
asks_for("test_notes_come_back_character_for_character", strips_the_notes)
asks_for("test_tags_are_those_asked_for", keeps_one_tag)
asks_for("test_autostart_is_as_asked_for", forgets_autostart)
