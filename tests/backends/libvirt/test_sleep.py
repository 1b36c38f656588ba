"""A guest that puts itself to sleep, and is woken; and a display of the other kind that QEMU has."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

import hyperkit
from hyperkit import Host, KernelBoot, MiB, PowerState
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

PATIENCE = 180.0


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
def raw(machine: LibvirtHost) -> Iterator[Any]:
    raw = libvirt.open(machine.uri)
    yield raw
    raw.close()


def test_a_guest_that_sleeps_is_woken_by_resume_and_goes_on(host: Host, raw: Any) -> None:
    image = guest_image()
    kernel = KernelBoot(str(image.vmlinuz), str(image.initrd), image.cmdline)
    vm = host.vms.create("sleeper", memory=256 * MiB, kernel=kernel).start()
    vm.guest.wait_until_ready(timeout=PATIENCE)
    boot = vm.guest.run(["cat", "/proc/sys/kernel/random/boot_id"], check=True).text
    domain = raw.lookupByUUIDString(vm.id)
    events = host.events.stream(timeout=PATIENCE)
    domain.pMSuspendForDuration(libvirt.VIR_NODE_SUSPEND_TARGET_MEM, 0)
    slept = next(events)
    assert slept.after is not None
    assert slept.after.state is vm.refresh().state is PowerState.SLEEPING
    assert domain.state()[0] == libvirt.VIR_DOMAIN_PMSUSPENDED
    assert vm.resume().state is PowerState.RUNNING
    assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    vm.guest.wait_until_ready(timeout=PATIENCE)
    assert vm.guest.run(["cat", "/proc/sys/kernel/random/boot_id"], check=True).text == boot


def test_a_display_of_spice_is_where_it_says(machine: LibvirtHost, host: Host, raw: Any) -> None:
    if "<value>spice</value>" not in raw.getDomainCapabilities(None, "x86_64", "q35", "qemu"):
        pytest.skip("this QEMU has no SPICE (package qemu-system-modules-spice)")
    path = machine.home / "spice"
    listen = f"<listen type='socket' socket='{path}'/>"
    domain = raw.defineXML(
        "<domain type='qemu'><name>spice</name><memory unit='MiB'>64</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os><devices>"
        f"<graphics type='spice'>{listen}</graphics><video><model type='vga'/></video></devices></domain>"
    )
    vm = host.vms.get(domain.UUIDString()).start()
    (display,) = vm.console.displays()
    assert (display.kind, display.socket, display.port) == ("spice", str(path), None)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        # SpiceLinkHeader and SpiceLinkMess of the main channel: magic, version 2.2, size; no capabilities.
        client.sendall(struct.pack("<4s3I", b"REDQ", 2, 2, 18) + struct.pack("<IBB3I", 0, 1, 0, 0, 0, 18))
        assert client.recv(4) == b"REDQ"
