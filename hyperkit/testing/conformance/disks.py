"""Disks and CD-ROM drives of a VM that exists."""

from __future__ import annotations

import pytest

from hyperkit.errors import AlreadyExists, Busy, HyperkitError, InvalidRequest, InvalidState, NotFound, Unsupported
from hyperkit.specs import DiskSpec
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import ANY_BASE, now_and_after_a_restart
from hyperkit.units import MiB

SMALL = DiskSpec(size=8 * MiB)


@behaviour(
    "disks.attach",
    "An attached disk comes after those that were there, and has an id of its own.",
    requires=("disks", "attach"),
)
def test_an_attached_disk_comes_after_those_that_were_there(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL, SMALL])
    before = [disk.id for disk in vm.disks]
    attached = vm.disks.attach(DiskSpec(size=16 * MiB))
    assert [disk.id for disk in bed.seen(vm).disks] == [*before, attached.id]
    assert len({*before, attached.id}) == 3
    assert bed.seen(vm).disks[2].record == attached.record
    assert attached.path in bed.backdoor.shape(vm.id).disks
    assert bed.backdoor.disk_size(attached.path) == 16 * MiB


@behaviour(
    "disks.attach",
    "A new disk that cannot be attached leaves no file behind.",
    requires=("disks", "attach", ANY_BASE),
)
def test_a_new_disk_that_cannot_be_attached_leaves_no_file(bed: Bed) -> None:
    # A host that has made the file is more likely to fail if the VM runs.
    vm = bed.running(disks=[SMALL]) if bed.host.capabilities.hot_disk else bed.vm(disks=[SMALL])
    before, files = bed.seen(vm).record, bed.backdoor.files()
    with pytest.raises(HyperkitError) as refused:
        vm.disks.attach(bed.doomed_disk())
    assert not isinstance(refused.value, Unsupported)
    assert bed.backdoor.files() == files
    assert bed.seen(vm).record == before


@behaviour("disks.attach", "A disk that the VM already has is AlreadyExists.", requires=("disks", "attach"))
def test_a_disk_that_the_vm_already_has_is_already_exists(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL])
    with pytest.raises(AlreadyExists):
        vm.disks.attach(DiskSpec(path=vm.disks[0].path))
    assert len(bed.seen(vm).disks) == 1


@behaviour(
    "disks.attach",
    "A disk is attached to a running VM, and is still there after a restart.",
    requires=("disks", "attach", "hot_disk"),
)
def test_a_disk_is_attached_to_a_running_vm(bed: Bed) -> None:
    vm = bed.running(disks=[SMALL])
    attached = vm.disks.attach(SMALL)
    for _ in now_and_after_a_restart(vm):
        assert [disk.path for disk in bed.seen(vm).disks] == [vm.disks[0].path, attached.path]
        assert bed.backdoor.shape(vm.id).disks == {vm.disks[0].path, attached.path}


@behaviour(
    "disks.attach",
    "A disk is attached to a running VM on the bus asked for.",
    requires=("disks", "attach", "hot_disk"),
    facts=("bus",),
)
def test_a_disk_is_attached_to_a_running_vm_on_the_bus_asked_for(bed: Bed) -> None:
    vm = bed.running(disks=[SMALL])
    attached = vm.disks.attach(DiskSpec(size=8 * MiB, bus=bed.bus))
    assert attached.record.bus is bed.bus
    assert [disk.record.bus for disk in bed.seen(vm).disks] == [vm.disks[0].record.bus, bed.bus]


@behaviour("disks.attach", "One disk more than the host allows is refused.", requires=("disks", "attach", "max_disks"))
def test_one_disk_more_than_the_host_allows_is_refused(bed: Bed) -> None:
    most = bed.host.capabilities.max_disks or 0
    vm = bed.vm(disks=[SMALL] * most)
    files = bed.backdoor.files()
    with pytest.raises(InvalidRequest):
        vm.disks.attach(SMALL)
    assert len(bed.seen(vm).disks) == most
    assert bed.backdoor.files() == files


@behaviour("disks.detach", "A detached disk is gone from the VM, and its file stays.", requires=("disks", "attach"))
def test_a_detached_disk_is_gone_and_its_file_stays(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL])
    path = vm.disks[0].path
    vm.disks[0].detach()
    assert len(vm.disks) == 0
    assert bed.backdoor.shape(vm.id).disks == set()
    assert path in bed.backdoor.files()


