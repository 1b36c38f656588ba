"""Domains of all sorts as records."""

from __future__ import annotations

from typing import Any

import pytest

from hyperkit.errors import BackendError
from hyperkit.records import DiskRecord, VMRecord
from hyperkit.specs import Allocation, BootDevice, CpuTopology, DiskBus, DiskFormat, Firmware, KernelBoot
from hyperkit.states import PowerState, StateReason
from hyperkit.units import GiB, KiB, MiB

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import xml_read

NETWORKS = {"default": "11111111-2222-3333-4444-555555555555"}


def record(text: str, *, shares: int = 1024, **sizes: int) -> VMRecord:
    facts = xml_read.Facts(PowerState.OFF, StateReason.NORMAL, False, sizes, NETWORKS, shares)
    return xml_read.vm_record(xml_read.parse(text), facts)


def domain(inside: str = "", *, devices: str = "", os: str = "<type>hvm</type>") -> str:
    return (
        f"<domain type='kvm'><name>x</name><uuid>u</uuid><memory unit='KiB'>65536</memory>"
        f"<vcpu>2</vcpu><os>{os}</os>{inside}<devices>{devices}</devices></domain>"
    )


def test_a_domain_with_nothing_in_it() -> None:
    empty = record("<domain/>")
    assert (empty.id, empty.name, empty.cpus, empty.memory, empty.disks) == ("", "", 1, 0, ())


def test_a_container() -> None:
    read = record(
        "<domain type='lxc'><name>c</name><uuid>u</uuid><memory unit='KiB'>65536</memory><vcpu>1</vcpu>"
        "<os><type>exe</type><init>/bin/sh</init></os><devices><filesystem type='mount'><source dir='/r'/>"
        "<target dir='/'/></filesystem><console type='pty'/></devices></domain>"
    )
    assert (read.name, read.memory, read.firmware, read.boot_order) == (
        "c",
        64 * MiB,
        Firmware.BIOS,
        (BootDevice.DISK,),
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("<memory>1024</memory>", MiB),
        ("<memory unit='KiB'>1024</memory>", MiB),
        ("<memory unit='b'>1048576</memory>", MiB),
        ("<memory unit='GiB'>2</memory>", 2 * GiB),
        ("<memory unit='MB'>1</memory>", 1_000_000),
        ("<memory unit='furlongs'>1</memory>", KiB),
        ("<memory>many</memory>", 0),
    ],
)
def test_memory_in_every_unit(text: str, size: int) -> None:
    assert record(f"<domain>{text}</domain>").memory == size


def test_a_balloon_below_the_memory_is_a_ceiling() -> None:
    read = record(domain("<currentMemory unit='KiB'>32768</currentMemory>"))
    assert (read.memory, read.max_memory) == (32 * MiB, 64 * MiB)


def test_memory_slots_are_a_ceiling() -> None:
    read = record(domain("<maxMemory slots='16' unit='KiB'>131072</maxMemory>"))
    assert (read.memory, read.max_memory) == (64 * MiB, 128 * MiB)


def test_cpus_below_the_ceiling() -> None:
    topology = "<topology sockets='2' dies='2' cores='2' threads='1'/>"
    read = record(f"<domain><vcpu current='2'>8</vcpu><cpu>{topology}</cpu></domain>")
    assert (read.cpus, read.max_cpus, read.topology) == (2, 8, CpuTopology(4, 2, 1))


def test_disks_of_every_kind() -> None:
    read = record(
        domain(
            devices="""
            <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/a b.qcow2'/>
              <backingStore type='file'><format type='qcow2'/><source file='/base.qcow2'/><backingStore/></backingStore>
              <target dev='vda' bus='virtio'/></disk>
            <disk type='block'><driver type='raw'/><source dev='/dev/vg/lv'/><readonly/>
              <target dev='sda' bus='scsi'/></disk>
            <disk type='network' device='disk'><driver type='raw'/><source protocol='rbd' name='pool/image'/>
              <target dev='vdb' bus='virtio'/></disk>
            <disk type='volume' device='lun'><source pool='p' volume='v'/><target dev='sdb' bus='scsi'/></disk>
            <disk type='file' device='floppy'><target dev='fda' bus='fdc'/></disk>
            <disk type='file' device='cdrom'><source file='/x.iso'/><target dev='hda' bus='ide'/></disk>
            <disk type='file' device='cdrom'><target dev='hdb' bus='ide'/></disk>
            <disk type='vhostuser'><target dev='vdc' bus='virtio'/></disk>
            <disk/>"""
        ),
        vda=MiB,
    )
    assert read.disks[:2] == (
        DiskRecord(
            id="vda",
            path="/a b.qcow2",
            size=MiB,
            format=DiskFormat.QCOW2,
            bus=DiskBus.VIRTIO,
            base="/base.qcow2",
        ),
        DiskRecord(id="sda", path="/dev/vg/lv", size=None, format=DiskFormat.RAW, bus=DiskBus.SCSI, read_only=True),
    )
    assert [disk.path for disk in read.disks[2:]] == ["rbd:pool/image", "p:v", "", ""]
    assert [(drive.id, drive.iso) for drive in read.cdroms] == [("hda", "/x.iso"), ("hdb", None)]


