"""What libvirt is asked for, read back by what reads what libvirt says."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hyperkit.errors import InvalidRequest, NotFound
from hyperkit.records import VMRecord
from hyperkit.specs import (
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskFormat,
    DiskSpec,
    Firmware,
    KernelBoot,
    NicSpec,
    VMSpec,
)
from hyperkit.states import PowerState, StateReason
from hyperkit.units import MiB

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import xml_edit, xml_read, xml_write
from hyperkit.backends.libvirt.images import Image
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.wiring import Wire
from hyperkit.backends.libvirt.xml_write import Platform

QEMU = Platform("QEMU", "qemu", "x86_64", "q35", frozenset({"virtio", "scsi", "sata", "usb"}))
KVM = Platform("QEMU", "kvm", "x86_64", "q35")
NETWORKS = {"net-id": Wire("lan"), "ovs-id": Wire("ovs", openvswitch=True)}
HOSTILE = "</description><devices/>\"'&<![CDATA[x]]>&lol; \r\n\t é𝄞 "

READ_BACK = (
    "name",
    "cpus",
    "memory",
    "max_cpus",
    "max_memory",
    "topology",
    "cpu_allocation",
    "memory_allocation",
    "guest_os",
    "firmware",
    "secure_boot",
    "tpm",
    "boot_order",
    "kernel",
    "notes",
)


def image(name: str, **fields: Any) -> Image:
    return Image(**{"path": f"/i/{name}", "size": MiB, "format": DiskFormat.QCOW2, "created": True, **fields})


def build(spec: VMSpec, images: list[Image] | None = None, platform: Platform = QEMU, **fields: Any) -> ET.Element:
    images = images if images is not None else [image(f"{n}.qcow2") for n, _ in enumerate(spec.disks)]
    return xml_write.new_domain(spec, images, fields.get("iso"), NETWORKS, platform)


def read(tree: ET.Element, platform: Platform = QEMU) -> VMRecord:
    networks = {wire.name: key for key, wire in NETWORKS.items()}
    facts = xml_read.Facts(PowerState.OFF, StateReason.NORMAL, False, {}, networks, platform.shares)
    return xml_read.vm_record(parse_domain(xml_edit.text_of(tree)), facts)


def test_everything_asked_for_is_read_back() -> None:
    spec = VMSpec(
        "web 1",
        2,
        64 * MiB,
        max_cpus=4,
        max_memory=256 * MiB,
        topology=CpuTopology(1, 2, 2),
        cpu_allocation=Allocation(limit=1234, shares=333),
        memory_allocation=Allocation(limit=512 * MiB),
        disks=[DiskSpec(size=MiB), DiskSpec(size=MiB, bus=DiskBus.SATA), DiskSpec(path="/i/2", read_only=True)],
        nics=[NicSpec(switch="net-id", mac="52:54:00:AA:bb:01", link_up=False), NicSpec(model="e1000")],
        cdrom=True,
        guest_os="debian12",
        firmware=Firmware.UEFI,
        secure_boot=True,
        tpm=True,
        boot_order=[BootDevice.CDROM, BootDevice.DISK],
        kernel=KernelBoot("/vmlinuz", None, "console=ttyS0 quiet"),
        notes=HOSTILE,
    )
    images = [image("0"), image("1", base="/b"), image("2", created=False)]
    got = read(build(spec, images, iso="/x.iso"))
    for field in READ_BACK:
        assert getattr(got, field) == getattr(spec, field), field
    assert [(d.id, d.path, d.bus, d.created, d.base, d.read_only) for d in got.disks] == [
        ("vda", "/i/0", DiskBus.VIRTIO, True, None, False),
        ("sda", "/i/1", DiskBus.SATA, True, "/b", False),
        ("vdb", "/i/2", DiskBus.VIRTIO, False, None, True),
    ]
    assert [(drive.id, drive.iso) for drive in got.cdroms] == [("sdb", "/x.iso")]
    assert [(nic.switch_id, nic.switch, nic.model, nic.link_up) for nic in got.nics] == [
        ("net-id", "lan", "virtio", False),
        (None, None, "e1000", True),
    ]
    assert got.nics[0].mac == "52:54:00:aa:bb:01"


@pytest.mark.parametrize("normal", [100, 1024])
def test_shares_are_read_back_exactly(normal: int) -> None:
    for shares in range(1, 10_001):
        tree = ET.Element("domain")
        xml_edit.set_cpu_allocation(tree, Allocation(shares=shares), normal)
        assert xml_read.cpu_allocation(tree.find("cputune"), 1, normal).shares == shares


def test_cpu_limits_are_exact_and_what_the_kernel_takes() -> None:
    for limit in (1, 9, 10, 11, 999, 1000, 1500, 128_000):
        tree = ET.Element("domain")
        xml_edit.set_cpu_allocation(tree, Allocation(limit=limit), 1024)
        quota, period = (int(tree.findtext(f"cputune/global_{name}", "")) for name in ("quota", "period"))
        assert quota * 1000 == limit * period
        assert quota >= 1000
        assert 1000 <= period <= 1_000_000
        assert xml_read.cpu_allocation(tree.find("cputune"), 7, 1024).limit == limit


def test_a_default_allocation_leaves_no_trace() -> None:
    tree = ET.fromstring("<domain><cputune><shares>7</shares><quota>1</quota></cputune></domain>")
    xml_edit.set_cpu_allocation(tree, Allocation(), 1024)
    assert tree.find("cputune") is None
    assert build(VMSpec("x")).find("cputune") is None


def test_secure_boot_is_refused_in_so_many_words() -> None:
    """Left to itself libvirt takes the firmware that has it."""
    features = build(VMSpec("x", firmware=Firmware.UEFI)).findall("os/firmware/feature")
    assert {f.get("name"): f.get("enabled") for f in features} == {"secure-boot": "no", "enrolled-keys": "no"}


def test_windows_gets_devices_it_has_drivers_for() -> None:
    got = read(build(VMSpec("x", guest_os="win2k22", disks=[DiskSpec(size=MiB)], nics=[NicSpec()])))
    assert (got.disks[0].bus, got.nics[0].model) == (DiskBus.SATA, "e1000e")


def test_kvm_gets_the_hosts_cpu_and_others_the_default() -> None:
    assert build(VMSpec("x"), platform=KVM).find("cpu").get("mode") == "host-model"  # type: ignore[union-attr]
    assert build(VMSpec("x")).find("cpu") is None


def test_ports_are_left_for_hot_plugging() -> None:
    spec = VMSpec("x", disks=[DiskSpec(size=MiB)] * 3, nics=[NicSpec()] * 2)
    ports = build(spec, [image(str(n)) for n in range(3)]).findall("devices/controller[@model='pcie-root-port']")
    assert len(ports) >= 3 + 2 + 8


def test_other_drivers_get_no_devices_of_qemus() -> None:
    devices = build(VMSpec("x", disks=[DiskSpec(size=MiB)]), platform=Platform("TEST", "test", "i686")).find("devices")
    assert devices is not None
    assert [device.tag for device in devices] == ["disk"]


@pytest.mark.parametrize(
    ("spec", "images", "field"),
    [
        (DiskSpec(size=MiB, bus=DiskBus.IDE), [image("0")], "disks[0].bus"),
        (DiskSpec(size=MiB, bus=DiskBus.NVME), [image("0")], "disks[0].bus"),
        (DiskSpec(path="/i/0"), [image("0", format=None)], "disks[0].format"),
    ],
)
def test_what_the_host_cannot_do_is_refused(spec: DiskSpec, images: list[Image], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        build(VMSpec("x", disks=[spec]), images)
    assert caught.value.field == field


def test_a_switch_that_is_gone_is_not_found() -> None:
    with pytest.raises(NotFound, match="lan"):
        build(VMSpec("x", nics=[NicSpec(switch="other-id")]))


def test_a_new_address_is_unicast_and_local() -> None:
    made = {xml_write.new_mac() for _ in range(500)}
    assert len(made) == 500
    assert all(int(mac[:2], 16) & 3 == 2 for mac in made)


@pytest.mark.parametrize(
    ("prefix", "taken", "target"),
    [
        ("vd", (), "vda"),
        ("vd", ("vda", "sda"), "vdb"),
        ("vd", ("vda", "vdc"), "vdd"),
        ("vd", ("vdz",), "vdaa"),
        ("vd", ("vdaz",), "vdba"),
        ("sd", ("sda1",), "sdb"),
    ],
)
def test_a_new_disk_comes_last(prefix: str, taken: tuple[str, ...], target: str) -> None:
    assert xml_write.free_target(prefix, taken) == target


STRANGE = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>s</name><title>T</title><metadata><a:x xmlns:a='urn:other'><!--keep--><a:y z='1'/></a:x></metadata>
  <memory unit='KiB'>65536</memory><vcpu current='1'>4</vcpu><vcpus><vcpu id='0'/></vcpus>
  <cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='3' cpuset='1'/></cputune>
  <os><type>hvm</type></os><cpu mode='custom'><model>qemu64</model></cpu>
  <devices><disk device='cdrom'><boot order='1'/><target dev='hda'/></disk><watchdog model='i6300esb'/></devices>
  <qemu:commandline><qemu:env name='A' value='b'/></qemu:commandline>
</domain>"""


