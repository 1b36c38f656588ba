"""Snapshots, seen from libvirt and in the disks themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hyperkit.clock import SystemClock
from hyperkit.driver import Driver, SnapshotPort, Target
from hyperkit.errors import AlreadyExists, Busy, HyperkitError, InvalidState, NotFound, ResourceExhausted, Unsupported
from hyperkit.jobs import Job
from hyperkit.records import SnapshotRecord, VMRecord
from hyperkit.specs import DiskSpec, SnapshotSpec, VMChange, VMSpec
from hyperkit.states import PowerAction, PowerState
from hyperkit.units import MiB
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import open as open_libvirt  # noqa: E402
from hyperkit.backends.libvirt.connection import Connection  # noqa: E402
from hyperkit.backends.libvirt.snapshot_xml import decoded, new_id  # noqa: E402

T = TypeVar("T")
needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))
OFF, RUNNING, PAUSED, SUSPENDED = PowerState.OFF, PowerState.RUNNING, PowerState.PAUSED, PowerState.SUSPENDED


def done(result: T | Job[T]) -> T:
    """The result, whether the port was done at once or not."""
    if not isinstance(result, Job):
        return result
    while not (status := result.poll()).done:
        result.wait(10, SystemClock())
    if status.error:
        raise status.error
    return status.result  # type: ignore[return-value]


def tags(path: str) -> list[str]:
    """The snapshots that are in a qcow2 file, without the random part of their names."""
    listed = subprocess.run(["qemu-img", "snapshot", "-U", "-l", path], capture_output=True, text=True, check=True)
    return [line.split()[1].split("~")[0] for line in listed.stdout.splitlines()[2:]]


def write(path: str, pattern: int) -> None:
    subprocess.run(["qemu-io", "-c", f"write -P {pattern} 0 64k", path], capture_output=True, check=True)


def holds(path: str, pattern: int) -> bool:
    command = ["qemu-io", "-r", "-U", "-c", f"read -P {pattern} 0 64k", path]
    return b"failed" not in subprocess.run(command, capture_output=True, check=True).stdout


class VM:
    """One VM with two disks, and the calls on it."""

    def __init__(self, driver: Driver, **fields: Any) -> None:
        self.driver = driver
        fields.setdefault("disks", [DiskSpec(size=8 * MiB), DiskSpec(size=8 * MiB)])
        self.record = done(driver.vms.create(VMSpec("snap", memory=32 * MiB, notes="old", **fields)))
        self.id = self.record.id
        self.paths = [disk.path for disk in self.record.disks]

    @property
    def port(self) -> SnapshotPort:
        assert self.driver.snapshots is not None
        return self.driver.snapshots

    @property
    def now(self) -> VMRecord:
        return self.driver.vms.get(self.id)

    def power(self, action: str) -> None:
        done(self.driver.vms.set_power(self.id, PowerAction(action)))

    def take(self, name: str, memory: bool = False, description: str = "") -> SnapshotRecord:
        return done(self.port.create(self.id, SnapshotSpec(name, description, memory)))

    def revert(self, snapshot: SnapshotRecord) -> VMRecord:
        return done(self.port.revert(self.id, snapshot.id))

    def delete(self, snapshot: SnapshotRecord, children: bool = False) -> None:
        done(self.port.delete(self.id, snapshot.id, children))

    def tree(self) -> dict[str, str | None]:
        """By name, the name of the parent."""
        listed = self.port.list(self.id)
        names = {each.id: each.name for each in listed}
        return {each.name: each.parent_id and names[each.parent_id] for each in listed}

    def current(self) -> str | None:
        return next((each.name for each in self.port.list(self.id) if each.current), None)

    def destroy(self) -> None:
        if self.now.state in (RUNNING, PAUSED):
            self.power("stop")
        self.driver.vms.delete(self.id, [path for path in self.paths if Path(path).exists()])


@pytest.fixture(scope="module")
def host() -> Iterator[LibvirtHost]:
    with LibvirtHost() as host:
        yield host


@pytest.fixture(scope="module")
def driver(host: LibvirtHost) -> Iterator[Driver]:
    driver = open_libvirt(Target(url=host.uri, scheme="qemu+unix"))
    yield driver
    driver.close()


@pytest.fixture
def vm(driver: Driver) -> Iterator[VM]:
    vm = VM(driver)
    yield vm
    vm.destroy()


@needs_bed
class TestCreate:
    def test_off(self, vm: VM) -> None:
        first = vm.take("first", description="text <&> \n more")
        assert (first.name, first.description, first.parent_id) == ("first", "text <&> \n more", None)
        assert (first.state, first.memory, first.current, first.vm_id) == (OFF, False, True, vm.id)
        assert abs(datetime.now(UTC) - first.created) < timedelta(seconds=30)
        second = vm.take("second")
        assert second.parent_id == first.id
        listed = vm.port.list(vm.id)
        assert listed[1] == second
        assert [each.current for each in listed] == [False, True]
        assert [tags(path) for path in vm.paths] == [["first", "second"]] * 2

    def test_running_and_paused(self, vm: VM) -> None:
        vm.power("start")
        running = vm.take("running", memory=True)
        assert (running.state, running.memory) == (RUNNING, True)
        assert vm.now.state is RUNNING
        vm.power("pause")
        paused = vm.take("paused", memory=True)
        assert (paused.state, paused.memory) == (PAUSED, True)
        assert vm.now.state is PAUSED
        assert [tags(path) for path in vm.paths] == [["running", "paused"]] * 2

    def test_taken(self, vm: VM) -> None:
        vm.take("same")
        with pytest.raises(AlreadyExists, match="same"):
            vm.take("same")
        assert tags(vm.paths[0]) == ["same"]

    def test_two_at_once_with_one_name(self, vm: VM, host: LibvirtHost) -> None:
        """Whoever comes second finds the first one's, although both have looked before either began."""
        connection = Connection(Target(url=host.uri, scheme="qemu+unix"))
        with connection.editing(vm.id):
            both = [vm.port.create(vm.id, SnapshotSpec("same")) for _ in range(2)]
        connection.close()
        said: list[str] = []
        for each in both:
            try:
                said.append(done(each).name)
            except AlreadyExists as error:
                said.append(str(error))
        assert sorted(said) == ["VM 'snap' has a snapshot called 'same' already", "same"]
        assert tags(vm.paths[0]) == ["same"]

    def test_memory_of_a_vm_that_is_off(self, vm: VM) -> None:
        with pytest.raises(InvalidState):
            vm.take("off", memory=True)

    def test_suspended(self, vm: VM) -> None:
        vm.power("start")
        vm.power("suspend")
        with pytest.raises(InvalidState, match="suspended"):
            vm.take("suspended")
        assert vm.now.state is SUSPENDED
        assert vm.tree() == {}

    def test_no_disk(self, driver: Driver) -> None:
        vm = VM(driver, disks=[])
        try:
            with pytest.raises(Unsupported, match="no disk that could be written to"):
                vm.take("no")
        finally:
            vm.destroy()

    def test_cdrom_and_read_only_disks_do_not_matter(self, driver: Driver, tmp_path: Path) -> None:
        iso = tmp_path / "cd.iso"
        iso.write_bytes(b"\0" * 65536)
        base = tmp_path / "base.raw"
        base.write_bytes(b"\0" * MiB)
        disks = [DiskSpec(size=8 * MiB), DiskSpec(path=str(base), read_only=True)]
        vm = VM(driver, disks=disks, iso=str(iso))
        try:
            off = vm.take("off")
            vm.power("start")
            vm.take("running", memory=True)
            assert vm.revert(off).state is OFF
        finally:
            vm.destroy()

    def test_half_made(self, vm: VM) -> None:
        Path(vm.paths[1]).rename(vm.paths[1] + ".away")
        with pytest.raises(libvirt.libvirtError):
            vm.take("half")
        Path(vm.paths[1] + ".away").rename(vm.paths[1])
        assert vm.tree() == {}
        assert [tags(path) for path in vm.paths] == [[], []]

    def test_disk_full(self, driver: Driver, host: LibvirtHost) -> None:
        host.run("mkdir", "-p", f"{host.home}/small")
        host.run("mount", "-t", "tmpfs", "-o", "size=1m", "small", f"{host.home}/small")
        path = f"{host.home}/small/d.qcow2"
        host.run("qemu-img", "create", "-qf", "qcow2", path, "8M")
        vm = VM(driver, disks=[DiskSpec(path=path), DiskSpec(size=8 * MiB)])
        try:
            vm.power("start")
            host.run("sh", "-c", f"head -c 700k /dev/zero >{host.home}/small/rest")
            with pytest.raises(ResourceExhausted, match="full"):
                vm.take("full", memory=True)
            assert vm.tree() == {}
            assert vm.now.state is RUNNING
            assert tags(vm.paths[1]) == []
            assert "full" not in host.run("qemu-img", "snapshot", "-U", "-l", path)
        finally:
            vm.destroy()


