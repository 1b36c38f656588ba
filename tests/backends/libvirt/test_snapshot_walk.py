"""Random operations on the snapshots of one VM, on real QEMU, against a model of what is on its disks.

After each step every image is looked at with QEMU's own tools: what the VM has, and what each snapshot holds, is what
was written; each image is whole; and no file is there that nothing needs. ``HYPERKIT_WALK=SEED:STEPS`` walks elsewhere.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest

import hyperkit
from hyperkit import VM, DiskFormat, DiskSpec, Host, MiB, PowerState, Snapshot
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
libvirt_qemu = pytest.importorskip("libvirt_qemu")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

PLACES = (0, 1, 3, 6)
"""Where is written, in MiB: disks are 8 MiB, and grow."""
SEED, STEPS = (int(part) for part in os.environ.get("HYPERKIT_WALK", "7:30").split(":"))

Content = dict[int, int]
"""What is at each place: a byte, repeated; 0 where nothing was written."""


@attrs.define
class Taken:
    """What a snapshot must bring back."""

    parent: str | None
    disks: dict[str, Content]
    sizes: dict[str, int]
    memory: bool
    state: PowerState
    cpus: int
    name: str


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def chain(path: str) -> list[str]:
    """An image and what it lies on, as QEMU opens them."""
    told = json.loads(run("qemu-img", "info", "-U", "--backing-chain", "--output=json", path))
    return [image["filename"] for image in told]


@pytest.fixture
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host


class Walk:
    """A VM, the model of it, and the steps."""

    def __init__(self, host: Host, raw: Any, images: Path, kind: str) -> None:
        self.random = random.Random(SEED)
        self.images, self.external = images, kind == "external"
        self.base = str(images / f"{kind}-base.qcow2")
        run("qemu-img", "create", "-qf", "qcow2", self.base, "8M")
        run("qemu-io", "-c", "write -P 99 0 64k", self.base)
        second = DiskSpec(size=8 * MiB, format=DiskFormat.RAW if self.external else None)
        self.vm: VM = host.vms.create(kind, memory=32 * MiB, disks=[DiskSpec(base=self.base), second])
        self.domain = raw.lookupByUUIDString(self.vm.id)
        self.now: dict[str, Content] = {"vda": {0: 99}, "vdb": {}}
        self.sizes = {"vda": 8, "vdb": 8}
        self.detached: dict[str, tuple[str, Content]] = {}
        self.taken: dict[str, Taken] = {}
        self.current: str | None = None
        self.log: list[str] = []
        self.numbers = iter(range(1, 10_000))

    # Steps

    def step(self) -> None:
        names = ["write", "write", "write", "take", "take", "power", "power", "configure", "grow"]
        if len(self.now) < 4:
            names.append("attach")
        if len(self.now) > 1 and self.vm.state is PowerState.OFF:
            names.append("detach")
        if self.taken:
            names += ["revert", "revert", "delete", "delete", "rename"]
        name = self.random.choice(names)
        self.log.append(name)
        getattr(self, name)()
        self.check()

    def write(self) -> None:
        target, place = self.random.choice(sorted(self.now)), self.random.choice(PLACES)
        value = self.random.randrange(1, 250)
        self.log[-1] += f" {target}[{place}]={value}"
        self.now[target][place] = value
        command = f"write -P {value} {place}M 64k"
        if self.vm.state is PowerState.OFF:
            run("qemu-io", "-f", self.format(target), "-c", command, self.path(target))
        else:
            for each in (command, "flush"):
                device = f"/machine/peripheral/virtio-disk{ord(target[2]) - ord('a')}/virtio-backend"
                line = {"command-line": f'qemu-io -d {device} "{each}"'}
                asked = json.dumps({"execute": "human-monitor-command", "arguments": line})
                told = libvirt_qemu.qemuMonitorCommand(self.domain, asked, 0)
                assert "rror" not in told, told

    def take(self) -> None:
        name, off = f"s{next(self.numbers)}", self.vm.state is PowerState.OFF
        memory = None if off or self.internal else self.random.choice([None, False, False])
        snapshot = self.vm.snapshots.create(name, memory=memory)
        self.log[-1] += f" {name} {'off' if off else 'memory' if snapshot.memory else 'disks'}"
        assert snapshot.memory is (not off and memory is None)
        disks = {target: dict(content) for target, content in self.now.items()}
        self.taken[snapshot.id] = Taken(
            self.current, disks, dict(self.sizes), snapshot.memory, self.vm.state, self.vm.cpus, name
        )
        self.current = snapshot.id

    def revert(self) -> None:
        snapshot, taken = self.any_snapshot()
        before = {target: (self.path(target), self.format(target)) for target in self.now}
        inside = self.internal
        roots = {disk.id: disk.record.files[-1] for disk in self.vm.refresh().disks}
        self.vm = snapshot.revert()
        kept = {disk.record.files[-1] for disk in self.vm.disks}
        for target, (path, form) in before.items():
            if roots[target] not in kept:  # it was attached since
                self.detached[path] = (form, self.now[target])
        if inside:  # the same images, as they were
            for disk in self.vm.disks:
                self.detached.pop(disk.path, None)
        self.sizes = dict(taken.sizes)
        self.now = {target: dict(content) for target, content in taken.disks.items()}
        self.current = snapshot.id
        assert self.vm.state is (taken.state if taken.memory else PowerState.OFF)
        assert self.vm.cpus == taken.cpus

    def delete(self) -> None:
        snapshot, taken = self.any_snapshot()
        children = self.random.random() < 0.3
        self.log[-1] += " and below" if children else ""
        snapshot.delete(children=children)
        doomed = [snapshot.id]
        for each in doomed:
            doomed += [other for other, found in self.taken.items() if children and found.parent == each]
        for each in doomed:
            del self.taken[each]
        for found in self.taken.values():
            found.parent = taken.parent if found.parent == snapshot.id else found.parent
        self.current = taken.parent if self.current in doomed else self.current

    def rename(self) -> None:
        snapshot, taken = self.any_snapshot()
        taken.name = f"r{next(self.numbers)}"
        assert snapshot.rename(taken.name).id == snapshot.id

    def power(self) -> None:
        running = self.vm.state is not PowerState.OFF
        self.log[-1] += " off" if running else " on"
        self.vm.stop() if running else self.vm.start()

    def configure(self) -> None:
        self.vm.configure(notes=f"note {next(self.numbers)}")
        if self.vm.state is PowerState.OFF:
            self.vm.configure(cpus=self.random.randrange(1, 4))

    def grow(self) -> None:
        target = self.random.choice(sorted(self.now))
        self.log[-1] += f" {target}"
        self.sizes[target] += 1
        self.vm.refresh().disks.get(target).resize(self.sizes[target] * MiB)

    def attach(self) -> None:
        target = self.vm.disks.attach(DiskSpec(size=8 * MiB)).id
        self.log[-1] += f" {target}"
        self.now[target], self.sizes[target] = {}, 8

    def detach(self) -> None:
        target = max(self.now)
        self.log[-1] += f" {target}"
        path, form = self.path(target), self.format(target)
        self.vm.refresh().disks.get(target).detach()
        self.detached[path] = (form, self.now.pop(target))
        del self.sizes[target]

    def any_snapshot(self) -> tuple[Snapshot, Taken]:
        snapshot_id = self.random.choice(sorted(self.taken))
        self.log[-1] += f" {snapshot_id}"
        return self.vm.snapshots.get(snapshot_id), self.taken[snapshot_id]

    # Looks, none of them hyperkit's

    @property
    def internal(self) -> bool:
        """Whether the images hold the snapshots; without any, whether the next one would be so in any case."""
        texts = [each.getXMLDesc(0) for each in self.domain.listAllSnapshots(0)]
        return any("snapshot='internal'" in text for text in texts) if texts else not self.external

    def path(self, target: str) -> str:
        return str(self.source(self.domain.XMLDesc(0), "devices", target).get("file"))

    def format(self, target: str) -> str:
        tree = ET.fromstring(self.domain.XMLDesc(0))
        return str(tree.find(f"devices/disk/target[@dev='{target}']/../driver").get("type"))  # type: ignore[union-attr]

    @staticmethod
    def source(text: str, devices: str, target: str) -> ET.Element:
        found = ET.fromstring(text).find(f"{devices}/disk/target[@dev='{target}']/../source")
        assert found is not None
        return found

    def check(self) -> None:
        there = self.vm.snapshots.list()
        assert {s.id: (s.name, s.record.parent_id) for s in there} == {
            key: (taken.name, taken.parent) for key, taken in self.taken.items()
        }
        assert [s.id for s in there if s.current] == ([self.current] if self.current else [])
        needed, tops = {self.base}, []
        for target, content in self.now.items():
            tops.append((self.path(target), self.format(target), content))
            told = json.loads(run("qemu-img", "info", "-U", "--output=json", self.path(target)))
            assert told["virtual-size"] == self.sizes[target] * MiB
        tops += [(path, form, content) for path, (form, content) in self.detached.items()]
        for each in () if self.internal else self.domain.listAllSnapshots(0):
            text, taken = each.getXMLDesc(0), self.taken[each.getName()]
            memory = ET.fromstring(text).find("memory")
            assert memory is not None
            needed |= {memory.get("file", self.base)}
            for target, content in taken.disks.items():
                path = str(self.source(text, "domain/devices", target).get("file"))
                tops.append((path, "qcow2" if path.endswith("qcow2") else "raw", content))
        for path, form, content in tops:
            needed.update(chain(path))
            reads = [f"read -P {content.get(place, 0)} {place}M 64k" for place in PLACES]
            told = run("qemu-io", "-r", "-U", "-f", form, *(word for read in reads for word in ("-c", read)), path)
            assert "verification failed" not in told, f"{path} should hold {content}: {told}"
        assert {str(path) for path in self.images.iterdir()} == needed
        for path in needed:
            if path.endswith(".qcow2") and self.vm.state is PowerState.OFF:
                checking = ["qemu-img", "check", "--output=json", path]
                told = json.loads(subprocess.run(checking, capture_output=True, text=True, check=False).stdout)
                # What leaked is space: QEMU was cut off, as by a power cut.
                assert (told.get("corruptions", 0), told["check-errors"]) == (0, 0), told


@pytest.mark.parametrize("kind", ["external", "internal"])
def test_whatever_is_done_to_snapshots_nothing_is_lost(machine: LibvirtHost, host: Host, kind: str) -> None:
    raw = libvirt.open(machine.uri)
    walk = Walk(host, raw, machine.images, kind)
    try:
        for _ in range(STEPS):
            walk.step()
    except BaseException as error:
        error.add_note(f"seed {SEED}, after: {'; '.join(walk.log)}")
        raise
    if not walk.detached:  # else it may be refused: what was detached is somebody's, with all it lies on
        walk.vm.delete(force=True)
        assert [str(path) for path in machine.images.iterdir()] == [walk.base]
    raw.close()
