"""What drivers say whose hosts are not near: XML of Xen, VirtualBox, bhyve and Virtuozzo, read by way of a whole host.

It is written after libvirt's format documents and the pages of these drivers (https://libvirt.org/drivers.html).
libvirt's real test driver stands behind it, and answers all other calls.
"""

from __future__ import annotations

from typing import Any

import pytest

import hyperkit
from hyperkit import BootDevice, DiskBus, DiskFormat, Firmware, HypervisorType, MiB
from hyperkit.records import HostRecord, VMRecord
from tests.backends.libvirt.test_any_driver import Lacking

libvirt = pytest.importorskip("libvirt")

CAPABILITIES = {
    # Neither Xen's nor VirtualBox's has a <uuid>; only the first has <topology> and <power_management>.
    "Xen": """<capabilities><host><cpu><arch>x86_64</arch><features><pae/></features></cpu>
        <power_management/><migration_features><live/></migration_features></host>
        <guest><os_type>xen</os_type><arch name='x86_64'><wordsize>64</wordsize>
          <emulator>/usr/lib/xen/bin/qemu-system-i386</emulator><machine>xenpv</machine>
          <domain type='xen'/></arch></guest>
        <guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize>
          <emulator>/usr/lib/xen/bin/qemu-system-i386</emulator><loader>/usr/lib/xen/boot/hvmloader</loader>
          <machine>xenfv</machine><domain type='xen'/></arch>
          <features><pae/><acpi default='on' toggle='yes'/></features>
        </guest></capabilities>""",
    "VBOX": """<capabilities><host><cpu><arch>x86_64</arch></cpu></host>
        <guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize><domain type='vbox'/></arch></guest>
        </capabilities>""",
    "bhyve": """<capabilities><host><uuid>c7a5fdbd-edaf-9455-926a-d65c16db1809</uuid>
        <cpu><arch>x86_64</arch><model>SandyBridge</model></cpu></host>
        <guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize><domain type='bhyve'/></arch></guest>
        </capabilities>""",
    "vz": """<capabilities><host><cpu><arch>x86_64</arch></cpu></host>
        <guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize><emulator>parallels</emulator>
          <domain type='vz'/></arch></guest>
        <guest><os_type>exe</os_type><arch name='x86_64'><wordsize>64</wordsize><emulator>parallels</emulator>
          <domain type='vz'/></arch></guest></capabilities>""",
}

XEN_PARAVIRTUAL = """
<domain type='xen' id='15'>
  <name>fc8</name><uuid>{uuid}</uuid>
  <memory unit='KiB'>592896</memory><currentMemory unit='KiB'>403456</currentMemory><vcpu placement='static'>4</vcpu>
  <bootloader>/usr/bin/pygrub</bootloader>
  <os><type arch='x86_64' machine='xenpv'>linux</type></os>
  <on_poweroff>destroy</on_poweroff>
  <devices>
    <disk type='block' device='disk'><driver name='phy'/><source dev='/dev/vg0/fc8'/>
      <target dev='xvda' bus='xen'/></disk>
    <disk type='file' device='disk'><driver name='file'/><source file='/var/lib/xen/images/swap.img'/>
      <target dev='xvdb' bus='xen'/><readonly/></disk>
    <disk type='file' device='disk'><driver name='tap' type='aio'/><source file='/var/lib/xen/images/data'/>
      <target dev='xvdc' bus='xen'/></disk>
    <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/var/lib/xen/images/more.qcow2'/>
      <target dev='xvdd' bus='xen'/></disk>
    <disk type='network' device='disk'><driver name='qemu' type='raw'/>
      <source protocol='rbd' name='pool/image'><host name='mon1' port='6789'/></source>
      <target dev='xvde' bus='xen'/></disk>
    <interface type='bridge'><mac address='00:16:3e:1b:b1:47'/><source bridge='xenbr0'/>
      <script path='vif-bridge'/><target dev='vif15.0'/></interface>
    <interface type='ethernet'><mac address='00:16:3E:1B:B1:48'/><ip address='192.0.2.1' family='ipv4'/></interface>
    <console type='pty' tty='/dev/pts/4'><source path='/dev/pts/4'/><target type='xen' port='0'/></console>
    <hostdev mode='subsystem' type='pci' managed='no'>
      <source><address domain='0x0000' bus='0x00' slot='0x1a' function='0x0'/></source></hostdev>
  </devices>
</domain>"""

