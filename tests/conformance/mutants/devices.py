"""Mutants of disks, CD-ROM drives and NICs of a VM that exists."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import pytest

from hyperkit.backends.fake.world import IMAGES
from hyperkit.disk import Disk, Disks
from hyperkit.driver import Driver
from hyperkit.errors import Busy, HyperkitError, NotFound
from hyperkit.records import DiskRecord, NicRecord, changed
from hyperkit.specs import DiskSpec, NicChange, NicSpec
from hyperkit.specs.isolation import OPEN
from hyperkit.units import MiB
from tests.conformance.mutants.kit import Call, edit, layer, machine, nothing, port, world

# Disks


@port("test_an_attached_disk_comes_after_those_that_were_there", "disks.attach")
def attaches_a_disk_in_front(driver: Driver, call: Call, vm_id: str, spec: DiskSpec) -> DiskRecord:
    attached: DiskRecord = call(vm_id, spec)
    edit(driver, vm_id, disks=(attached, *machine(driver, vm_id).record.disks[:-1]))
    return attached


@port("test_a_new_disk_that_cannot_be_attached_leaves_no_file", "disks.attach")
def leaves_the_file_of_a_disk_it_could_not_attach(driver: Driver, call: Call, vm_id: str, spec: DiskSpec) -> Any:
    try:
        return call(vm_id, spec)
    except HyperkitError:
        world(driver).add_file(f"{IMAGES}/half-made.qcow2", MiB)
        raise


@layer("test_a_disk_that_the_vm_already_has_is_already_exists")
def attaches_a_disk_twice(patch: pytest.MonkeyPatch) -> None:
    def attach(self: Disks, spec: DiskSpec) -> Disk:
        vm = self._vm
        return Disk(vm, vm.host.driver.disks.attach(vm.id, spec))

    patch.setattr(Disks, "attach", attach)


@port("test_a_disk_is_attached_to_a_running_vm_on_the_bus_asked_for", "disks.attach")
def attaches_every_disk_on_the_usual_bus(driver: Driver, call: Call, vm_id: str, spec: DiskSpec) -> Any:
    return call(vm_id, attrs.evolve(spec, bus=None))


@layer("test_one_disk_more_than_the_host_allows_is_refused")
def leaves_the_number_of_disks_to_the_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.disk.require_room", nothing)


@port("test_a_detached_disk_is_gone_and_its_file_stays", "disks.detach")
def deletes_the_file_of_a_detached_disk(driver: Driver, call: Call, vm_id: str, disk_id: str) -> None:
    path = next(disk.path for disk in machine(driver, vm_id).record.disks if disk.id == disk_id)
    call(vm_id, disk_id)
    driver.volumes.delete(path)


@port("test_the_other_disks_keep_their_ids", "disks.detach")
def numbers_the_disks_that_are_left_anew(driver: Driver, call: Call, vm_id: str, disk_id: str) -> None:
    call(vm_id, disk_id)
    left = machine(driver, vm_id).record.disks
    edit(driver, vm_id, disks=tuple(changed(disk, id=f"disk{n}") for n, disk in enumerate(left)))


@port("test_a_disk_id_that_the_vm_does_not_have_is_not_found", "disks.detach")
def detaches_a_disk_that_is_not_there(driver: Driver, call: Call, vm_id: str, disk_id: str) -> None:
    with suppress(NotFound):
        call(vm_id, disk_id)


@port("test_a_disk_can_be_deleted_as_it_is_detached", "volumes.delete")
def keeps_the_file_of_a_disk_that_was_to_be_deleted(driver: Driver, call: Call, volume_id: str) -> None:
    return None


@layer("test_a_disk_is_not_deleted_while_snapshots_may_need_it")
def deletes_a_disk_that_snapshots_need(patch: pytest.MonkeyPatch) -> None:
    def detach(self: Disk, *, delete: bool) -> None:
        self._host.driver.disks.detach(self._vm.id, self.id)
        self._host.driver.volumes.delete(self.path)

    patch.setattr(Disk, "detach", detach)


@port("test_a_disk_that_the_guest_does_not_let_go_stays_attached", "disks.detach")
def complains_of_the_guest_and_detaches(driver: Driver, call: Call, vm_id: str, disk_id: str) -> None:
    call(vm_id, disk_id)
    raise Busy(f"the guest does not let go of {disk_id}")


@port("test_a_disk_grows_to_the_size_asked_for", "disks.resize")
def grows_the_record_and_not_the_file(driver: Driver, call: Call, vm_id: str, disk_id: str, size: int) -> DiskRecord:
    disks = tuple(changed(d, size=size) if d.id == disk_id else d for d in machine(driver, vm_id).record.disks)
    return next(disk for disk in edit(driver, vm_id, disks=disks).disks if disk.id == disk_id)


@port("test_a_disk_that_two_vms_have_grows_for_both", "disks.resize")
def grows_a_disk_for_one_vm_alone(driver: Driver, call: Call, vm_id: str, disk_id: str, size: int) -> Any:
    others = {other: each.record.disks for other, each in world(driver).machines.items() if other != vm_id}
    grown = call(vm_id, disk_id, size)
    for other, disks in others.items():
        edit(driver, other, disks=disks)
    return grown


@layer("test_a_disk_is_never_made_smaller")
def makes_a_disk_smaller(patch: pytest.MonkeyPatch) -> None:
    def resize(self: Disk, size: int) -> Disk:
        self._record = self._host.driver.disks.resize(self._vm.id, self.id, size)
        return self

    patch.setattr(Disk, "resize", resize)


@port("test_an_iso_can_be_put_into_an_empty_drive_exchanged_and_taken_out", "disks.set_iso")
def does_not_eject(driver: Driver, call: Call, vm_id: str, cdrom_id: str, iso: str | None) -> None:
    if iso is not None:
        call(vm_id, cdrom_id, iso)


@port("test_an_exchange_for_an_iso_that_leads_nowhere_is_not_found", "disks.set_iso")
def ejects_before_it_looks_for_the_next_iso(
    driver: Driver, call: Call, vm_id: str, cdrom_id: str, iso: str | None
) -> None:
    call(vm_id, cdrom_id, None)
    call(vm_id, cdrom_id, iso)


# NICs


@port("test_an_attached_nic_comes_after_those_that_were_there", "nics.attach")
def attaches_a_nic_and_forgets_its_switch(driver: Driver, call: Call, vm_id: str, spec: NicSpec) -> Any:
    return call(vm_id, changed(spec, switch=None))


@layer("test_an_attached_nics_mac_address_that_another_vm_has_is_already_exists")
def attaches_a_duplicate_mac_address(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.macs.check_macs_free", nothing)


@layer("test_one_nic_more_than_the_host_allows_is_refused")
def leaves_the_number_of_nics_to_the_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.nic.require_room", nothing)


@port("test_a_detached_nic_is_gone_and_the_others_keep_their_ids", "nics.detach")
def detaches_the_last_nic_whichever_is_meant(driver: Driver, call: Call, vm_id: str, nic_id: str) -> None:
    call(vm_id, machine(driver, vm_id).record.nics[-1].id)


@port("test_a_nic_id_that_the_vm_does_not_have_is_not_found", "nics.detach")
def detaches_a_nic_that_is_not_there(driver: Driver, call: Call, vm_id: str, nic_id: str) -> None:
    with suppress(NotFound):
        call(vm_id, nic_id)


@port("test_a_nic_moves_to_another_switch", "nics.update")
def gives_a_nic_that_moves_a_new_address(driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange) -> Any:
    return call(vm_id, nic_id, changed(change, mac=world(driver).new_mac()))


@port("test_a_nic_is_unplugged_and_stays_in_the_vm", "nics.update")
def takes_out_a_nic_that_is_unplugged(
    driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange
) -> NicRecord:
    record: NicRecord = call(vm_id, nic_id, change)
    driver.nics.detach(vm_id, nic_id)
    return record


@port("test_a_nics_link_goes_down_and_up", "nics.update")
def never_sets_a_link_up_again(driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange) -> Any:
    return call(vm_id, nic_id, changed(change, link_up=False))


@port("test_a_nic_gets_another_address", "nics.update")
def replaces_a_nic_for_its_address(driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
    record: NicRecord = call(vm_id, nic_id, change)
    others = (nic for nic in machine(driver, vm_id).record.nics if nic.id != nic_id)
    edit(driver, vm_id, nics=(*others, record))
    return record


@layer("test_a_nics_new_address_that_another_vm_has_is_already_exists")
def gives_a_nic_an_address_that_is_taken(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.macs.check_macs_free", nothing)


@port("test_a_nic_gets_another_vlan_and_none", "nics.update")
def never_takes_a_nic_out_of_its_vlan(driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange) -> Any:
    return call(vm_id, nic_id, changed(change, vlan=change.vlan or None))


@port("test_a_nic_gets_another_isolation_policy_and_none", "nics.update")
def never_opens_a_nic_again(driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange) -> Any:
    return call(vm_id, nic_id, changed(change, policy=None) if change.policy == OPEN else change)


@port("test_a_nic_keeps_its_policy", "nics.update")
def forgets_the_policy_of_a_nic_that_is_unplugged(
    driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange
) -> Any:
    return call(vm_id, nic_id, changed(change, policy=OPEN) if change.switch == "" else change)


@port("test_a_nic_of_another_policy_keeps_all_else", "nics.update")
def sets_the_link_up_with_every_change(driver: Driver, call: Call, vm_id: str, nic_id: str, change: NicChange) -> Any:
    return call(vm_id, nic_id, changed(change, link_up=True))
