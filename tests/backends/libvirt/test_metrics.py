"""Counters of real VMs, against what the kernel of the host and the guest say of the same."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import hyperkit
from benchmarks.rpc_proxy import RpcProxy
from hyperkit import VM, DiskMetrics, DiskSpec, Host, KernelBoot, MetricsRecord, MiB, NicMetrics, NicSpec, SwitchKind
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

import libvirt_qemu  # noqa: E402

SMALL = 64 * MiB
_TICKS = os.sysconf("SC_CLK_TCK")


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


@pytest.fixture(scope="module")
def guest(host: Host) -> VM:
    """A Linux guest that answers, with a disk and two NICs of which one has a switch."""
    image = guest_image()
    host.switches.create("lan", SwitchKind.INTERNAL, subnet="192.168.151.0/24")
    vm = host.vms.create(
        "guest",
        memory=128 * MiB,
        kernel=KernelBoot(str(image.vmlinux), str(image.initrd), image.cmdline),
        disks=[DiskSpec(size=64 * MiB)],
        nics=[NicSpec(switch="lan"), NicSpec()],
    )
    vm.start().wait_for_address(timeout=120)
    return vm


def inside(raw: Any, vm: VM, script: str, timeout: float = 60) -> str:
    """What a script prints that the guest's agent runs."""
    domain = raw.lookupByUUIDString(vm.id)
    deadline = time.monotonic() + timeout

    def ask(command: str, **arguments: Any) -> Any:
        while True:
            try:
                text = json.dumps({"execute": command, "arguments": arguments})
                return json.loads(libvirt_qemu.qemuAgentCommand(domain, text, 10, 0))["return"]
            except libvirt.libvirtError:  # no agent yet
                assert time.monotonic() < deadline
                time.sleep(0.2)

    pid = ask("guest-exec", **{"path": "/bin/sh", "arg": ["-c", script], "capture-output": True})["pid"]
    while not (status := ask("guest-exec-status", pid=pid))["exited"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert status["exitcode"] == 0, status
    return base64.b64decode(status.get("out-data", "")).decode()


def kernels_cpu_seconds(machine: LibvirtHost, vm: VM) -> float:
    """What the kernel counts for the VM's QEMU process."""
    fields = Path(f"/proc/{machine.qemu_pid(vm.name)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def test_cpu_time_is_what_the_kernel_counts(machine: LibvirtHost, host: Host, raw: Any, guest: VM) -> None:
    inside(raw, guest, "true")
    before, first = kernels_cpu_seconds(machine, guest), guest.metrics()
    inside(raw, guest, "timeout 3 sh -c 'while :; do :; done' || true")
    later, after = guest.metrics(), kernels_cpu_seconds(machine, guest)
    assert first.cpu_seconds is not None
    assert later.cpu_seconds is not None
    used = later.cpu_seconds - first.cpu_seconds
    assert used == pytest.approx(after - before, abs=0.5)
    rates = later.since(first)
    assert rates.cpu == pytest.approx(used / rates.seconds * 1000)
    assert used > 0.5  # three seconds of trying, on a host that may be busy
    if machine.cgroups:
        (group,) = machine.cgroup("cpuacct").glob(f"machine/qemu-*-{guest.name}.libvirt-qemu")
        told = guest.metrics().cpu_seconds
        assert told == pytest.approx(int((group / "cpuacct.usage").read_text()) / 1e9, abs=0.5)


def disk_of(reading: MetricsRecord) -> DiskMetrics:
    (disk,) = reading.disks
    return disk


def test_what_the_guest_writes_and_reads_is_counted(host: Host, raw: Any, guest: VM) -> None:
    before = disk_of(guest.metrics())
    assert before.id == guest.disks[0].id
    inside(raw, guest, "dd if=/dev/zero of=/dev/vda bs=65536 count=96 conv=fsync")
    written = disk_of(guest.metrics())
    inside(raw, guest, "echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/vda of=/dev/null bs=65536 count=64")
    read = disk_of(guest.metrics())
    values = [before.write_bytes, written.write_bytes, read.write_bytes, written.read_bytes, read.read_bytes]
    assert None not in values
    b_write, w_write, r_write, w_read, r_read = (value or 0 for value in values)
    assert w_write - b_write == r_write - b_write == 6 * MiB
    assert 4 * MiB <= r_read - w_read < 6 * MiB  # the kernel reads ahead
    assert (written.write_requests or 0) > (before.write_requests or 0)


def nic_of(reading: MetricsRecord, vm: VM, index: int = 0) -> NicMetrics:
    return next(nic for nic in reading.nics if nic.id == vm.nics[index].id)


def test_what_comes_and_goes_by_a_nic_is_counted_as_the_guest_sees_it(
    machine: LibvirtHost, host: Host, raw: Any, guest: VM
) -> None:
    address = guest.wait_for_address(timeout=120)
    first = guest.metrics()
    machine.run("busybox", "ping", "-c", "10", "-s", "1000", address)
    inside(raw, guest, "for i in 1 2 3 4 5; do ping -c 1 -s 1400 -W 1 192.168.151.1; done")
    later = guest.metrics()
    interface = re.search(r"<target dev='(vnet\d+)'/>", raw.lookupByUUIDString(guest.id).XMLDesc(0))
    assert interface
    # The tap device is the host's end of the cable: what it sent, the guest received.
    tap = {name: int(machine.run("cat", f"/sys/class/net/{interface[1]}/statistics/{name}")) for name in
           ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")}  # fmt: skip
    nic, before = nic_of(later, guest), nic_of(first, guest)
    assert (nic.rx_bytes or 0) - (before.rx_bytes or 0) >= 15 * 1000
    assert (nic.tx_bytes or 0) - (before.tx_bytes or 0) >= 15 * 1000
    for ours, theirs in (("rx", "tx"), ("tx", "rx")):
        assert getattr(nic, f"{ours}_packets") == pytest.approx(tap[f"{theirs}_packets"], abs=5)
        assert getattr(nic, f"{ours}_bytes") == pytest.approx(tap[f"{theirs}_bytes"], abs=2000)
    plugged, unplugged = (nic_of(later, guest, index).rx_bytes for index in (0, 1))
    assert (plugged or 0) > 10 * (unplugged or 0)  # but for the host's own multicast, nothing comes there


def test_memory_is_what_the_guest_and_the_kernel_say(machine: LibvirtHost, raw: Any, guest: VM) -> None:
    told = dict(re.findall(r"(\w+): +(\d+) kB", inside(raw, guest, "cat /proc/meminfo")))
    used = (int(told["MemTotal"]) - int(told["MemAvailable"])) * 1024
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{machine.qemu_pid(guest.name)}/status").read_text())
    assert resident
    deadline = time.monotonic() + 60
    while (reading := guest.metrics()).memory_used is None:  # the guest tells every ten seconds
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert reading.memory_assigned == 128 * MiB
    assert reading.memory_used == pytest.approx(used, abs=12 * MiB)
    assert reading.memory_resident == pytest.approx(int(resident[1]) * 1024, rel=0.1)


@pytest.fixture
def paused(host: Host) -> Iterator[list[VM]]:
    """VMs whose counters stand still, and one that is off."""
    fields: Any = {"memory": SMALL, "disks": [DiskSpec(size=8 * MiB)], "nics": [NicSpec(), NicSpec()]}
    vms = [host.vms.create(f"vm{number}", **fields) for number in range(3)]
    for vm in vms[:2]:
        vm.start().pause()
    yield vms
    for vm in vms:
        vm.delete(force=True)


def test_one_call_reads_all_and_the_xml_is_read_once_a_run(
    machine: LibvirtHost, host: Host, guest: VM, paused: list[VM]
) -> None:
    with RpcProxy(machine.home / "run/libvirt-sock") as line, hyperkit.connect(line.uri) as far:
        trips = line.count
        assert trips(far.metrics.read) == 1 + 3  # and the XML of each that runs
        assert trips(far.metrics.read) == 1
        assert trips(lambda: far.metrics.read(vm.id for vm in paused)) == 1
        assert trips(far.vms.get(paused[0].id).metrics) == 2  # the lookup
        assert trips(far.metrics.read) == 1
        paused[0].stop().start().pause()
        assert trips(far.metrics.read) == 2
        paused[1].resume()
        added = paused[1].nics.attach(NicSpec())
        assert trips(far.metrics.read) == 2
        assert added.id in [nic.id for nic in far.vms.get(paused[1].id).metrics().nics]


def test_a_driver_without_statistics_in_bulk_is_asked_vm_by_vm(
    machine: LibvirtHost, paused: list[VM], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(reading: MetricsRecord) -> MetricsRecord:
        """Without what moves from one reading to the next: a paused VM's QEMU takes a little CPU, and hears frames."""
        heard: Any = {"rx_bytes": None, "rx_packets": None, "rx_dropped": None}
        nics = tuple(attrs.evolve(nic, **heard) for nic in reading.nics)
        return attrs.evolve(reading, time=reading.time.min, cpu_seconds=None, memory_resident=None, nics=nics)

    def lacking(*_: object) -> None:
        error = libvirt.libvirtError("no support")
        error.err = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_FROM_REMOTE, "no support", 2, *[None] * 5)
        raise error

    with hyperkit.connect(machine.uri) as host:
        bulk = {reading.vm_id: reading for reading in host.metrics.read()}
        records = [vm.record for vm in host.vms.list()]
    for call in ("getAllDomainStats", "domainListGetStats"):
        monkeypatch.setattr(libvirt.virConnect, call, lacking)
    with hyperkit.connect(machine.uri) as host:
        alone = {reading.vm_id: reading for reading in host.metrics.read()}
        assert sorted(vm.id for vm in host.vms.list()) == sorted(record.id for record in records)
        for vm in paused:
            one = host.vms.get(vm.id).metrics()
            assert told(alone[vm.id]) == told(bulk[vm.id]) == told(one)
            readings = [bulk[vm.id], alone[vm.id], one]
            assert len({bool(reading.memory_resident) for reading in readings}) == 1
            # one by one libvirt counts in the kernel's ticks, in bulk in nanoseconds
            used = [reading.cpu_seconds for reading in readings]
            assert used == pytest.approx([used[0]] * 3, abs=0.5)
            assert bool(readings[0].cpu_seconds) == (vm is not paused[2])  # the one that is off
            assert [[nic.rx_bytes for nic in reading.nics] for reading in readings] == sorted(
                [nic.rx_bytes or 0 for nic in reading.nics] for reading in readings
            )
