"""VMs on a real libvirtd with QEMU: what only libvirt has, so that no conformance test is about it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import hyperkit
from hyperkit import VM, Allocation, Busy, DiskSpec, Firmware, Host, InvalidState, MiB, NicSpec, PowerState
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

SMALL = 64 * MiB


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


def variables(machine: LibvirtHost) -> set[str]:
    return {path.name for path in (machine.home / "lib/qemu/nvram").glob("*")}


def template(raw: Any, vm: VM) -> str:
    """The UEFI variables that the running VM began with."""
    nvram = ET.fromstring(raw.lookupByUUIDString(vm.id).XMLDesc(0)).find("os/nvram")
    assert nvram is not None
    return Path(nvram.get("template", "")).name


def test_uefi_variables_follow_a_change_of_secure_boot_and_of_name(machine: LibvirtHost, host: Host, raw: Any) -> None:
    vm = host.vms.create("uefi", memory=SMALL, firmware=Firmware.UEFI)
    vm.start().stop()
    assert variables(machine) == {"uefi_VARS.fd"}
    vm.configure(secure_boot=True)
    assert vm.start().record.secure_boot
    assert ".ms." in template(raw, vm)
    vm.stop()
    assert variables(machine) == {f"{vm.id}-secure_VARS.fd"}  # the others have no keys, and are of no use now
    vm.rename("other")
    vm.start().stop()
    assert variables(machine) == {f"{vm.id}-secure_VARS.fd"}
    vm.delete()
    assert variables(machine) == set()


def test_a_renamed_vm_keeps_its_uefi_variables(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("before", memory=SMALL, firmware=Firmware.UEFI)
    vm.start().stop()
    vm.rename("after").start().stop()
    assert variables(machine) == {"before_VARS.fd"}
    vm.delete()
    assert variables(machine) == set()


FOREIGN = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>foreign</name>
<metadata><a:x xmlns:a='urn:other'><a:y z='1'/></a:x></metadata><memory unit='MiB'>64</memory><vcpu>2</vcpu>
<cputune><quota>50000</quota><period>100000</period></cputune><os><type arch='x86_64' machine='pc'>hvm</type></os>
<features><acpi/></features><devices><graphics type='vnc' port='-1' passwd='s3cret'/><sound model='ich6'/>
<watchdog model='i6300esb' action='reset'/></devices>
<qemu:commandline><qemu:env name='FOO' value='bar'/></qemu:commandline></domain>"""


def test_a_change_of_somebody_elses_vm_keeps_what_hyperkit_does_not_know(host: Host, raw: Any) -> None:
    domain = raw.defineXML(FOREIGN)
    vm = host.vms.one(name="foreign")
    assert vm.record.cpu_allocation == Allocation(limit=1000)
    vm.configure(cpus=1, notes="mine now", cpu_allocation=Allocation(limit=700))
    tree = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE))
    assert tree.find("metadata/{urn:other}x/{urn:other}y[@z='1']") is not None
    assert tree.find("devices/graphics[@passwd='s3cret']") is not None
    assert tree.find("devices/sound") is not None
    assert tree.find("devices/watchdog[@action='reset']") is not None
    assert tree.find("{http://libvirt.org/schemas/domain/qemu/1.0}commandline") is not None
    assert (vm.cpus, vm.notes, vm.record.cpu_allocation) == (1, "mine now", Allocation(limit=700))
    assert vm.start().state is PowerState.RUNNING


def test_a_session_outlives_a_restart_of_the_daemon(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("vm", memory=SMALL).start().pause()
    machine.restart_libvirtd()
    assert vm.refresh().state is PowerState.PAUSED
    machine.restart_libvirtd()
    assert [found.id for found in host.vms.list()] == [vm.id]
    assert vm.resume().state is PowerState.RUNNING


def test_a_guest_that_does_not_let_go_keeps_its_disk(host: Host) -> None:
    """There is no system that could: the VM has nothing to boot."""
    vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(size=MiB)]).start()
    disk = vm.disks.attach(DiskSpec(size=2 * MiB))
    with pytest.raises(Busy, match="does not let go of disk vdb"):
        disk.detach(delete=True)
    assert [found.path for found in vm.stop().disks] == [vm.disks[0].path, disk.path]
    assert vm.disks[1].created


