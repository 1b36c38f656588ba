"""Reading virtual machines."""

from __future__ import annotations

import threading

import pytest

from hyperkit.errors import NotFound
from hyperkit.records import to_dict
from hyperkit.specs import NicSpec
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import disks, notes

COMINGS_AND_GOINGS = 25


@behaviour("vms.list", "Every VM is listed once, whichever connection made it.")
def test_every_vm_is_listed_once(bed: Bed) -> None:
    mine = bed.vm()
    theirs = bed.second.vms.create(bed.name_for("theirs"), **bed.fields())
    listed = [vm.id for vm in bed.host.vms]
    assert {mine.id, theirs.id} <= set(listed)
    assert sorted(listed) == sorted(bed.backdoor.vm_ids())


@behaviour("vms.list", "A listed record equals the one that get returns.")
def test_a_listed_record_equals_the_one_that_get_returns(bed: Bed) -> None:
    bed.vm(cpus=2, disks=disks(bed), nics=[NicSpec()])
    bed.running()
    for vm in bed.host.vms:
        assert vm.record == bed.second.vms.get(vm.id).record


@behaviour("vms.list", "A VM that vanishes while the list is read is left out, not an error.")
def test_a_vm_that_vanishes_while_the_list_is_read_is_left_out(bed: Bed) -> None:
    steady = bed.vm()
    failures: list[Exception] = []

    def come_and_go() -> None:
        try:
            for _ in range(COMINGS_AND_GOINGS):
                bed.second.vms.create(bed.name_for("fleeting"), **bed.fields()).delete()
        except Exception as error:
            failures.append(error)

    others = threading.Thread(target=come_and_go)
    others.start()
    try:
        while others.is_alive():
            assert steady in bed.host.vms.list()
    finally:
        others.join()
    assert not failures


@behaviour("vms.get", "An id that no VM has is NotFound.")
def test_an_id_that_no_vm_has_is_not_found(bed: Bed) -> None:
    bed.vm()
    for vm_id in ("no-such-vm", "11111111-2222-4333-8444-555555555555"):
        with pytest.raises(NotFound):
            bed.host.vms.get(vm_id)


@behaviour("vms.get", "A record does not change after it was returned.")
def test_a_record_does_not_change_after_it_was_returned(bed: Bed) -> None:
    vm = bed.vm(cpus=1)
    record = vm.record
    before = to_dict(record)
    bed.seen(vm).configure(cpus=2, notes=notes(bed, "changed")).start()
    assert to_dict(record) == before
    assert vm.refresh().record is not record
