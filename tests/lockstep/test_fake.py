"""The lockstep of two fakes: quick, and a way to see that it finds what is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import hyperkit
from hyperkit import DiskFormat, MiB
from hyperkit.driver import Driver
from hyperkit.errors import ResourceExhausted
from hyperkit.instrument import intercept
from hyperkit.records import DiskRecord
from hyperkit.testing.lockstep import Coverage, Divergence, Lockstep, lockstep
from hyperkit.testing.lockstep.compare import Labels, normal
from hyperkit.testing.lockstep.script import Ref, Step
from hyperkit.testing.lockstep.sides import Pair, Side
from hyperkit.testing.lockstep.twin import twin_of
from tests.conformance.mutants import BY_TEST
from tests.lockstep.conftest import Report
from tests.lockstep.still_bed import StillBed

ENOUGH = 2000
"""Steps within which a fake that is broken on purpose must be found; most are found in the first hundred."""

FOUND = (
    "test_a_mac_address_asked_for_is_kept",
    "test_a_disk_size_below_the_base_images_is_refused",
    "test_the_cpu_topology_is_the_one_asked_for",
    "test_notes_come_back_character_for_character",
    "test_start_runs_a_vm_that_is_off",
    "test_a_deleted_vm_is_listed_no_more",
    "test_the_other_disks_keep_their_ids",
    "test_a_new_volume_has_the_name_size_and_format_asked_for",
    "test_a_new_switch_is_active",
    "test_deleting_the_current_snapshot_makes_its_parent_current",
    "test_a_revert_makes_the_snapshot_current",
    "test_tags_are_those_asked_for",
    "test_a_clone_has_an_id_files_and_addresses_of_its_own",
    "test_a_linked_clones_disks_share_blocks_with_its_sources",
    "test_a_template_becomes_a_vm_again",
)
"""Conformance tests whose mutants the lockstep must find too: of what is made, changed, told and deleted."""


@pytest.fixture(params=["all", "libvirt", "esxi", "vcenter", "hyperv"])
def bed(request: pytest.FixtureRequest) -> Iterator[StillBed]:
    with StillBed(profile=request.param) as bed:
        yield bed


def test_two_fakes_agree(bed: StillBed, report: Report) -> None:
    coverage = lockstep(bed, steps=400)
    report(coverage)
    assert coverage.steps >= 400
    coverage.check()


@pytest.mark.parametrize("test", FOUND)
def test_a_mutant_is_found(test: str) -> None:
    with StillBed(wrap=BY_TEST[test].wrap) as bed, pytest.raises(Divergence):
        lockstep(bed, steps=ENOUGH, shrink=0)


def test_the_same_seed_gives_the_same_steps() -> None:
    reports = []
    for seed in (7, 7, 8):
        with StillBed() as bed:
            reports.append(str(lockstep(bed, steps=100, first_seed=seed)))
    assert reports[0] == reports[1] != reports[2]


def test_what_is_found_is_made_small_and_told_as_a_script() -> None:
    mutant = BY_TEST["test_notes_come_back_character_for_character"]
    with StillBed(wrap=mutant.wrap) as bed:
        with pytest.raises(Divergence) as found:
            lockstep(bed, steps=ENOUGH, length=10)
        message = str(found.value)
        script = [line.strip() for line in message.partition("Each side was asked for:\n\n")[2].splitlines()]
        assert "notes" in message.splitlines()[1]
        assert len(script) <= 6, message
        # The script is a program, and shows on the mutant what the message says.
        names: dict[str, object] = {name: getattr(hyperkit, name) for name in hyperkit.__all__}
        names["host"] = bed.host
        for line in script:
            exec(line, names)
        made = [value for value in names.values() if isinstance(value, hyperkit.VM)]
        assert any(vm.refresh().notes not in script[-1] for vm in made) or len(made) > 1


def test_when_the_time_for_shorter_scripts_is_over_no_run_begins() -> None:
    class Counting(Lockstep):
        after = 0

        def __init__(self) -> None:
            super().__init__()
            type(self).after += type(self).first is not None

    runs: list[type[Counting]] = []

    class Told(Counting):
        def __init_subclass__(cls) -> None:
            runs.append(cls)

    mutant = BY_TEST["test_notes_come_back_character_for_character"]
    with StillBed(wrap=mutant.wrap) as bed, pytest.raises(Divergence, match="notes"):
        lockstep(bed, steps=ENOUGH, length=10, shrink=1e-9, machine=Told)
    (run,) = runs
    assert run.after == 0


def test_when_the_time_is_over_the_shortest_script_so_far_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    monkeypatch.setattr("hyperkit.testing.lockstep.machine.time", SimpleNamespace(monotonic=lambda: next(looks)))
    runs: list[type[Lockstep]] = []

    class Told(Lockstep):
        def __init_subclass__(cls) -> None:
            runs.append(cls)

    mutant = BY_TEST["test_notes_come_back_character_for_character"]
    with StillBed(wrap=mutant.wrap) as bed, pytest.raises(Divergence) as found:
        lockstep(bed, steps=ENOUGH, length=50, shrink=20, machine=Told)
    (run,) = runs
    assert run.over
    assert found.value is run.shortest
    assert found.value.__cause__ is None, "Hypothesis found odd that a run drew nothing"


def test_a_file_is_called_as_it_was_asked_for_wherever_it_is() -> None:
    labels = Labels({"web1", "spare"})
    for path in ("/web1.qcow2", "/spare.qcow2", "[s] web1/web1.vmdk", "[s] web1/web1_1.vmdk", "[s] web1/spare.vmdk"):
        labels.discover(path, "")
    assert labels.file_name("web1-0.qcow2", "/web1.qcow2") == "chosen"
    assert labels.file_name("spare.qcow2", "/spare.qcow2") == "spare"
    assert labels.file_name("web1/web1", "[s] web1/web1.vmdk") == "chosen"
    assert labels.file_name("web1/web1_1", "[s] web1/web1_1.vmdk") == "chosen"
    assert labels.file_name("web1/spare", "[s] web1/spare.vmdk") == "spare"
    assert labels.file_name("old/golden", "[s] old/golden.vmdk") == "old/golden"  # it was there before


def test_a_disk_that_goes_on_in_other_files_is_one_disk() -> None:
    labels = Labels(())
    labels.discover("/a.raw", "")
    labels.layers = {"/a.1.qcow2": "/a.raw", "/a.memory": None}
    labels.formats = {"/a.raw": "raw"}
    fields: dict[str, Any] = {"id": "sda", "size": MiB}
    before = DiskRecord(path="/a.raw", format=DiskFormat.RAW, **fields)
    after = DiskRecord(path="/a.1.qcow2", format=DiskFormat.QCOW2, chain=("/a.raw",), **fields)
    assert normal(before, labels) == normal(after, labels)
    assert labels.file("/a.1.qcow2") == "file1"
    assert labels.covered == {"file1"}
    labels.forget({"/a.raw"})
    assert not labels.covered


def test_a_run_that_only_collects_refusals_fails() -> None:
    coverage = Coverage()
    for _ in range(30):
        coverage.count("vm.start", "InvalidState")
        coverage.count("vm.pause", "Unsupported")  # by a host that never can
        coverage.count("vms.create", "done")
        coverage.count("vm.stop", "done")
    with pytest.raises(AssertionError, match=r"never done: vm\.start\n"):
        coverage.check()
    for _ in range(60):
        coverage.count("vm.stop", "NotFound")
    with pytest.raises(AssertionError, match="only 33%"):
        coverage.check()


def test_a_difference_of_outcome_is_told_with_what_each_side_said() -> None:
    def refuses(driver: Driver) -> Driver:
        return intercept(driver, lambda called, method, args: full() if called == "volumes.create" else method(*args))

    def full() -> None:
        raise ResourceExhausted("the disk is full")

    with StillBed(wrap=[refuses]) as host, twin_of(host.host) as fake:
        sides = (Side("the fake", fake.connect, "default", ()), Side("the host", host.connect, "default", ()))
        pair = Pair(*sides, Coverage())
        step = Step(what="volumes.create", target=Ref("store", ("volumes",)), method="create", args=("a", MiB))
        with pytest.raises(Divergence) as found:
            pair.do(step)
    assert "the host said: the disk is full" in str(found.value)
    assert str(found.value).endswith("store.volumes.create('a', 1 * MiB)")
    assert isinstance(found.value.__cause__, ResourceExhausted)