def test_a_running_vms_card_is_not_plugged_in_or_out(host: Host) -> None:
    host.switches.create("lan")
    vm = host.vms.create("vm", memory=SMALL, nics=[NicSpec(switch="lan"), NicSpec()]).start()
    before = vm.record.nics
    with pytest.raises(InvalidState, match="set_link"):
        vm.nics[0].disconnect()
    with pytest.raises(InvalidState, match="set_link"):
        vm.nics[1].connect("lan")
    with pytest.raises(InvalidState, match="address"):
        vm.nics[0].set_mac("52:54:00:00:00:01")
    assert vm.refresh().record.nics == before
    vm.delete(force=True)
    host.switches.one(name="lan").delete()


def test_a_failed_start_is_told_as_the_reason(host: Host, raw: Any) -> None:
    vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(size=MiB)])
    raw.storageVolLookupByPath(vm.disks[0].path).delete(0)
    with pytest.raises(hyperkit.HyperkitError):
        vm.start()
    assert vm.refresh().state is PowerState.OFF
    assert vm.disks[0].size is None


@pytest.mark.parametrize("notes", ["a\r\nb", " \n x \t ", "é𝄞\x85\u2028", "]]>&amp;<b/>"])
def test_notes_outlive_a_restart_of_the_daemon(machine: LibvirtHost, host: Host, notes: str) -> None:
    vm = host.vms.create("vm", memory=SMALL, notes=notes)
    machine.restart_libvirtd()
    assert vm.refresh().notes == notes
    vm.start().configure(notes=notes + "!")
    assert vm.stop().notes == notes + "!"