XEN_FULL = """
<domain type='xen'>
  <name>win</name><uuid>{uuid}</uuid>
  <memory unit='KiB'>1048576</memory><vcpu placement='static' current='1'>2</vcpu>
  <os><type arch='x86_64' machine='xenfv'>hvm</type><loader type='rom'>/usr/lib/xen/boot/hvmloader</loader>
    <boot dev='cdrom'/><boot dev='hd'/></os>
  <features><acpi/><apic/><pae/></features><clock offset='variable' adjustment='0' basis='localtime'/>
  <devices>
    <emulator>/usr/lib/xen/bin/qemu-system-i386</emulator>
    <disk type='block' device='disk'><driver name='phy' type='raw'/><source dev='/dev/sda8'/>
      <target dev='hda' bus='ide'/></disk>
    <disk type='file' device='cdrom'><driver name='file'/><target dev='hdc' bus='ide'/><readonly/></disk>
    <disk type='file' device='floppy'><source file='/root/boot.img'/><target dev='fda' bus='fdc'/></disk>
    <interface type='bridge'><mac address='00:16:3e:0a:7b:39'/><source bridge='xenbr0'/>
      <model type='e1000'/></interface>
    <graphics type='vnc' port='-1' autoport='yes'/>
  </devices>
</domain>"""

VIRTUALBOX = """
<domain type='vbox'>
  <name>vbox</name><uuid>{uuid}</uuid>
  <memory unit='KiB'>654336</memory><currentMemory unit='KiB'>654336</currentMemory><vcpu current='1'>1</vcpu>
  <os><type>hvm</type><boot dev='cdrom'/><boot dev='hd'/><boot dev='fd'/></os>
  <features><pae/><acpi/><apic/></features><clock offset='localtime'/>
  <devices>
    <disk type='file' device='disk'><source file='/home/jane/.VirtualBox/Root.vdi'/><target dev='hda' bus='ide'/></disk>
    <disk type='file' device='disk'><source file='/home/jane/.VirtualBox/Data disk.vdi'/><target dev='sda' bus='sata'/>
      <readonly/></disk>
    <disk type='file' device='cdrom'><source file='/home/jane/a.iso'/><target dev='hdc'/><readonly/></disk>
    <filesystem type='mount'><source dir='/home/jane/stuff'/><target dir='my-shared-folder'/></filesystem>
    <interface type='user'><mac address='56:16:3e:5d:c7:9e'/><model type='82540eM'/></interface>
    <interface type='internal'><mac address='56:16:3e:5d:c7:9f'/><source name='inter'/></interface>
    <graphics type='desktop'/><sound model='sb16'/>
  </devices>
</domain>"""

