"""External snapshots on a real libvirtd with QEMU: what becomes of files, whoever made them, and of mishaps."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import hyperkit
from hyperkit import (
    VM,
    AlreadyExists,
    Busy,
    ConnectionLost,
    DiskFormat,
    DiskSpec,
    Firmware,
    Host,
    InvalidState,
    MiB,
    NotFound,
    PowerState,
    ResourceExhausted,
    Snapshot,
)
from hyperkit.errors import AgentUnavailable
from hyperkit.tasks import wait_until
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

DISK = DiskSpec(size=8 * MiB)
RAW = DiskSpec(size=8 * MiB, format=DiskFormat.RAW)
SMALL = 32 * MiB
THEIRS = "<domainsnapshot><name>theirs</name><disks><disk name='vda' snapshot='external'/></disks></domainsnapshot>"
OFF, RUNNING, PAUSED = PowerState.OFF, PowerState.RUNNING, PowerState.PAUSED


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
    for path in machine.images.iterdir():
        path.unlink()


@pytest.fixture
def raw(machine: LibvirtHost) -> Iterator[Any]:
    raw = libvirt.open(machine.uri)
    yield raw
    raw.close()


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def write(path: str, value: int, form: str = "qcow2") -> None:
    run("qemu-io", "-f", form, "-c", f"write -P {value} 1M 64k", path)


def holds(path: str, value: int, form: str = "qcow2") -> bool:
    command = ["qemu-io", "-r", "-U", "-f", form, "-c", f"read -P {value} 1M 64k", path]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "read 65536/65536" in told.stdout, told
    return told.returncode == 0


def chain(path: str) -> list[str]:
    return [image["filename"] for image in json.loads(
        run("qemu-img", "info", "-U", "--backing-chain", "--output=json", path)
    )]  # fmt: skip


def files(machine: LibvirtHost) -> set[str]:
    return {str(path) for path in machine.images.iterdir()}


def kinds(raw: Any, vm: VM) -> dict[str, str | None]:
    """By snapshot, without the random part of its name, what libvirt says of its first disk."""
    found = {}
    for each in raw.lookupByUUIDString(vm.id).listAllSnapshots(0):
        disk = ET.fromstring(each.getXMLDesc(0)).find("disks/disk")
        assert disk is not None
        found[each.getName().split("~")[0]] = disk.get("snapshot")
    return found


class TestKinds:
    def test_the_first_one_decides(self, host: Host, raw: Any, machine: LibvirtHost) -> None:
        inside = host.vms.create("inside", memory=SMALL, disks=[DISK])
        inside.snapshots.create("off")
        inside.start()
        before = files(machine)
        with pytest.raises(InvalidState, match="keep the memory, or stop the VM first"):
            inside.snapshots.create("disks", memory=False)
        inside.snapshots.create("memory")
        assert kinds(raw, inside) == {"off": "internal", "memory": "internal"}
        assert files(machine) == before
        outside = host.vms.create("outside", memory=SMALL, disks=[DISK]).start()
        outside.snapshots.create("disks", memory=False)
        outside.snapshots.create("memory")
        outside.stop().snapshots.create("off")
        assert kinds(raw, outside) == {"disks": "external", "memory": "external", "off": "external"}

    def test_without_snapshots_it_is_decided_anew(self, host: Host, raw: Any) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK]).start()
        vm.snapshots.create("disks", memory=False).delete()
        vm.snapshots.create("memory")
        assert kinds(raw, vm) == {"memory": "internal"}

    def test_raw_disks_have_external_ones(self, host: Host, raw: Any) -> None:
        vm = host.vms.create("raw", memory=SMALL, disks=[RAW])
        write(vm.disks[0].path, 1, "raw")
        off = vm.snapshots.create("off")
        write(vm.refresh().disks[0].path, 2)
        running = vm.start().snapshots.create("running")
        assert kinds(raw, vm) == {"off": "external", "running": "external"}
        assert off.revert().state is OFF
        assert holds(vm.disks[0].path, 1)
        assert running.revert().state is RUNNING
        assert holds(vm.disks[0].path, 2)

    def test_a_raw_disk_cannot_join_internal_ones(self, host: Host, raw: Any) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK])
        vm.snapshots.create("first")
        vm.disks.attach(RAW)
        with pytest.raises(InvalidState, match=r"disk vdb .*\.raw\) is no qcow2"):
            vm.snapshots.create("second")
        assert kinds(raw, vm) == {"first": "internal"}

    def test_uefi_keeps_its_memory_in_a_file(self, host: Host, machine: LibvirtHost) -> None:
        vm = host.vms.create("uefi", memory=64 * MiB, firmware=Firmware.UEFI, disks=[DISK]).start()
        running = vm.snapshots.create("running")
        paused = vm.pause().snapshots.create("paused")
        assert (running.state, paused.state, running.memory, paused.memory) == (RUNNING, PAUSED, True, True)
        vm.stop()
        assert paused.revert().state is PAUSED
        assert running.revert().state is RUNNING
        vm.delete(force=True)
        assert files(machine) == set()

    def test_a_paused_vms_disks(self, host: Host) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK]).start().pause()
        snapshot = vm.snapshots.create("disks", memory=False)
        assert vm.refresh().state is PAUSED
        assert vm.snapshots.get(snapshot.id).state is PAUSED
        assert snapshot.revert().state is OFF

    def test_both_kinds_by_others_are_left_alone(self, host: Host, raw: Any, machine: LibvirtHost) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK])
        mine = vm.snapshots.create("mine")
        theirs = (
            "<domainsnapshot><name>theirs</name><disks><disk name='vda' snapshot='external'/></disks></domainsnapshot>"
        )
        raw.lookupByUUIDString(vm.id).snapshotCreateXML(theirs, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
        before = files(machine)
        for step in (mine.revert, mine.delete, lambda: vm.snapshots.create("third")):
            with pytest.raises(InvalidState, match=r"internal snapshots \(mine\) and external ones \(theirs\)"):
                step()
        assert kinds(raw, vm) == {"mine": "internal", "theirs": "external"}
        assert files(machine) == before


class TestQuiesce:
    def test_without_an_agent_nothing_is_made(self, host: Host, machine: LibvirtHost, raw: Any) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK]).start()
        before, xml = files(machine), raw.lookupByUUIDString(vm.id).XMLDesc(0)
        with pytest.raises(AgentUnavailable, match=r"agent does not answer.*quiesce=False"):
            vm.snapshots.create("quiet", quiesce=True)
        assert files(machine) == before
        assert raw.lookupByUUIDString(vm.id).XMLDesc(0) == xml


class TestNames:
    def test_a_name_that_is_free_again_gets_another_id(self, host: Host, raw: Any) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK])
        first = vm.snapshots.create("nightly").rename("monday")
        second = vm.snapshots.create("nightly")
        with pytest.raises(AlreadyExists):
            second.rename("monday")
        assert set(kinds(raw, vm)) == {"nightly"}  # what other tools see
        assert first.id != second.id
        assert {s.name: s.id for s in vm.snapshots} == {"monday": first.id, "nightly": second.id}
        first.delete()
        second.rename("nightly~2")
        assert [(s.name, s.id) for s in vm.snapshots] == [("nightly~2", second.id)]

    def test_a_vm_is_renamed_with_its_snapshots(self, host: Host, machine: LibvirtHost) -> None:
        vm = host.vms.create("before", memory=SMALL, disks=[RAW]).start()
        memory = vm.snapshots.create("memory")
        vm.stop()
        disks = vm.snapshots.create("disks")
        vm.rename("after")
        kept = vm.refresh().record
        with pytest.raises(InvalidState, match=r"called 'before'.*give it that name back first"):
            memory.revert()
        assert vm.refresh().record == kept
        assert disks.revert().name == "after"
        vm.rename("before")
        assert memory.revert().state is RUNNING


class TestFiles:
    def test_a_disk_that_hyperkit_did_not_make_stays_as_it_is_now(self, host: Host, machine: LibvirtHost) -> None:
        path = str(machine.images / "foreign.qcow2")
        run("qemu-img", "create", "-qf", "qcow2", path, "8M")
        vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(path=path), DISK]).start()
        first = vm.snapshots.create("first", memory=False)
        vm.stop()
        first.revert()
        vm.snapshots.create("branch")  # a file of its own
        first.revert()
        write(vm.refresh().disks[0].path, 7)
        disk = vm.disks[0].record
        assert (disk.id, disk.created, disk.chain, vm.disks[1].created) == ("vda", False, (path,), True)
        vm.delete()
        assert files(machine) == {path, disk.path}
        assert holds(disk.path, 7)
        again = host.vms.create("again", memory=SMALL, disks=[DiskSpec(path=disk.path)])
        assert holds(again.disks[0].path, 7)

    def test_a_disk_is_named_by_what_it_began_as(self, host: Host, machine: LibvirtHost) -> None:
        path = str(machine.images / "foreign.qcow2")
        run("qemu-img", "create", "-qf", "qcow2", path, "8M")
        vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(path=path)]).start()
        vm.snapshots.create("first", memory=False)
        vm.delete(disks=[path], force=True)
        assert files(machine) == set()

    def test_what_another_vm_lies_on_is_neither_merged_nor_deleted(self, host: Host, machine: LibvirtHost) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK])
        root = vm.disks[0].path
        write(root, 1)
        snapshot = vm.start().snapshots.create("first", memory=False)
        clone = host.vms.create("clone", memory=SMALL, disks=[DiskSpec(base=root)])
        snapshot.delete()
        assert chain(vm.refresh().disks[0].path)[1:] == [root]
        assert holds(clone.disks[0].path, 1)
        with pytest.raises(Busy, match="the base of"):
            vm.delete(force=True)
        clone.delete()
        vm.delete(force=True)
        assert files(machine) == set()

    def test_what_others_laid_on_our_images_keeps_them(self, host: Host, raw: Any, tmp_path: Path) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK]).start()
        first = vm.snapshots.create("first", memory=False)
        ours = vm.refresh().disks[0].path
        theirs = tmp_path / "theirs.qcow2"  # in no pool
        text = (
            f"<domainsnapshot><name>theirs</name><disks><disk name='vda' snapshot='external'><source file='{theirs}'/>"
            "</disk></disks></domainsnapshot>"
        )
        domain = raw.lookupByUUIDString(vm.id)
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA
        domain.snapshotCreateXML(text, flags)
        first.delete()
        assert ours in chain(str(theirs))
        assert not vm.refresh().disks[0].created
        assert vm.disks[0].path == str(theirs)
        domain.destroy()

    def test_somebody_elses_external_snapshot_is_reverted_to(self, host: Host, raw: Any) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK])
        write(vm.disks[0].path, 1)
        theirs = (
            "<domainsnapshot><name>theirs</name><disks><disk name='vda' snapshot='external'/></disks></domainsnapshot>"
        )
        raw.lookupByUUIDString(vm.id).snapshotCreateXML(theirs, libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY)
        overlay = vm.refresh().disks[0].path
        write(overlay, 2)
        snapshot = vm.snapshots.one(name="theirs")
        assert holds(snapshot.revert().disks[0].path, 1)
        assert Path(overlay).exists()  # it is theirs
        snapshot.delete()
        assert Path(overlay).exists()
        Path(overlay).unlink()

    def test_a_guest_that_writes_the_head_of_an_image_is_not_believed(self, host: Host, machine: LibvirtHost) -> None:
        path = machine.images / "disk.img"
        path.write_bytes(bytes(8 * MiB))
        vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(path=str(path), format=DiskFormat.RAW)])
        secret = machine.images / "secret.qcow2"
        run("qemu-img", "create", "-qf", "qcow2", str(secret), "1M")
        forged = machine.images / "forged.qcow2"
        run("qemu-img", "create", "-qf", "qcow2", "-b", str(secret), "-F", "qcow2", str(forged), "1M")
        with path.open("r+b") as disk:
            disk.write(forged.read_bytes())
        snapshot = vm.snapshots.create("first")
        reverted = snapshot.revert().disks[0]
        assert reverted.size == 8 * MiB
        told = json.loads(run("qemu-img", "info", "--output=json", reverted.path))
        assert (told["backing-filename"], told["backing-filename-format"]) == (str(path), "raw")


class TestDisks:
    def test_a_detached_disk_keeps_its_content_and_comes_back(self, host: Host, machine: LibvirtHost) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK, DISK]).start()
        first = vm.snapshots.create("first", memory=False)
        vm.stop()
        path = vm.refresh().disks[1].path
        write(path, 5)
        with pytest.raises(Busy, match="snapshot"):
            vm.disks[1].detach(delete=True)
        vm.disks[1].detach()
        first.revert()  # which has the disk, as it was
        assert not holds(vm.disks[1].path, 5)
        other = vm.disks[1].path
        vm.disks[1].detach()
        first.delete()
        assert holds(path, 5)
        back = vm.disks.attach(DiskSpec(path=path))
        assert (back.created, len(back.record.chain)) == (True, 1)
        with pytest.raises(AlreadyExists):
            vm.disks.attach(DiskSpec(path=back.record.chain[0]))
        with pytest.raises(Busy, match=f"the base of {other}"):  # what was detached is somebody's data
            vm.delete()
        Path(other).unlink()
        vm.delete()
        assert files(machine) == set()

    def test_a_divided_disk_is_deleted_as_it_is_detached(self, host: Host, machine: LibvirtHost) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK, DISK]).start()
        snapshot = vm.snapshots.create("first", memory=False)
        vm.stop()
        snapshot.delete()  # while it is off, two images stay
        disk = vm.refresh().disks[1]
        assert len(disk.record.files) == 2
        disk.detach(delete=True)
        assert files(machine) == set(vm.disks[0].record.files)

    @pytest.mark.parametrize("running", [False, True])
    def test_a_disk_grows_and_a_revert_makes_it_small_again(self, host: Host, running: bool) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK]).start()
        snapshot = vm.snapshots.create("small", memory=False)
        if not running:
            vm.stop()
        assert vm.refresh().disks[0].resize(16 * MiB).size == 16 * MiB
        assert vm.disks[0].id == "vda"
        large = vm.snapshots.create("large", memory=False)
        assert snapshot.revert().disks[0].size == 8 * MiB
        assert large.revert().disks[0].size == 16 * MiB

    def test_a_revert_keeps_a_size_between_two_kibibytes_and_what_is_at_the_end(self, host: Host) -> None:
        size = 3 * MiB + 512
        vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(size=size, format=DiskFormat.RAW)])
        end = f"{size - 512} 512"
        run("qemu-io", "-f", "raw", "-c", f"write -P 5 {end}", vm.disks[0].path)
        top = vm.snapshots.create("first").revert().disks[0]
        assert top.size == size
        assert json.loads(run("qemu-img", "info", "--output=json", top.path))["virtual-size"] == size
        assert "verification failed" not in run("qemu-io", "-r", "-f", "qcow2", "-c", f"read -P 5 {end}", top.path)

    def test_a_merge_into_a_smaller_image_makes_that_one_larger(self, host: Host) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK])
        root = vm.disks[0].path
        vm.start()
        snapshot = vm.snapshots.create("small", memory=False)
        vm.refresh().disks[0].resize(16 * MiB)
        snapshot.delete()
        assert (vm.refresh().disks[0].path, vm.disks[0].size, vm.disks[0].record.chain) == (root, 16 * MiB, ())
        assert chain(root) == [root]


class TestMishaps:
    @pytest.fixture
    def small(self, machine: LibvirtHost) -> Iterator[str]:
        place = f"{machine.home}/small"
        machine.run("mkdir", "-p", place)
        machine.run("mount", "-t", "tmpfs", "-o", "size=2m", "small", place)
        yield place
        machine.run("umount", "-l", place)

    def test_a_full_datastore_leaves_all_as_it_was(self, host: Host, machine: LibvirtHost, small: str) -> None:
        path = f"{small}/d.qcow2"
        machine.run("qemu-img", "create", "-qf", "qcow2", path, "8M")
        vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(path=path)]).start()
        first = vm.snapshots.create("first", memory=False)
        vm.refresh()
        machine.run("sh", "-c", f"head -c 2m /dev/zero >{small}/rest || true")
        before = machine.run("ls", small)
        for step in (
            lambda: vm.snapshots.create("disks", memory=False),
            lambda: vm.snapshots.create("memory", memory=True),
            first.revert,
        ):
            with pytest.raises(ResourceExhausted):
                step()
            assert machine.run("ls", small) == before
            record = vm.record
            assert vm.refresh().record == record
            assert [s.name for s in vm.snapshots] == ["first"]
        vm.delete(force=True)

    def test_a_file_that_is_gone_is_found_before_anything_is_done(self, host: Host, machine: LibvirtHost) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK, DISK]).start()
        first = vm.snapshots.create("first", memory=False)
        root = vm.disks[1].path
        Path(root).rename(root + ".away")
        before = files(machine)
        with pytest.raises(NotFound, match=root):
            first.revert()
        assert vm.refresh().state is RUNNING
        assert files(machine) == before
        Path(root + ".away").rename(root)

    def test_images_stay_while_one_cannot_be_read(
        self, host: Host, machine: LibvirtHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK, DISK]).start()
        first = vm.snapshots.create("first", memory=False)
        second = vm.snapshots.create("second", memory=False)
        vm.stop()
        first.revert()
        assert len(files(machine)) == 6
        root = first.vm.disks[1].record.chain[0]
        Path(root).rename(root + ".away")
        second.delete()
        assert "stay, since one of its images cannot be read" in caplog.text
        Path(root + ".away").rename(root)
        assert len(files(machine)) == 6
        first.delete()
        assert len(files(machine)) == 4

    def test_a_snapshot_whose_answer_is_lost_is_there(
        self, host: Host, machine: LibvirtHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK]).start()
        cut(monkeypatch, libvirt.virDomain, "snapshotCreateXML", machine.restart_libvirtd)
        with pytest.raises(ConnectionLost):
            vm.snapshots.create("cut", memory=False)
        (snapshot,) = vm.snapshots
        assert (snapshot.name, snapshot.current) == ("cut", True)
        assert files(machine) == set(vm.refresh().disks[0].record.files)
        assert snapshot.revert().state is OFF

    @pytest.mark.parametrize("call", ["defineXML", "restoreFlags"])
    def test_a_revert_that_is_cut_is_undone_or_done(
        self, host: Host, machine: LibvirtHost, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[RAW])
        write(vm.disks[0].path, 1, "raw")
        snapshot = vm.start().snapshots.create("first")
        vm.stop()
        before = vm.refresh().record
        write(vm.disks[0].path, 2)
        cut(monkeypatch, libvirt.virConnect, call, machine.restart_libvirtd)
        with pytest.raises(ConnectionLost) as caught:
            snapshot.revert()
        how = "was not reverted, and is off now" if call == "defineXML" else "was reverted, and is on now"
        assert f"VM 'vm' {how}" in caught.value.__notes__
        vm.refresh()
        if call == "defineXML":
            assert vm.record == before
            assert holds(vm.disks[0].path, 2)
            memory = {path for path in files(machine) if path.endswith(".memory")}
            assert files(machine) == {*vm.disks[0].record.files, *memory}
        else:
            assert vm.state is RUNNING
            assert holds(vm.disks[0].path, 1)
        assert snapshot.revert().state is RUNNING
        assert holds(vm.disks[0].path, 1)

    def test_a_deletion_that_is_cut_as_it_begins_is_brought_to_its_end(
        self, host: Host, machine: LibvirtHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first of its changes gives the child another parent."""
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK]).start()
        first = vm.snapshots.create("first", memory=False)
        child = vm.snapshots.create("child", memory=False)
        cut(monkeypatch, libvirt.virDomain, "snapshotCreateXML", machine.restart_libvirtd)
        with pytest.raises(ConnectionLost) as caught:
            first.delete()
        assert caught.value.__notes__[0].startswith(f"snapshot {first.id!r} is gone, and /")
        assert [(each.id, each.record.parent_id) for each in vm.snapshots] == [(child.id, None)]

    def test_a_merge_that_is_cut_loses_nothing_and_is_made_up_for(
        self, host: Host, machine: LibvirtHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        vm = host.vms.create("vm", memory=SMALL, disks=[DISK])
        root = vm.disks[0].path
        first = vm.start().snapshots.create("first", memory=False)
        second = vm.snapshots.create("second", memory=False)
        vm.stop()
        write(vm.refresh().disks[0].path, 3)
        first.delete()
        vm.start()
        cut(monkeypatch, libvirt.virDomain, "blockCommit", machine.restart_libvirtd)
        with pytest.raises(ConnectionLost) as caught:
            second.delete()
        (said,) = caught.value.__notes__
        assert said.startswith(f"snapshot {second.id!r} is gone, and /")
        assert vm.refresh().disks[0].path in said
        assert holds(vm.refresh().disks[0].path, 3)

        def take() -> Snapshot | None:
            try:
                return vm.snapshots.create("third", memory=False)
            except Busy:  # QEMU is still at it, and then it is given up
                return None

        wait_until(take, clock=host.clock, timeout=60, what="the merge to be in nobody's way").delete()
        assert vm.refresh().disks[0].path == root
        assert holds(root, 3)
        assert files(machine) == {root}


def cut(monkeypatch: pytest.MonkeyPatch, kind: type, call: str, after: Callable[[], object]) -> None:
    """The first ``call`` is done by the daemon; then ``after`` happens, and nobody hears the answer."""
    original = getattr(kind, call)
    seen: list[str] = []

    def broken(self: Any, *args: Any) -> Any:
        answer = original(self, *args)
        if not seen:
            seen.append(call)
            after()
            (self if kind is libvirt.virConnect else self.connect()).getLibVersion()  # fails, as the call would have
            raise AssertionError("the session lives")
        return answer

    monkeypatch.setattr(kind, call, broken)