def at_once(*works: Callable[[], object]) -> None:
    """All of them, begun together, each in a thread of its own."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        gate.wait(10)
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(run, work) for work in works]:
            future.result()


@pytest.mark.parametrize("sessions", [1, 4])
def test_changes_of_one_vm_from_several_threads_all_stay(machine: LibvirtHost, host: Host, sessions: int) -> None:
    before = {path.name for path in machine.images.iterdir()}
    vm = host.vms.create("vm", memory=SMALL)
    others = [hyperkit.connect(machine.uri) for _ in range(sessions - 1)]
    hosts = ([host, *others] * 4)[:4]

    def attach(host: Host) -> None:
        mine = host.vms.get(vm.id)
        for _ in range(3):
            mine.disks.attach(DiskSpec(size=MiB))
            mine.nics.attach(NicSpec())

    def configure() -> None:
        mine = host.vms.get(vm.id)
        for number in range(1, 11):
            mine.configure(notes=f"note {number}", cpus=number % 2 + 1)

    at_once(*(partial(attach, found) for found in hosts), configure)
    for other in others:
        other.close()
    vm.refresh()
    files = {path.name for path in machine.images.iterdir()} - before
    assert {Path(disk.path or "").name for disk in vm.disks} == files
    assert (len(vm.disks), len(files), len(vm.nics), vm.notes) == (12, 12, 12, "note 10")


def cut(monkeypatch: pytest.MonkeyPatch, call: str, after: Callable[[], object]) -> None:
    """The first ``call`` is done by the daemon; then ``after`` happens, and nobody hears the answer."""
    original = getattr(libvirt.virConnect, call)
    seen: list[str] = []

    def broken(self: Any, *args: Any) -> Any:
        answer = original(self, *args)
        if not seen:
            seen.append(call)
            after()
            self.getLibVersion()  # fails, as the call itself would have
            raise AssertionError("the session lives")
        return answer

    monkeypatch.setattr(libvirt.virConnect, call, broken)


def test_a_create_whose_session_ends_after_the_definition_leaves_nothing(
    machine: LibvirtHost, host: Host, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(machine.images.iterdir())
    cut(monkeypatch, "defineXML", machine.restart_libvirtd)
    with pytest.raises(hyperkit.ConnectionLost) as caught:
        host.vms.create("cut", memory=SMALL, disks=[DiskSpec(size=MiB)])
    assert not hasattr(caught.value, "__notes__") or "left" not in str(caught.value.__notes__)
    assert [vm.name for vm in host.vms.list()] == []
    assert set(machine.images.iterdir()) == before


def test_a_daemon_that_comes_back_late_still_has_the_create_undone(
    machine: LibvirtHost, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(machine.images.iterdir())
    timers: list[threading.Timer] = []

    def kill() -> None:
        machine.kill_libvirtd()
        timers.append(threading.Timer(2, machine.restart_libvirtd))
        timers[0].start()

    cut(monkeypatch, "defineXML", kill)
    with pytest.raises(hyperkit.ConnectionLost):
        host.vms.create("cut", memory=SMALL, disks=[DiskSpec(size=MiB)])
    timers[0].join(60)
    assert [vm.name for vm in host.vms.list()] == []
    assert set(machine.images.iterdir()) == before


def test_what_could_not_be_undone_is_named(
    machine: LibvirtHost, host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cut(monkeypatch, "defineXML", machine.kill_libvirtd)
    try:
        with pytest.raises(hyperkit.ConnectionLost) as caught:
            host.vms.create("cut", memory=SMALL, disks=[DiskSpec(size=MiB)])
    finally:
        machine.restart_libvirtd()
    path = str(machine.images / "cut-0.qcow2")
    assert any("left on the host: VM cut, " + path in note for note in caught.value.__notes__)
    assert path in "".join(record.getMessage() for record in caplog.records if record.name == "hyperkit")
    assert [disk.path for disk in host.vms.one(name="cut").disks] == [path]  # whole, not without its disks


def test_a_copy_whose_answer_is_lost_is_deleted(
    machine: LibvirtHost, host: Host, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = raw.storagePoolLookupByName("default")
    form = "<format type='raw'/>"
    text = f"<volume><name>base.raw</name><capacity>{4 * MiB}</capacity><target>{form}</target></volume>"
    base = pool.createXML(text, 0).path()
    before = set(machine.images.iterdir())
    original = libvirt.virStoragePool.createXMLFrom

    def broken(self: Any, *args: Any) -> Any:
        original(self, *args)
        machine.restart_libvirtd()
        return self.info()  # fails, as the call itself would have

    monkeypatch.setattr(libvirt.virStoragePool, "createXMLFrom", broken)
    with pytest.raises(hyperkit.ConnectionLost):
        host.vms.create("copy", memory=SMALL, disks=[DiskSpec(base=base, linked=False)])
    assert host.vms.list() == []
    assert set(machine.images.iterdir()) == before
    Path(base).unlink()


def test_a_disk_that_two_threads_resize_is_never_made_smaller(host: Host, raw: Any) -> None:
    vm = host.vms.create("shared", memory=SMALL, disks=[DiskSpec(size=MiB)]).start().pause()
    domain = raw.lookupByUUIDString(vm.id)

    def resize(size: int) -> int:
        try:
            VM(host, vm.record).refresh().disks[0].resize(size)
        except hyperkit.InvalidRequest:
            return 0
        return size

    with ThreadPoolExecutor(2) as pool:
        for size in range(2, 22, 2):  # the hypervisor lets it happen in about half of the rounds
            done = max(pool.map(resize, [(size + 1) * MiB, size * MiB]))
            assert domain.blockInfo("vda")[0] == done > 0


def test_a_vm_that_somebody_started_is_not_deleted(host: Host, raw: Any) -> None:
    vm = host.vms.create("busy", memory=SMALL)
    raw.lookupByUUIDString(vm.id).create()  # after the look
    with pytest.raises(InvalidState, match="cannot delete VM 'busy': it is running"):
        host.driver.vms.delete(vm.id, ())
    assert raw.lookupByUUIDString(vm.id).isActive()


def test_a_vm_that_is_there_only_while_it_runs_is_deleted_with_its_files(
    machine: LibvirtHost, host: Host, raw: Any
) -> None:
    path = host.datastores.one("default").volumes.create("transient", size=MiB).path
    domain = raw.createXML(
        f"<domain type='qemu'><name>transient</name><memory>{SMALL // 1024}</memory><os><type>hvm</type></os><devices>"
        f"<disk type='file'><driver name='qemu' type='qcow2'/><source file='{path}'/><target dev='sda'/></disk>"
        "</devices></domain>",
        0,
    )
    host.vms.one("transient").delete(force=True, disks="all")
    assert domain.UUIDString() not in {each.UUIDString() for each in raw.listAllDomains(0)}
    assert not Path(path).exists()
