"""Many threads that work one host at once, each on VMs of its own, and know afterwards what must be there."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import attrs

from hyperkit import VM, DiskSpec, Host, MiB, NicSpec, PowerState

THREADS = 8
SMALL = 16 * MiB


@attrs.define
class Expected:
    """What a worker knows of one of its VMs."""

    vm: VM
    cpus: int = 1
    notes: str = ""
    state: PowerState = PowerState.OFF
    disks: int = 1
    nics: int = 0
    snapshots: set[str] = attrs.field(factory=set)

    def check(self, vm: VM) -> None:
        """The VM is as it was left."""
        assert (vm.cpus, vm.record.notes, vm.state) == (self.cpus, self.notes, self.state), vm.name
        assert (len(vm.disks), len(vm.nics)) == (self.disks, self.nics), vm.name
        assert {snapshot.name for snapshot in vm.snapshots} == self.snapshots, vm.name


class Worker:
    """One thread's work; every step checks its own result."""

    def __init__(self, host: Host, number: int, *, power: bool) -> None:
        self._host = host
        self._name = f"worker{number}"
        self._random = random.Random(number)
        self._made = 0
        self.ledger: dict[str, Expected] = {}
        self._steps: list[Callable[[Expected], None]] = [
            self.configure, self.attach, self.detach, self.plug, self.snapshot, self.forget, self.look, self.delete,
        ]  # fmt: skip
        if power:
            self._steps += [self.start, self.stop]

    def step(self) -> None:
        """Do one thing."""
        if len(self.ledger) < 2 or (len(self.ledger) < 4 and self._random.random() < 0.2):
            self.create()
        else:
            self._random.choice(self._steps)(self._random.choice(list(self.ledger.values())))

    def create(self) -> None:
        self._made += 1
        name = f"{self._name}-{self._made}"
        vm = self._host.vms.create(name, memory=SMALL, disks=[DiskSpec(size=MiB)])
        self.ledger[name] = Expected(vm)
        self.ledger[name].check(self._host.vms.one(name))

    def configure(self, one: Expected) -> None:
        self.stop(one)
        one.cpus, one.notes = self._random.randint(1, 4), str(self._random.random())
        one.vm.configure(cpus=one.cpus, notes=one.notes)
        one.check(one.vm)

    def attach(self, one: Expected) -> None:
        if one.disks < 4 and not one.snapshots and one.state is PowerState.OFF:
            disk = one.vm.disks.attach(DiskSpec(size=MiB))
            one.disks += 1
            assert disk.path in {each.path for each in one.vm.refresh().disks}

    def detach(self, one: Expected) -> None:
        if one.disks > 1 and not one.snapshots and one.state is PowerState.OFF:
            one.vm.disks[-1].detach(delete=True)
            one.disks -= 1
            one.check(one.vm.refresh())

    def plug(self, one: Expected) -> None:
        if one.nics < 3 and not one.snapshots and one.state is PowerState.OFF:
            one.vm.nics.attach(NicSpec())
            one.nics += 1
            one.check(one.vm.refresh())

    def snapshot(self, one: Expected) -> None:
        if len(one.snapshots) < 2 and one.state is PowerState.OFF:
            name = f"snap{self._random.random()}"
            one.vm.snapshots.create(name)
            one.snapshots.add(name)
            one.check(one.vm)

    def forget(self, one: Expected) -> None:
        if one.snapshots and one.state is PowerState.OFF:
            name = one.snapshots.pop()
            one.vm.snapshots.one(name).delete()
            one.check(one.vm)

    def start(self, one: Expected) -> None:
        if one.state is PowerState.OFF and not any(each.state is PowerState.PAUSED for each in self.ledger.values()):
            one.vm.start().pause()
            one.state = PowerState.PAUSED
            one.check(one.vm)

    def stop(self, one: Expected) -> None:
        if one.state is PowerState.PAUSED:
            one.vm.stop()
            one.state = PowerState.OFF
            one.check(one.vm)

    def look(self, _one: Expected) -> None:
        mine = {vm.name: vm for vm in self._host.vms.list() if vm.name.startswith(f"{self._name}-")}
        assert mine.keys() == self.ledger.keys()
        for name, expected in self.ledger.items():
            expected.check(mine[name])

    def delete(self, one: Expected) -> None:
        self.stop(one)
        one.vm.delete()
        del self.ledger[one.vm.name]
        assert one.vm.name not in self._host.vms


def work(host: Host, go_on: Callable[[int], bool], *, power: bool, timeout: float) -> int:
    """Have all threads work while ``go_on(steps so far)``, and compare the host with what they know. Returns steps."""
    workers = [Worker(host, number, power=power) for number in range(THREADS)]

    def run(worker: Worker) -> int:
        steps = 0
        while go_on(steps):
            worker.step()
            steps += 1
        return steps

    with ThreadPoolExecutor(THREADS) as pool:
        done = sum(each.result(timeout) for each in [pool.submit(run, worker) for worker in workers])
    expected = {name: one for worker in workers for name, one in worker.ledger.items()}
    found = {vm.name: vm for vm in host.vms.list()}
    assert found.keys() == expected.keys()
    for name, one in expected.items():
        one.check(found[name])
    disks = {disk.path for vm in found.values() for disk in vm.disks}
    assert len(disks) == sum(one.disks for one in expected.values())
    assert {volume.path for volume in host.datastores.one("default").volumes} == disks
    return done