@needs_bed
class TestNames:
    @pytest.mark.parametrize("name", ["1", "007", ".hidden", "#5", "##.", "#", "ünï cödé", "a;b $(c) 'd", "x" * 80])
    def test_are_kept(self, vm: VM, name: str) -> None:
        if "'" in name:  # refused by the spec
            name = name.replace("'", "")
        snapshot = vm.take(name)
        assert snapshot.name == name
        assert vm.port.list(vm.id) == [snapshot]
        vm.revert(snapshot)
        vm.delete(snapshot)
        assert vm.tree() == {}
        assert tags(vm.paths[0]) == []

    def test_a_number_is_not_taken_for_the_id_of_another(self, vm: VM) -> None:
        vm.take("first")  # its id in the image is 1, and so on
        write(vm.paths[0], 7)
        two, one = vm.take("3"), vm.take("1")
        write(vm.paths[0], 9)
        vm.take("last")
        for snapshot in (two, one):
            vm.revert(snapshot)
            assert holds(vm.paths[0], 7)

    def test_a_number_given_by_others(self, vm: VM, driver: Driver) -> None:
        native: Any = driver.native()
        native.lookupByUUIDString(vm.id).snapshotCreateXML("<domainsnapshot><name>2</name></domainsnapshot>", 0)
        (snapshot,) = vm.port.list(vm.id)
        assert (snapshot.id, snapshot.name) == ("2", "2")
        with pytest.raises(Unsupported, match="qemu-img snapshot -l"):
            vm.revert(snapshot)
        vm.delete(snapshot)
        assert tags(vm.paths[0]) == []


