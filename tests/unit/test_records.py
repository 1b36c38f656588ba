"""Records and specs as plain data: copied by changed(), written by to_dict()."""

from __future__ import annotations

import inspect
import json
import pickle
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyperkit
from hyperkit import (
    AclRule,
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskFormat,
    DiskSpec,
    Firmware,
    GiB,
    HypervisorType,
    IsolationPolicy,
    KernelBoot,
    NicSpec,
    PowerState,
    Progress,
    StateReason,
    StaticLease,
    SwitchKind,
    SwitchSpec,
    VMChanged,
    VMCreated,
    VMDeleted,
    VMSpec,
    VMStateChanged,
    guest_records,
    records,
    specs,
    to_dict,
)
from hyperkit.guest_records import CommandResult, DisplayRecord, FilesystemRecord, GuestRecord, UserRecord
from hyperkit.records import (
    AddressRecord,
    AgentState,
    CdromRecord,
    DatastoreRecord,
    DiskRecord,
    HostRecord,
    NicRecord,
    PowerRecord,
    QuestionRecord,
    SnapshotRecord,
    SwitchRecord,
    VMRecord,
    VolumeRecord,
    changed,
)
from hyperkit.specs import (
    CloneSpec,
    CommandSpec,
    KeySpec,
    NicChange,
    SnapshotChange,
    SnapshotSpec,
    SwitchChange,
    VMChange,
    VolumeSpec,
)

POLICY = IsolationPolicy(
    spoof_guard=True, addresses=["10.0.0.2"], rules=[AclRule("deny", "in", "tcp", remote="10.0.0.0/8", port=22)]
)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

QUESTION = QuestionRecord(id="q", text="Retry?", choices={"0": "Cancel", "1": "Retry"}, default="1")
VM = VMRecord(
    id="1",
    name="web1",
    state=PowerState.PAUSED,
    reason=StateReason.IO_ERROR,
    cpus=2,
    memory=GiB,
    max_cpus=4,
    max_memory=2 * GiB,
    topology=CpuTopology(2, 2),
    cpu_allocation=Allocation(100, 200, 300),
    disks=(
        DiskRecord(id="vda", path="/a", size=None, format=DiskFormat.RAW, bus=DiskBus.SATA, created=True, base="/b"),
    ),
    nics=(
        NicRecord(id="n", mac="52:54:00:00:00:01", switch_id="7", switch="lan", vlan=3, link_up=False, policy=POLICY),
    ),
    cdroms=(CdromRecord(id="sda", iso="/i"), CdromRecord(id="sdb")),
    firmware=Firmware.UEFI,
    boot_order=(BootDevice.NETWORK, BootDevice.DISK),
    kernel=KernelBoot("/k", "/i", "quiet"),
    notes="Büro\n",
    tags=("db", "web"),
    agent=AgentState.RUNNING,
    question=QUESTION,
)
EVENT: dict[str, Any] = {"time": NOW, "vm_id": "1", "name": "web1", "before": VM, "after": None}

ONE_OF_EACH: list[attrs.AttrsInstance] = [
    HostRecord(
        id="h",
        name="h",
        product="p",
        version="1",
        hypervisor_type=HypervisorType.HOSTED,
        cpus=1,
        memory=1,
        memory_free=1,
    ),
    VM,
    QUESTION,
    *VM.disks,
    *VM.nics,
    VM.cdroms[0],
    PowerRecord(state=PowerState.PAUSED, reason=StateReason.IO_ERROR),
    SnapshotRecord(id="s", vm_id="1", name="s", created=NOW, state=PowerState.OFF),
    SwitchRecord(id="7", name="lan", kind=SwitchKind.INTERNAL, subnet="10.0.0.0/24"),
    DatastoreRecord(id="d", name="d", capacity=2, free=1),
    VolumeRecord(id="/a", name="a", path="/a", datastore_id="d", size=1),
    AddressRecord(mac="52:54:00:00:00:01", address="fd00::1", prefix=64),
    DisplayRecord(kind="vnc", host="127.0.0.1", port=5900),
    GuestRecord(
        hostname="web1", users=(UserRecord(name="root", since=NOW),), filesystems=(FilesystemRecord(mountpoint="/"),)
    ),
    UserRecord(name="root", domain="d", since=NOW),
    FilesystemRecord(mountpoint="/", type="ext4", size=2, used=1),
    CommandResult(None, b"\xff\n", signal=9),
    CpuTopology(2, 2, 2),
    Allocation(1, 2, 3),
    KernelBoot("/k"),
    DiskSpec(base="/b", size=GiB, format=DiskFormat.QCOW2, bus=DiskBus.NVME),
    NicSpec("lan", "52:54:00:00:00:01"),
    VMSpec("web1", disks=[DiskSpec(size=GiB)], nics=[NicSpec()], boot_order=list(BootDevice)),
    VMChange(cpus=2, boot_order=(BootDevice.DISK,)),
    SnapshotSpec("s"),
    CloneSpec("c", True, snapshot="s", datastore="d"),
    NicChange(switch="", trunk=(5, 6), policy=POLICY),
    SwitchChange(leases=[StaticLease("52:54:00:00:00:01", "10.0.0.2", "web1")]),
    StaticLease("52:54:00:00:00:01", "10.0.0.2"),
    POLICY,
    *POLICY.rules,
    SwitchSpec("lan", SwitchKind.INTERNAL, subnet="10.0.0.0/24"),
    VolumeSpec("v", GiB),
    CommandSpec(["true"], b"in", {"A": "b"}),
    KeySpec((("ctrl", "c"), ("enter",))),
    SnapshotChange(name="s", description="d"),
    Progress(0.5, "saving", 1, None),
    hyperkit.Capabilities(pause=True, disk_formats=("raw",), why={"reset": "no"}),
    VMCreated(**{**EVENT, "before": None, "after": VM}),
    VMDeleted(**EVENT),
    VMStateChanged(**EVENT, old=PowerState.OFF, new=PowerState.RUNNING),
    VMChanged(**EVENT, fields=("cpus", "notes")),
]
EACH = pytest.mark.parametrize("value", ONE_OF_EACH, ids=lambda value: type(value).__name__)