@behaviour("disks.detach", "The other disks keep their ids.", requires=("disks", "attach"))
def test_the_other_disks_keep_their_ids(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL, SMALL, SMALL])
    first, middle, last = vm.disks
    middle.detach()
    kept = [(disk.id, disk.path) for disk in bed.seen(vm).disks]
    assert kept == [(first.id, first.path), (last.id, last.path)]


@behaviour("disks.detach", "A disk id that the VM does not have is NotFound.", requires=("disks", "attach"))
def test_a_disk_id_that_the_vm_does_not_have_is_not_found(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL, SMALL])
    stale = vm.disks[1]
    bed.seen(vm).disks[1].detach()
    with pytest.raises(NotFound):
        stale.detach()
    with pytest.raises(NotFound):
        bed.host.driver.disks.detach(vm.id, stale.id)
    assert len(bed.seen(vm).disks) == 1


@behaviour(
    "disks.detach", "A disk can be deleted as it is detached, if hyperkit created it.", requires=("disks", "attach")
)
def test_a_disk_can_be_deleted_as_it_is_detached(bed: Bed) -> None:
    foreign = bed.image()
    vm = bed.vm(disks=[SMALL, DiskSpec(path=foreign)])
    created = vm.disks[0].path
    with pytest.raises(InvalidRequest):
        vm.disks[1].detach(delete=True)
    vm.disks[0].detach(delete=True)
    assert [disk.path for disk in bed.seen(vm).disks] == [foreign]
    assert created not in bed.backdoor.files()
    assert foreign in bed.backdoor.files()


@behaviour(
    "disks.detach",
    "A disk is not deleted while snapshots of its VM may need it: Busy, and it stays attached.",
    requires=("disks", "attach", "snapshots"),
)
def test_a_disk_is_not_deleted_while_snapshots_may_need_it(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL])
    vm.snapshots.create("first")
    with pytest.raises(Busy):
        vm.disks[0].detach(delete=True)
    there = bed.seen(vm).disks
    assert len(there) == 1
    assert there[0].path in bed.backdoor.files()


@behaviour(
    "disks.detach",
    "A disk is detached from a running VM, and is still gone after a restart.",
    requires=("disks", "attach", "hot_disk"),
    facts=("guest",),
)
def test_a_disk_is_detached_from_a_running_vm(bed: Bed) -> None:
    vm = bed.booted(disks=[SMALL, SMALL])
    *_, gone, kept = vm.disks
    gone.detach()
    for _ in now_and_after_a_restart(vm):
        there = [disk.path for disk in bed.seen(vm).disks]
        assert gone.path not in there
        assert there[-1] == kept.path
        assert bed.backdoor.shape(vm.id).disks == set(there)
    assert gone.path in bed.backdoor.files()


@behaviour(
    "disks.detach",
    "A disk that a running VM's guest does not let go stays attached, with its file: Busy.",
    requires=("disks", "attach", "hot_disk"),
    facts=("deaf",),
)
def test_a_disk_that_the_guest_does_not_let_go_stays_attached(bed: Bed) -> None:
    fields = bed.fields(**(bed.deaf or {}))
    fields["disks"] = [*fields.get("disks", ()), SMALL, SMALL]
    vm = bed.running(**fields)
    path, left = vm.disks[-1].path, [disk.path for disk in vm.disks]
    try:
        vm.disks[-1].detach(delete=True)
    except Busy:
        assert path in bed.backdoor.files()
    else:  # on this host no guest can hold it back
        left.remove(path)
    for _ in now_and_after_a_restart(vm):
        assert [disk.path for disk in bed.seen(vm).disks] == left
        assert bed.backdoor.shape(vm.id).disks == set(left)


@behaviour(
    "disks.detach",
    "A paused VM's disk, which no guest can let go, stays attached: InvalidState.",
    requires=("attach", "pause", "hot_disk"),
)
def test_a_paused_vms_disk_stays_attached(bed: Bed) -> None:
    vm = bed.running(disks=[SMALL]).pause()
    path = vm.disks[0].path
    with pytest.raises(InvalidState):
        vm.disks[0].detach(delete=True)
    vm.resume()
    for _ in now_and_after_a_restart(vm):
        assert [disk.path for disk in bed.seen(vm).disks] == [path]
        assert bed.backdoor.shape(vm.id).disks == {path}