@needs_bed
class TestRevert:
    def test_between_all_states(self, vm: VM) -> None:
        off = vm.take("off")
        vm.power("start")
        running = vm.take("running", memory=True)
        vm.power("pause")
        paused = vm.take("paused", memory=True)
        for target in (off, running, paused, running, off, paused, off):
            record = vm.revert(target)
            assert record == vm.now
            assert record.state is target.state
            assert vm.current() == target.name
        assert vm.tree() == {"off": None, "running": "off", "paused": "running"}
        vm.take("next")
        assert vm.tree()["next"] == "off"

    def test_suspended(self, vm: VM, driver: Driver) -> None:
        off = vm.take("off")
        vm.power("start")
        running = vm.take("running", memory=True)
        native: Any = driver.native()
        for target in (off, running):
            if vm.now.state is OFF:
                vm.power("start")
            vm.power("suspend")
            assert vm.now.state is SUSPENDED
            assert vm.revert(target).state is target.state
            assert not native.lookupByUUIDString(vm.id).hasManagedSaveImage(0)

    def test_disks(self, vm: VM) -> None:
        write(vm.paths[1], 1)
        first = vm.take("first")
        write(vm.paths[1], 2)
        second = vm.take("second")
        write(vm.paths[1], 3)
        vm.revert(first)
        assert holds(vm.paths[1], 1)
        vm.revert(second)
        assert holds(vm.paths[1], 2)

    def test_configuration(self, vm: VM) -> None:
        first = vm.take("first")
        vm.driver.vms.configure(vm.id, VMChange(cpus=2, max_cpus=2, memory=64 * MiB, max_memory=64 * MiB, notes="new"))
        record = vm.revert(first)
        assert (record.cpus, record.memory, record.notes) == (1, 32 * MiB, "new")
        assert record == vm.now
        assert [disk.created for disk in record.disks] == [True, True]

    def test_a_disk_is_gone(self, vm: VM) -> None:
        write(vm.paths[0], 1)
        off = vm.take("off")
        vm.power("start")
        running = vm.take("running", memory=True)
        Path(vm.paths[1]).rename(vm.paths[1] + ".away")
        for snapshot in (off, running):
            with pytest.raises(NotFound, match=vm.paths[1]):
                vm.revert(snapshot)
        assert vm.now.state is RUNNING
        Path(vm.paths[1] + ".away").rename(vm.paths[1])


