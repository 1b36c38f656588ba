"""Disks, NICs and CDs of a VM that runs, on a real libvirtd with QEMU, and as its guest sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import hyperkit
from hyperkit import VM, Busy, DiskBus, DiskSpec, Host, HyperkitError, InvalidState, KernelBoot, MiB, NicSpec
from hyperkit.specs import SwitchKind
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing
from tests.beds.libvirt_qemu.shell import Shell

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE
MAC = "52:54:00:0b:ad:0e"


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture(scope="module")
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host


@pytest.fixture(scope="module")
def raw(machine: LibvirtHost) -> Iterator[Any]:
    raw = libvirt.open(machine.uri)
    yield raw
    raw.close()


def iso(machine: LibvirtHost, name: str) -> str:
    """Not a file system: the guest is asked for its first bytes."""
    path = machine.images / f"{name}.iso"
    path.write_bytes(name.encode().ljust(64 * 1024, b"\0"))
    return str(path)


@pytest.fixture(scope="module")
def vm(machine: LibvirtHost, host: Host) -> VM:
    """One guest for all that is done here: it takes longer to boot than to be asked."""
    for name, subnet in (("red", "192.168.150.0/24"), ("blue", "192.168.151.0/24")):
        host.switches.create(name, SwitchKind.INTERNAL, subnet=subnet)
    image = guest_image()
    return host.vms.create(
        "guest",
        memory=128 * MiB,
        kernel=KernelBoot(str(image.vmlinux), str(image.initrd), image.cmdline),
        disks=[DiskSpec(size=8 * MiB, bus=DiskBus.SCSI)],
        nics=[NicSpec(switch="red")],
        iso=iso(machine, "one"),
    ).start()


@pytest.fixture(scope="module")
def domain(raw: Any, vm: VM) -> Any:
    return raw.lookupByUUIDString(vm.id)


@pytest.fixture(scope="module")
def shell(domain: Any) -> Shell:
    return Shell(domain).wait_until_ready()


def devices(domain: Any, tag: str) -> tuple[int, int]:
    """How many there are now, and from the next start on."""
    live, later = (ET.fromstring(domain.XMLDesc(flags)) for flags in (0, INACTIVE))
    return len(live.findall(f"devices/{tag}")), len(later.findall(f"devices/{tag}"))


@pytest.mark.parametrize(("bus", "name"), [(DiskBus.VIRTIO, "vda"), (DiskBus.SCSI, "sdb")])
@pytest.mark.parametrize("paused", [False, True])
def test_a_disk_comes_grows_and_goes(vm: VM, domain: Any, shell: Shell, bus: DiskBus, name: str, paused: bool) -> None:
    before = devices(domain, "disk")
    size = f"cat /sys/block/{name}/size 2>/dev/null || echo none"
    if paused:
        vm.pause()
    disk = vm.disks.attach(DiskSpec(size=16 * MiB, bus=bus))
    assert disk.resize(24 * MiB).size == 24 * MiB
    if paused:
        with pytest.raises(InvalidState, match="its guest must run to let go of it"):
            disk.detach()
        vm.resume()
    shell.wait_for(size, str(24 * MiB // 512))
    assert devices(domain, "disk") == (before[0] + 1, before[1] + 1)
    disk.resize(32 * MiB)
    shell.wait_for(size, str(32 * MiB // 512))
    disk.detach(delete=True)
    shell.wait_for(size, "none")
    assert devices(domain, "disk") == before
    assert not Path(disk.path).exists()


@pytest.mark.parametrize("model", ["virtio", "e1000e"])
def test_a_nic_comes_is_unplugged_moves_and_goes(vm: VM, domain: Any, shell: Shell, model: str) -> None:
    before = devices(domain, "interface")
    nic = vm.nics.attach(NicSpec(switch="red", mac=MAC, model=model))
    shell.wait_for(f"grep -l {MAC} /sys/class/net/*/address | wc -l", "1")
    card = Path(shell.run(f"grep -l {MAC} /sys/class/net/*/address")).parent.name

    def reaches(address: str) -> str:
        """Packets tell: this QEMU's e1000e does not tell Linux of a link that goes down.

        The guest's own DHCP client takes away an address that it did not get itself, so that it is given each time.
        """
        network = address.rpartition(".")[0]
        mine = f"ip link set {card} up; ip addr add {network}.77/24 dev {card} 2>/dev/null"
        return f"{mine}; ping -c 1 -W 2 -I {card} {address} >/dev/null 2>&1 && echo yes || echo no"

    shell.wait_for(reaches("192.168.150.1"), "yes")
    nic.set_link(False)
    assert shell.run(reaches("192.168.150.1")) == "no"
    assert nic.connect("blue").switch == "blue"
    nic.set_link(True)
    shell.wait_for(reaches("192.168.151.1"), "yes")
    assert devices(domain, "interface") == (before[0] + 1, before[1] + 1)
    for flags in (0, INACTIVE):
        sources = ET.fromstring(domain.XMLDesc(flags)).findall("devices/interface/source")
        assert [source.get("network") for source in sources] == ["red", "blue"]
    nic.detach()
    assert shell.run(f"grep -l {MAC} /sys/class/net/*/address | wc -l") == "0"
    assert devices(domain, "interface") == before


def test_an_iso_is_exchanged(machine: LibvirtHost, vm: VM, domain: Any, shell: Shell) -> None:
    content = "head -c 3 /dev/sr0 2>/dev/null || echo none"
    shell.wait_for(content, "one")
    two = iso(machine, "two")
    vm.cdroms[0].insert(two)
    shell.wait_for(content, "two")
    assert domain.XMLDesc(INACTIVE).count(two) == domain.XMLDesc(0).count(two) == 1
    vm.cdroms[0].eject()
    shell.wait_for(content, "none")
    assert ".iso" not in domain.XMLDesc(INACTIVE)


def both(domain: Any) -> list[str]:
    """All that libvirt knows of the VM, now and from the next start on, however it spells namespaces."""
    return [ET.canonicalize(domain.XMLDesc(flags), strip_text=True) for flags in (0, INACTIVE)]


def test_a_change_that_fails_live_is_not_in_the_configuration(
    machine: LibvirtHost, raw: Any, host: Host, vm: VM, domain: Any, shell: Shell
) -> None:
    before, files = both(domain), set(machine.images.iterdir())
    with pytest.raises(HyperkitError):  # QEMU has no hot-plug for this bus
        vm.disks.attach(DiskSpec(size=8 * MiB, bus=DiskBus.SATA))
    assert (both(domain), set(machine.images.iterdir())) == (before, files)
    host.switches.create("down")
    raw.networkLookupByName("down").destroy()
    with pytest.raises(HyperkitError):
        vm.nics.attach(NicSpec(switch="down"))
    assert both(domain) == before
    with pytest.raises(HyperkitError):
        vm.nics[0].connect("down")
    assert both(domain) == before


def test_a_drive_that_the_guest_locks_keeps_its_iso(machine: LibvirtHost, vm: VM, domain: Any, shell: Shell) -> None:
    vm.cdroms[0].insert(str(guest_image().iso))
    shell.wait_for("mkdir -p /run/cd; mount -t iso9660 /dev/sr0 /run/cd 2>/dev/null && echo mounted", "mounted")
    before = both(domain)
    with pytest.raises(Busy):
        vm.cdroms[0].eject()
    assert both(domain) == before
    shell.run("umount /run/cd")
    vm.cdroms[0].eject()
    assert vm.cdroms[0].iso is None