BHYVE = """
<domain type='bhyve'>
  <name>bhyve</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>214</memory><vcpu>2</vcpu><cpu><topology sockets='1' cores='2' threads='1'/></cpu>
  <os><type>hvm</type><loader readonly='yes' type='pflash'>/usr/local/share/uefi-firmware/BHYVE_UEFI.fd</loader></os>
  <bootloader>/usr/local/sbin/grub-bhyve</bootloader><bootloader_args>-m dev.map -M 214</bootloader_args>
  <features><apic/><acpi/></features>
  <devices>
    <disk type='file' device='disk'><driver name='file' type='raw'/><source file='/vm/my.img'/>
      <target dev='hda' bus='sata'/><address type='drive' controller='0' bus='0' target='2' unit='0'/></disk>
    <disk type='volume' device='disk'><source pool='zfspool' volume='vol1'/><target dev='vdb' bus='virtio'/></disk>
    <disk type='block' device='disk'><source dev='/dev/zvol/zroot/a'/><target dev='nvme0n1' bus='nvme'/></disk>
    <disk type='file' device='cdrom'><driver name='file' type='raw'/><source file='/vm/cdrom.iso'/>
      <target dev='hdc' bus='sata'/><readonly/></disk>
    <interface type='bridge'><mac address='52:54:00:00:00:01'/><source bridge='virbr0'/>
      <model type='virtio'/></interface>
    <graphics type='vnc' port='5904'><listen type='address' address='127.0.0.1'/></graphics>
  </devices>
</domain>"""

VIRTUOZZO = """
<domain type='vz'>
  <name>vz</name><uuid>{uuid}</uuid>
  <description>a note</description>
  <memory unit='KiB'>1048576</memory><currentMemory unit='KiB'>1048576</currentMemory><vcpu cpuset='0-3'>2</vcpu>
  <os><type arch='x86_64'>hvm</type><boot dev='hd'/></os>
  <devices>
    <emulator>/usr/bin/prl_vm_app</emulator>
    <disk type='file' device='disk'><driver type='ploop' cache='writeback'/>
      <source file='/vz/vmprivate/vz/harddisk.hdd'/><target dev='sda' bus='scsi'/></disk>
    <interface type='network'><mac address='00:1c:42:00:00:01'/><source network='Bridged'/><target dev='vme1'/>
      <link state='down'/><model type='e1000'/></interface>
    <graphics type='vnc' autoport='yes'/>
  </devices>
</domain>"""

VIRTUOZZO_CONTAINER = """
<domain type='vz'>
  <name>ct</name><uuid>{uuid}</uuid><memory unit='KiB'>524288</memory><vcpu>1</vcpu>
  <os><type arch='x86_64'>exe</type><init>/sbin/init</init></os>
  <devices>
    <filesystem type='file' accessmode='passthrough'><driver type='ploop' format='ploop'/>
      <source file='/vz/private/ct/root.hdd'/><target dir='/'/></filesystem>
    <filesystem type='template'><source name='centos-7-x86_64'/><target dir='/template'/></filesystem>
    <interface type='network'><mac address='00:1c:42:00:00:02'/><source network='host-routed'/></interface>
  </devices>
</domain>"""


class Foreign(Lacking):
    """libvirt's test driver, which describes itself and its domain in the words of another."""

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if name == "getCapabilities":
            return lambda: CAPABILITIES[self._kind]
        if name == "XMLDesc" and isinstance(self._inner, libvirt.virDomain):
            return lambda _flags: self._called.text.format(uuid=self._inner.UUIDString())
        return found

    def _wrap(self, value: Any) -> Any:
        wrapped = super()._wrap(value)
        return Foreign(value, self._kind, self._lacks, self._called) if isinstance(wrapped, Lacking) else wrapped


class Text(set[str]):
    """What the domain's XML is; beside it, the calls that were made."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The one VM of a host of such a kind, and that host's record."""
    opened = libvirt.openAuth

    def read(kind: str, text: str) -> tuple[VMRecord, HostRecord]:
        monkeypatch.setattr(libvirt, "openAuth", lambda *args: Foreign(opened(*args), kind, frozenset(), Text(text)))
        with hyperkit.connect("test:///default") as host:
            (vm,) = host.vms.list()
            assert host.vms.get(vm.id).record == vm.record
            return vm.record, host.info

    return read


