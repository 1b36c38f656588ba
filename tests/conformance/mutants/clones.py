"""Mutants of clones and templates."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hyperkit.driver import Driver
from hyperkit.errors import AlreadyExists, NotFound
from hyperkit.records import VMRecord, changed
from hyperkit.specs import CloneSpec, VMSpec
from hyperkit.states import PowerAction, PowerState
from hyperkit.vm import VM
from tests.conformance.mutants.kit import Call, edit, layer, machine, port, world


@port("test_a_clone_is_off_and_as_large_as_its_source", "clones.clone")
def clones_with_one_cpu(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    return edit(driver, call(vm_id, spec).id, cpus=1, max_cpus=1)


@port("test_a_clone_has_an_id_files_and_addresses_of_its_own", "clones.clone")
def clones_the_addresses_too(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    return edit(driver, call(vm_id, spec).id, nics=machine(driver, vm_id).record.nics)


@port("test_a_clone_has_its_sources_notes_and_tags", "clones.clone")
def clones_without_tags(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    return edit(driver, call(vm_id, spec).id, tags=())


@port("test_a_clones_disks_are_marked_as_created_and_deleted_with_it", "clones.clone")
def takes_a_clones_disks_for_somebody_elses(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    record: VMRecord = call(vm_id, spec)
    return edit(driver, record.id, disks=tuple(changed(disk, created=False) for disk in record.disks))


@port("test_a_clones_name_that_is_taken_is_already_exists", "clones.clone")
def copies_the_disks_before_it_looks_at_the_name(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    record: VMRecord = call(vm_id, attrs.evolve(spec, name="nobody has this name"))
    if any(other.name == spec.name for other in driver.vms.list()):
        driver.vms.delete(record.id, ())
        raise AlreadyExists(f"there is a VM {spec.name!r}")
    return edit(driver, record.id, name=spec.name)


@port("test_a_clone_of_a_vm_that_is_gone_is_not_found", "clones.clone")
def makes_an_empty_vm_of_what_is_gone(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> Any:
    try:
        return call(vm_id, spec)
    except NotFound:
        return driver.vms.create(VMSpec(spec.name))


@port("test_a_clone_of_a_snapshot_has_the_cpus_and_memory_of_then", "clones.clone")
def clones_the_disks_of_then_and_the_size_of_now(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    now = machine(driver, vm_id).record
    return edit(driver, call(vm_id, spec).id, cpus=now.cpus, memory=now.memory)


@port("test_a_clone_of_a_snapshot_that_is_not_there_is_not_found", "clones.clone")
def clones_the_vm_as_it_is_instead(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> Any:
    there = machine(driver, vm_id).snapshots
    return call(vm_id, spec if spec.snapshot in there else attrs.evolve(spec, snapshot=None))


@port("test_a_linked_clones_disks_share_blocks_with_its_sources", "clones.clone")
def copies_where_it_should_link(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> Any:
    return call(vm_id, attrs.evolve(spec, linked=False))


@layer("test_a_linked_clone_of_a_vm_without_snapshots_is_refused")
def links_to_what_the_vm_writes_to(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.clone._current", lambda vm: None)


@port("test_a_running_vm_is_cloned_as_it_is_and_runs_on", "clones.clone")
def stops_what_it_clones(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> Any:
    driver.vms.set_power(vm_id, PowerAction.STOP)
    return call(vm_id, spec)


@port("test_what_was_written_to_the_sources_disks_is_read_from_the_clones", "clones.clone")
def gives_a_clone_empty_disks(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    record: VMRecord = call(vm_id, spec)
    for disk in record.disks:
        world(driver).volumes[disk.path].data = b""
    return record


@layer("test_a_template_is_listed_as_such_and_is_not_started")
def starts_what_was_a_vm_when_it_was_last_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("hyperkit.backends.fake.vms._check_no_template", lambda machine, action: None)


@port("test_a_template_becomes_a_vm_again", "clones.set_template")
def keeps_a_template_for_ever(driver: Driver, call: Call, vm_id: str, template: bool) -> VMRecord:
    record: VMRecord = call(vm_id, True)
    return changed(record, template=template)


@port("test_a_clone_of_a_template_is_a_vm", "clones.clone")
def makes_templates_of_templates(driver: Driver, call: Call, vm_id: str, spec: CloneSpec) -> VMRecord:
    return edit(driver, call(vm_id, spec).id, template=machine(driver, vm_id).record.template)


@layer("test_a_vm_that_runs_does_not_become_a_template")
def switches_off_what_becomes_a_template(patch: pytest.MonkeyPatch) -> None:
    def made(vm: VM) -> VM:
        assert vm.host.driver.clones
        if vm.state is not PowerState.OFF:
            vm.stop()
        return vm._update(vm.host.driver.clones.set_template(vm.id, True))

    patch.setattr(VM, "make_template", made)
