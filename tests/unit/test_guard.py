"""The guard: what each call needs of a host is asked before the vendor is."""

from __future__ import annotations

import inspect
import io
from typing import Any

import attrs
import pytest

from hyperkit import (
    Allocation,
    BootDevice,
    Capabilities,
    ContainerSpec,
    CpuTopology,
    DiskBus,
    DiskFormat,
    DiskSpec,
    Firmware,
    GiB,
    InvalidRequest,
    KernelBoot,
    MiB,
    NicSpec,
    SwitchKind,
    SwitchSpec,
    Unsupported,
    VMSpec,
)
from hyperkit.capabilities import names
from hyperkit.driver import PORTS, operations
from hyperkit.guard import NEEDS, check
from hyperkit.specs import (
    DEFAULT_ALLOCATION,
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
from hyperkit.specs.isolation import AclRule, IsolationPolicy
from hyperkit.specs.lease import StaticLease
from hyperkit.states import PowerAction
from tests.unit.support import refusal

URL = "fake://guarded"
ABLE: dict[str, Any] = dict.fromkeys(names(), True)
EVERYTHING = Capabilities(**ABLE, disk_formats=("qcow2", "raw"))
NOTHING = Capabilities()

GUARDED = IsolationPolicy(spoof_guard=True, promiscuous=True)
FULL = VMSpec(
    "web1",
    cpus=1,
    max_cpus=2,
    max_memory=GiB,
    topology=CpuTopology(2),
    cpu_allocation=Allocation(1, 2, 3),
    memory_allocation=Allocation(MiB, GiB, 3),
    disks=[DiskSpec(size=GiB), DiskSpec(base="/b"), DiskSpec(base="/b", linked=False)],
    nics=[NicSpec(vlan=5, link_up=False)],
    iso="/iso",
    cdrom=True,
    guest_os="debian12",
    firmware=Firmware.UEFI,
    secure_boot=True,
    tpm=True,
    boot_order=[BootDevice.NETWORK],
    kernel=KernelBoot("/vmlinuz"),
    notes="n",
    tags=["web"],
    autostart=True,
)


POLICIES: list[tuple[dict[str, Any], set[str]]] = [
    ({"spoof_guard": True}, {"nic_spoof_guard"}),
    ({"spoof_guard": True, "addresses": ["10.0.0.1"]}, {"nic_spoof_guard", "nic_address_guard"}),
    ({"dhcp_guard": True}, {"nic_dhcp_guard"}),
    ({"router_guard": True}, {"nic_router_guard"}),
    ({"isolated": True}, {"nic_isolation"}),
    ({"promiscuous": True}, {"nic_promiscuous"}),
    ({"rules": [AclRule("deny", "in")]}, {"nic_acl"}),
]
"""What each part of a policy needs."""


def vm(**fields: Any) -> VMSpec:
    return VMSpec(**{"name": "web1", **fields})


def but(**changes: Any) -> Capabilities:
    """Everything, but for some."""
    return attrs.evolve(EVERYTHING, **changes)


def needs(operation: str, *args: Any) -> set[str]:
    """What the guard really asks for, found by taking capabilities away from a host that has them all."""
    found = set()
    for name in names():
        lacking = but(**{name: False})
        error = refusal(Unsupported, lambda lacking=lacking: check(operation, args, lacking, URL))  # type: ignore[misc]
        if error is not None:
            assert error.capability == name
            found.add(name)
    return found


# The table


@pytest.mark.parametrize("operation", NEEDS)
def test_guarded_operations_exist(operation: str) -> None:
    port, _, method = operation.partition(".")
    assert method in operations(port)


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("vms.create", (FULL,)),
        ("vms.configure", ("id", VMChange(cpus=1, max_cpus=2, max_memory=GiB, notes="n", tpm=True))),
        *(("vms.set_power", ("id", action)) for action in PowerAction),
        ("disks.attach", ("id", DiskSpec(base="/b"))),
        ("disks.detach", ("id", "vda")),
        ("disks.resize", ("id", "vda", GiB)),
        ("disks.set_iso", ("id", "sda", None)),
        ("nics.attach", ("id", NicSpec(vlan=1, link_up=False))),
        ("nics.detach", ("id", "nic0")),
        ("nics.update", ("id", "nic0", NicChange(link_up=True))),
        *(
            ("switches.create", (SwitchSpec("s", kind, uplink="e" if kind == "external" else None),))
            for kind in SwitchKind
        ),
        ("switches.update", ("id", SwitchChange(leases=(), vlan=0, policy=GUARDED))),
        ("volumes.create", ("id", VolumeSpec("v", GiB))),
        ("volumes.delete", ("id",)),
        ("volumes.upload", ("id", "n", io.BytesIO(), 0)),
        ("volumes.download", ("id", io.BytesIO())),
        ("snapshots.create", ("id", SnapshotSpec("s", memory=True))),
        ("snapshots.create", ("id", SnapshotSpec("s", quiesce=True))),
        ("snapshots.update", ("id", "snapshot", SnapshotChange(name="s"))),
        ("clones.clone", ("id", CloneSpec("c", True, snapshot="s"))),
        ("clones.set_template", ("id", True)),
        ("guests.addresses", ("id",)),
        ("guests.ping", ("id", 5.0)),
        ("guests.info", ("id", 5.0)),
        ("guests.execute", ("id", CommandSpec(["true"]))),
        ("guests.freeze", ("id", 5.0)),
        ("guests.thaw", ("id", 5.0)),
        ("consoles.screenshot", ("id",)),
        ("consoles.send_keys", ("id", KeySpec((("a",),)))),
        ("consoles.displays", ("id",)),
        ("consoles.serial", ("id", False)),
        ("upkeep.answer", ("id", "question", "1")),
        ("upkeep.consolidate", ("id",)),
        ("metrics.read", (None,)),
    ],
)
def test_what_a_call_needs_are_capabilities(operation: str, args: tuple[Any, ...]) -> None:
    port, _, method = operation.partition(".")
    inspect.signature(getattr(PORTS[port], method)).bind(None, *args)
    assert set(NEEDS[operation](*args)) <= set(names())