def test_xen_with_a_paravirtual_guest(read: Any) -> None:
    vm, host = read("Xen", XEN_PARAVIRTUAL)
    assert (host.product, host.hypervisor_type) == ("Xen", HypervisorType.BARE_METAL)
    assert host.id
    assert (vm.name, vm.cpus, vm.memory, vm.max_memory) == ("fc8", 4, 394 * MiB, 579 * MiB)
    assert [(disk.id, disk.path, disk.format, disk.read_only) for disk in vm.disks] == [
        ("xvda", "/dev/vg0/fc8", None, False),
        ("xvdb", "/var/lib/xen/images/swap.img", None, True),
        ("xvdc", "/var/lib/xen/images/data", None, False),
        ("xvdd", "/var/lib/xen/images/more.qcow2", DiskFormat.QCOW2, False),
        ("xvde", "rbd:pool/image", DiskFormat.RAW, False),
    ]
    assert [nic.mac for nic in vm.nics] == ["00:16:3e:1b:b1:47", "00:16:3e:1b:b1:48"]
    assert [nic.switch for nic in vm.nics] == [None, None]
    assert (vm.firmware, vm.kernel, vm.container) == (Firmware.BIOS, None, None)


def test_xen_with_a_full_guest(read: Any) -> None:
    vm, _ = read("Xen", XEN_FULL)
    assert (vm.cpus, vm.max_cpus, vm.memory) == (1, 2, 1024 * MiB)
    assert [(disk.path, disk.bus, disk.format) for disk in vm.disks] == [("/dev/sda8", DiskBus.IDE, DiskFormat.RAW)]
    assert [(cdrom.id, cdrom.iso) for cdrom in vm.cdroms] == [("hdc", None)]
    assert vm.boot_order == (BootDevice.CDROM, BootDevice.DISK)
    assert vm.firmware is Firmware.BIOS  # its loader is no pflash


def test_virtualbox(read: Any) -> None:
    vm, host = read("VBOX", VIRTUALBOX)
    assert host.hypervisor_type is HypervisorType.HOSTED
    assert [(disk.path, disk.bus, disk.read_only) for disk in vm.disks] == [
        ("/home/jane/.VirtualBox/Root.vdi", DiskBus.IDE, False),
        ("/home/jane/.VirtualBox/Data disk.vdi", DiskBus.SATA, True),
    ]
    assert [cdrom.iso for cdrom in vm.cdroms] == ["/home/jane/a.iso"]
    assert [nic.model for nic in vm.nics] == ["82540eM", ""]
    assert vm.boot_order == (BootDevice.CDROM, BootDevice.DISK)  # a floppy is none of ours


def test_bhyve(read: Any) -> None:
    vm, host = read("bhyve", BHYVE)
    assert host.id == "c7a5fdbd-edaf-9455-926a-d65c16db1809"
    assert (vm.memory, vm.cpus, vm.topology.cores) == (214 * MiB, 2, 2)
    assert (vm.firmware, vm.secure_boot) == (Firmware.UEFI, False)
    assert [(disk.path, disk.bus) for disk in vm.disks] == [
        ("/vm/my.img", DiskBus.SATA),
        ("zfspool:vol1", DiskBus.VIRTIO),
        ("/dev/zvol/zroot/a", DiskBus.NVME),
    ]
    assert [cdrom.iso for cdrom in vm.cdroms] == ["/vm/cdrom.iso"]


def test_virtuozzo(read: Any) -> None:
    vm, _ = read("vz", VIRTUOZZO)
    assert [(disk.path, disk.bus, disk.format) for disk in vm.disks] == [
        ("/vz/vmprivate/vz/harddisk.hdd", DiskBus.SCSI, None)
    ]
    assert [(nic.mac, nic.switch, nic.link_up) for nic in vm.nics] == [("00:1c:42:00:00:01", None, False)]
    assert vm.notes == "a note"
    container, _ = read("vz", VIRTUOZZO_CONTAINER)
    assert container.container.root == "/vz/private/ct/root.hdd"
    assert (container.container.init, container.memory, container.disks) == ("/sbin/init", 512 * MiB, ())