@behaviour("disks.resize", "A disk grows to the size asked for.", requires=("disks", "disk_resize"))
def test_a_disk_grows_to_the_size_asked_for(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL, SMALL])
    grown = vm.disks[1].resize(24 * MiB)
    assert grown.size == 24 * MiB
    assert [disk.size for disk in bed.seen(vm).disks] == [8 * MiB, 24 * MiB]
    assert bed.backdoor.disk_size(grown.path) == 24 * MiB


@behaviour("disks.resize", "A disk that two VMs have grows for both.", requires=("disks", "disk_resize"))
def test_a_disk_that_two_vms_have_grows_for_both(bed: Bed) -> None:
    vm = bed.vm(disks=[SMALL])
    other = bed.vm(disks=[DiskSpec(path=vm.disks[0].path)])
    vm.disks[0].resize(24 * MiB)
    assert [disk.size for disk in bed.seen(other).disks] == [24 * MiB]


@behaviour(
    "disks.resize",
    "A disk of a running VM grows, and is as large after a restart.",
    requires=("disks", "disk_resize", "hot_disk_resize"),
)
def test_a_disk_of_a_running_vm_grows(bed: Bed) -> None:
    vm = bed.running(disks=[SMALL, SMALL])
    assert vm.disks[1].resize(24 * MiB).size == 24 * MiB
    for _ in now_and_after_a_restart(vm):
        assert [disk.size for disk in bed.seen(vm).disks] == [8 * MiB, 24 * MiB]
        assert bed.backdoor.disk_size(vm.disks[1].path) == 24 * MiB


@behaviour("disks.resize", "A disk is never made smaller: InvalidRequest.", requires=("disks", "disk_resize"))
def test_a_disk_is_never_made_smaller(bed: Bed) -> None:
    disk = bed.vm(disks=[DiskSpec(size=16 * MiB)]).disks[0]
    with pytest.raises(InvalidRequest):
        disk.resize(8 * MiB)
    assert bed.backdoor.disk_size(disk.path) == 16 * MiB


@behaviour(
    "disks.set_iso",
    "An ISO can be put into an empty drive, exchanged and taken out.",
    requires=("cdrom",),
    facts=("iso", "other_iso"),
)
def test_an_iso_can_be_put_into_an_empty_drive_exchanged_and_taken_out(bed: Bed) -> None:
    assert bed.iso
    assert bed.other_iso
    vm = bed.vm(cdrom=True)
    drive = vm.cdroms[0]
    for iso in (bed.iso, bed.other_iso):
        assert drive.insert(iso).iso == iso
        assert [there.iso for there in bed.seen(vm).cdroms] == [iso]
    assert drive.eject().iso is None
    assert [there.iso for there in bed.seen(vm).cdroms] == [None]


@behaviour(
    "disks.set_iso",
    "An exchange for an ISO that leads nowhere is NotFound, and the drive keeps what it has.",
    requires=("cdrom",),
    facts=("iso",),
)
def test_an_exchange_for_an_iso_that_leads_nowhere_is_not_found(bed: Bed) -> None:
    vm = bed.vm(iso=bed.iso)
    with pytest.raises(NotFound):
        vm.cdroms[0].insert(bed.missing_path)
    assert [there.iso for there in bed.seen(vm).cdroms] == [bed.iso]


@behaviour(
    "disks.set_iso",
    "An ISO is exchanged while the VM runs, and the change outlives a restart.",
    requires=("cdrom", "hot_cdrom"),
    facts=("iso", "other_iso"),
)
def test_an_iso_is_exchanged_while_the_vm_runs(bed: Bed) -> None:
    assert bed.other_iso
    for iso in (bed.other_iso, None):
        vm = bed.running(iso=bed.iso)
        drive = vm.cdroms[0]
        assert (drive.insert(iso) if iso else drive.eject()).iso == iso
        assert [there.iso for there in bed.seen(vm).cdroms] == [iso]
        vm.stop().start()
        assert [there.iso for there in bed.seen(vm).cdroms] == [iso]