def test_edits_leave_alone_what_they_are_not_about() -> None:
    tree = xml_edit.parse_whole(STRANGE)
    xml_edit.set_cpus(tree, 1, 2)
    xml_edit.set_memory(tree, 32 * MiB, 64 * MiB)
    xml_edit.set_boot_order(tree, (BootDevice.NETWORK,))
    xml_edit.set_notes(tree, "n\rm")
    xml_edit.set_guest_os(tree, "alpine")
    xml_edit.set_tpm(tree, on=True)
    xml_edit.set_tpm(tree, on=True)
    text = xml_edit.text_of(tree)
    again = parse_domain(text)
    assert "<!--keep-->" in text
    assert again.find("metadata/{urn:other}x/{urn:other}y") is not None
    assert again.find("{http://libvirt.org/schemas/domain/qemu/1.0}commandline") is not None
    assert again.find("devices/watchdog") is not None
    assert again.findtext("cpu/model") == "qemu64"
    assert [pin.get("vcpu") for pin in again.iterfind("cputune/vcpupin")] == ["0"]
    assert again.find("vcpus") is None
    assert again.find("devices/disk/boot") is None
    assert len(again.findall("devices/tpm")) == 1
    got = read(again)
    assert (got.cpus, got.max_cpus, got.memory, got.max_memory) == (1, 2, 32 * MiB, 64 * MiB)
    assert (got.notes, got.guest_os, got.boot_order) == ("n\rm", "alpine", (BootDevice.NETWORK,))
    assert again.find("cpu/numa/cell").get("cpus") == "0-1"  # type: ignore[union-attr]
    xml_edit.set_tpm(again, on=False)
    assert again.find("devices/tpm") is None