def test_every_record_and_spec_is_here() -> None:
    defined = {
        item
        for module in (records, guest_records, specs)
        for _, item in inspect.getmembers(module, inspect.isclass)
        if attrs.has(item) and item.__module__ == module.__name__
    }
    assert defined <= {type(value) for value in ONE_OF_EACH}


@EACH
def test_to_dict_is_json_with_every_field(value: attrs.AttrsInstance) -> None:
    data = to_dict(value)
    assert json.loads(json.dumps(data)) == data
    assert list(data) == [field.name for field in attrs.fields(type(value))]


@EACH
def test_to_dict_loses_nothing(value: attrs.AttrsInstance) -> None:
    """What is not itself plain data is the plain data of its parts."""
    for name, plain in to_dict(value).items():
        item = getattr(value, name)
        if isinstance(item, Enum):
            assert plain == item.value
        elif isinstance(item, datetime):
            assert datetime.fromisoformat(plain) == item
        elif attrs.has(type(item)):
            assert plain == to_dict(item)
        elif isinstance(item, bytes):
            assert plain == item.decode(errors="backslashreplace")
        elif isinstance(item, tuple):
            assert plain == [to_dict(part) for part in item]
        else:
            assert plain == item


def test_to_dict_in_one_example() -> None:
    data = to_dict(VM)
    assert data["state"] == "paused"
    assert type(data["state"]) is str
    assert data["topology"] == {"sockets": 2, "cores": 2, "threads": 1}
    assert data["boot_order"] == ["network", "disk"]
    assert data["disks"][0]["size"] is None
    assert data["cdroms"][1] == {"id": "sdb", "iso": None}
    assert to_dict(NOW) == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (None, None),
        (7, 7),
        ("a", "a"),
        ([PowerState.OFF], ["off"]),
        (frozenset({PowerState.OFF}), ["off"]),
        ({PowerState.OFF: (1, NOW)}, {"off": [1, NOW.isoformat()]}),
        ([VM.cdroms[0]], [{"id": "sda", "iso": "/i"}]),
    ],
)
def test_to_dict_of_other_things(value: object, data: object) -> None:
    assert to_dict(value) == data


@EACH
def test_values_travel_to_other_processes(value: attrs.AttrsInstance) -> None:
    arrived = pickle.loads(pickle.dumps(value))
    assert arrived == value
    assert hash(arrived) == hash(value)


@EACH
def test_values_are_frozen(value: attrs.AttrsInstance) -> None:
    for field in attrs.fields(type(value)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, field.name, None)


# changed()


CHANGEABLE = [value for value in ONE_OF_EACH if type(value).__module__ in (records.__name__, specs.__name__)]


@pytest.mark.parametrize("value", CHANGEABLE, ids=lambda value: type(value).__name__)
def test_changed_is_a_copy_with_some_fields_different(value: attrs.AttrsInstance) -> None:
    before = repr(value)
    for field in attrs.fields(type(value)):
        copy = changed(value, **{field.name: "different"})
        assert type(copy) is type(value)
        assert getattr(copy, field.name) == "different"
        others = [other.name for other in attrs.fields(type(value)) if other.name != field.name]
        assert all(getattr(copy, name) is getattr(value, name) for name in others)
        assert repr(value) == before
    assert changed(value) == value
    assert changed(value) is not value
    assert hash(changed(value)) == hash(value)


@given(cpus=st.integers(1, 512), notes=st.text())
def test_changed_is_what_evolve_would_be(cpus: int, notes: str) -> None:
    assert changed(VM, cpus=cpus, notes=notes) == attrs.evolve(VM, cpus=cpus, notes=notes)


# Equality: what moves by itself is no difference


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (ONE_OF_EACH[0], "memory_free"),
        (DatastoreRecord(id="d", name="d", capacity=2, free=1), "free"),
        (DatastoreRecord(id="d", name="d", capacity=2, free=1), "capacity"),
        (VolumeRecord(id="/a", name="a", path="/a", datastore_id="d", size=1), "allocated"),
    ],
)
def test_what_moves_by_itself_is_no_difference(record: attrs.AttrsInstance, field: str) -> None:
    other = changed(record, **{field: 99})
    assert other == record
    assert hash(other) == hash(record)
    assert to_dict(other)[field] == 99


def test_everything_else_is_a_difference() -> None:
    for record in CHANGEABLE:
        for field in attrs.fields(type(record)):
            if field.eq:
                assert changed(record, **{field.name: "different"}) != record