def test_what_was_remembered_of_disks_and_their_order() -> None:
    meta = (
        "<metadata><hk:vm xmlns:hk='urn:hyperkit:vm:1'><hk:disk path='/2' created='yes'/><hk:disk path='/3'/>"
        "<hk:disk path='/1' base='/b'/><hk:disk path='/gone' created='yes'/><hk:guest-os>debian12</hk:guest-os>"
        "<hk:later/></hk:vm></metadata>"
    )
    disks = "".join(
        f"<disk type='file'><source file='/{n}'/><target dev='vd{n}' bus='virtio'/></disk>" for n in (1, 9, 2, 3)
    )
    read = record(domain(meta, devices=disks))
    assert [(disk.path, disk.created, disk.base) for disk in read.disks] == [
        ("/2", True, None),
        ("/9", False, None),
        ("/3", False, None),
        ("/1", False, "/b"),
    ]
    assert read.guest_os == "debian12"


def test_a_running_vms_chain_is_believed_before_what_was_remembered() -> None:
    meta = "<metadata><hk:vm xmlns:hk='urn:hyperkit:vm:1'><hk:disk path='/1' base='/b'/></hk:vm></metadata>"
    disk = "<disk><source file='/1'/><backingStore/><target dev='vda'/></disk>"
    assert record(domain(meta, devices=disk)).disks[0].base is None


def test_virt_managers_guest_os_is_read() -> None:
    meta = (
        "<metadata><libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/xmlns/libvirt/domain/1.0'>"
        "<libosinfo:os id='http://microsoft.com/win/2k22'/></libosinfo:libosinfo></metadata>"
    )
    assert record(domain(meta)).guest_os == "win2k22"


def test_nics() -> None:
    read = record(
        domain(
            devices="""
            <interface type='network'><mac address='52:54:00:AA:00:01'/>
              <source network='default' portid='p' bridge='virbr0'/>
              <model type='virtio'/><alias name='ua-nic-1'/></interface>
            <interface type='network'><mac address='52:54:00:00:00:02'/><source network='gone'/>
              <alias name='net1'/></interface>
            <interface type='bridge'><mac address='52:54:00:00:00:03'/><source bridge='br0'/><vlan><tag id='42'/></vlan>
              <link state='down'/></interface>
            <interface type='bridge'><mac address='52:54:00:00:00:03'/>
              <vlan trunk='yes'><tag id='1'/><tag id='2'/></vlan></interface>
            <interface type='hostdev'/>
            <interface type='bridge'><mac address='52:54:00:00:00:04'/>
              <source network='default' portid='p' bridge='br0'/></interface>"""
        )
    )
    told: list[tuple[Any, ...]] = [(n.id, n.mac, n.switch, n.switch_id, n.vlan, n.link_up) for n in read.nics]
    assert told == [
        ("ua-nic-1", "52:54:00:aa:00:01", "default", NETWORKS["default"], None, True),
        ("52:54:00:00:00:02", "52:54:00:00:00:02", None, None, None, True),
        ("52:54:00:00:00:03", "52:54:00:00:00:03", None, None, 42, False),
        ("52:54:00:00:00:03#2", "52:54:00:00:00:03", None, None, None, True),
        ("", "", None, None, None, True),
        ("52:54:00:00:00:04", "52:54:00:00:00:04", "default", NETWORKS["default"], None, True),
    ]


@pytest.mark.parametrize(
    ("os", "expected"),
    [
        ("<type>hvm</type>", (Firmware.BIOS, False)),
        ("<loader type='rom'>/bios.bin</loader>", (Firmware.BIOS, False)),
        ("<loader type='pflash' secure='yes'>/f</loader>", (Firmware.UEFI, True)),
        ("<loader type='pflash'>/f</loader>", (Firmware.UEFI, False)),
        (
            "<firmware><feature enabled='no' name='secure-boot'/></firmware><loader type='pflash' secure='yes'/>",
            (Firmware.UEFI, False),
        ),
    ],
)
def test_firmware(os: str, expected: tuple[Firmware, bool]) -> None:
    read = record(domain(os=os))
    assert (read.firmware, read.secure_boot) == expected


