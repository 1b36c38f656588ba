"""The life of a VM in a simulated vCenter: hyperkit's verbs / pyVmomi's calls and `WaitForTask`.

A VM with one disk is made, started, suspended, started again, switched off and deleted with its disk. Both do it in
turns over connections of their own, and each task is waited for: by hyperkit's own way, and by pyVim's `WaitForTask`,
as VMware's samples do. hyperkit looks before each verb and returns the whole record after it, checks names and files,
and remembers which disk it made; the bare calls do none of that. After each verb the VM is looked at off the clock.

The simulator's tasks take no time, so that the rows tell what the clients cost, and the trips what a network adds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import hyperkit
from benchmarks.esxi_inventory import both, trips
from benchmarks.harness import Benchmark, BenchmarkFailed, Row, alternate, median, say, scaled

_ROUNDS = 30
_VMS = 20
"""That are there besides: what the verbs cost does not depend on them."""
_SIZE = hyperkit.GiB
_STORE = "LocalDS_0"
_STATES = {"create": "poweredOff", "start": "poweredOn", "suspend": "suspended", "resume": "poweredOn"} | {
    "stop": "poweredOff"
}
"""What each verb leads to, in vSphere's words."""

Verbs = Mapping[str, Callable[[], object]]


class Ours:
    """A VM's life by hyperkit."""

    def __init__(self, host: hyperkit.Host) -> None:
        self._host = host
        self.vm: Any = None

    def verbs(self) -> Verbs:
        names = {"start": "start", "suspend": "suspend", "resume": "start", "stop": "stop", "delete": "delete"}
        return {"create": self._create, **{name: partial(self._do, verb) for name, verb in names.items()}}

    def _do(self, verb: str) -> None:
        getattr(self.vm, verb)()

    def _create(self) -> None:
        disk = hyperkit.DiskSpec(size=_SIZE, datastore=_STORE)
        self.vm = self._host.vms.create("life", cpus=1, memory=512 * hyperkit.MiB, disks=[disk])


class Bare:
    """A VM's life by pyVmomi."""

    def __init__(self, instance: Any) -> None:
        from pyVim.task import WaitForTask  # noqa: PLC0415 - the rest of the benchmarks runs without
        from pyVmomi import vim  # noqa: PLC0415

        self._vim, self._wait = vim, WaitForTask
        content = instance.RetrieveContent()
        self._folder = content.rootFolder.childEntity[0].vmFolder
        view = content.viewManager.CreateContainerView(content.rootFolder, [vim.ResourcePool], True)
        self._pool = view.view[0]
        view.Destroy()
        self.vm: Any = None

    def verbs(self) -> Verbs:
        return {
            "create": self._create,
            "start": lambda: self._wait(self.vm.PowerOnVM_Task()),
            "suspend": lambda: self._wait(self.vm.SuspendVM_Task()),
            "resume": lambda: self._wait(self.vm.PowerOnVM_Task()),
            "stop": lambda: self._wait(self.vm.PowerOffVM_Task()),
            "delete": lambda: self._wait(self.vm.Destroy_Task()),
        }

    def _create(self) -> None:
        device, change = self._vim.vm.device, self._vim.vm.device.VirtualDeviceSpec
        scsi = device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
        disk = device.VirtualDisk(
            key=-2,
            controllerKey=-1,
            unitNumber=0,
            capacityInKB=_SIZE // 1024,
            backing=device.VirtualDisk.FlatVer2BackingInfo(
                fileName=f"[{_STORE}]", diskMode="persistent", thinProvisioned=True
            ),
        )
        task = self._folder.CreateVM_Task(
            self._vim.vm.ConfigSpec(
                name="life",
                guestId="otherGuest",
                numCPUs=1,
                memoryMB=512,
                files=self._vim.vm.FileInfo(vmPathName=f"[{_STORE}]"),
                deviceChange=[
                    change(operation="add", device=scsi),
                    change(operation="add", fileOperation="create", device=disk),
                ],
            ),
            self._pool,
        )
        self._wait(task)
        self.vm = task.info.result


def life(verbs: Verbs, look: Callable[[], str | None], spent: dict[str, list[float]]) -> float:
    """Do them all once; returns the time they took together, without the looks in between.

    Raises:
        BenchmarkFailed: after a verb the VM is not in the state it leads to.
    """
    total = 0.0
    for name, verb in verbs.items():
        started = time.perf_counter()
        verb()
        took = time.perf_counter() - started
        if (state := look()) != _STATES.get(name):
            raise BenchmarkFailed(f"after {name} the VM is {state}, not {_STATES.get(name)}")
        total += took
        spent.setdefault(name, []).append(took)
    return total


def run(scale: float) -> Row:
    """Measure, in milliseconds for a whole life."""
    ours_each: dict[str, list[float]] = {}
    other_each: dict[str, list[float]] = {}
    with both(_VMS) as (sim, host, reading):
        ours, bare = Ours(host).verbs(), Bare(reading.instance).verbs()
        look = partial(reading.state, "life")
        mine, theirs = alternate(
            partial(life, ours, look, ours_each),
            partial(life, bare, look, other_each),
            rounds=scaled(_ROUNDS, scale, least=2),
        )
        counted = {"hyperkit": trips(sim, partial(_all, ours)), "other": trips(sim, partial(_all, bare))}
    for name, times in ours_each.items():
        a, b = median(times) * 1e3, median(other_each[name]) * 1e3
        say(f"esxi-verbs: {name:7} {a:8.2f} ms / {b:8.2f} ms = {a / b:.3f}")
    return Row.of("esxi-verbs", "ms/life", median(mine) * 1e3, median(theirs) * 1e3, _OTHER, counted)


_OTHER = "pyVmomi's calls, each with pyVim's WaitForTask"


def _all(verbs: Verbs) -> None:
    for verb in verbs.values():
        verb()


BENCHMARK = Benchmark(
    "esxi-verbs",
    "make, start, suspend, resume, stop and delete a VM in a simulated vCenter / the same by pyVmomi and WaitForTask",
    run,
    most=1.05,
)