@needs_bed
class TestOthers:
    """Images that other VMs had, or lie on."""

    @pytest.fixture
    def second(self, driver: Driver, tmp_path: Path) -> Iterator[VM]:
        """Another VM with the disk of one that had a snapshot of it, and is gone."""
        path = str(tmp_path / "disk.qcow2")
        subprocess.run(["qemu-img", "create", "-qf", "qcow2", path, "8M"], check=True)
        first = VM(driver, disks=[DiskSpec(path=path)])
        write(path, 1)
        first.take("clean")
        driver.vms.delete(first.id, [])
        second = VM(driver, disks=[DiskSpec(path=path)])
        yield second
        second.destroy()

    def test_a_snapshot_that_an_image_has_already_is_not_taken_for_ours(self, second: VM) -> None:
        (path,) = second.paths
        write(path, 2)
        clean = second.take("clean")
        assert tags(path) == ["clean", "clean"]
        write(path, 3)
        second.revert(clean)
        assert holds(path, 2)
        second.delete(clean)
        assert tags(path) == ["clean"]
        command = ["qemu-img", "snapshot", "-a", "1", path]  # that of the VM that is gone
        subprocess.run(command, check=True)
        assert holds(path, 1)

    def test_a_running_vms_snapshot_neither(self, second: VM) -> None:
        (path,) = second.paths
        write(path, 2)
        second.power("start")
        clean = second.take("clean", memory=True)
        assert tags(path) == ["clean", "clean"]
        second.power("stop")
        write(path, 3)
        second.revert(clean)
        second.power("stop")
        assert holds(path, 2)

    @pytest.mark.parametrize("how", ["in a pool", "in none", "by others"])
    def test_what_somebody_lies_on_is_not_reverted(self, vm: VM, driver: Driver, tmp_path: Path, how: str) -> None:
        path = vm.paths[0]
        write(path, 1)
        first = vm.take("first")
        write(path, 2)
        child = str(tmp_path / "child.qcow2") if how == "in none" else str(Path(path).with_name("child.qcow2"))
        command = ["qemu-img", "create", "-qf", "qcow2", "-b", path, "-F", "qcow2", child]
        clone: VMRecord | None = None
        if how == "in a pool":
            clone = done(driver.vms.create(VMSpec("clone", memory=32 * MiB, disks=[DiskSpec(base=path)])))
            child = clone.disks[0].path
        else:
            subprocess.run(command, check=True)
            if how == "in none":
                clone = done(driver.vms.create(VMSpec("clone", memory=32 * MiB, disks=[DiskSpec(path=child)])))
        with pytest.raises(Busy, match=r"base of.*whose content would change"):
            vm.revert(first)
        assert holds(child, 2)
        if clone is not None:
            driver.vms.delete(clone.id, [])
        Path(child).unlink()
        vm.revert(first)
        assert holds(path, 1)


