"""libvirt as a bed: a real libvirtd with QEMU, and libvirt's own test driver."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import attrs
import libvirt

import hyperkit
from hyperkit import ContainerSpec, DiskBus, DiskSpec, Host, HypervisorType, KernelBoot, KiB, MiB, NicSpec
from hyperkit.testing.backdoor import Backdoor
from hyperkit.testing.beds import Bed, Image, Machine
from hyperkit.testing.inside import Commands
from tests.beds.libvirt_qemu import ContainerRoot, LibvirtHost, guest_image
from tests.beds.libvirt_qemu.cgroups import may_lock
from tests.conformance.libvirt_backdoor import LxcBackdoor, QemuBackdoor, TestDriverBackdoor
from tests.conformance.libvirt_inside import QemuInside

# dnsmasq looks for three seconds whether anybody has the address it is going to offer.
_GUESTS = """\
<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>guests</name>
  <bridge name='hkguests' stp='off'/>
  <ip address='10.9.0.1' netmask='255.255.255.0'><dhcp><range start='10.9.0.10' end='10.9.0.90'/></dhcp></ip>
  <dnsmasq:options><dnsmasq:option value='no-ping'/></dnsmasq:options>
</network>
"""


class LibvirtQemuBed(Bed):
    """A real libvirtd and real QEMU, without KVM."""

    name = "libvirt-qemu"
    uplink = "br0"
    open_vswitch = "ovsbr0"
    bus = DiskBus.SCSI
    nic_model = "e1000e"
    content = True
    boots = True
    # The file is made before QEMU is asked, and QEMU has no hot-plug for this bus.
    unattachable = DiskSpec(size=8 * MiB, bus=DiskBus.SATA)

    cannot_verify = (
        {}
        if may_lock(1024 * MiB)
        else {
            "test_reservation_limit_and_shares_of_memory_change_while_the_vm_runs": "no VM with a memory limit starts"
            " here: libvirt then sets the limit of locked memory, for which this machine's root lacks CAP_SYS_RESOURCE"
        }
    )

    def __init__(self, host: LibvirtHost) -> None:
        super().__init__()
        self._uri = host.uri
        self._raw = libvirt.open(host.uri)
        self._backdoor = QemuBackdoor(self._raw, host.images)
        self.machine = _machine()
        self.missing_path = str(host.images / "no-such-file.qcow2")
        self.directory = str(host.images)
        self.base_image = Image(self._backdoor.make_disk(16 * MiB), 16 * MiB)
        self.iso, self.other_iso = (_iso(host.images / name) for name in ("one.iso", "other.iso"))
        host.add_bridge("br0")
        host.open_vswitch("ovsbr0")
        self._raw.networkDefineXML(_GUESTS).create()
        image = guest_image()
        self.kernel = KernelBoot(str(image.vmlinux), str(image.initrd), image.cmdline)
        self.guest = {
            "memory": 128 * MiB,
            "kernel": self.kernel,
            "nics": [NicSpec(switch="guests")],
        }
        shutil.copy(image.disk, disk := host.images / "data.qcow2")
        self.freezable = {**self.guest, "disks": [DiskSpec(base=str(disk))]}
        self.inside = QemuInside(self._raw)
        self.commands = Commands(
            copy=("cat",),
            fail=("sh", "-c", "echo good; echo bad >&2; exit 3"),
            environment=("env",),
            kill=("sh", "-c", "kill -9 $$"),
            slow=("sh", "-c", "sleep 2; echo done"),
        )
        self.deaf = {}  # without a disk it stays in the BIOS, which does not look at the power button

    @property
    def backdoor(self) -> Backdoor:
        return self._backdoor

    def connect(self) -> Host:
        return hyperkit.connect(self._uri)

    def close(self) -> None:
        super().close()
        self._raw.close()


class LibvirtLxcBed(Bed):
    """A real libvirtd and real containers."""

    name = "libvirt-lxc"
    uplink = "br1"
    boots = True
    cannot_verify = {
        "test_the_cpu_time_of_a_vm_that_runs_grows": "its containers sleep until they are spoken to, and use no CPU",
    }

    def __init__(self, host: LibvirtHost) -> None:
        super().__init__()
        self._uri = host.lxc_uri
        self._raw = libvirt.open(host.lxc_uri)
        root = ContainerRoot(host.home / "roots/conformance")
        self._backdoor = LxcBackdoor(self._raw, host.images, root)
        # The driver has no version but the kernel's.
        self.machine = attrs.evolve(
            _machine(), product="LXC", version=_kernel_version(), hypervisor_type=HypervisorType.OS_LEVEL
        )
        self.missing_path = str(host.images / "no-such-directory")
        host.add_bridge("br1")
        self._raw.networkDefineXML(_GUESTS.replace("guests", "tenants").replace("10.9.0", "10.9.1")).create()
        self.container = ContainerSpec(str(root.path), root.init)
        self.vm_fields = {"memory": 64 * MiB, "container": self.container}
        self.guest = {"nics": [NicSpec(switch="tenants")]}
        program, words = root.deaf
        self.deaf = {"container": ContainerSpec(str(root.path), program, words)}

    @property
    def backdoor(self) -> Backdoor:
        return self._backdoor

    def connect(self) -> Host:
        return hyperkit.connect(self._uri)

    def close(self) -> None:
        super().close()
        self._raw.close()


def _kernel_version() -> str:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", os.uname().release)
    assert found
    return ".".join(part or "0" for part in found.groups())


def _machine() -> Machine:
    said = subprocess.run(["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True).stdout
    version = re.search(r"version (\d+\.\d+\.\d+)", said)
    total = re.search(r"MemTotal: +(\d+) kB", Path("/proc/meminfo").read_text())
    assert version
    assert total
    return Machine(
        product="QEMU",
        version=version[1],
        hypervisor_type=HypervisorType.HOSTED,  # the bed has no /dev/kvm
        cpus=os.cpu_count() or 0,
        memory=int(total[1]) * KiB,
    )


def _iso(path: Path) -> str:
    path.write_bytes(bytes(MiB))
    return str(path)


class LibvirtTestBed(Bed):
    """libvirt's test driver: domains, networks and volumes that libvirt only remembers."""

    name = "libvirt-test"
    machine = Machine(
        product="TEST",
        version="0.0.2",
        hypervisor_type=HypervisorType.HOSTED,
        cpus=16,
        memory=3 * 1024 * MiB,
    )
    missing_path = "/default-pool/no-such-file.qcow2"
    uplink = "eth1"
    bus = DiskBus.SCSI
    nic_model = "e1000e"
    cannot_verify = {
        "test_vms_on_a_new_switch_can_be_started": "the driver starts a domain whatever its network is",
        "test_a_suspended_vm_is_deleted_with_its_memory": "the driver saves no memory that could be left behind",
    }

    xfail = {
        "test_a_revert_keeps_the_vms_name_notes_tags_and_autostart": "the driver's snapshot brings back the name, and"
        " the driver then holds both names for taken",
    }

    def __init__(self) -> None:
        super().__init__()
        # All connections to this URI share one world, which ends with the last of them.
        self._raw = libvirt.open("test:///default")
        self._backdoor = TestDriverBackdoor(self._raw)
        self.base_image = Image(self._backdoor.make_disk(16 * MiB), 16 * MiB)
        self.iso, self.other_iso = self._backdoor.make_disk(MiB), self._backdoor.make_disk(MiB)
        self.kernel = KernelBoot(self._backdoor.make_disk(MiB), self._backdoor.make_disk(MiB), "console=ttyS0 quiet")

    @property
    def backdoor(self) -> Backdoor:
        return self._backdoor

    def connect(self) -> Host:
        return hyperkit.connect("test:///default")

    def close(self) -> None:
        super().close()
        self._raw.close()
