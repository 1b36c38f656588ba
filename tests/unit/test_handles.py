"""What all objects have in common: identity over connections, records without I/O, refresh, reprs."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

import hyperkit
from hyperkit import (
    VM,
    Capabilities,
    Cdrom,
    Datastore,
    Disk,
    DiskSpec,
    GiB,
    Host,
    HyperkitError,
    InvalidRequest,
    InvalidState,
    MiB,
    Nic,
    NicSpec,
    NotFound,
    PowerState,
    Snapshot,
    Switch,
    SwitchKind,
    Volume,
)
from hyperkit.backends.fake.world import World
from hyperkit.collection import Collection
from hyperkit.devices import Devices
from hyperkit.handle import Handle
from hyperkit.records import DiskRecord, NicRecord, changed
from tests.unit.support import all_but, counted, host_with, put_in_state

KINDS: dict[str, Callable[[Host], Handle[Any]]] = {
    "vm": lambda host: host.vms.one(name="web1"),
    "disk": lambda host: host.vms.one(name="web1").disks[0],
    "nic": lambda host: host.vms.one(name="web1").nics[0],
    "cdrom": lambda host: host.vms.one(name="web1").cdroms[0],
    "snapshot": lambda host: host.vms.one(name="web1").snapshots.one(name="clean"),
    "switch": lambda host: host.switches.one(name="lan"),
    "datastore": lambda host: host.datastores.one(name="default"),
    "volume": lambda host: host.datastores.one(name="default").volumes.one(name="web1-0.qcow2"),
}


def furnish(host: Host) -> VM:
    """One of everything."""
    host.switches.create("lan", SwitchKind.INTERNAL, subnet="192.168.150.0/24")
    vm = host.vms.create(
        "web1",
        cpus=2,
        memory=256 * MiB,
        disks=[DiskSpec(size=GiB)],
        nics=[NicSpec("lan", "52:54:00:00:00:01"), NicSpec()],
        cdrom=True,
    )
    vm.snapshots.create("clean")
    return vm


def two_connections() -> tuple[Host, Host]:
    world = World()
    first = host_with(world, "fake://a")
    furnish(first)
    return first, host_with(world, "fake://b")


# Identity


@pytest.mark.parametrize("kind", KINDS)
def test_equal_when_they_mean_the_same_over_two_connections(kind: str) -> None:
    first, second = two_connections()
    here, there = KINDS[kind](first), KINDS[kind](second)
    assert here is not there
    assert here == there
    assert hash(here) == hash(there)
    assert {here, there} == {here}


@pytest.mark.parametrize("kind", KINDS)
def test_different_on_another_host(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperkit.backends.fake.world._world_numbers", itertools.repeat(7))
    worlds = World(), World()
    worlds[1].host = changed(worlds[1].host, id="another")
    first, second = map(host_with, worlds)
    furnish(first)
    furnish(second)
    here, there = KINDS[kind](first), KINDS[kind](second)
    assert here.id == there.id  # only the host tells them apart
    assert here != there
    assert hash(here) != hash(there)


def test_equal_whatever_their_records_say() -> None:
    host, _ = counted()
    vm = furnish(host)
    before = host.vms.get(vm.id)
    vm.rename("db1").start()
    assert before.name == "web1"
    assert before == vm
    assert hash(before) == hash(vm)


def test_an_object_of_another_kind_or_a_name_is_not_equal() -> None:
    host, _ = counted()
    vm = furnish(host)
    assert vm != vm.id
    assert vm != vm.name
    assert vm != vm.snapshots.list()[0]
    assert (vm == object()) is False


def test_two_kinds_may_have_one_id() -> None:
    host, _ = counted()
    vm = furnish(host)
    disk = Disk(vm, DiskRecord(id="0", path="/a", size=None))
    nic = Nic(vm, NicRecord(id="0", mac="52:54:00:00:00:01"))
    assert disk != nic
    assert hash(disk) != hash(nic)


def test_devices_and_snapshots_belong_to_their_vm() -> None:
    host, _ = counted()
    first = furnish(host)
    second = host.vms.create("web2", disks=[DiskSpec(size=GiB)], nics=[NicSpec()], cdrom=True)
    for one, other in ((first.disks[0], second.disks[0]), (first.nics[0], second.nics[0])):
        assert one.id == other.id
        assert one != other
    assert first.cdroms[0] != second.cdroms[0]
    assert first.nics[0] != first.nics[1]


def test_hosts_are_equal_by_identity() -> None:
    first, second = two_connections()
    assert first == second
    assert hash(first) == hash(second)
    assert first != host_with(World())
    assert first != first.identity
    assert hyperkit.connect("fake://") != hyperkit.connect("fake://")


# No I/O


def attributes(kind: type) -> list[str]:
    return [name for name, item in inspect.getmembers(kind) if isinstance(item, property) and not name.startswith("_")]


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_do_no_io(kind: str) -> None:
    host, calls = counted()
    furnish(host)
    thing = KINDS[kind](host)
    names = attributes(type(thing))
    assert {"id", "host", "label", "record"} <= set(names)

    def look() -> None:
        for name in names:
            value = getattr(thing, name)
            if isinstance(value, Devices):
                assert list(value) == value[:]
                assert len(value) == len(list(value))
                assert repr(value)
        assert repr(thing)
        assert thing == thing  # noqa: PLR0124  # that is the point
        assert hash(thing)
        assert json.dumps(thing.to_dict())

    assert calls.of(look) == []


def test_attributes_of_a_host_do_no_io() -> None:
    host, calls = counted()

    def look() -> None:
        assert (host.name, host.url, host.backend) == ("fakehost", "fake://", "fake")
        assert host.identity == host.info.id
        assert host.capabilities.pause
        assert host.vms
        assert host.native is not None
        assert repr(host) == "<Host 'fakehost' hyperkit fake 1 at fake://>"

    assert calls.of(look) == []


def test_attributes_are_those_of_the_record() -> None:
    host, _ = counted()
    furnish(host)
    # Objects where the record has data, and `Handle.host` is the connection.
    others = {"disks", "nics", "cdroms", "switch", "host"}
    for find in KINDS.values():
        thing = find(host)
        for name in set(attributes(type(thing))) & set(vars(thing.record)) - others:
            assert getattr(thing, name) == getattr(thing.record, name), name
    switch = host.switches.one(name="lan")
    assert switch.switch_kind is switch.record.kind


# Refresh


@pytest.mark.parametrize("kind", KINDS)
def test_refresh_asks_and_returns_the_same_object(kind: str) -> None:
    host, calls = counted()
    furnish(host)
    thing = KINDS[kind](host)
    returned: list[object] = []
    assert len(calls.of(lambda: returned.append(thing.refresh()))) == 1
    assert returned[0] is thing


def test_refresh_sees_what_others_did() -> None:
    host, _ = counted()
    vm = furnish(host)
    host.vms.get(vm.id).configure(notes="by another")
    assert vm.notes == ""
    assert vm.refresh().notes == "by another"


def test_a_host_s_refresh_reads_its_facts() -> None:
    host, calls = counted()
    furnish(host).start()
    assert calls.of(host.refresh) == ["host.info"]
    free = host.info.memory_free
    assert free is not None
    assert free == host.info.memory - 256 * MiB


GONE: list[tuple[str, Callable[[Host, Any], object]]] = [
    ("vm", lambda _host, vm: vm.delete()),
    ("disk", lambda host, disk: disk.detach()),
    ("nic", lambda _host, nic: nic.detach()),
    ("snapshot", lambda _host, snapshot: snapshot.delete()),
    ("switch", lambda host, switch: [nic.disconnect() for nic in host.vms.list()[0].nics] and switch.delete()),
    ("volume", lambda host, volume: host.vms.list()[0].delete()),
]


@pytest.mark.parametrize(("kind", "remove"), GONE)
def test_what_is_gone_is_not_found_and_keeps_its_last_record(kind: str, remove: Callable[[Host, Any], object]) -> None:
    host, _ = counted()
    furnish(host)
    thing = KINDS[kind](host)
    remove(host, KINDS[kind](host))
    before = thing.record
    with pytest.raises(NotFound) as caught:
        thing.refresh()
    assert thing.record is before
    assert caught.value.resource in (thing.label, "VM 'web1'")
    assert caught.value.backend == host.url


@pytest.mark.parametrize("kind", ["disk", "nic", "cdrom", "snapshot"])
def test_a_part_of_a_vm_that_is_gone_is_gone_too(kind: str) -> None:
    host, _ = counted()
    vm = furnish(host)
    part = KINDS[kind](host)
    vm.delete()
    with pytest.raises(NotFound, match=r"VM 'web1'.*no VM with id"):
        part.refresh()


# Words


@pytest.mark.parametrize(
    ("kind", "label", "text"),
    [
        ("vm", "VM 'web1'", "<VM 'web1' off 2 cpus 256 MiB id={id}>"),
        (
            "disk",
            "disk 'disk0' of VM 'web1'",
            "<disk 'disk0' of VM 'web1' /fake/images/web1-0.qcow2 1 GiB id=disk0>",
        ),
        ("nic", "NIC 'nic0' of VM 'web1'", "<NIC 'nic0' of VM 'web1' 52:54:00:00:00:01 on 'lan' id=nic0>"),
        ("cdrom", "CD-ROM drive 'cdrom0' of VM 'web1'", "<CD-ROM drive 'cdrom0' of VM 'web1' empty id=cdrom0>"),
        ("snapshot", "snapshot 'clean' of VM 'web1'", "<snapshot 'clean' of VM 'web1' off current id={id}>"),
        ("switch", "switch 'lan'", "<switch 'lan' internal 192.168.150.0/24 id={id}>"),
        ("datastore", "datastore 'default'", "<datastore 'default' 1 TiB free of 1 TiB id={id}>"),
        (
            "volume",
            "volume 'web1-0.qcow2'",
            "<volume 'web1-0.qcow2' /fake/images/web1-0.qcow2 1 GiB id=/fake/images/web1-0.qcow2>",
        ),
    ],
)
def test_labels_and_reprs(kind: str, label: str, text: str) -> None:
    host, _ = counted()
    furnish(host)
    thing = KINDS[kind](host)
    assert thing.label == label
    assert repr(thing) == text.format(id=thing.id)


def test_reprs_of_the_less_usual() -> None:
    host, _ = counted()
    vm = furnish(host)
    assert repr(vm.nics[1]).endswith(" unplugged id=nic1>")
    small = host.vms.create("small", memory=64 * MiB).start()
    assert repr(small) == f"<VM 'small' running 1 cpu 64 MiB id={small.id}>"
    assert " running with memory current " in repr(small.snapshots.create("hot"))
    assert repr(host.switches.create("p")).startswith("<switch 'p' private id=")
    assert repr(vm.disks) == f"[{vm.disks[0]!r}]"


def test_kinds_differ() -> None:
    kinds: list[type[Handle[Any]]] = [VM, Disk, Nic, Cdrom, Snapshot, Switch, Datastore, Volume]
    assert len({kind.kind for kind in kinds}) == len(kinds)


# Devices as sequences


def test_devices_are_a_sequence_of_the_last_record() -> None:
    host, _ = counted()
    vm = furnish(host)
    assert [nic.id for nic in vm.nics] == ["nic0", "nic1"]
    assert vm.nics[-1] == vm.nics[1]
    assert vm.nics[:1] == [vm.nics[0]]
    assert vm.nics[0] in vm.nics
    assert vm.nics.get("nic1") == vm.nics[1]
    assert vm.nics[0].vm is vm
    with pytest.raises(IndexError):
        vm.nics[2]
    with pytest.raises(NotFound, match=r"VM 'web1' has no such device 'eth0'; it has 'nic0', 'nic1'"):
        vm.nics.get("eth0")
    vm.nics[0].detach()
    vm.nics[0].detach()
    with pytest.raises(NotFound, match="it has none"):
        vm.nics.get("nic0")
    assert not vm.nics


@pytest.mark.parametrize("state", [PowerState.SUSPENDED, PowerState.SLEEPING, PowerState.UNKNOWN])
@pytest.mark.parametrize(
    "change",
    [
        lambda vm: vm.disks.attach(DiskSpec(size=GiB)),
        lambda vm: vm.disks[0].detach(),
        lambda vm: vm.disks[0].resize(2 * GiB),
        lambda vm: vm.nics.attach(NicSpec()),
        lambda vm: vm.nics[0].detach(),
        lambda vm: vm.nics[0].disconnect(),
        lambda vm: vm.cdroms[0].insert("/iso"),
    ],
)
def test_devices_change_only_when_off_or_running(change: Callable[[VM], object], state: PowerState) -> None:
    host, calls = counted()
    vm = furnish(host)
    put_in_state(host, vm.id, state)
    calls.clear()
    with pytest.raises(InvalidState) as caught:
        change(vm)
    error = caught.value
    assert (error.current, error.resource, error.backend) == (state.value, "VM 'web1'", host.url)
    ways = {PowerState.SUSPENDED: ("start", "discard_suspended"), PowerState.SLEEPING: ("stop",)}
    assert error.allowed == ways.get(state, ("shutdown", "stop"))
    assert "capability" not in str(error)
    assert set(calls) == {"vms.get"}


HOT = [
    ("hot_disk", lambda vm: vm.disks.attach(DiskSpec(size=GiB))),
    ("hot_disk_resize", lambda vm: vm.disks[0].resize(2 * GiB)),
    ("hot_nic", lambda vm: vm.nics.attach(NicSpec())),
    ("hot_nic", lambda vm: vm.nics[0].set_link(False)),
    ("hot_nic_unplug", lambda vm: vm.nics[1].connect("lan")),
    ("hot_cdrom", lambda vm: vm.cdroms[0].insert("/fake/images/a.iso")),
]
DETACH = [
    ("hot_disk", lambda vm: vm.disks[0].detach()),
    ("hot_nic", lambda vm: vm.nics[0].detach()),
]


@pytest.mark.parametrize("able", [True, False])
@pytest.mark.parametrize("state", [PowerState.OFF, PowerState.CRASHED, PowerState.RUNNING, PowerState.PAUSED])
@pytest.mark.parametrize(("capability", "change"), [*HOT, *DETACH])
def test_devices_of_a_running_vm_change_by_capability(
    capability: str, change: Callable[[VM], object], state: PowerState, able: bool
) -> None:
    world = World(capabilities=all_but(**{capability: able}))
    world.add_file("/fake/images/a.iso", MiB)
    vm = furnish(host_with(world))
    put_in_state(vm.host, vm.id, state)
    before = vm.record
    if able and state is PowerState.PAUSED and (capability, change) in DETACH:
        with pytest.raises(InvalidState, match="it is paused; its guest must run to let go of it") as caught:
            change(vm)
        assert caught.value.allowed == ("resume", "stop")
        assert vm.record == attrs.evolve(before, state=state)
    elif able or state in (PowerState.OFF, PowerState.CRASHED):
        change(vm)
        assert vm.record != attrs.evolve(before, state=state)
    else:
        with pytest.raises(InvalidState, match=rf"capability '{capability}'"):
            change(vm)
        assert vm.record == attrs.evolve(before, state=state)


@pytest.mark.parametrize(
    ("profile", "field", "most", "attach"),
    [
        ("esxi", "nics", 10, lambda vm: vm.nics.attach(NicSpec())),
        ("esxi", "disks", 60, lambda vm: vm.disks.attach(DiskSpec(size=MiB))),
    ],
)
def test_no_more_devices_than_the_host_allows(
    profile: str, field: str, most: int, attach: Callable[[VM], object]
) -> None:
    host, calls = counted(f"fake://?profile={profile}")
    vm = host.vms.create("web1")
    for _ in range(most):
        attach(vm)
    calls.clear()
    with pytest.raises(InvalidRequest, match=f"{field}={most + 1} .* at most {most}"):
        attach(vm)
    assert calls == ["vms.get"]


# Errors say where


FAILURES: list[Callable[[Host], object]] = [
    lambda host: host.vms.get("nowhere"),
    lambda host: host.vms.one(name="nobody"),
    lambda host: host.switches.get("nowhere"),
    lambda host: host.datastores.get("nowhere"),
    lambda host: host.datastores.list()[0].volumes.get("nowhere"),
    lambda host: host.vms.list()[0].snapshots.get("nowhere"),
    lambda host: host.vms.list()[0].resume(),
    lambda host: host.vms.create("web1"),
    lambda host: host.vms.create("new", nics=[NicSpec("nolan")]),
    lambda host: host.vms.create("new", nics=[NicSpec(mac="52:54:00:00:00:01")]),
    lambda host: host.vms.create("new", disks=[DiskSpec(path="/nowhere")]),
    lambda host: host.vms.list()[0].nics[0].connect("nolan"),
    lambda host: host.vms.list()[0].disks.attach(DiskSpec(path="/fake/images/web1-0.qcow2")),
    lambda host: host.vms.list()[0].disks[0].detach(delete=True),
    lambda host: host.vms.list()[0].snapshots.create("s", memory=True),
    lambda host: host.switches.list()[0].delete(),
    lambda host: KINDS["volume"](host).delete(),  # type: ignore[attr-defined]
    lambda host: host.vms.list()[0].shutdown(timeout=1) if host.vms.list()[0].start() else None,
]


@pytest.mark.parametrize("fail", FAILURES)
def test_an_error_of_the_host_names_the_host(fail: Callable[[Host], object]) -> None:
    host, _ = counted()
    furnish(host)
    if fail is FAILURES[-1]:
        for machine in host.native.machines.values():  # type: ignore[attr-defined]
            machine.deaf = True
    with pytest.raises(HyperkitError) as caught:
        fail(host)
    assert caught.value.backend == host.url
    assert str(caught.value).count(host.url) == 1


@pytest.mark.parametrize(
    "fail",
    [
        lambda host: host.vms.list()[0].pause(),
        lambda host: host.vms.list()[0].snapshots.list(),
        lambda host: host.vms.list()[0].snapshots.create("s"),
        lambda host: host.vms.list()[0].addresses(),
        lambda host: host.vms.list()[0].nics.attach(NicSpec()),
    ],
)
def test_so_does_one_of_a_host_that_cannot(fail: Callable[[Host], object]) -> None:
    host = host_with(World(capabilities=Capabilities(bios=True, disk_formats=("raw",))))
    host.vms.create("web1")
    with pytest.raises(hyperkit.Unsupported) as caught:
        fail(host)
    assert caught.value.backend == host.url


def test_collections_are_all_collections() -> None:
    host, _ = counted()
    vm = furnish(host)
    for collection in (host.vms, host.switches, host.datastores, vm.snapshots, host.datastores.list()[0].volumes):
        assert isinstance(collection, Collection)
        assert repr(collection) == f"<{collection.kind} collection of fake://>"
