"""Snapshots as users hold them: what they are called, and what is decided before a host is asked."""

from __future__ import annotations

from typing import Any

import pytest

import hyperkit
from hyperkit import (
    AlreadyExists,
    Busy,
    DiskFormat,
    DiskSpec,
    Firmware,
    Host,
    InvalidRequest,
    InvalidState,
    MiB,
    NotFound,
    Unsupported,
)
from hyperkit.backends.fake.world import Machine, World
from hyperkit.errors import AgentUnavailable
from hyperkit.records import DiskRecord, changed
from hyperkit.resolve import check_unused
from tests.unit.support import all_but, counted, host_with, world_of


def test_a_rename_is_one_call_and_brings_the_object_up_to_date() -> None:
    host, calls = counted()
    snapshot = host.vms.create("vm").snapshots.create("old", description="kept")
    calls.clear()
    assert snapshot.rename("new") is snapshot
    assert (snapshot.name, snapshot.description) == ("new", "kept")
    assert calls == ["snapshots.update"]


def test_nothing_to_change_asks_nobody() -> None:
    host, calls = counted()
    snapshot = host.vms.create("vm").snapshots.create("old")
    calls.clear()
    snapshot.configure()
    assert not calls


@pytest.mark.parametrize("field", [{"name": "a/b"}, {"name": ""}, {"description": 7}])
def test_a_change_is_checked_before_the_host_is_asked(field: dict[str, Any]) -> None:
    host, calls = counted()
    snapshot = host.vms.create("vm").snapshots.create("old")
    calls.clear()
    with pytest.raises(InvalidRequest):
        snapshot.configure(**field)
    assert not calls


def test_a_host_that_cannot_rename_says_so() -> None:
    host = host_with(World(capabilities=all_but(snapshot_rename=False)))
    snapshot = host.vms.create("vm").snapshots.create("old")
    with pytest.raises(Unsupported) as caught:
        snapshot.rename("new")
    assert caught.value.capability == "snapshot_rename"
    assert snapshot.refresh().name == "old"


def test_a_renamed_snapshot_that_is_gone_is_not_found() -> None:
    host, _ = counted()
    vm = host.vms.create("vm")
    snapshot = vm.snapshots.create("old")
    vm.snapshots.get(snapshot.id).delete()
    with pytest.raises(NotFound):
        snapshot.rename("new")


def test_quiesced_is_without_memory() -> None:
    host, _ = counted()
    vm = host.vms.create("vm", disks=[DiskSpec(size=MiB)]).start()
    assert vm.snapshots.create("default").memory
    assert not vm.snapshots.create("quiet", quiesce=True).memory
    with pytest.raises(InvalidRequest, match="quiesce"):
        vm.snapshots.create("both", memory=True, quiesce=True)


def test_a_guest_without_an_agent_is_not_quiesced() -> None:
    host, _ = counted()
    vm = host.vms.create("vm").start()
    with pytest.raises(AgentUnavailable, match="agent"):
        vm.snapshots.create("quiet", quiesce=True)
    assert vm.snapshots.list() == []
    vm.stop()
    assert vm.snapshots.create("off", quiesce=True)  # there is nothing to freeze


def divided(host: Host) -> tuple[Machine, DiskRecord]:
    """A VM whose disk a snapshot divided into two files, as hosts do that begin new ones."""
    vm = host.vms.create("vm", disks=[DiskSpec(size=MiB)])
    world = world_of(host)
    machine = world.machines[vm.id]
    (disk,) = machine.record.disks
    top = world.add_file("/fake/images/top.qcow2", MiB)
    disk = changed(disk, path=top.path, chain=(disk.path,))
    world.update(machine, disks=(disk,))
    return machine, disk


@pytest.mark.parametrize("which", [0, 1])
def test_a_divided_disk_is_named_by_any_of_its_files_and_deleted_with_all(which: int) -> None:
    host, _ = counted()
    _, disk = divided(host)
    host.vms.one(name="vm").delete(disks=[disk.files[which]])
    assert not set(disk.files) & set(world_of(host).volumes)


def test_a_divided_disk_is_detached_and_deleted_with_all_its_files() -> None:
    host, _ = counted()
    _, disk = divided(host)
    host.vms.one(name="vm").disks[0].detach(delete=True)
    assert not set(disk.files) & set(world_of(host).volumes)


def test_the_lower_file_of_a_divided_disk_is_in_use() -> None:
    host, _ = counted()
    _, disk = divided(host)
    with pytest.raises(Busy, match="used by VM 'vm'"):
        check_unused(host, disk.chain)
    with pytest.raises(AlreadyExists):
        host.vms.one(name="vm").disks.attach(DiskSpec(path=disk.chain[0]))


def test_where_kinds_do_not_mix_the_first_snapshot_decides() -> None:
    """As QEMU's under libvirt; see `tests.backends.libvirt.test_external_snapshots`."""
    host = hyperkit.connect("fake://?profile=libvirt")
    inside = host.vms.create("inside", disks=[DiskSpec(size=MiB)])
    off = inside.snapshots.create("off")
    inside.start()
    with pytest.raises(InvalidState, match=r"VM 'inside'.* internal ones, and keep the memory, or stop the VM first"):
        inside.snapshots.create("disks", memory=False)
    inside.snapshots.create("memory")
    raw = inside.disks.attach(DiskSpec(size=MiB, format=DiskFormat.RAW))
    with pytest.raises(InvalidState, match=f"internal ones, and {raw.path} has no room"):
        inside.snapshots.create("raw")
    off.delete(children=True)
    assert inside.snapshots.create("raw").memory  # it is decided anew
    inside.snapshots.create("disks", memory=False)

    outside = host.vms.create("outside", disks=[DiskSpec(size=MiB)]).start()
    outside.snapshots.create("disks", memory=False)
    outside.snapshots.create("memory")
    assert outside.stop().snapshots.create("off")

    uefi = host.vms.create("uefi", disks=[DiskSpec(size=MiB)], firmware=Firmware.UEFI)
    uefi.snapshots.create("off")
    with pytest.raises(InvalidState, match="UEFI"):
        uefi.start().snapshots.create("memory")

    grown = host.vms.create("grown", max_cpus=2, disks=[DiskSpec(size=MiB)])
    grown.snapshots.create("off")
    grown.start().configure(cpus=2)
    with pytest.raises(InvalidState, match="CPUs that were added while it ran"):
        grown.snapshots.create("memory")
    assert grown.stop().start().snapshots.create("memory").memory


def test_kinds_mix_elsewhere() -> None:
    vm = hyperkit.connect("fake://").vms.create("any", disks=[DiskSpec(size=MiB)])
    vm.snapshots.create("off")
    vm.start().snapshots.create("memory")
    assert not vm.snapshots.create("disks", memory=False).memory