@needs_bed
class TestDelete:
    def test_a_disk_that_the_running_vm_lacks(self, vm: VM, host: LibvirtHost) -> None:
        """libvirtd would die of it."""
        old = vm.take("old")
        vm.driver.disks.detach(vm.id, vm.now.disks[1].id)
        vm.power("start")
        for children in (False, True):
            with pytest.raises(InvalidState, match="does not have any more; stop the VM first"):
                vm.delete(old, children)
        with closing(libvirt.open(host.uri)) as connection:
            assert connection.lookupByUUIDString(vm.id).isActive()
        vm.power("stop")
        vm.delete(old)
        assert vm.tree() == {}

    def family(self, vm: VM) -> dict[str, SnapshotRecord]:
        """a - b - c, and d below b too."""
        found = {name: vm.take(name) for name in ("a", "b", "c")}
        vm.revert(found["b"])
        return {**found, "d": vm.take("d")}

    @pytest.mark.parametrize("running", [False, True])
    def test_one(self, vm: VM, running: bool) -> None:
        family = self.family(vm)
        if running:
            vm.power("start")
        vm.delete(family["b"])
        assert vm.tree() == {"a": None, "c": "a", "d": "a"}
        assert vm.current() == "d"
        vm.delete(family["d"])
        assert vm.current() == "a"
        assert [sorted(tags(path)) for path in vm.paths] == [["a", "c"]] * 2
        assert vm.now.state is (RUNNING if running else OFF)
        vm.delete(family["a"])
        assert vm.tree() == {"c": None}
        assert vm.current() is None

    def test_children(self, vm: VM) -> None:
        family = self.family(vm)
        vm.delete(family["b"], children=True)
        assert vm.tree() == {"a": None}
        assert vm.current() == "a"
        assert [tags(path) for path in vm.paths] == [["a"]] * 2

    def test_of_a_disk_that_is_detached(self, vm: VM) -> None:
        first, second = vm.take("first"), vm.take("second")
        vm.driver.disks.detach(vm.id, "vdb")
        third = vm.take("third")
        vm.delete(first)
        assert vm.tree() == {"second": None, "third": "second"}
        assert vm.current() == "third"
        assert [sorted(tags(path)) for path in vm.paths] == [["second", "third"], ["second"]]
        assert len(vm.revert(second).disks) == 2
        assert len(vm.revert(third).disks) == 1

    def test_the_tree_below_one_with_a_disk_that_is_detached(self, vm: VM) -> None:
        """Deleting it in one call ends libvirtd 9.0."""
        root, _ = vm.take("root"), vm.take("child")
        vm.driver.disks.detach(vm.id, "vdb")
        vm.take("grandchild")
        vm.delete(root, children=True)
        assert vm.tree() == {}
        assert tags(vm.paths[0]) == []

    def test_not_there(self, vm: VM) -> None:
        for call in (
            lambda: vm.port.delete(vm.id, "nonsense", False), lambda: vm.port.revert(vm.id, "nonsense"),
            lambda: vm.port.list("00000000-0000-0000-0000-000000000001"),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                call()


def test_a_name_in_libvirt_tells_the_label_and_is_nobody_elses() -> None:
    names = ["1", "#1", ".", "#.", "..", "##.", "a", "#a", "#", "a~1234abcd", "~1234abcd", "\N{ARABIC-INDIC DIGIT ONE}"]
    assert [decoded(new_id(name)) for name in names] == names
    assert len({new_id("same") for _ in range(100)}) == 100
    assert not any(new_id(name).startswith(".") or new_id(name).isdecimal() for name in names)
    assert [decoded(name) for name in ("theirs", "#1", "1", "x~12")] == ["theirs", "#1", "1", "x~12"]


def test_on_the_test_driver() -> None:
    driver = open_libvirt(Target(url="test:///default", scheme="test"))
    (record,) = driver.vms.list()
    port = driver.snapshots
    assert port is not None
    first = done(port.create(record.id, SnapshotSpec("first", memory=True)))
    second = done(port.create(record.id, SnapshotSpec("second", memory=True)))
    assert [(each.name, each.parent_id) for each in port.list(record.id)] == [("first", None), ("second", first.id)]
    assert done(port.revert(record.id, first.id)).state is RUNNING
    done(port.delete(record.id, first.id, False))
    assert [(each.name, each.parent_id) for each in port.list(record.id)] == [("second", None)]
    done(port.delete(record.id, second.id, True))
    with pytest.raises(HyperkitError):
        port.revert(record.id, second.id)
