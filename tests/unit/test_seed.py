"""Filling a fake host from plain data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import hyperkit
from hyperkit import (
    AclRule,
    Allocation,
    AlreadyExists,
    BootDevice,
    DiskBus,
    DiskFormat,
    DiskSpec,
    Firmware,
    GiB,
    Host,
    InvalidRequest,
    IsolationPolicy,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    ResourceExhausted,
    SwitchKind,
    Timeout,
    Unsupported,
    VMCreated,
    VMSpec,
    VMStateChanged,
    to_dict,
)
from hyperkit.backends.fake.world import World
from hyperkit.records import changed
from hyperkit.testing.seeding import change_guest, seed
from hyperkit.testing.seeding_guest import GUEST

INVENTORY: dict[str, Any] = {
    "host": {
        "name": "lab1",
        "cpus": 8,
        "memory": "64 GiB",
        "uplinks": ["br0"],
        "open_vswitches": ["ovs1"],
        "boot_seconds": 20,
    },
    "datastores": ["slow", {"name": "fast", "path": "/srv/fast", "capacity": "100 GiB"}, {"name": "default"}],
    "files": ["/isos/debian.iso", {"path": "/images/base.qcow2", "size": "2 GiB", "data": "boot"}],
    "switches": [
        {"name": "quiet", "policy": {"spoof_guard": True}},
        {"name": "lan", "kind": "internal", "subnet": "192.168.150.0/24", "dhcp": False},
        {"name": "wan", "kind": "external", "uplink": "br0"},
        {"name": "tagged", "kind": "external", "uplink": "ovs1", "openvswitch": True, "vlan": 7},
        {
            "name": "leasing",
            "kind": "internal",
            "subnet": "192.168.151.0/24",
            "leases": [{"mac": "52:54:00:00:00:01", "address": "192.168.151.10", "name": "web1"}],
        },
    ],
    "vms": [
        "bare",
        {"name": "golden", "template": True, "tags": ["web", "db"], "consolidation_needed": True},
        {"name": "full", "state": "running", "question": {"text": "Retry?", "choices": {"0": "No"}, "default": "0"}},
        {
            "name": "old",
            "state": "running",
            "cpus": 2,
            "memory": "4 GiB",
            "max_memory": 8 * GiB,
            "topology": {"sockets": 1, "cores": 2},
            "cpu_allocation": {"reservation": 500, "shares": 200},
            "memory_allocation": {"limit": "4 GiB"},
            "firmware": "uefi",
            "secure_boot": True,
            "boot_order": ["network", "disk"],
            "iso": "/isos/debian.iso",
            "disks": [
                {"size": "20 GiB", "datastore": "fast", "format": "raw", "bus": "scsi"},
                {"base": "/images/base.qcow2"},
            ],
            "nics": [
                "lan",
                {"switch": "wan", "mac": "52-54-00-AA-BB-CC"},
                {"switch": "tagged", "vlan": 12, "trunk": [14, 13]},
                {
                    "switch": "lan",
                    "policy": {
                        "spoof_guard": True,
                        "rules": [{"action": "deny", "direction": "in", "port": 22, "protocol": "tcp"}],
                    },
                },
                {},
            ],
            "snapshots": ["clean", {"name": "patched", "description": "by hand", "memory": False}],
            "guest": {"shutdown_seconds": 30, "boot_seconds": 5},
            "notes": "do not touch",
        },
        {"name": "kernel", "kernel": {"kernel": "/boot/vmlinuz", "cmdline": "quiet"}, "guest": {"deaf": True}},
    ],
}


@pytest.fixture
def host() -> Host:
    return hyperkit.connect("fake://")


def world_of(host: Host) -> World:
    assert isinstance(host.native, World)
    return host.native


def test_every_kind_of_thing_is_there_as_the_data_say(host: Host) -> None:
    seed(world_of(host), **INVENTORY)

    host.refresh()
    assert (host.info.name, host.info.cpus, host.info.memory) == ("lab1", 8, 64 * GiB)
    assert {(store.name, store.record.path) for store in host.datastores} == {
        ("default", "/fake/images"),
        ("slow", "/fake/slow"),
        ("fast", "/srv/fast"),
        ("isos", "/isos"),
        ("images", "/images"),
    }
    assert host.datastores.one(name="fast").capacity == 100 * GiB
    assert {(s.name, s.switch_kind, s.subnet, s.record.uplink) for s in host.switches} == {
        ("quiet", SwitchKind.PRIVATE, None, None),
        ("lan", SwitchKind.INTERNAL, "192.168.150.0/24", None),
        ("wan", SwitchKind.EXTERNAL, None, "br0"),
        ("tagged", SwitchKind.EXTERNAL, None, "ovs1"),
        ("leasing", SwitchKind.INTERNAL, "192.168.151.0/24", None),
    }
    assert [lease.name for lease in host.switches.one(name="leasing").leases] == ["web1"]
    assert host.switches.one(name="tagged").record.vlan == 7
    assert not host.switches.one(name="lan").record.dhcp

    old = host.vms.one(name="old")
    assert (old.state, old.cpus, old.memory, old.record.max_memory) == (PowerState.RUNNING, 2, 4 * GiB, 8 * GiB)
    assert (old.record.firmware, old.record.secure_boot, old.notes) == (Firmware.UEFI, True, "do not touch")
    assert (old.record.cpu_allocation.shares, old.record.memory_allocation.limit) == (200, 4 * GiB)
    assert [disk.path for disk in old.disks] == ["/srv/fast/old-0.raw", "/fake/images/old-0.qcow2"]
    assert [disk.record.format for disk in old.disks] == [DiskFormat.RAW, DiskFormat.QCOW2]
    assert old.disks[1].record.base == "/images/base.qcow2"
    assert [nic.switch for nic in old.nics] == ["lan", "wan", "tagged", "lan", None]
    assert (old.nics[2].vlan, old.nics[2].trunk) == (12, (13, 14))
    assert old.nics[3].policy == IsolationPolicy(spoof_guard=True, rules=[AclRule("deny", "in", "tcp", port=22)])
    assert old.nics[1].mac == "52:54:00:aa:bb:cc"
    assert old.cdroms[0].iso == "/isos/debian.iso"
    snapshots = {snapshot.name: snapshot for snapshot in old.snapshots}
    assert snapshots["clean"].memory
    assert not snapshots["patched"].memory
    assert snapshots["patched"].parent() == snapshots["clean"]
    assert [vm.state for vm in (host.vms.one(name="bare"), host.vms.one(name="kernel"))] == [PowerState.OFF] * 2


def test_json_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperkit.backends.fake.world._world_numbers", itertools.repeat(7))
    host, other = hyperkit.connect("fake://"), hyperkit.connect("fake://")
    seed(world_of(host), **INVENTORY)
    seed(world_of(other), **json.loads(json.dumps(INVENTORY)))
    assert [vm.record for vm in host.vms] == [vm.record for vm in other.vms]
    assert [s.record for s in host.switches] == [s.record for s in other.switches]


def test_the_data_are_not_changed_and_can_be_used_again(host: Host) -> None:
    before = json.dumps(INVENTORY)
    seed(world_of(host), **INVENTORY)
    assert json.dumps(INVENTORY) == before


@pytest.mark.parametrize("state", ["off", "running", "paused", "suspended", "sleeping", "crashed"])
def test_a_vm_is_in_the_state_asked_for_and_can_leave_it(host: Host, state: str) -> None:
    seed(world_of(host), vms=[{"name": "old", "state": state, "disks": [{"size": "1 GiB"}], "snapshots": ["s"]}])
    vm = host.vms.one(name="old")
    assert vm.state == state
    assert vm.snapshots.one(name="s").memory == (state in ("running", "paused"))
    leave = {
        "off": vm.start, "running": vm.stop, "paused": vm.resume,
        "suspended": vm.start, "sleeping": vm.resume, "crashed": vm.start,
    }  # fmt: skip
    assert leave[state]().state is (PowerState.OFF if state == "running" else PowerState.RUNNING)


def test_memory_of_seeded_vms_is_counted(host: Host) -> None:
    seed(world_of(host), host={"memory": "8 GiB"}, vms=[{"name": "old", "state": "running", "memory": "6 GiB"}])
    with pytest.raises(ResourceExhausted):
        host.vms.create("new", memory=4 * GiB).start()


def test_a_seeded_guest_booted_long_ago_and_a_new_one_takes_its_time(host: Host) -> None:
    nic_and_disk = {"disks": [{"size": "1 GiB"}], "nics": ["lan"]}
    seed(
        world_of(host),
        host={"boot_seconds": 40},
        switches=["lan"],
        vms=[
            {"name": "old", "state": "running", **nic_and_disk},
            {"name": "fresh", "state": "running", **nic_and_disk, "guest": {"boot_seconds": 25}},
            {"name": "new", **nic_and_disk},
        ],
    )
    assert host.vms.one(name="old").addresses() != []
    fresh = host.vms.one(name="fresh")
    assert fresh.addresses() == []
    began = host.clock.monotonic()
    fresh.wait_for_address(timeout=60)
    assert 25 <= host.clock.monotonic() - began < 27
    with pytest.raises(Timeout):
        host.vms.one(name="new").start().wait_for_address(timeout=39)


def test_guests_shut_down_as_they_are_told_to(host: Host) -> None:
    disk = [{"size": "1 GiB"}]
    seed(
        world_of(host),
        vms=[
            {"name": "deaf", "state": "running", "disks": disk, "guest": {"deaf": True}},
            {"name": "slow", "state": "running", "disks": disk, "guest": {"shutdown_seconds": 30}},
        ],
    )
    with pytest.raises(Timeout):
        host.vms.one(name="deaf").shutdown(timeout=60)
    with pytest.raises(Timeout):
        host.vms.one(name="slow").shutdown(timeout=20)
    assert host.vms.one(name="slow").shutdown(timeout=20).state is PowerState.OFF


def test_a_guest_changes_later_and_keeps_what_was_not_named(host: Host) -> None:
    seed(
        world_of(host),
        vms=[{"name": "old", "state": "running", "disks": [{"size": "1 GiB"}], "guest": {"shutdown_seconds": 30}}],
    )
    vm = host.vms.one(name="old")
    change_guest(world_of(host), "old", {"deaf": True})
    with pytest.raises(Timeout):
        vm.shutdown(timeout=60)
    change_guest(world_of(host), vm.id, {"deaf": False})
    began = host.clock.monotonic()
    vm.shutdown(timeout=60)
    assert host.clock.monotonic() - began >= 30


@pytest.mark.parametrize(
    ("data", "field", "message"),
    [
        ({"vms": [{"name": "a", "cpu": 2}]}, "vms[0].cpu", "no key 'cpu'; there are name, cpus, memory,"),
        ({"vms": ["a", {"name": "b", "cpus": "2"}]}, "vms[1].cpus", "cpus='2' is not accepted: a whole number"),
        ({"vms": [{"cpus": 2}]}, "vms[0].name", "name=None is not accepted: a name is a string"),
        ({"vms": [{"name": "a", "memory": 4096}]}, "vms[0].memory", "did you mean 4096 * MiB?"),
        ({"vms": [{"name": "a", "memory": "4 gigs"}]}, "vms[0].memory", "'4 gigs' is not a size"),
        ({"vms": [{"name": "a", "state": "on"}]}, "vms[0].state", "one of off, running"),
        ({"vms": [{"name": "a", "state": "unknown"}]}, "vms[0].state", "one of off, running"),
        ({"vms": [{"name": "a", "disks": [{"size": 5}]}]}, "vms[0].disks[0].size", "at least 1 MiB"),
        ({"vms": [{"name": "a", "disks": [{"siez": 5}]}]}, "vms[0].disks[0].siez", "there are size, path, base"),
        ({"vms": [{"name": "a", "disks": [{"size": "1 GiB", "bus": "usb"}]}]}, "vms[0].disks[0].bus", "virtio, scsi"),
        ({"vms": [{"name": "a", "disks": [20]}]}, "vms[0].disks[0]", "a dict of fields"),
        ({"vms": [{"name": "a", "disks": "a.qcow2"}]}, "vms[0].disks", "a list"),
        ({"vms": [{"name": "a", "nics": [{"mac": "nonsense"}]}]}, "vms[0].nics[0].mac", "a MAC address"),
        ({"vms": [{"name": "a", "firmware": "efi"}]}, "vms[0].firmware", "one of bios, uefi"),
        ({"vms": [{"name": "a", "boot_order": "disk"}]}, "vms[0].boot_order", "a list"),
        ({"vms": [{"name": "a", "topology": {"cpus": 1}}]}, "vms[0].topology.cpus", "sockets, cores, threads"),
        ({"vms": [{"name": "a", "container": {"root": "srv"}}]}, "vms[0].container.root", "an absolute path"),
        ({"vms": [{"name": "a", "snapshots": [{"memory": True}]}]}, "vms[0].snapshots[0].name", "a name is a string"),
        ({"vms": [{"name": "a", "snapshots": [{"name": "s", "memory": True}]}]}, "vms[0].snapshots[0].memory", "off"),
        ({"vms": [{"name": "a", "guest": {"deef": True}}]}, "vms[0].guest.deef", ", ".join(GUEST)),
        ({"vms": [{"name": "a", "guest": {"deaf": True}}]}, "vms[0].guest", "nothing to boot"),
        ({"vms": [{"name": "a", "guest": "deaf"}]}, "vms[0].guest", "a dict of fields"),
        ({"vms": [{"name": "a", "tags": "a b"}]}, "vms[0].tags[0]", "a word"),
        ({"vms": [{"name": "a", "template": 1}]}, "vms[0].template", "True or False"),
        ({"vms": [{"name": "a", "state": "running", "template": True}]}, "vms[0].template", "a template is off"),
        (
            {"vms": [{"name": "a", "question": {"text": "?", "choices": {"0": "No"}}}]},
            "vms[0].question.state",
            "not run",
        ),
        (
            {"vms": [{"name": "a", "state": "running", "question": {"txt": "?"}}]},
            "vms[0].question.txt",
            "text, choices",
        ),
        ({"vms": [{"name": "a", "state": "running", "question": "?"}]}, "vms[0].question", "a dict of fields"),
        ({"vms": [{"name": "a", "consolidation_needed": "no"}]}, "vms[0].consolidation_needed", "True or False"),
        ({"vms": {"name": "a"}}, "vms", "a list"),
        ({"vms": [7]}, "vms[0]", "a name, or a dict"),
        ({"switches": [{"name": "lan", "kind": "nat"}]}, "switches[0].kind", "external, internal, private"),
        ({"switches": [{"name": "lan", "kind": "external", "uplink": "br9"}]}, "switches[0].uplink", "eth0, eth1"),
        ({"switches": [{"name": "s", "leases": [{"mac": "x"}]}]}, "switches[0].leases[0].mac", "a MAC address"),
        ({"switches": [{"name": "s", "policy": {"isolated": True}}]}, "switches[0].policy", "a NIC's own policy"),
        (
            {"vms": [{"name": "a", "nics": [{"policy": {"rules": [{"action": "pass", "direction": "in"}]}}]}]},
            "vms[0].nics[0].policy.rules[0].action",
            "one of allow, deny",
        ),
        (
            {"switches": ["plain"], "vms": [{"name": "a", "nics": [{"switch": "plain", "vlan": 5}]}]},
            "vms[0].vlan",
            "carries VLANs",
        ),
        ({"datastores": [{"name": "a", "size": 5}]}, "datastores[0].size", "name, path, capacity"),
        ({"datastores": [{"name": "default", "path": "/x"}]}, "datastores[0].path", "is at /fake/images"),
        ({"files": ["debian.iso"]}, "files[0].path", "an absolute path"),
        ({"files": [{"path": "/a/b", "data": "long", "size": 2}]}, "files[0].size", "at least 4 B"),
        ({"files": [{"path": "/a/b", "data": [1]}]}, "files[0].data", "text or bytes"),
        ({"host": {"ram": 1}}, "host.ram", "name, cpus, memory, uplinks, open_vswitches, boot_seconds"),
        ({"host": {"boot_seconds": -1}}, "host.boot_seconds", "0 or more"),
        ({"host": {"uplinks": "eth0"}}, "host.uplinks", "a list of names"),
    ],
)
def test_a_bad_seed_is_told_where_and_why(host: Host, data: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        seed(world_of(host), **data)
    assert caught.value.field == field
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ({"vms": [*INVENTORY["vms"], "old"]}, AlreadyExists),
        ({"switches": [*INVENTORY["switches"], "lan"]}, AlreadyExists),
        ({"files": [*INVENTORY["files"], "/isos/debian.iso"]}, AlreadyExists),
        ({"vms": [{"name": "a", "nics": ["lam"]}]}, NotFound),
        ({"vms": [{"name": "a", "disks": [{"size": "1 GiB", "datastore": "none"}]}]}, NotFound),
        ({"vms": [{"name": "a", "iso": "/isos/none.iso"}]}, NotFound),
        ({"vms": [{"name": "a", "memory": "1 TiB", "state": "running"}]}, ResourceExhausted),
        ({"vms": [{"name": "a", "disks": [{"size": "2 TiB", "thin": False}]}]}, ResourceExhausted),
    ],
)
def test_a_seed_that_fails_leaves_nothing(host: Host, bad: dict[str, Any], error: type[Exception]) -> None:
    world = world_of(host)
    before = (host.info, [s.record for s in host.datastores], host.info.memory_free)
    with pytest.raises(error):
        seed(world, **{**INVENTORY, **bad})
    host.refresh()
    assert (host.info, [s.record for s in host.datastores], host.info.memory_free) == before
    assert (len(host.vms.list()), len(host.switches.list()), world.volumes, world.boot_seconds) == (0, 0, {}, 0)
    assert world.uplinks == {"eth0", "eth1"}
    seed(world, **INVENTORY)
    assert len(host.vms.list()) == len(INVENTORY["vms"])


def test_a_mac_address_belongs_to_one_vm(host: Host) -> None:
    nic = {"mac": "52:54:00:00:00:77"}
    with pytest.raises(AlreadyExists, match="belongs to VM 'a'"):
        seed(world_of(host), vms=[{"name": "a", "nics": [nic]}, {"name": "b", "nics": [nic]}])


def test_a_datastore_that_is_there_gets_a_capacity(host: Host) -> None:
    seed(world_of(host), datastores=[{"name": "default", "capacity": "1 GiB"}])
    with pytest.raises(ResourceExhausted):
        host.datastores.one(name="default").volumes.create("data", 2 * GiB, thin=False)


@pytest.mark.parametrize(
    ("profile", "data"),
    [
        ("esxi", {"vms": [{"name": "a", "state": "paused"}]}),
        ("hyperv", {"switches": [{"name": "lan", "kind": "internal", "subnet": "10.9.0.0/24"}]}),
        ("hyperv", {"vms": [{"name": "a", "guest_os": "debian12"}]}),
        ("esxi", {"vms": [{"name": "a", "template": True}]}),
        ("libvirt", {"vms": [{"name": "a", "state": "running", "question": {"text": "?", "choices": {"0": "No"}}}]}),
        ("hyperv", {"vms": [{"name": "a", "consolidation_needed": True}]}),
        ("libvirt", {"switches": [{"name": "lan", "policy": {"spoof_guard": True}}]}),
    ],
)
def test_a_profile_cannot_be_seeded_with_what_such_a_host_never_has(profile: str, data: dict[str, Any]) -> None:
    host = hyperkit.connect(f"fake://?profile={profile}")
    with pytest.raises(Unsupported):
        seed(world_of(host), **data)
    assert len(host.vms.list()) == len(host.switches.list()) == 0


def test_names_may_repeat_where_the_profile_lets_them() -> None:
    host = hyperkit.connect("fake://?profile=hyperv")
    seed(world_of(host), vms=["twin", "twin"])
    assert [vm.name for vm in host.vms] == ["twin", "twin"]


@pytest.mark.parametrize("jobs", ["polls:5", "seconds:60"])
def test_seeding_takes_no_time_and_leaves_the_jobs_as_they_were(jobs: str) -> None:
    host = hyperkit.connect(f"fake://?jobs={jobs}")
    seed(world_of(host), vms=[{"name": "old", "state": "running", "snapshots": ["s"]}])
    assert host.clock.monotonic() == 0
    assert not host.vms.begin_create("new").done


def test_listeners_hear_of_seeds_that_came_to_stay(host: Host) -> None:
    events = host.events.stream(timeout=0)
    bad: Callable[[], None] = lambda: seed(world_of(host), vms=["ghost", "ghost"])  # noqa: E731
    with pytest.raises(AlreadyExists):
        bad()
    seed(world_of(host), vms=[{"name": "old", "state": "running", "memory": 64 * MiB}])
    heard = list(events)
    assert [(type(event), event.name) for event in heard] == [(VMCreated, "old"), (VMStateChanged, "old")]


_names = st.text("abcdefgh-", min_size=1, max_size=12)
_sizes = st.integers(1, 4096).map(lambda count: count * MiB)


@st.composite
def specs(draw: st.DrawFn) -> VMSpec:
    cpus, memory = draw(st.integers(1, 8)), draw(_sizes)
    macs = draw(st.lists(st.none() | st.integers(0, 255).map(lambda n: f"52:54:00:00:01:{n:02x}"), max_size=3))
    assume(len({mac for mac in macs if mac}) == len([mac for mac in macs if mac]))
    return VMSpec(
        draw(_names),
        cpus,
        memory,
        max_cpus=cpus + draw(st.integers(0, 2)),
        max_memory=memory + draw(st.integers(0, 4)) * MiB,
        cpu_allocation=Allocation(draw(st.integers(0, 1000)), None, draw(st.integers(1, 200))),
        disks=draw(st.lists(st.builds(DiskSpec, size=_sizes, bus=st.none() | st.sampled_from(DiskBus)), max_size=3)),
        nics=[NicSpec(mac=mac, link_up=draw(st.booleans())) for mac in macs],
        firmware=draw(st.sampled_from(Firmware)),
        boot_order=draw(st.permutations(list(BootDevice))),
        notes=draw(st.text("äb\n<&", max_size=8)),
        tags=draw(st.lists(_names, max_size=3, unique=True)),
        autostart=draw(st.booleans()),
    )


@given(specs())
def test_a_spec_as_plain_data_is_a_seed(spec: VMSpec) -> None:
    seeded, created = hyperkit.connect("fake://"), hyperkit.connect("fake://")
    seed(world_of(seeded), vms=[json.loads(json.dumps(to_dict(spec)))])
    created.vms.create(spec)
    (one,), (other,) = seeded.vms, created.vms
    assert one.record == changed(other.record, id=one.id)