def test_firmware_that_libvirt_is_to_choose() -> None:
    text = domain().replace("<os>", "<os firmware='efi'>")
    assert record(text).firmware is Firmware.UEFI


def test_boot_order_by_kind_and_by_device() -> None:
    by_kind = "<boot dev='network'/><boot dev='fd'/><boot dev='hd'/>"
    assert record(domain(os=by_kind)).boot_order == (BootDevice.NETWORK, BootDevice.DISK)
    by_device = (
        "<disk><target dev='vda'/><boot order='3'/></disk><disk device='cdrom'><boot order='1'/></disk>"
        "<interface><boot order='2'/></interface><disk><boot order='4'/></disk><hostdev><boot order='5'/></hostdev>"
    )
    order = (BootDevice.CDROM, BootDevice.NETWORK, BootDevice.DISK)
    assert record(domain(devices=by_device)).boot_order == order


def test_kernel() -> None:
    os = "<kernel>/vmlinuz</kernel><initrd>/initrd</initrd><cmdline>a &amp; b</cmdline>"
    assert record(domain(os=os)).kernel == KernelBoot("/vmlinuz", "/initrd", "a & b")
    assert record(domain(os="<kernel>/bad\x7f</kernel>")).kernel is None


@pytest.mark.parametrize(
    ("tune", "allocation"),
    [
        ("<shares>2048</shares>", Allocation(shares=200)),
        ("<shares>1</shares>", Allocation(shares=1)),
        ("<shares>262144</shares>", Allocation(shares=10_000)),
        ("<global_period>100000</global_period><global_quota>150000</global_quota>", Allocation(limit=1500)),
        ("<period>100000</period><quota>50000</quota>", Allocation(limit=1000)),  # of each of two vCPUs
        ("<quota>-1</quota>", Allocation()),
        ("<vcpupin vcpu='0' cpuset='0'/><shares>x</shares>", Allocation()),
    ],
)
def test_cpu_allocation(tune: str, allocation: Allocation) -> None:
    assert record(domain(f"<cputune>{tune}</cputune>")).cpu_allocation == allocation


def test_cpu_shares_with_control_groups_v2() -> None:
    assert record(domain("<cputune><shares>200</shares></cputune>"), shares=100).cpu_allocation.shares == 200


@pytest.mark.parametrize(("limit", "expected"), [("1048576", GiB), ("9007199254740988", None), ("0", None)])
def test_memory_limit(limit: str, expected: int | None) -> None:
    read = record(domain(f"<memtune><hard_limit unit='KiB'>{limit}</hard_limit></memtune>"))
    assert read.memory_allocation.limit == expected


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE d [<!ENTITY a 'b'>]><domain><name>&a;</name></domain>",
        "<!DOCTYPE d SYSTEM 'file:///etc/passwd'><domain/>",
        "<domain><name>&lol;</name></domain>",
        "<domain>",
        "",
    ],
)
def test_hostile_or_broken_xml_is_refused(text: str) -> None:
    with pytest.raises(BackendError):
        xml_read.parse(text)


DIVIDED = """
<domain><name>vm</name><uuid>u</uuid><metadata><hk:vm xmlns:hk='urn:hyperkit:vm:1'>
<hk:disk path='/i/first.raw' created='yes'/><hk:disk path='/i/b.qcow2' created='yes' base='/i/golden'/>
<hk:layer path='/i/2.qcow2' on='/i/1.qcow2'/><hk:layer path='/i/1.qcow2' on='/i/b.qcow2'/>
</hk:vm></metadata><devices>
<disk device='disk'><driver type='qcow2'/><source file='/i/2.qcow2'/>{backing}<target dev='sda' bus='scsi'/></disk>
<disk device='disk'><driver type='raw'/><source file='/i/first.raw'/><target dev='vda' bus='virtio'/></disk>
</devices></domain>"""
CHAIN = (
    "<backingStore><source file='/i/1.qcow2'/><backingStore><source file='/i/b.qcow2'/><backingStore>"
    "<source file='/i/golden'/></backingStore></backingStore></backingStore>"
)


@pytest.mark.parametrize("backing", ["", CHAIN, "<backingStore><source file='/i/1.qcow2'/></backingStore>"])
def test_a_disk_that_snapshots_divided_is_still_what_it_began_as(backing: str) -> None:
    first, second = record(DIVIDED.format(backing=backing)).disks
    assert (first.path, first.chain) == ("/i/first.raw", ())
    assert (second.path, second.chain) == ("/i/2.qcow2", ("/i/1.qcow2", "/i/b.qcow2"))
    assert (second.id, second.created, second.base) == ("sda", True, "/i/golden")