def test_the_table_above_has_every_guarded_operation() -> None:
    marks = test_what_a_call_needs_are_capabilities.pytestmark
    assert {operation for operation, _ in marks[0].args[1]} == set(NEEDS)


@pytest.mark.parametrize(
    ("operation", "args", "wanted"),
    [
        # VMs
        ("vms.create", (vm(),), {"bios"}),
        ("vms.create", (vm(firmware=Firmware.UEFI),), {"uefi"}),
        ("vms.create", (vm(firmware=Firmware.UEFI, secure_boot=True),), {"uefi", "secure_boot"}),
        ("vms.create", (vm(tpm=True),), {"bios", "tpm"}),
        ("vms.create", (vm(boot_order=[BootDevice.CDROM]),), {"bios", "boot_order"}),
        ("vms.create", (vm(kernel=KernelBoot("/k")),), {"bios", "kernel_boot"}),
        ("vms.create", (vm(iso="/i"),), {"bios", "cdrom"}),
        ("vms.create", (vm(cdrom=True),), {"bios", "cdrom"}),
        ("vms.create", (vm(topology=CpuTopology()),), {"bios", "cpu_topology"}),
        ("vms.create", (vm(max_cpus=2),), {"bios", "cpu_ceiling"}),
        ("vms.create", (vm(max_memory=GiB),), {"bios", "memory_ceiling"}),
        ("vms.create", (vm(guest_os="debian12"),), {"bios", "guest_os"}),
        ("vms.create", (vm(notes="n"),), {"bios", "notes"}),
        ("vms.create", (vm(tags=["web"]),), {"bios", "tags"}),
        ("vms.create", (vm(autostart=True),), {"bios", "autostart"}),
        ("vms.create", (vm(cpu_allocation=Allocation(1)),), {"bios", "cpu_reservation"}),
        ("vms.create", (vm(cpu_allocation=Allocation(limit=1)),), {"bios", "cpu_limit"}),
        ("vms.create", (vm(cpu_allocation=Allocation(shares=1)),), {"bios", "cpu_shares"}),
        ("vms.create", (vm(cpu_allocation=Allocation()),), {"bios"}),
        ("vms.create", (vm(memory_allocation=Allocation(1)),), {"bios", "memory_reservation"}),
        ("vms.create", (vm(memory_allocation=Allocation(limit=MiB)),), {"bios", "memory_limit"}),
        ("vms.create", (vm(memory_allocation=Allocation(shares=1)),), {"bios", "memory_shares"}),
        ("vms.create", (vm(container=ContainerSpec("/srv")),), {"containers"}),
        ("vms.create", (vm(container=ContainerSpec("/srv"), notes="n"),), {"containers", "notes"}),
        ("vms.create", (vm(disks=[DiskSpec(size=GiB)]),), {"bios", "disks"}),
        ("vms.create", (vm(disks=[DiskSpec(path="/p")]),), {"bios", "disks"}),
        ("vms.create", (vm(disks=[DiskSpec(base="/b")]),), {"bios", "disks", "linked_disks"}),
        ("vms.create", (vm(disks=[DiskSpec(base="/b", linked=False)]),), {"bios", "disks", "copied_disks"}),
        ("vms.create", (vm(disks=[DiskSpec(path="/p", read_only=True)]),), {"bios", "disks", "read_only_disks"}),
        ("vms.create", (vm(nics=[NicSpec()]),), {"bios"}),
        ("vms.create", (vm(nics=[NicSpec(vlan=1)]),), {"bios", "nic_vlan"}),
        ("vms.create", (vm(nics=[NicSpec(trunk=[1])]),), {"bios", "nic_trunk"}),
        ("vms.create", (vm(nics=[NicSpec(policy=IsolationPolicy(spoof_guard=True))]),), {"bios", "nic_spoof_guard"}),
        ("vms.create", (vm(nics=[NicSpec(), NicSpec(link_up=False)]),), {"bios", "nic_link"}),
        # Changes: what takes something away needs nothing
        ("vms.configure", ("id", VMChange()), set()),
        ("vms.configure", ("id", VMChange(cpus=2, memory=GiB)), set()),
        ("vms.configure", ("id", VMChange(name="n")), {"rename"}),
        ("vms.configure", ("id", VMChange(secure_boot=True)), {"secure_boot"}),
        ("vms.configure", ("id", VMChange(tpm=True)), {"tpm"}),
        ("vms.configure", ("id", VMChange(boot_order=(BootDevice.DISK,))), {"boot_order"}),
        ("vms.configure", ("id", VMChange(topology=CpuTopology())), {"cpu_topology"}),
        ("vms.configure", ("id", VMChange(guest_os="debian12")), {"guest_os"}),
        ("vms.configure", ("id", VMChange(notes="n")), {"notes"}),
        ("vms.configure", ("id", VMChange(autostart=True)), {"autostart"}),
        (
            "vms.configure",
            ("id", VMChange(secure_boot=False, tpm=False, notes="", tags=(), autostart=False, guest_os="")),
            set(),
        ),
        ("vms.configure", ("id", VMChange(tags=["web"])), {"tags"}),
        ("vms.configure", ("id", VMChange(cpus=2, max_cpus=2)), set()),
        ("vms.configure", ("id", VMChange(cpus=2, max_cpus=4)), {"cpu_ceiling"}),
        ("vms.configure", ("id", VMChange(max_cpus=4)), {"cpu_ceiling"}),
        ("vms.configure", ("id", VMChange(memory=GiB, max_memory=GiB)), set()),
        ("vms.configure", ("id", VMChange(memory=GiB, max_memory=2 * GiB)), {"memory_ceiling"}),
        ("vms.configure", ("id", VMChange(max_memory=2 * GiB)), {"memory_ceiling"}),
        (
            "vms.configure",
            ("id", VMChange(cpu_allocation=Allocation(1, 2, 3))),
            {"cpu_reservation", "cpu_limit", "cpu_shares"},
        ),
        (
            "vms.configure",
            ("id", VMChange(memory_allocation=Allocation(1, 2, 3))),
            {"memory_reservation", "memory_limit", "memory_shares"},
        ),
        ("vms.configure", ("id", VMChange(cpu_allocation=DEFAULT_ALLOCATION)), set()),
        # Power
        ("vms.set_power", ("id", PowerAction.START), set()),
        ("vms.set_power", ("id", PowerAction.STOP), set()),
        ("vms.set_power", ("id", PowerAction.SHUTDOWN), {"shutdown"}),
        ("vms.set_power", ("id", PowerAction.REBOOT), {"reboot"}),
        ("vms.set_power", ("id", PowerAction.RESET), {"reset"}),
        ("vms.set_power", ("id", PowerAction.PAUSE), {"pause"}),
        ("vms.set_power", ("id", PowerAction.RESUME), {"pause"}),
        ("vms.set_power", ("id", PowerAction.SUSPEND), {"suspend"}),
        ("vms.set_power", ("id", PowerAction.DISCARD), {"suspend"}),
        # Devices
        ("disks.attach", ("id", DiskSpec(size=GiB)), {"disks", "attach"}),
        ("disks.attach", ("id", DiskSpec(base="/b")), {"disks", "attach", "linked_disks"}),
        ("disks.attach", ("id", DiskSpec(base="/b", linked=False)), {"disks", "attach", "copied_disks"}),
        ("disks.attach", ("id", DiskSpec(size=GiB, read_only=True)), {"disks", "attach", "read_only_disks"}),
        ("disks.detach", ("id", "vda"), {"attach"}),
        ("disks.resize", ("id", "vda", GiB), {"disk_resize"}),
        ("disks.set_iso", ("id", "sda", "/i"), {"cdrom"}),
        ("nics.attach", ("id", NicSpec()), {"attach"}),
        ("nics.attach", ("id", NicSpec(vlan=1)), {"attach", "nic_vlan"}),
        ("nics.attach", ("id", NicSpec(link_up=False)), {"attach", "nic_link"}),
        ("nics.detach", ("id", "nic0"), {"attach"}),
        ("nics.update", ("id", "nic0", NicChange(switch="s")), {"attach"}),
        ("nics.update", ("id", "nic0", NicChange(link_up=True)), {"attach", "nic_link"}),
        ("nics.update", ("id", "nic0", NicChange(link_up=False)), {"attach", "nic_link"}),
        ("nics.update", ("id", "nic0", NicChange(vlan=1)), {"attach", "nic_vlan"}),
        ("nics.update", ("id", "nic0", NicChange(trunk=(1,))), {"attach", "nic_trunk"}),
        ("nics.update", ("id", "nic0", NicChange(vlan=0, trunk=(), policy=IsolationPolicy())), {"attach"}),
        *(
            ("nics.attach", ("id", NicSpec(policy=IsolationPolicy(**policy))), {"attach", *wanted})
            for policy, wanted in POLICIES
        ),
        *(
            ("nics.update", ("id", "nic0", NicChange(policy=IsolationPolicy(**policy))), {"attach", *wanted})
            for policy, wanted in POLICIES
        ),
        # Switches, volumes, snapshots, guests
        ("switches.update", ("id", SwitchChange()), set()),
        ("switches.update", ("id", SwitchChange(leases=())), {"switch_leases"}),
        ("switches.update", ("id", SwitchChange(vlan=5)), {"switch_vlan_change"}),
        ("switches.update", ("id", SwitchChange(vlan=0)), {"switch_vlan_change"}),
        ("switches.update", ("id", SwitchChange(policy=GUARDED)), {"switch_spoof_guard", "switch_promiscuous"}),
        ("switches.update", ("id", SwitchChange(policy=IsolationPolicy())), set()),
        (
            "switches.create",
            (SwitchSpec("s", policy=GUARDED),),
            {"switch_private", "switch_spoof_guard", "switch_promiscuous"},
        ),
        (
            "switches.create",
            (SwitchSpec("s", "internal", subnet="10.0.0.0/24", leases=[StaticLease("52:54:00:00:00:01", "10.0.0.2")]),),
            {"switch_internal", "switch_subnet", "switch_leases"},
        ),
        (
            "switches.create",
            (SwitchSpec("s", "external", uplink="e", openvswitch=True, vlan=5),),
            {"switch_external", "switch_openvswitch", "switch_vlan"},
        ),
        ("switches.create", (SwitchSpec("s"),), {"switch_private"}),
        ("switches.create", (SwitchSpec("s", SwitchKind.INTERNAL),), {"switch_internal"}),
        ("switches.create", (SwitchSpec("s", SwitchKind.EXTERNAL, uplink="e"),), {"switch_external"}),
        (
            "switches.create",
            (SwitchSpec("s", SwitchKind.INTERNAL, subnet="10.0.0.0/24"),),
            {"switch_internal", "switch_subnet"},
        ),
        ("volumes.create", ("id", VolumeSpec("v", GiB)), {"volumes"}),
        ("volumes.delete", ("id",), {"volumes"}),
        ("volumes.upload", ("id", "n", io.BytesIO(), 0), {"transfer"}),
        ("volumes.download", ("id", io.BytesIO()), {"transfer"}),
        ("snapshots.create", ("id", SnapshotSpec("s")), {"snapshots"}),
        ("snapshots.create", ("id", SnapshotSpec("s", memory=False)), {"snapshots"}),
        ("snapshots.create", ("id", SnapshotSpec("s", memory=True)), {"snapshots", "snapshot_memory"}),
        ("snapshots.create", ("id", SnapshotSpec("s", quiesce=True)), {"snapshots", "snapshot_quiesced"}),
        ("clones.clone", ("id", CloneSpec("c")), {"clones"}),
        ("clones.clone", ("id", CloneSpec("c", snapshot="s")), {"clones"}),
        ("clones.clone", ("id", CloneSpec("c", linked=True, snapshot="s")), {"clones", "linked_clones"}),
        ("clones.set_template", ("id", False), {"templates"}),
        ("upkeep.answer", ("id", "question", "1"), {"questions"}),
        ("upkeep.consolidate", ("id",), {"snapshot_consolidation"}),
        ("guests.addresses", ("id",), {"guest_addresses"}),
        ("metrics.read", (["id"],), {"metrics"}),
        # Reading and deleting need nothing
        ("vms.list", (), set()),
        ("vms.get", ("id",), set()),
        ("vms.delete", ("id", ()), set()),
        ("host.info", (), set()),
        ("switches.delete", ("id",), set()),
    ],
)
def test_each_field_needs_its_capability(operation: str, args: tuple[Any, ...], wanted: set[str]) -> None:
    assert needs(operation, *args) == wanted


