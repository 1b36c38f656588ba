"""Clones and templates, as a caller sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hyperkit
from hyperkit import (
    VM,
    AlreadyExists,
    Busy,
    DiskFormat,
    DiskSpec,
    GiB,
    Host,
    InvalidRequest,
    InvalidState,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    ResourceExhausted,
    Snapshot,
    Unsupported,
)
from hyperkit.backends.fake.world import World
from hyperkit.errors import HyperkitError
from hyperkit.testing import Fake, fake_host
from tests.unit.support import all_but, counted, host_with, world_of


def golden(host: Host, **fields: Any) -> VM:
    """A VM that is worth a clone."""
    host.switches.create("lan")
    return host.vms.create("golden", disks=[DiskSpec(size=GiB)], nics=[NicSpec("lan"), NicSpec()], **fields)


# What a clone is


def test_a_clone_is_another_vm_of_the_same_kind() -> None:
    host, _ = counted()
    vm = golden(host, cpus=2, notes="as it came", tags=["web"], guest_os="debian12", cdrom=True, autostart=True)
    clone = vm.clone("web1")
    assert (clone.name, clone.state, clone.host) == ("web1", PowerState.OFF, host)
    assert clone != vm
    assert (clone.cpus, clone.notes, clone.tags) == (2, "as it came", ("web",))
    assert (clone.record.guest_os, len(clone.cdroms)) == ("debian12", 1)
    # What the host does with the source by itself is not the clone's.
    assert not clone.record.autostart
    assert [nic.switch for nic in clone.record.nics] == ["lan", None]
    assert {nic.mac for nic in clone.record.nics}.isdisjoint(nic.mac for nic in vm.record.nics)
    assert [disk.record.base for disk in clone.disks] == [None]
    assert vm.refresh().record == host.vms.one("golden").record


def test_a_clone_of_a_running_vm_is_off_with_all_its_memory() -> None:
    host = host_with(World(capabilities=all_but(hot_memory_remove_any=False)))
    vm = golden(host, memory=GiB, max_memory=4 * GiB).start().configure(memory=2 * GiB)
    assert vm.record.dimms
    clone = vm.clone("web1")
    assert (clone.state, clone.memory, clone.record.dimms) == (PowerState.OFF, 2 * GiB, ())
    assert vm.refresh().state is PowerState.RUNNING


def test_a_clones_guest_behaves_as_its_sources() -> None:
    with fake_host() as fake:
        fake.seed(vms=[{"name": "golden", "disks": [{"size": "1 GiB"}], "guest": {"commands": {"hostname": "me"}}}])
        vm = fake.host.vms.one("golden").start()
        vm.console.press("enter")
        clone = vm.clone("web1").start()
        assert clone.guest.run(["hostname"]).stdout == b"me"
        assert fake.inside(clone).pressed == []
        fake.guest(clone, commands={"hostname": "another"})
        assert vm.guest.run(["hostname"]).stdout == b"me"


def test_a_snapshot_is_an_object_or_an_id_and_its_devices_are_those_of_then() -> None:
    host, _ = counted()
    vm = golden(host)
    clean = vm.snapshots.create("clean")
    vm.disks.attach(DiskSpec(size=MiB))
    vm.nics[0].detach()
    host.switches.one("lan").delete()
    given: list[Snapshot | str] = [clean, clean.id, vm.snapshots.one("clean")]
    for number, snapshot in enumerate(given):
        clone = vm.clone(f"web{number}", snapshot=snapshot)
        assert [disk.size for disk in clone.disks] == [GiB]
        # The switch of then is gone.
        assert [nic.switch for nic in clone.record.nics] == [None, None]


def test_linked_without_a_snapshot_means_the_current_one() -> None:
    host, calls = counted()
    vm = golden(host, cpus=1)
    vm.snapshots.create("old")
    vm.configure(cpus=2)
    vm.snapshots.create("now")
    vm.configure(cpus=4)
    calls.clear()
    clone = vm.clone("web1", linked=True)
    assert calls == ["snapshots.list", "clones.clone"]
    assert clone.cpus == 2
    assert clone.disks[0].record.base == vm.disks[0].path


@pytest.mark.parametrize("give", [lambda store: store, lambda store: store.id, lambda store: store.name])
def test_a_datastore_is_given_as_for_a_disk(give: Callable[[Any], Any]) -> None:
    with fake_host() as fake:
        fake.seed(datastores=["fast"])
        vm = golden(fake.host)
        clone = vm.clone("web1", datastore=give(fake.host.datastores.one("fast")))
        assert [disk.path for disk in clone.disks] == ["/fake/fast/web1-0.qcow2"]
        assert [disk.path for disk in vm.clone("web2").disks] == ["/fake/images/web2-0.qcow2"]


def test_a_slow_clone_tells_how_far_it_is_and_can_be_called_off() -> None:
    with fake_host(jobs="polls:4") as fake:
        vm = fake.host.vms.create("golden", disks=[DiskSpec(size=GiB)])
        task = vm.begin_clone("web1")
        assert task.progress.phase == "cloning"
        assert 0 < (task.progress.fraction or 0) < 1
        assert fake.host.vms.list() == [vm]
        task.cancel()
        with pytest.raises(hyperkit.Cancelled):
            task.result()
        assert fake.host.vms.list() == [vm]
        assert vm.clone("web2").name == "web2"


def test_a_clone_that_fails_leaves_nothing() -> None:
    with fake_host() as fake:
        fake.seed(datastores=[{"name": "small", "capacity": "1536 MiB"}])
        thick = [DiskSpec(size=GiB, thin=False), DiskSpec(size=GiB, thin=False)]
        vm = fake.host.vms.create("golden", disks=thick)
        before = set(fake.world.volumes)
        with pytest.raises(ResourceExhausted):
            vm.clone("web1", datastore="small")
        assert set(fake.world.volumes) == before
        assert fake.host.vms.list() == [vm]


# Mistakes


MISTAKES: list[tuple[Callable[[VM], object], type[HyperkitError], str]] = [
    (lambda vm: vm.clone(""), InvalidRequest, "a name is not empty"),
    (lambda vm: vm.clone("a/b"), InvalidRequest, "name="),
    (lambda vm: vm.clone("golden"), AlreadyExists, "golden"),
    (lambda vm: vm.clone("web1", linked="yes"), InvalidRequest, "True or False"),  # type: ignore[arg-type]
    (lambda vm: vm.clone("web1", snapshot="clean"), NotFound, r"one\(name='clean'\) finds by name"),
    (lambda vm: vm.clone("web1", snapshot=vm), InvalidRequest, "a snapshot of this host"),  # type: ignore[arg-type]
    (lambda vm: vm.clone("web1", datastore="nas"), NotFound, "no datastore 'nas'.*it has 'default'"),
    (lambda vm: vm.clone("web1", linked=True), InvalidState, "snapshots.create.*linked=False"),
]


@pytest.mark.parametrize(("mistake", "kind", "told"), MISTAKES)
def test_mistakes_are_told_and_nothing_is_made(
    mistake: Callable[[VM], object], kind: type[HyperkitError], told: str
) -> None:
    host, _ = counted()
    vm = golden(host)
    files = set(world_of(host).volumes)
    with pytest.raises(kind, match=told):
        mistake(vm)
    assert host.vms.list() == [vm]
    assert set(world_of(host).volumes) == files


def test_another_vms_snapshot_is_refused_by_name() -> None:
    host, _ = counted()
    vm = golden(host)
    other = host.vms.create("other").snapshots.create("clean")
    with pytest.raises(InvalidRequest, match=r"snapshot 'clean' of VM 'other'.*a snapshot of VM 'golden'") as refused:
        vm.clone("web1", snapshot=other)
    assert refused.value.field == "snapshot"


def test_a_snapshot_or_datastore_of_another_host_is_refused() -> None:
    host, elsewhere = counted()[0], counted()[0]
    vm = golden(host)
    foreign = golden(elsewhere).snapshots.create("clean")
    with pytest.raises(InvalidRequest, match="a snapshot of VM 'golden'"):
        vm.clone("web1", snapshot=foreign)
    with pytest.raises(InvalidRequest, match="of another host"):
        vm.clone("web1", datastore=elsewhere.datastores.one("default"))


@pytest.mark.parametrize(
    ("lacking", "ask"),
    [
        ("clones", lambda vm: vm.clone("web1")),
        ("linked_clones", lambda vm: vm.clone("web1", linked=True)),
        ("running_clones", lambda vm: vm.start().clone("web1")),
        ("running_clones", lambda vm: vm.start().pause().clone("web1")),
        ("templates", VM.make_template),
        ("templates", VM.make_vm),
    ],
)
def test_what_the_host_cannot_do_is_refused_before_it_is_asked(lacking: str, ask: Callable[[VM], object]) -> None:
    vm = golden(host_with(World(capabilities=all_but(**{lacking: False}))))
    with pytest.raises(Unsupported) as refused:
        ask(vm)
    assert refused.value.capability == lacking


def test_a_running_vms_snapshot_is_cloned_where_the_vm_itself_is_not() -> None:
    host = host_with(World(capabilities=all_but(running_clones=False)))
    vm = golden(host).start()
    clean = vm.snapshots.create("clean")
    assert vm.clone("web1", snapshot=clean).state is PowerState.OFF
    assert vm.clone("web2", linked=True).state is PowerState.OFF
    assert vm.stop().clone("web3").name == "web3"


# Templates


def test_a_template_is_cloned_and_not_started() -> None:
    host, calls = counted()
    vm = golden(host)
    assert vm.make_template() is vm
    assert repr(vm).startswith("<VM 'golden' template off 1 cpu")
    with pytest.raises(InvalidState, match=r"it is off and a template.*clone.*make_vm") as refused:
        vm.start()
    assert refused.value.allowed == ("clone", "make_vm")
    assert not vm.clone("web1").template
    assert host.vms.find(template=True) == [vm]
    calls.clear()
    assert vm.make_template().template
    assert calls == ["vms.get"]
    assert not vm.make_vm().template
    assert vm.make_vm().start().state is PowerState.RUNNING


def test_somebody_elses_template_is_refused_by_the_host_and_somebody_elses_vm_is_started() -> None:
    host, _ = counted()
    vm, seen = golden(host), host.vms.one("golden")
    vm.make_template()
    with pytest.raises(InvalidState, match="a template"):
        seen.start()
    seen.make_vm()
    assert vm.template  # as it was read
    assert vm.start().state is PowerState.RUNNING
    assert not vm.template


@pytest.mark.parametrize("verb", [VM.start, lambda vm: vm.start().pause(), lambda vm: vm.start().suspend()])
def test_only_a_vm_that_is_off_becomes_a_template(verb: Callable[[VM], object]) -> None:
    host, _ = counted()
    vm = golden(host)
    verb(vm)
    with pytest.raises(InvalidState, match="cannot make a template of VM 'golden'"):
        vm.make_template()
    assert not vm.refresh().template


def test_a_template_is_deleted_with_its_disks() -> None:
    host, _ = counted()
    vm = golden(host).make_template()
    vm.delete()
    assert host.vms.list() == []
    assert not world_of(host).volumes


def test_a_template_stays_one_over_a_revert() -> None:
    host, _ = counted()
    vm = golden(host)
    clean = vm.snapshots.create("clean")
    vm.make_template()
    assert clean.revert().template


# What a linked clone needs stays


def test_a_source_is_not_deleted_with_the_disks_that_a_linked_clone_needs(hyperkit_fake: Fake) -> None:
    vm = golden(hyperkit_fake.host)
    vm.snapshots.create("clean")
    clone = vm.clone("web1", linked=True)
    with pytest.raises(Busy, match="the base of a disk of VM 'web1'"):
        vm.delete()
    with pytest.raises(Busy, match="the base of a disk of VM 'web1'"):
        vm.disks[0].detach(delete=True)
    assert vm.disks[0].path in hyperkit_fake.world.volumes
    clone.delete()
    vm.delete()
    assert hyperkit_fake.host.vms.list() == []


@pytest.mark.parametrize("disks", ["created", "none"])
def test_nor_with_what_only_its_snapshots_have(hyperkit_fake: Fake, disks: Any) -> None:
    """A disk that was detached since belongs to the snapshot alone, and would go with it."""
    vm = golden(hyperkit_fake.host)
    then = vm.snapshots.create("clean")
    vm.disks[0].detach()
    vm.clone("web1", linked=True, snapshot=then)
    with pytest.raises(Busy, match="the base of a disk of VM 'web1'"):
        vm.delete(disks=disks)
    assert vm in hyperkit_fake.host.vms


def test_a_whole_clone_needs_nothing_of_its_source(hyperkit_fake: Fake) -> None:
    vm = golden(hyperkit_fake.host)
    clone = vm.clone("web1")
    vm.delete()
    assert clone.start().state is PowerState.RUNNING


def test_on_vsphere_a_file_does_not_tell_with_which_it_shares_blocks() -> None:
    host = hyperkit.connect("fake://?profile=vcenter")
    vm = host.vms.create("golden", memory=64 * MiB, disks=[DiskSpec(size=8 * MiB)])
    vm.snapshots.create("clean")
    clone = vm.clone("web1", linked=True)
    (store,) = host.datastores
    assert store.volumes.get(clone.disks[0].path).record.base is None
    assert clone.disks[0].record.base is not None


def test_a_template_is_not_changed_until_it_is_a_vm_again() -> None:
    host = hyperkit.connect("fake://")
    golden = host.vms.create(
        "golden", memory=64 * MiB, disks=[DiskSpec(size=8 * MiB)], nics=[NicSpec()]
    ).make_template()
    for call in (
        lambda: golden.configure(notes="new", name="other"),
        lambda: golden.snapshots.create("s"),
        lambda: golden.disks.attach(DiskSpec(size=8 * MiB)),
        lambda: golden.disks[0].resize(16 * MiB),
        lambda: golden.nics.attach(NicSpec()),
        lambda: golden.nics[0].set_link(False),
    ):
        with pytest.raises(InvalidState, match="template") as caught:
            call()
        assert "make_vm" in caught.value.allowed
    assert golden.refresh().name == "golden"
    assert golden.make_vm().configure(notes="new").notes == "new"


def test_a_volume_goes_into_a_drive_and_what_is_none_does_not() -> None:
    host = hyperkit.connect("fake://")
    (store,) = host.datastores
    iso = store.volumes.create("tiny.iso", 8 * MiB, format=DiskFormat.RAW)
    vm = host.vms.create("web1", memory=64 * MiB, cdrom=True)
    assert vm.cdroms[0].insert(iso).iso == iso.path
    with pytest.raises(InvalidRequest):
        host.vms.create("web2", iso=DiskSpec(size=8 * MiB))  # type: ignore[arg-type]
    assert "web2" not in host.vms
