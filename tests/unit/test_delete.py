"""delete(): which disks go with a VM, and what keeps both from going."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from hyperkit import VM, Busy, DiskSpec, GiB, Host, InvalidRequest, InvalidState, MiB, NicSpec, NotFound, PowerState
from tests.unit.support import Calls, counted, put_in_state, world_of

OLD = "/fake/images/old.qcow2"
CREATED = "/fake/images/web1-0.qcow2"
S = PowerState
LOOKS = ["vms.list", "snapshots.held", "datastores.list", "volumes.list"]
"""Who may need a file that is to go: as many calls for ten VMs as for ten thousand."""


def one_vm() -> tuple[VM, Calls]:
    """A VM with a disk that hyperkit created and one that was there before."""
    host, calls = counted()
    world_of(host).add_file(OLD, GiB, format="qcow2")
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB), DiskSpec(path=OLD)])
    assert [(disk.path, disk.created) for disk in vm.disks] == [(CREATED, True), (OLD, False)]
    calls.clear()
    return vm, calls


def files(host: Host) -> set[str]:
    return {volume.path for volume in host.datastores.one(name="default").volumes}


@pytest.mark.parametrize(
    ("disks", "left"),
    [
        ("created", {OLD}),
        ("none", {OLD, CREATED}),
        ("all", set()),
        ([], {OLD, CREATED}),
        ([OLD], {CREATED}),
        ((CREATED, OLD), set()),
        (iter([CREATED]), {OLD}),
    ],
)
def test_which_disks_go(disks: Any, left: set[str]) -> None:
    vm, _ = one_vm()
    vm.delete(disks=disks)
    assert files(vm.host) == left
    assert len(vm.host.vms.list()) == 0


def test_by_default_those_that_hyperkit_created() -> None:
    vm, _ = one_vm()
    vm.delete()
    assert files(vm.host) == {OLD}


def test_disks_can_be_named_by_their_objects() -> None:
    vm, _ = one_vm()
    vm.delete(disks=[vm.disks[1]])
    assert files(vm.host) == {CREATED}


@pytest.mark.parametrize(
    ("disks", "value", "wanted"),
    [
        ("creatd", "creatd", "'created', 'all', 'none', or a list of paths"),
        (OLD, OLD, "'created', 'all', 'none', or a list of paths"),
        (["/other"], "/other", f"a disk of VM 'web1': {CREATED}, {OLD}"),
        ([OLD, "disk0"], "disk0", "a disk of VM 'web1'"),
        ([7], 7, "a disk of VM 'web1'"),
        ([[OLD]], [OLD], "a disk of VM 'web1'"),
        (None, None, "'created', 'all', 'none', or a list of paths"),
        (7, 7, "'created', 'all', 'none', or a list of paths"),
    ],
)
def test_what_is_no_disk_of_it_is_refused(disks: Any, value: object, wanted: str) -> None:
    vm, calls = one_vm()
    with pytest.raises(InvalidRequest) as caught:
        vm.delete(disks=disks)
    assert (caught.value.field, caught.value.value) == ("disks", value)
    assert wanted in str(caught.value)
    assert calls == ["vms.get"]


def test_of_a_vm_without_disks_none_can_be_named() -> None:
    host, _ = counted()
    vm = host.vms.create("web1")
    with pytest.raises(InvalidRequest, match="it has none"):
        vm.delete(disks=[OLD])


def _uses_as_disk(host: Host) -> object:
    return host.vms.create("web2", disks=[DiskSpec(path=CREATED)])


def _uses_as_base(host: Host) -> object:
    return host.vms.create("web2", disks=[DiskSpec(base=CREATED)])


def _uses_as_iso(host: Host) -> object:
    return host.vms.create("web2", iso=CREATED)


@pytest.mark.parametrize(
    ("use", "words"),
    [(_uses_as_disk, "used by"), (_uses_as_base, "the base of a disk of"), (_uses_as_iso, "in the drive of")],
)
@pytest.mark.parametrize("running", [True, False])
def test_a_disk_that_another_vm_needs_stays_and_so_does_the_vm(
    use: Callable[[Host], object], words: str, running: bool
) -> None:
    vm, calls = one_vm()
    if running:
        vm.start()
    use(vm.host)
    before = files(vm.host)
    calls.clear()
    with pytest.raises(Busy) as caught:
        vm.delete(force=True)
    assert str(caught.value) == f"{CREATED} is {words} VM 'web2' on fake://; nothing was deleted"
    assert calls == ["vms.get", "vms.list"]
    assert files(vm.host) == before
    assert vm.refresh().state is (S.RUNNING if running else S.OFF)
    vm.delete(disks="none", force=True)
    assert files(vm.host) == before


def test_a_copy_needs_nothing_of_its_base() -> None:
    vm, _ = one_vm()
    vm.host.vms.create("web2", disks=[DiskSpec(base=CREATED, linked=False)])
    vm.delete()
    assert CREATED not in files(vm.host)


@pytest.mark.parametrize("state", S)
def test_only_what_holds_no_power_is_deleted_unless_forced(state: PowerState) -> None:
    powered = state in (S.RUNNING, S.PAUSED, S.SLEEPING, S.UNKNOWN)
    vm, calls = one_vm()
    put_in_state(vm.host, vm.id, state)
    if powered:
        with pytest.raises(InvalidState, match=f"cannot delete VM 'web1' on fake://: it is {state.value}") as caught:
            vm.delete()
        assert (caught.value.current, caught.value.wanted) == (state.value, "delete")
        assert "delete" not in caught.value.allowed
        assert "vms.delete" not in calls
        assert files(vm.host) == {OLD, CREATED}
    calls.clear()
    vm.delete(force=True)
    assert ("vms.set_power" in calls) is powered
    assert len(vm.host.vms.list()) == 0
    assert files(vm.host) == {OLD}


def test_it_looks_before_it_deletes() -> None:
    vm, _ = one_vm()
    again = vm.host.vms.get(vm.id)
    again.start()
    again.disks.attach(DiskSpec(size=MiB))
    with pytest.raises(InvalidState):
        vm.delete()
    vm.delete(force=True)
    assert files(vm.host) == {OLD}


def test_deleting_twice() -> None:
    vm, _ = one_vm()
    vm.delete()
    with pytest.raises(NotFound) as caught:
        vm.delete()
    assert caught.value.resource == "VM 'web1'"


def test_snapshots_and_saved_memory_go_with_it() -> None:
    vm, _ = one_vm()
    vm.start().snapshots.create("clean")
    vm.suspend()
    vm.delete()
    assert len(vm.host.vms.list()) == 0


# Volumes and disks by themselves


@pytest.mark.parametrize("use", [_uses_as_disk, _uses_as_base, _uses_as_iso])
def test_a_volume_in_use_is_not_deleted(use: Callable[[Host], object]) -> None:
    vm, calls = one_vm()
    vm.disks[0].detach()
    volume = vm.host.datastores.one(name="default").volumes.one(name="web1-0.qcow2")
    use(vm.host)
    calls.clear()
    with pytest.raises(Busy, match="VM 'web2'"):
        volume.delete()
    assert calls == ["vms.list"]
    assert CREATED in files(vm.host)


def test_detach_keeps_the_file_unless_told() -> None:
    vm, calls = one_vm()
    vm.disks[1].detach()
    assert files(vm.host) == {OLD, CREATED}
    calls.clear()
    vm.disks[0].detach(delete=True)
    assert calls == ["vms.get", *LOOKS, "disks.detach", "volumes.delete", "vms.get"]
    assert files(vm.host) == {OLD}


def test_detach_deletes_only_what_hyperkit_created() -> None:
    vm, calls = one_vm()
    with pytest.raises(InvalidRequest, match="was not created by hyperkit") as caught:
        vm.disks[1].detach(delete=True)
    assert caught.value.field == "delete"
    assert calls == ["vms.get"]
    assert len(vm.disks) == 2


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda vm: vm.snapshots.create("s"), "needed by a snapshot of VM 'web1'"),
        (lambda vm: _uses_as_base(vm.host), "the base of a disk of VM 'web2'"),
    ],
)
def test_detach_with_delete_is_refused_as_a_whole(prepare: Callable[[VM], object], words: str) -> None:
    vm, _ = one_vm()
    prepare(vm)
    with pytest.raises(Busy, match=words):
        vm.disks[0].detach(delete=True)
    assert len(vm.refresh().disks) == 2
    assert CREATED in files(vm.host)


# Switches


def test_a_switch_in_use_is_not_deleted_and_the_error_names_a_few() -> None:
    host, calls = counted()
    lan = host.switches.create("lan")
    for number in range(7):
        host.vms.create(f"vm{number}", nics=[NicSpec("lan")])
    calls.clear()
    with pytest.raises(Busy) as caught:
        lan.delete()
    assert "is in use by 'vm0', 'vm1', 'vm2', 'vm3', 'vm4': disconnect" in str(caught.value)
    assert calls == ["vms.list"]
    for vm in host.vms:
        vm.nics[0].disconnect()
    lan.delete()
    assert "lan" not in host.switches


def _paths(vms: Iterable[VM]) -> list[str]:
    return [disk.path for vm in vms for disk in vm.disks]


def test_names_of_new_disks_do_not_collide_with_those_that_stayed() -> None:
    vm, _ = one_vm()
    vm.delete(disks="none")
    vm.host.vms.create("web1", disks=[DiskSpec(size=GiB), DiskSpec(size=GiB)])
    assert _paths(vm.host.vms) == ["/fake/images/web1-1.qcow2", "/fake/images/web1-2.qcow2"]