def test_every_field_of_a_spec_needs_something_or_is_what_every_host_has() -> None:
    """A new field that nobody guards would be found by the first user of a host that lacks it."""
    plain = {"name", "cpus", "memory", "disks", "nics", "firmware"}
    unguarded = {
        field.name
        for field in attrs.fields(VMSpec)
        if field.name not in plain and needs("vms.create", vm(**_one(field.name))) <= {"bios", "uefi"}
    }
    assert unguarded == set()


def _one(field: str) -> dict[str, Any]:
    """A spec's fields with only this one out of the ordinary."""
    if field == "container":  # it goes with nothing of a machine, which the full spec is
        return {"container": ContainerSpec("/srv")}
    also: dict[str, dict[str, Any]] = {"secure_boot": {"firmware": Firmware.UEFI}, "topology": {"cpus": 2}}
    return {field: getattr(FULL, field), **also.get(field, {})}


def test_the_first_that_is_missing_is_told() -> None:
    with pytest.raises(
        Unsupported, match=r"fake://guarded cannot start a VM by BIOS \(capability 'bios'\); use "
    ) as caught:
        check("vms.create", (vm(tpm=True),), Capabilities(uefi=True), URL)
    assert caught.value.capability == "bios"


def test_a_host_that_can_everything_refuses_nothing() -> None:
    check("vms.create", (FULL,), EVERYTHING, URL)
    check("vms.get", ("id",), NOTHING, URL)


