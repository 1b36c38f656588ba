"""Memory that cannot be loaded again, and reverts that fail half-way, on a real libvirtd with QEMU."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import hyperkit
from hyperkit import BackendError, DiskSpec, Host, InvalidState, KernelBoot, MiB, PowerState, Unsupported
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing
from tests.beds.libvirt_qemu.shell import Shell

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

DISK = DiskSpec(size=64 * MiB)
CPUS = "grep -c ^processor /proc/cpuinfo"
INACTIVE = libvirt.VIR_DOMAIN_XML_INACTIVE


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


def qemu_img(*arguments: str) -> str:
    return subprocess.run(["qemu-img", "snapshot", *arguments], capture_output=True, text=True, check=True).stdout


def memory_of(domain: Any, snapshot_id: str) -> str | None:
    memory = ET.fromstring(domain.snapshotLookupByName(snapshot_id).getXMLDesc()).find("memory")
    return None if memory is None else memory.get("snapshot")


def test_memory_of_a_vm_that_got_cpus_while_it_ran_comes_back(host: Host, raw: Any) -> None:
    image = guest_image()
    kernel = KernelBoot(str(image.vmlinux), str(image.initrd), image.cmdline)
    vm = host.vms.create("guest", memory=128 * MiB, max_cpus=2, kernel=kernel, disks=[DISK]).start()
    domain = raw.lookupByName("guest")
    shell = Shell(domain).wait_until_ready()
    vm.configure(cpus=2)
    shell.wait_for(CPUS, "2")
    shell.run("touch /tmp/here")
    snapshot = vm.snapshots.create("memory")
    assert (snapshot.memory, memory_of(domain, snapshot.id)) == (True, "external")
    assert snapshot.revert().state is PowerState.RUNNING
    assert vm.stop().refresh().cpus == 2
    assert snapshot.revert().state is PowerState.RUNNING
    assert Shell(domain).wait_until_ready().run(f"{CPUS}; ls /tmp/here").split() == ["2", "/tmp/here"]


def test_a_vm_with_internal_ones_is_told_to_begin_anew_with_its_cpus(host: Host, raw: Any) -> None:
    vm = host.vms.create("grown", memory=32 * MiB, max_cpus=2, disks=[DISK])
    vm.snapshots.create("off")
    vm.start().configure(cpus=2)
    with pytest.raises(InvalidState, match=r"VM 'grown'.* CPUs that were added while it ran; stop and start it first"):
        vm.snapshots.create("memory")
    vm.stop().start()
    snapshot = vm.snapshots.create("memory")
    assert memory_of(raw.lookupByName("grown"), snapshot.id) == "internal"
    assert vm.stop().state is PowerState.OFF
    assert snapshot.revert().state is PowerState.RUNNING


def test_memory_that_others_took_and_nobody_can_load_is_refused_before_anything_changes(host: Host, raw: Any) -> None:
    vm = host.vms.create("theirs", memory=32 * MiB, max_cpus=2, disks=[DISK]).start()
    vm.configure(cpus=2)
    domain = raw.lookupByName("theirs")
    domain.snapshotCreateXML("<domainsnapshot><name>theirs</name></domainsnapshot>")
    before = domain.XMLDesc(INACTIVE)
    snapshot = vm.snapshots.one(name="theirs")
    with pytest.raises(Unsupported, match=r"snapshot 'theirs'.*CPUs that were added while it ran.*nothing was changed"):
        snapshot.revert()
    assert (domain.XMLDesc(INACTIVE), vm.refresh().state) == (before, PowerState.RUNNING)
    snapshot.delete()


@pytest.mark.parametrize("running", [False, True], ids=["off", "running"])
def test_the_configuration_of_before_stands_when_a_revert_fails(host: Host, raw: Any, running: bool) -> None:
    vm = host.vms.create("kept", memory=32 * MiB, max_cpus=2, disks=[DISK], notes="old").start()
    broken = vm.snapshots.create("broken")
    current = vm.snapshots.create("current")
    vm.stop().configure(notes="new", cpus=2)
    added = vm.disks.attach(DiskSpec(size=8 * MiB)).path
    qemu_img("-d", broken.id, vm.disks[0].path)  # what libvirt does not know
    if running:
        vm.start()
    domain = raw.lookupByName("kept")
    before = domain.XMLDesc(INACTIVE)
    with pytest.raises(BackendError, match="snapshot 'broken' of VM 'kept'") as failed:
        broken.revert()
    assert domain.XMLDesc(INACTIVE) == before
    assert ("is off now" in "".join(failed.value.__notes__)) is running
    assert not domain.isActive()
    there = vm.refresh()
    assert (there.notes, there.cpus, there.state) == ("new", 2, PowerState.OFF)
    assert [disk.path for disk in there.disks][1:] == [added]
    assert Path(added).exists()
    now = vm.snapshots.current()
    assert now is not None
    assert now.id == current.id
    assert current.revert().state is PowerState.RUNNING