def test_the_numa_cell_follows_cpus_and_memory() -> None:
    tree = build(VMSpec("x", 1, 64 * MiB, max_cpus=2, max_memory=128 * MiB))
    xml_edit.set_cpus(tree, 4, 4)
    xml_edit.set_memory(tree, 256 * MiB, 256 * MiB)
    cell = tree.find("cpu/numa/cell")
    assert cell is not None
    assert (cell.get("cpus"), cell.get("memory"), tree.find("maxMemory")) == ("0-3", "262144", None)


def test_somebodys_numa_cells_are_not_guessed_at() -> None:
    cells = "<cell id='0' cpus='0' memory='32768'/><cell id='1' cpus='1' memory='32768'/>"
    text = f"<domain><memory>65536</memory><vcpu>2</vcpu><cpu><numa>{cells}</numa></cpu></domain>"
    with pytest.raises(InvalidRequest, match="NUMA"):
        xml_edit.set_memory(xml_edit.parse_whole(text), 128 * MiB, 128 * MiB)
    with pytest.raises(InvalidRequest, match="NUMA"):
        xml_edit.set_cpus(xml_edit.parse_whole(text), 1, 1)


def dimm(mib: int, source: str = "") -> str:
    return f"<memory model='dimm'>{source}<target><size unit='MiB'>{mib}</size><node>0</node></target></memory>"


def with_dimms(*dimms: str, slots: int = 4) -> ET.Element:
    return xml_edit.parse_whole(
        f"<domain><maxMemory slots='{slots}'>1048576</maxMemory><memory>196608</memory><vcpu>1</vcpu><cpu><numa>"
        f"<cell id='0' cpus='0' memory='65536'/></numa></cpu><devices>{''.join(dimms)}</devices></domain>"
    )


def test_a_dimm_that_is_just_memory_becomes_part_of_the_cell() -> None:
    tree = with_dimms(dimm(64), dimm(64))
    assert read(tree).dimms == (64 * MiB, 64 * MiB)
    xml_edit.set_memory(tree, 96 * MiB, 96 * MiB)
    assert tree.find("cpu/numa/cell").get("memory") == str(96 * 1024)  # type: ignore[union-attr]
    assert (read(tree).dimms, tree.find("devices/memory"), tree.find("maxMemory")) == ((), None, None)


def test_a_dimm_that_somebody_gave_a_source_stays_and_is_not_in_the_cell() -> None:
    tree = with_dimms(dimm(128, "<source><nodemask>0</nodemask></source>"), dimm(64))
    xml_edit.set_memory(tree, 256 * MiB, 256 * MiB)
    assert tree.find("cpu/numa/cell").get("memory") == str(128 * 1024)  # type: ignore[union-attr]
    ceiling = tree.find("maxMemory")
    assert ceiling is not None
    assert (ceiling.get("slots"), ceiling.text) == ("4", str(256 * 1024))  # without it there is no place for the DIMM
    assert read(tree).dimms == (128 * MiB,)
    with pytest.raises(InvalidRequest, match="DIMM"):
        xml_edit.set_memory(tree, 128 * MiB, 512 * MiB)


def test_notes_that_somebody_else_changed_are_theirs() -> None:
    tree = build(VMSpec("x", notes="a\r\nb"))
    assert read(tree).notes == "a\r\nb"
    tree.find("description").text = "theirs"  # type: ignore[union-attr]
    assert read(tree).notes == "theirs"