# Limits


@pytest.mark.parametrize(
    ("limits", "operation", "args", "field", "value"),
    [
        ({"max_cpus": 4}, "vms.create", (vm(cpus=5),), "cpus", 5),
        ({"max_cpus": 4}, "vms.create", (vm(cpus=1, max_cpus=5),), "max_cpus", 5),
        ({"max_cpus": 4}, "vms.configure", ("id", VMChange(cpus=5)), "cpus", 5),
        ({"max_cpus": 4}, "vms.configure", ("id", VMChange(max_cpus=5)), "max_cpus", 5),
        ({"max_memory": GiB}, "vms.create", (vm(memory=2 * GiB),), "memory", 2 * GiB),
        ({"max_memory": GiB}, "vms.create", (vm(max_memory=2 * GiB),), "max_memory", 2 * GiB),
        ({"max_memory": GiB}, "vms.configure", ("id", VMChange(memory=2 * GiB)), "memory", 2 * GiB),
        ({"max_memory": GiB}, "vms.configure", ("id", VMChange(max_memory=2 * GiB)), "max_memory", 2 * GiB),
        ({"max_disks": 1}, "vms.create", (vm(disks=[DiskSpec(size=GiB)] * 2),), "disks", 2),
        ({"max_disks": 0}, "vms.create", (vm(disks=[DiskSpec(path="/p")]),), "disks", 1),
        ({"max_nics": 1}, "vms.create", (vm(nics=[NicSpec()] * 2),), "nics", 2),
        ({"memory_unit": 4 * MiB}, "vms.create", (vm(memory=6 * MiB),), "memory", 6 * MiB),
        ({"memory_unit": 4 * MiB}, "vms.create", (vm(memory=4 * MiB, max_memory=6 * MiB),), "max_memory", 6 * MiB),
        ({"memory_unit": 4 * MiB}, "vms.configure", ("id", VMChange(memory=6 * MiB)), "memory", 6 * MiB),
    ],
)
def test_a_limit_that_is_passed_is_named(
    limits: dict[str, int], operation: str, args: tuple[Any, ...], field: str, value: int
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check(operation, args, but(**limits), URL)
    assert (caught.value.field, caught.value.value) == (field, value)
    check(operation, args, EVERYTHING, URL)


def test_a_host_with_open_vswitch_carries_vlans_there_only() -> None:
    spec = SwitchSpec("s", "external", uplink="e", vlan=5)
    with pytest.raises(InvalidRequest, match="openvswitch=True") as caught:
        check("switches.create", (spec,), EVERYTHING, URL)
    assert caught.value.field == "vlan"
    check("switches.create", (spec,), but(switch_openvswitch=False), URL)
    check("switches.create", (attrs.evolve(spec, openvswitch=True),), EVERYTHING, URL)


@pytest.mark.parametrize(
    ("limits", "spec"),
    [
        ({"max_cpus": 4}, vm(cpus=4)),
        ({"max_memory": GiB}, vm(memory=GiB)),
        ({"max_disks": 1}, vm(disks=[DiskSpec(size=GiB)])),
        ({"max_nics": 1}, vm(nics=[NicSpec()])),
        ({"memory_unit": 4 * MiB}, vm(memory=8 * MiB)),
    ],
)
def test_the_most_is_allowed(limits: dict[str, int], spec: VMSpec) -> None:
    check("vms.create", (spec,), but(**limits), URL)


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("vms.create", (vm(disks=[DiskSpec(size=GiB), DiskSpec(size=GiB, format=DiskFormat.VHDX)]),)),
        ("disks.attach", ("id", DiskSpec(size=GiB, format=DiskFormat.VHDX))),
        ("volumes.create", ("id", VolumeSpec("v", GiB, DiskFormat.VHDX))),
    ],
)
def test_a_format_that_the_host_cannot_make(operation: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(Unsupported, match="cannot create vhdx disks; it can qcow2, raw") as caught:
        check(operation, args, EVERYTHING, URL)
    assert (caught.value.capability, caught.value.backend) == ("disk_formats", URL)
    with pytest.raises(Unsupported, match="it can none"):
        check(operation, args, attrs.evolve(EVERYTHING, disk_formats=()), URL)


@pytest.mark.parametrize(
    ("operation", "args", "field"),
    [
        ("vms.create", (vm(disks=[DiskSpec(size=GiB), DiskSpec(size=GiB, bus=DiskBus.NVME)]),), "disks[1].bus"),
        ("disks.attach", ("id", DiskSpec(path="/p", bus=DiskBus.NVME)), "bus"),
    ],
)
def test_a_bus_that_the_host_does_not_have(operation: str, args: tuple[Any, ...], field: str) -> None:
    with pytest.raises(InvalidRequest, match="'nvme' is not accepted: one of virtio, sata") as caught:
        check(operation, args, attrs.evolve(EVERYTHING, disk_buses=("virtio", "sata")), URL)
    assert caught.value.field == field
    check(operation, args, attrs.evolve(EVERYTHING, disk_buses=()), URL)  # it does not tell


def test_formats_matter_only_for_new_disks() -> None:
    existing = DiskSpec(path="/p", format=DiskFormat.VHDX)
    check("vms.create", (vm(disks=[existing]),), EVERYTHING, URL)
    check("disks.attach", ("id", existing), EVERYTHING, URL)
    check("disks.attach", ("id", DiskSpec(size=GiB, format=DiskFormat.RAW)), EVERYTHING, URL)
