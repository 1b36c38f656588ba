"""Clones and templates."""

from __future__ import annotations

import pytest

from hyperkit.errors import AlreadyExists, InvalidState, NotFound
from hyperkit.specs import DiskSpec, NicSpec
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import ANY_SWITCH, notes, tags
from hyperkit.units import MiB

DISK = DiskSpec(size=8 * MiB)


@behaviour(
    "clones.clone", "A clone is off, and as large as its source: CPUs, memory and disks.", requires=("clones", "disks")
)
def test_a_clone_is_off_and_as_large_as_its_source(bed: Bed) -> None:
    vm = bed.vm(cpus=2, memory=128 * MiB, disks=[DISK, DiskSpec(size=16 * MiB)])
    clone = vm.clone(bed.name_for("clone"))
    assert bed.backdoor.power_state(clone.id) is PowerState.OFF
    shape = bed.backdoor.shape(clone.id)
    assert (shape.name, shape.cpus, shape.memory) == (clone.name, 2, 128 * MiB)
    there = bed.seen(clone)
    assert there.record == clone.record
    assert [bed.backdoor.disk_size(disk.path) for disk in there.disks] == [8 * MiB, 16 * MiB]


@behaviour(
    "clones.clone",
    "A clone has an id, disk files and MAC addresses of its own, on the switches of its source's NICs.",
    requires=("clones", "disks", ANY_SWITCH),
)
def test_a_clone_has_an_id_files_and_addresses_of_its_own(bed: Bed) -> None:
    one, other = bed.switch().name, bed.switch().name
    vm = bed.vm(disks=[DISK], nics=[NicSpec(switch=one), NicSpec(), NicSpec(switch=other)])
    clone = vm.clone(bed.name_for("clone"))
    assert {vm.id, clone.id} <= bed.backdoor.vm_ids()
    source, copy = bed.backdoor.shape(vm.id), bed.backdoor.shape(clone.id)
    assert not source.disks & copy.disks
    assert not source.macs & copy.macs
    assert (len(copy.disks), len(copy.macs)) == (1, 3)
    plugs = bed.backdoor.plugs(clone.id)
    assert [plugs[nic.mac].switch for nic in bed.seen(clone).nics] == [one, None, other]


@behaviour("clones.clone", "A clone has its source's notes and tags.", requires=("clones", "notes|tags"))
def test_a_clone_has_its_sources_notes_and_tags(bed: Bed) -> None:
    vm = bed.vm(notes=notes(bed, "golden"), tags=tags(bed, "web", "db"))
    there = bed.seen(vm.clone(bed.name_for("clone")))
    assert (there.notes, there.tags) == (notes(bed, "golden"), tags(bed, "db", "web"))


@behaviour(
    "clones.clone",
    "A clone's disks are marked as created, and deleted with it; its source's are not.",
    requires=("clones", "disks"),
)
def test_a_clones_disks_are_marked_as_created_and_deleted_with_it(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK, DiskSpec(path=bed.image())])
    clone = vm.clone(bed.name_for("clone"))
    made, kept = bed.backdoor.shape(clone.id).disks, bed.backdoor.shape(vm.id).disks
    assert [disk.created for disk in bed.seen(clone).disks] == [True, True]
    clone.delete()
    assert not made & bed.backdoor.files()
    assert kept <= bed.backdoor.files()


@behaviour(
    "clones.clone",
    "A clone's name that is taken is AlreadyExists where names must be unique, and nothing is made.",
    requires=("clones", "unique_vm_names", "disks"),
)
def test_a_clones_name_that_is_taken_is_already_exists(bed: Bed) -> None:
    vm, other = bed.vm(disks=[DISK]), bed.vm()
    before = bed.backdoor.vm_ids(), bed.backdoor.files()
    for name in (other.name, vm.name):
        with pytest.raises(AlreadyExists):
            vm.clone(name)
    assert (bed.backdoor.vm_ids(), bed.backdoor.files()) == before


@behaviour("clones.clone", "A clone of a VM that is gone is NotFound.", requires=("clones",))
def test_a_clone_of_a_vm_that_is_gone_is_not_found(bed: Bed) -> None:
    vm = bed.vm()
    bed.seen(vm).delete()
    before = bed.backdoor.vm_ids()
    with pytest.raises(NotFound):
        vm.clone(bed.name_for("clone"))
    assert bed.backdoor.vm_ids() == before


@behaviour(
    "clones.clone", "A clone of a snapshot has the CPUs and memory of then.", requires=("clones", "snapshots", "disks")
)
def test_a_clone_of_a_snapshot_has_the_cpus_and_memory_of_then(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK], cpus=2, memory=64 * MiB)
    then = vm.snapshots.create("then")
    vm.configure(cpus=4, memory=128 * MiB)
    vm.snapshots.create("now")
    clone = vm.clone(bed.name_for("clone"), snapshot=then)
    shape = bed.backdoor.shape(clone.id)
    assert (shape.cpus, shape.memory) == (2, 64 * MiB)
    assert bed.seen(clone).snapshots.list() == []
    shape = bed.backdoor.shape(vm.id)
    assert (shape.cpus, shape.memory) == (4, 128 * MiB)


