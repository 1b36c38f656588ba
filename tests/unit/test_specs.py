"""What a caller may ask for: every wrong value is refused at once, by an error that names field and value."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyperkit
from hyperkit import (
    Allocation,
    BootDevice,
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
    VMSpec,
)
from hyperkit.checks import NAME_LENGTH
from hyperkit.specs import (
    ChangeFields,
    CloneSpec,
    NicChange,
    SnapshotSpec,
    SwitchChange,
    VMChange,
    VMFields,
    VolumeSpec,
)
from hyperkit.specs.isolation import IsolationPolicy
from tests.unit.support import refusal

MAC = "52:54:00:00:00:01"


def _vm(**fields: Any) -> VMSpec:
    return VMSpec(**{"name": "web1", **fields})


def _nic(**fields: Any) -> NicSpec:
    return NicSpec(**fields)


def _external(**fields: Any) -> SwitchSpec:
    return SwitchSpec(**{"name": "lan", "kind": SwitchKind.EXTERNAL, "uplink": "eth0", **fields})


def _internal(**fields: Any) -> SwitchSpec:
    return SwitchSpec(**{"name": "lan", "kind": SwitchKind.INTERNAL, **fields})


def _clone(**fields: Any) -> CloneSpec:
    return CloneSpec("copy", **fields)


def _volume(**fields: Any) -> VolumeSpec:
    return VolumeSpec(**{"name": "data", "size": GiB, **fields})


def _snapshot(**fields: Any) -> SnapshotSpec:
    return SnapshotSpec(**{"name": "clean", **fields})


def _new_disk(**fields: Any) -> DiskSpec:
    return DiskSpec(**{"size": GiB, **fields})


Make = Callable[..., object]

# What is wrong with a value of a kind, whatever field it stands in.

BAD_NAMES = [
    *(f"a{char}b" for char in "<>&'\"/\\|*?:\n\r\t\0\x1b\x7f\x85\x9f\u2028\u2029\ud800\udfff\ufffe\uffff"),
    "",
    " ",
    " a",
    "a ",
    "\u00a0a",
    "a\n",
    ".",
    "..",
    "n" * (NAME_LENGTH + 1),
    None,
    7,
    b"web1",
    ["web1"],
]
BAD_LABELS = ["", "a\nb", "a\0b", "a\x7fb", "a\ud800b", 7, False, b"lan", ["lan"]]
BAD_PATHS = ["", "/a\nb", "/a\0b", "/a\x1bb", "/a\ud800b", b"/a", 7, False, ["/a"]]
BAD_TEXTS: list[Any] = ["a\0b", "a\x0bb", "a\x1fb", "a\ud800b", "a\uffffb", None, 0, False, b"a", []]
BAD_FLAGS = ["no", "", 0, 1, None, [], 1.0]
BAD_COUNTS = [0, -1, True, False, 2.0, "2", None]
BAD_SIZES = [0, -MiB, 512, 4096, MiB - 512, True, 1.0 * GiB, "4 GiB", None]
BAD_MACS = [
    "",
    "52:54:00:12:34",
    "52:54:00:12:34:5g",
    "01:00:5e:00:00:01",
    "ff:ff:ff:ff:ff:ff",
    7,
    b"52:54:00:00:00:01",
    False,
]
BAD_SWITCH_POLICIES: list[Any] = [
    None,
    True,
    {},
    "open",
    IsolationPolicy(isolated=True),
    IsolationPolicy(spoof_guard=True, addresses=["10.0.0.1"]),
]
BAD_GUESTS = ["Debian", "debian 12", "debian12\n", "d" * 65, "débian", None, 7, b"debian"]


def _without_none(values: list[Any]) -> list[Any]:
    """For a field where None means something."""
    return [value for value in values if value is not None]


FIELDS: list[tuple[Make, str, list[Any]]] = [
    (CpuTopology, "sockets", BAD_COUNTS),
    (CpuTopology, "cores", BAD_COUNTS),
    (CpuTopology, "threads", BAD_COUNTS),
    (Allocation, "reservation", [-1, True, 1.5, "1", None]),
    (Allocation, "limit", [0, -1, True, 1.5, "1"]),
    (Allocation, "shares", [*BAD_COUNTS, 10_001]),
    (KernelBoot, "kernel", [*BAD_PATHS, None, "vmlinuz", "./vmlinuz"]),
    (lambda initrd: KernelBoot("/vmlinuz", initrd), "initrd", BAD_PATHS),
    (lambda cmdline: KernelBoot("/vmlinuz", cmdline=cmdline), "cmdline", BAD_TEXTS),
    (DiskSpec, "size", [*BAD_SIZES, MiB + 1, MiB + 511]),
    (DiskSpec, "path", BAD_PATHS),
    (DiskSpec, "base", BAD_PATHS),
    (_new_disk, "linked", BAD_FLAGS),
    (_new_disk, "thin", BAD_FLAGS),
    (_new_disk, "read_only", BAD_FLAGS),
    (_new_disk, "name", _without_none(BAD_NAMES)),
    (_new_disk, "datastore", BAD_LABELS),
    (_new_disk, "format", ["QCOW2", "", 7, False]),
    (_new_disk, "bus", ["virtio0", "", 7, False]),
    (NicSpec, "switch", BAD_LABELS),
    (NicSpec, "mac", BAD_MACS),
    (NicSpec, "model", ["", "a b", "e1000<", "m" * 33, "virtio\n", 7, False, b"virtio"]),
    (NicSpec, "vlan", [0, -1, 4095, True, 1.0, "1"]),
    (NicSpec, "link_up", BAD_FLAGS),
    (NicSpec, "policy", [None, True, {}, "open"]),
    (VMSpec, "name", BAD_NAMES),
    (_vm, "cpus", BAD_COUNTS),
    (_vm, "memory", [*BAD_SIZES, GiB + 1]),
    (_vm, "max_cpus", [0, True, False, 1.0, "1", None]),
    (lambda max_cpus: _vm(cpus=4, max_cpus=max_cpus), "max_cpus", [3, 4.0, True]),
    (_vm, "max_memory", [*BAD_SIZES, 512 * MiB - 1024, 512.0 * MiB, GiB + 1]),
    (_vm, "topology", [(1, 1, 1), 1, False, "1", CpuTopology(sockets=2), CpuTopology(2, 2, 2)]),
    (_vm, "cpu_allocation", [None, 1000, (0, None, 100), False, "high"]),
    (_vm, "memory_allocation", [None, GiB, (0, None, 100), False, "high"]),
    (_vm, "iso", BAD_PATHS),
    (_vm, "cdrom", BAD_FLAGS),
    (_vm, "guest_os", BAD_GUESTS),
    (_vm, "firmware", ["efi", "", None, 7, False]),
    (_vm, "secure_boot", BAD_FLAGS),
    (_vm, "tpm", BAD_FLAGS),
    (_vm, "autostart", BAD_FLAGS),
    (_vm, "kernel", ["/vmlinuz", "", 7, False]),
    (_vm, "notes", BAD_TEXTS),
    (VMChange, "name", _without_none(BAD_NAMES)),
    (VMChange, "cpus", _without_none(BAD_COUNTS)),
    (VMChange, "max_cpus", _without_none(BAD_COUNTS)),
    (VMChange, "memory", [*_without_none(BAD_SIZES), GiB + 1]),
    (VMChange, "max_memory", [*_without_none(BAD_SIZES), GiB + 1]),
    (VMChange, "topology", [(1, 1, 1), 1, False, "1"]),
    (VMChange, "cpu_allocation", [1000, (0, None, 100), False]),
    (VMChange, "memory_allocation", [GiB, (0, None, 100), False]),
    (VMChange, "guest_os", _without_none(BAD_GUESTS)),
    (VMChange, "secure_boot", _without_none(BAD_FLAGS)),
    (VMChange, "tpm", _without_none(BAD_FLAGS)),
    (VMChange, "autostart", _without_none(BAD_FLAGS)),
    (VMChange, "notes", _without_none(BAD_TEXTS)),
    (CloneSpec, "name", BAD_NAMES),
    (_clone, "linked", BAD_FLAGS),
    (_clone, "snapshot", _without_none(BAD_LABELS)),
    (_clone, "datastore", _without_none(BAD_LABELS)),
    (SnapshotSpec, "name", BAD_NAMES),
    (_snapshot, "description", BAD_TEXTS),
    (_snapshot, "memory", _without_none(BAD_FLAGS)),
    (_snapshot, "quiesce", BAD_FLAGS),
    (NicChange, "switch", [label for label in BAD_LABELS if label != ""] + [0, []]),
    (NicChange, "mac", BAD_MACS),
    (NicChange, "link_up", _without_none(BAD_FLAGS)),
    (NicChange, "vlan", [-1, 4095, True, False, 1.0, "1"]),
    (NicChange, "policy", [True, {}, "open"]),
    (SwitchSpec, "name", BAD_NAMES),
    (lambda kind: SwitchSpec("lan", kind), "kind", ["inside", "", None, 7, False]),
    (_external, "uplink", [None, *BAD_LABELS]),
    (_internal, "uplink", ["eth0"]),
    (_internal, "nat", BAD_FLAGS),
    (_internal, "dhcp", BAD_FLAGS),
    (_internal, "openvswitch", [*BAD_FLAGS, True]),
    (_internal, "vlan", [0, -1, 4095, True, 1.0, "1"]),
    (_internal, "policy", BAD_SWITCH_POLICIES),
    (SwitchChange, "policy", _without_none(BAD_SWITCH_POLICIES)),
    (SwitchChange, "vlan", [-1, 4095, True, False, 1.0, "1"]),
    (
        _internal,
        "subnet",
        ["", "lan", "192.168.150.1/24", "192.168.150.0/30", "10.0.0.0", "fd00::/64", "10.0.0.0/33", 7, False, b"x"],
    ),
    (lambda subnet: SwitchSpec("lan", subnet=subnet), "subnet", ["10.0.0.0/24"]),
    (lambda subnet: _external(subnet=subnet), "subnet", ["10.0.0.0/24"]),
    (VolumeSpec, "name", BAD_NAMES),
    (_volume, "size", [*BAD_SIZES, MiB + 1]),
    (_volume, "format", ["RAW", "", 7, False]),
    (_volume, "thin", BAD_FLAGS),
]


def _make(make: Make, field: str, value: object) -> object:
    if make is VolumeSpec:
        return VolumeSpec(**{"size": GiB, field: value})  # type: ignore[arg-type]
    return make(**{field: value})


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        pytest.param(make, field, value, id=f"{getattr(make, '__name__', '')}-{field}-{index}")
        for make, field, values in FIELDS
        for index, value in enumerate(values)
    ],
)
def test_a_wrong_value_is_refused_by_name(make: Make, field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _make(make, field, value)
    error = caught.value
    assert error.field == field
    assert error.value is value or error.value == value
    assert field in str(error)
    assert repr(value) in str(error)


def test_every_field_of_every_spec_has_its_wrong_values() -> None:
    tried = {(make, field) for make, field, _ in FIELDS}
    helpers = {
        VMSpec: _vm,
        DiskSpec: _new_disk,
        SwitchSpec: _internal,
        VolumeSpec: _volume,
        SnapshotSpec: _snapshot,
        CloneSpec: _clone,
    }
    elsewhere = {
        (KernelBoot, "initrd"),  # by a lambda, as it needs a kernel
        (KernelBoot, "cmdline"),
        (SwitchSpec, "kind"),
        (VMSpec, "disks"),  # sequences: below
        (VMSpec, "nics"),
        (VMSpec, "container"),  # in test_containers.py
        (VMSpec, "boot_order"),
        (VMChange, "boot_order"),
        (VMSpec, "tags"),
        (VMChange, "tags"),
        (NicSpec, "trunk"),
        (NicChange, "trunk"),
        (SwitchSpec, "leases"),
        (SwitchChange, "leases"),
    }
    for kind in (
        CpuTopology,
        Allocation,
        KernelBoot,
        DiskSpec,
        NicSpec,
        VMSpec,
        VMChange,
        SnapshotSpec,
        CloneSpec,
        NicChange,
        SwitchSpec,
        SwitchChange,
        VolumeSpec,
    ):
        for field in attrs.fields(kind):
            makers: set[Make] = {kind, helpers.get(kind, kind)}
            assert any((make, field.name) in tried for make in makers) or (kind, field.name) in elsewhere, field


@pytest.mark.parametrize(
    ("make", "field", "value"),
    [
        (lambda: _vm(disks="a.qcow2"), "disks[0]", "a.qcow2"),
        (lambda: _vm(disks=b"a"), "disks[0]", b"a"),
        (lambda: _vm(disks=20 * GiB), "disks[0]", 20 * GiB),
        (lambda: _vm(disks=[DiskSpec(size=GiB), 20 * GiB]), "disks[1]", 20 * GiB),
        (lambda: _vm(disks=None), "disks[0]", None),
        (lambda: _vm(disks=[NicSpec()]), "disks[0]", NicSpec()),
        (lambda: _vm(nics="lan"), "nics[0]", "lan"),
        (lambda: _vm(nics=["lan"]), "nics[0]", "lan"),
        (lambda: _vm(nics=None), "nics[0]", None),
        (lambda: _vm(nics=[NicSpec(), DiskSpec(size=GiB)]), "nics[1]", DiskSpec(size=GiB)),
        (lambda: _vm(nics=[NicSpec(mac=MAC), NicSpec(mac=MAC.upper())]), "nics", [MAC, MAC]),
        (lambda: _vm(boot_order="floppy"), "boot_order[0]", "floppy"),
        (lambda: _vm(boot_order=[BootDevice.DISK, "cd"]), "boot_order[1]", "cd"),
        (lambda: _vm(boot_order=None), "boot_order[0]", None),
        (lambda: _vm(boot_order=[]), "boot_order", ()),
        (lambda: _vm(boot_order=[BootDevice.DISK] * 2), "boot_order", (BootDevice.DISK,) * 2),
        (lambda: _vm(tags="web server"), "tags[0]", "web server"),
        (lambda: _vm(tags=["web", ""]), "tags[1]", ""),
        (lambda: _vm(tags=["web", "a,b"]), "tags[1]", "a,b"),
        (lambda: _vm(tags=["x" * 65]), "tags[0]", "x" * 65),
        (lambda: _vm(tags=["a\x00"]), "tags[0]", "a\x00"),
        (lambda: _vm(tags=["web", "web"]), "tags", ("web", "web")),
        (lambda: _vm(tags=None), "tags[0]", None),
        (lambda: _vm(tags=[7]), "tags[0]", 7),
        (lambda: VMChange(tags=["a", "a"]), "tags", ("a", "a")),
        (lambda: VMChange(tags=[b"a"]), "tags[0]", b"a"),  # type: ignore[list-item]
        (lambda: _nic(trunk="10"), "trunk[0]", "10"),
        (lambda: NicSpec(trunk=[10, 0]), "trunk[1]", 0),
        (lambda: NicSpec(trunk=[10, 10]), "trunk", (10, 10)),
        (lambda: NicSpec(vlan=10, trunk=[10, 20]), "trunk", (10, 20)),
        (lambda: NicChange(trunk=[4095]), "trunk[0]", 4095),
        (lambda: _internal(subnet="10.9.0.0/24", leases="web1"), "leases[0]", "web1"),
        (lambda: _internal(subnet="10.9.0.0/24", leases=[None]), "leases[0]", None),
        (lambda: SwitchChange(leases=[MAC]), "leases[0]", MAC),  # type: ignore[list-item]
        (lambda: VMChange(boot_order="floppy"), "boot_order[0]", "floppy"),
        (lambda: VMChange(boot_order=[]), "boot_order", ()),
        (DiskSpec, "size", None),
        (lambda: DiskSpec(path="/a", size=GiB), "size", GiB),
        (lambda: DiskSpec(path="/a", base="/b"), "base", "/b"),
        (lambda: DiskSpec(path="/a", name="c"), "name", "c"),
        (lambda: DiskSpec(path="/a", datastore="d"), "datastore", "d"),
        (lambda: Allocation(reservation=2000, limit=1999), "limit", 1999),
        (lambda: _vm(cpus=2, cpu_allocation=Allocation(2001)), "cpu_allocation.reservation", 2001),
        (lambda: _vm(memory_allocation=Allocation(GiB)), "memory_allocation.reservation", GiB),
        (lambda: _vm(memory_allocation=Allocation(limit=4096)), "memory_allocation.limit", 4096),
        (lambda: _vm(secure_boot=True), "secure_boot", True),
        (
            lambda: _vm(cpus=2, max_cpus=4, topology=CpuTopology(2)),
            "topology",
            CpuTopology(2),
        ),
    ],
)
def test_values_that_do_not_fit_together(make: Callable[[], object], field: str, value: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make()
    assert (caught.value.field, caught.value.value) == (field, value)


@pytest.mark.parametrize("value", [4096, 512])
def test_a_size_that_was_meant_as_megabytes_is_met_with_the_intention(value: int) -> None:
    with pytest.raises(InvalidRequest, match=rf"sizes are in bytes: did you mean {value} \* MiB\?"):
        _vm(memory=value)


@pytest.mark.parametrize(("make", "field"), [(_vm, "max_memory"), (_vm, "memory")])
def test_a_size_that_is_plainly_too_small_is_not_guessed_at(make: Make, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make(**{field: 0})
    assert "did you mean" not in str(caught.value)


# What is right is kept


def test_the_smallest_spec() -> None:
    spec = VMSpec("web1")
    assert (spec.cpus, spec.max_cpus) == (1, 1)
    assert spec.memory == spec.max_memory == 512 * MiB
    assert (spec.disks, spec.nics, spec.boot_order) == ((), (), (BootDevice.DISK,))
    assert spec.cpu_allocation == spec.memory_allocation == Allocation()


def test_a_whole_spec() -> None:
    spec = VMSpec(
        "n" * NAME_LENGTH,
        cpus=2,
        memory=MiB,
        max_cpus=8,
        max_memory=2 * GiB,
        topology=CpuTopology(2, 2, 2),
        cpu_allocation=Allocation(2000, 8000, 10_000),
        memory_allocation=Allocation(MiB, 2 * GiB, 1),
        disks=[DiskSpec(size=MiB), DiskSpec(base="/b", linked=False), DiskSpec(path="/c", read_only=True)],
        nics=[NicSpec("lan", MAC, "e1000e", 4094, False), NicSpec()],
        iso="/i.iso",
        cdrom=True,
        guest_os="win2k22",
        firmware=Firmware.UEFI,
        secure_boot=True,
        tpm=True,
        boot_order=[BootDevice.NETWORK, BootDevice.DISK, BootDevice.CDROM],
        kernel=KernelBoot("/vmlinuz", "/initrd", "console=ttyS0 'a b' <&>"),
        notes="Zeile 1\n\tZeile 2 <&> \U0001f427",
        autostart=True,
    )
    assert spec.max_cpus == 8
    assert [disk.creates for disk in spec.disks] == [True, True, False]
    assert spec.nics[0].vlan == 4094
    assert spec.notes.endswith("\U0001f427")


@pytest.mark.parametrize(
    "name", ["web1", "Büro 1", "日本", "a.b-c_d", "a(1)", "[x]", "50%", "n" * NAME_LENGTH, "#1;", "\U0001f427"]
)
def test_ordinary_names(name: str) -> None:
    assert VMSpec(name).name == VMChange(name=name).name == SwitchSpec(name).name == name


@pytest.mark.parametrize("label", ["VM Network", "<odd>", "a/b", "x" * 200, " a"])
def test_what_others_named_can_be_referred_to(label: str) -> None:
    assert NicSpec(switch=label).switch == label
    assert NicChange(switch=label).switch == label
    assert DiskSpec(size=GiB, datastore=label).datastore == label


def test_an_empty_switch_in_a_change_pulls_the_cable_out() -> None:
    assert NicChange(switch="").switch == ""


@pytest.mark.parametrize("text", ["52-54-00-AB-CD-EF", "5254.00ab.cdef", "525400ABCDEF", "52:54:00:ab:cd:ef"])
def test_macs_are_kept_in_one_spelling(text: str) -> None:
    assert NicSpec(mac=text).mac == NicChange(mac=text).mac == "52:54:00:ab:cd:ef"


def test_formats_and_buses() -> None:
    assert DiskSpec(size=GiB, format=DiskFormat.VHDX, bus=DiskBus.NVME).format is DiskFormat.VHDX
    assert VolumeSpec("a", GiB, DiskFormat.RAW).format is DiskFormat.RAW


def test_switches() -> None:
    lan = _internal(subnet="192.168.150.0/29")
    assert lan.network is not None
    assert lan.network.num_addresses == 8
    assert SwitchSpec("p").network is None
    assert _external().uplink == "eth0"


@given(sockets=st.integers(1, 8), cores=st.integers(1, 8), threads=st.integers(1, 2), extra=st.integers(-3, 3))
def test_a_topology_fits_exactly_or_is_refused(sockets: int, cores: int, threads: int, extra: int) -> None:
    topology = CpuTopology(sockets, cores, threads)
    cpus = sockets * cores * threads
    assert topology.cpus == cpus
    assert VMSpec("a", cpus=cpus, topology=topology).topology == topology
    if extra and cpus + extra > 0:
        with pytest.raises(InvalidRequest, match="sockets"):
            VMSpec("a", cpus=cpus + extra, topology=topology)


@given(st.text(max_size=90))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    error = refusal(InvalidRequest, lambda: VMSpec(text))
    if error is not None:
        assert (error.field, error.value) == ("name", text)
    else:
        assert text == text.strip()
        assert 1 <= len(text) <= NAME_LENGTH
        assert not [char for char in text if unicodedata.category(char) in ("Cc", "Cs")]


# Frozen, and nobody else's


def test_lists_of_the_caller_are_not_kept() -> None:
    disks, nics, order = [DiskSpec(size=GiB)], [NicSpec()], [BootDevice.DISK]
    spec = _vm(disks=disks, nics=nics, boot_order=order)
    change = VMChange(boot_order=order)
    disks.clear()
    nics.append(NicSpec())
    order.append(BootDevice.CDROM)
    assert (len(spec.disks), len(spec.nics)) == (1, 1)
    assert spec.boot_order == change.boot_order == (BootDevice.DISK,)


def test_any_iterable_will_do_and_is_read_once() -> None:
    spec = _vm(disks=(DiskSpec(size=size * GiB) for size in (1, 2)))
    assert [disk.size for disk in spec.disks] == [GiB, 2 * GiB]
    assert isinstance(spec.disks, tuple)


@pytest.mark.parametrize(
    "spec",
    [
        CpuTopology(),
        Allocation(),
        KernelBoot("/k"),
        DiskSpec(size=GiB),
        NicSpec(),
        VMSpec("a"),
        VMChange(),
        SnapshotSpec("a"),
        NicChange(),
        SwitchSpec("a"),
        VolumeSpec("a", GiB),
    ],
    ids=lambda spec: type(spec).__name__,
)
def test_specs_are_frozen_values(spec: Any) -> None:
    first = attrs.fields(type(spec))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(spec, first, None)
    again = attrs.evolve(spec)
    assert again == spec
    assert hash(again) == hash(spec)


# The keywords of create() and configure() are the fields of the specs


def test_vm_fields_are_the_fields_of_a_spec_but_its_name() -> None:
    assert set(VMFields.__annotations__) == {field.name for field in attrs.fields(VMSpec)} - {"name"}


def test_change_fields_are_the_fields_of_a_change() -> None:
    assert set(ChangeFields.__annotations__) == {field.name for field in attrs.fields(VMChange)}


def test_what_can_be_changed_is_what_can_be_created() -> None:
    assert set(ChangeFields.__annotations__) - {"name"} <= set(VMFields.__annotations__)


def test_fields_of_a_change() -> None:
    assert VMChange().fields() == {}
    assert VMChange(cpus=2, notes="", tpm=False).fields() == {"cpus": 2, "notes": "", "tpm": False}


def test_a_text_means_the_member_of_that_name() -> None:
    assert _vm(firmware="uefi").firmware is Firmware.UEFI
    assert _vm(boot_order=["cdrom", BootDevice.DISK]).boot_order == (BootDevice.CDROM, BootDevice.DISK)
    assert DiskSpec(GiB, format="raw", bus="sata") == DiskSpec(GiB, format=DiskFormat.RAW, bus=DiskBus.SATA)
    assert SwitchSpec("lan", "internal").kind is SwitchKind.INTERNAL
    assert VMChange(boot_order=["disk"]).boot_order == (BootDevice.DISK,)


def test_an_object_of_the_host_stands_for_its_name_or_path() -> None:
    host = hyperkit.connect("fake://")
    lan, store = host.switches.create("lan"), host.datastores.list()[0]
    image = store.volumes.create("a", MiB)
    assert NicSpec(lan).switch == lan.id
    assert DiskSpec(GiB, datastore=store).datastore == store.id
    assert DiskSpec(path=image).path == image.path == _vm(iso=image).iso
    assert DiskSpec(base=PurePosixPath("/images/a.qcow2")).base == "/images/a.qcow2"


def test_a_file_is_one_disk_of_a_vm() -> None:
    with pytest.raises(InvalidRequest, match="each disk its own file") as refused:
        VMSpec("a", disks=[DiskSpec(path="/images/a.qcow2"), DiskSpec(path="/images/a.qcow2")])
    assert refused.value.field == "disks"
