"""What a real guest boots from, and by what firmware: as it says itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hyperkit
from hyperkit import BootDevice, CpuTopology, DiskSpec, Firmware, Host, KernelBoot, MiB
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing
from tests.beds.libvirt_qemu.shell import Shell

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host
        for vm in host.vms.list():
            vm.delete(force=True)


@pytest.fixture
def raw(machine: LibvirtHost, host: Host) -> Iterator[Any]:
    raw = libvirt.open(machine.uri)
    yield raw
    raw.close()


def test_it_boots_from_the_device_named_first(machine: LibvirtHost, host: Host, raw: Any) -> None:
    image = guest_image()
    disk = machine.images / "bootable.qcow2"
    shutil.copy(image.disk, disk)
    vm = host.vms.create(
        "vm",
        memory=256 * MiB,
        disks=[DiskSpec(path=str(disk))],
        iso=str(image.iso),
        boot_order=[BootDevice.CDROM, BootDevice.DISK],
    )
    domain = raw.lookupByName("vm")
    devices = {BootDevice.DISK: vm.disks[0].id, BootDevice.CDROM: vm.cdroms[0].id}

    def loaded_from() -> list[BootDevice]:
        """Where the kernel and its RAM disk were read: QEMU counts the bytes."""
        vm.start()
        Shell(domain).wait_until_ready()
        read = {kind: domain.blockStats(device)[1] for kind, device in devices.items()}
        vm.stop()
        return [kind for kind, count in read.items() if count > image.initrd.stat().st_size]

    assert loaded_from() == [BootDevice.CDROM]
    vm.configure(boot_order=[BootDevice.DISK, BootDevice.CDROM])
    assert loaded_from() == [BootDevice.DISK]
    vm.configure(boot_order=[BootDevice.CDROM, BootDevice.DISK]).cdroms[0].eject()
    assert loaded_from() == [BootDevice.DISK]  # nothing is in the drive: the next in order


def test_secure_boot_and_tpm_as_the_guest_says(machine: LibvirtHost, host: Host, raw: Any) -> None:
    image = guest_image()
    vm = host.vms.create(
        "vm",
        memory=256 * MiB,
        cpus=4,
        topology=CpuTopology(sockets=2, cores=2),
        firmware=Firmware.UEFI,
        tpm=True,
        kernel=KernelBoot(str(image.vmlinuz), str(image.initrd), image.cmdline),
    )
    shell = Shell(raw.lookupByName("vm"))
    state = machine.home / "lib/swtpm" / vm.id
    made: set[Path] = set()
    for secure in (False, True):
        vm.configure(secure_boot=secure, name=f"vm-{secure}".lower()).start()
        shell.wait_until_ready(timeout=240)
        assert shell.run("[ -d /sys/firmware/efi ] && cat /sys/class/tpm/tpm0/tpm_version_major") == "2"
        said = shell.run("dmesg | grep -ci 'secure boot enabled' || true")
        assert (said != "0") is secure
        sockets = "cat /sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id | sort | uniq -c | xargs"
        assert shell.run(sockets) == "2 0 2 1"
        vm.stop()
        files = {path for path in state.rglob("*") if path.is_file() and "lock" not in path.name}
        assert files
        made = made or files
        assert files == made  # the TPM's memory goes where the VM goes
    # Made once: a new TPM would have been another one to the guest.
    log = next((machine.home / "log/swtpm").rglob("*swtpm*.log"), None)
    assert log is None or log.read_text().count("Starting vTPM manufacturing") <= 1
    vm.delete()
    assert not state.exists()
    assert not list((machine.home / "lib/qemu/nvram").glob("*"))