@behaviour(
    "clones.clone",
    "A clone of a snapshot that the VM does not have is NotFound, and nothing is made.",
    requires=("clones", "snapshots", "disks"),
)
def test_a_clone_of_a_snapshot_that_is_not_there_is_not_found(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    gone = vm.snapshots.create("gone")
    vm.snapshots.create("there")
    bed.seen(vm).snapshots.get(gone.id).delete()
    before = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(NotFound):
        vm.clone(bed.name_for("clone"), snapshot=gone)
    assert (bed.backdoor.vm_ids(), bed.backdoor.files()) == before


@behaviour(
    "clones.clone",
    "A linked clone's disks share blocks with those of its source's snapshot.",
    requires=("clones", "linked_clones", "disks"),
)
def test_a_linked_clones_disks_share_blocks_with_its_sources(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    base = vm.snapshots.create("base")
    vm.snapshots.create("later")
    named, current = vm.clone(bed.name_for("clone"), linked=True, snapshot=base), vm.clone("hk-current", linked=True)
    whole = vm.clone(bed.name_for("clone"))
    (source,) = bed.seen(vm).disks
    for clone in (named, current):
        (disk,) = bed.seen(clone).disks
        assert disk.record.base in source.record.files
        assert not {disk.path} & set(source.record.files)
        assert bed.backdoor.disk_size(disk.path) == 8 * MiB
    assert bed.seen(whole).disks[0].record.base is None


@behaviour(
    "clones.clone",
    "A linked clone of a VM without snapshots is InvalidState, and nothing is made.",
    requires=("clones", "linked_clones", "disks"),
)
def test_a_linked_clone_of_a_vm_without_snapshots_is_refused(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    before = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(InvalidState):
        vm.clone(bed.name_for("clone"), linked=True)
    assert (bed.backdoor.vm_ids(), bed.backdoor.files()) == before


@behaviour(
    "clones.clone",
    "A running VM is cloned as it is, and runs on.",
    requires=("clones", "running_clones", "disks"),
)
def test_a_running_vm_is_cloned_as_it_is_and_runs_on(bed: Bed) -> None:
    vm = bed.booted(disks=[DISK])
    before = bed.boot_of(vm)
    clone = vm.clone(bed.name_for("clone"))
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.boot_of(vm) == before
    assert bed.backdoor.power_state(clone.id) is PowerState.OFF
    assert clone.start().state is PowerState.RUNNING
    assert bed.backdoor.power_state(clone.id) is PowerState.RUNNING


@behaviour(
    "clones.clone",
    "What was written to the source's disks is read from the clone's.",
    requires=("clones", "disks"),
    facts=("content",),
)
def test_what_was_written_to_the_sources_disks_is_read_from_the_clones(bed: Bed) -> None:
    vm = bed.vm(disks=[DISK])
    bed.backdoor.write(vm.disks[0].path, 64, b"golden")
    clone = vm.clone(bed.name_for("clone"))
    bed.backdoor.write(vm.disks[0].path, 64, b"rusted")
    assert bed.backdoor.read(clone.disks[0].path, 64, 6) == b"golden"
    bed.backdoor.write(clone.disks[0].path, 64, b"silver")
    assert bed.backdoor.read(vm.disks[0].path, 64, 6) == b"rusted"


@behaviour(
    "clones.set_template",
    "A template is a VM that is listed as such, and is not started: InvalidState.",
    requires=("templates",),
)
def test_a_template_is_listed_as_such_and_is_not_started(bed: Bed) -> None:
    vm, plain = bed.vm(), bed.vm()
    stale = bed.seen(vm)
    assert vm.make_template().template
    assert {each.id: each.template for each in bed.second.vms if each in (vm, plain)} == {vm.id: True, plain.id: False}
    assert bed.backdoor.is_template(vm.id)
    assert not bed.backdoor.is_template(plain.id)
    for each in (vm, stale):
        with pytest.raises(InvalidState):
            each.start()
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour("clones.set_template", "A template becomes a VM again, which can be started.", requires=("templates",))
def test_a_template_becomes_a_vm_again(bed: Bed) -> None:
    vm = bed.vm().make_template()
    assert not vm.make_vm().template
    assert not bed.backdoor.is_template(vm.id)
    vm.start()
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour("clones.set_template", "A clone of a template is a VM.", requires=("templates", "clones"))
def test_a_clone_of_a_template_is_a_vm(bed: Bed) -> None:
    template = bed.vm().make_template()
    clone = template.clone(bed.name_for("clone"))
    assert bed.backdoor.is_template(template.id)
    assert not bed.backdoor.is_template(clone.id)
    clone.start()
    assert bed.backdoor.power_state(clone.id) is PowerState.RUNNING


@behaviour("clones.set_template", "A VM that runs does not become a template: InvalidState.", requires=("templates",))
def test_a_vm_that_runs_does_not_become_a_template(bed: Bed) -> None:
    vm = bed.running()
    with pytest.raises(InvalidState):
        vm.make_template()
    assert not bed.backdoor.is_template(vm.id)
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
