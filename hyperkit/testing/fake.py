"""A fake host and what only a fake has: seeds, faults, calls, a clock, guests that do as they are told."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import attrs

from hyperkit import checks, connect
from hyperkit.backends.fake import forget
from hyperkit.backends.fake.inside import Inside
from hyperkit.backends.fake.metrics import measure
from hyperkit.backends.fake.world import Machine, World
from hyperkit.capabilities import Capabilities, names
from hyperkit.clock import VirtualClock
from hyperkit.errors import InvalidRequest
from hyperkit.host import Host
from hyperkit.testing.calls import Calls
from hyperkit.testing.faults import Faults
from hyperkit.testing.load import set_counters, set_rates
from hyperkit.testing.mishaps import ask, disk_fails, guest_reboots, job_ends, leave_behind
from hyperkit.testing.seeding import Seed, change_guest, find_machine, seed
from hyperkit.vm import VM

_numbers = itertools.count(1)
_SEEDS = ("vms", "switches", "datastores", "files", "host")


class Fake:
    """The hand that a test has in a fake host, behind the back of the code under test.

    Attributes:
        host: a connection, for the code under test.
        faults: what is to go wrong, on every connection.
        calls: what was asked of the host over any connection, since the last ``calls.clear()``.
        world: everything the host remembers; for what the rest has no word for.
    """

    def __init__(self, *, profile: str = "all", jobs: str = "now", without: Iterable[str] = ()) -> None:
        self.faults = Faults()
        self.calls = Calls()
        self._name = f"test-{next(_numbers)}"
        query = urlencode({"profile": profile, "jobs": jobs}, safe=":")
        self._url = f"fake://{self._name}?{query}"
        self._hosts: list[Host] = []
        with connect(self._url) as first:
            self.world = cast(World, first.native)
        self.world.capabilities = _less(self.world, without)
        self.host = self.connect()
        self.calls.clear()

    def connect(self) -> Host:
        """One more connection to the same host, under the same faults and on the same record of calls."""
        host = connect(self._url, wrap=[self.faults, self.calls])
        self._hosts.append(host)
        return host

    def seed(
        self,
        file: str | Path | None = None,
        *,
        vms: Iterable[Seed] = (),
        switches: Iterable[Seed] = (),
        datastores: Iterable[Seed] = (),
        files: Iterable[Seed] = (),
        host: Mapping[str, Any] | None = None,
    ) -> None:
        """Add to what the host has, all or nothing: see `hyperkit.testing.seed`.

        Args:
            file: a JSON file with an object of the same names; the arguments come on top of it.

        Raises:
            InvalidRequest: an unknown key, or a value that no spec accepts; the error says where.
        """
        with self.world.all_or_nothing():
            if file is not None:
                seed(self.world, **_read(Path(file)))
            seed(self.world, vms=vms, switches=switches, datastores=datastores, files=files, host=host)

    def guest(self, vm: VM | str, **guest: Any) -> None:
        """Change the guest of a VM, given as an object or by name, as a `seed` does; commands and replies add up.

        Raises:
            InvalidRequest: an unknown key or an unacceptable value, or the VM has nothing to boot.
            NotFound: no such VM.
        """
        change_guest(self.world, vm.id if isinstance(vm, VM) else vm, guest)

    def inside(self, vm: VM | str) -> Inside:
        """What is inside a VM: what was typed and heard there, and a way to write to its serial port (`Inside.say`).

        Raises:
            NotFound: no such VM.
        """
        return self.world.machine(vm.id if isinstance(vm, VM) else self.host.vms.one(name=vm).id).inside

    def load(self, vm: VM | str, **rates: float) -> None:
        """Let a VM, given as an object or by name, do so much in each second that it runs, from now on.

        Args:
            rates: ``cpu_seconds`` of the VM; ``read_bytes`` and the other counters of `DiskMetrics` of each disk;
                ``rx_bytes`` and the other counters of `NicMetrics` of each NIC that has a link to a switch.

        Raises:
            InvalidRequest: no such counter, or a number below zero.
            NotFound: no such VM.
        """
        with self._machine(vm) as machine:
            set_rates(machine, rates)

    def counters(self, vm: VM | str, device: str = "", **counters: float) -> None:
        """Let the counters of a VM that runs, given as an object or by name, show this now.

        Args:
            device: a disk's, drive's or NIC's id; the VM itself has ``cpu_seconds``, ``memory_used`` and
                ``memory_resident``.

        Raises:
            InvalidRequest: no such device or counter, a number below zero, or the VM does not run.
            NotFound: no such VM.
        """
        with self._machine(vm) as machine:
            set_counters(machine, device, counters)

    def reboot(self, vm: VM | str) -> None:
        """Let the guest of a VM that runs, given as an object or by name, reboot by itself.

        Raises:
            InvalidRequest: the VM does not run.
            NotFound: no such VM.
        """
        with self._machine(vm) as machine:
            guest_reboots(self.world, machine)

    def fail_disk(self, vm: VM | str, disk: str, *, paused: bool = True, full: bool = False) -> None:
        """Let the host fail to read or write a disk of a VM that runs, given as an object or by name.

        Args:
            disk: the disk's or drive's id.
            paused: the host pauses the VM; else its guest gets the error.
            full: the reason is that there is no room left.

        Raises:
            InvalidRequest: the VM does not run, or has no such disk.
            NotFound: no such VM.
        """
        with self._machine(vm) as machine:
            disk_fails(self.world, machine, disk, paused=paused, full=full)

    def ask(self, vm: VM | str, text: str, choices: Mapping[str, str], *, default: str | None = None) -> None:
        """Let the host ask something of a VM that runs, given as an object or by name: see `VM.answer`.

        Args:
            text: the question.
            choices: the answers there are, each with what people call it: ``{"0": "Cancel", "1": "Retry"}``.
            default: the one that the host proposes.

        Raises:
            InvalidRequest: the VM does not run, there are no choices, or the default is none of them.
            Unsupported: VMs of this profile ask nothing.
            NotFound: no such VM.
        """
        self._must("questions")
        with self._machine(vm) as machine:
            ask(self.world, machine, text, choices, default)

    def leave_behind(self, vm: VM | str) -> None:
        """Let a deleted snapshot of a VM, given as an object or by name, leave files behind: see `VM.consolidate`.

        Raises:
            Unsupported: on a host of this profile, none does.
            NotFound: no such VM.
        """
        self._must("snapshot_consolidation")
        with self._machine(vm) as machine:
            leave_behind(self.world, machine)

    def _must(self, capability: str) -> None:
        able = self.world.capabilities
        if not getattr(able, capability):
            able.refuse(capability, self._url)

    def end_job(self, vm: VM | str, job: str, error: str | None = None) -> None:
        """Let work end that the host did on a VM, given as an object or by name: ``backup``, say.

        Raises:
            NotFound: no such VM.
        """
        with self._machine(vm) as machine:
            job_ends(self.world, machine, job, error)

    @contextmanager
    def _machine(self, vm: VM | str) -> Iterator[Machine]:
        """A VM whose counters are up to now."""
        with self.world.lock:
            machine = find_machine(self.world, vm.id if isinstance(vm, VM) else vm)
            measure(self.world, machine)
            yield machine

    @property
    def clock(self) -> VirtualClock:
        """The host's time: ``clock.advance(60)``. It also passes whenever code under test waits."""
        return cast(VirtualClock, self.world.clock)

    def close(self) -> None:
        """End every connection, and forget the host."""
        for host in self._hosts:
            host.close()
        forget(self._name)

    def __repr__(self) -> str:
        return f"<Fake {self._url} {len(self.world.machines)} VMs, {len(self.calls)} calls>"


@contextmanager
def fake_host(*, profile: str = "all", jobs: str = "now", without: Iterable[str] = ()) -> Iterator[Fake]:
    """A fake host for the length of a ``with``; its `Fake.host` is an ordinary `Host`.

    Args:
        profile: ``all``, or ``libvirt``, ``esxi``, ``vcenter``, ``hyperv`` or ``lxc`` for their capabilities and rules
            of naming.
        jobs: when slow verbs end: ``now``, ``polls:3`` (at the third look) or ``seconds:2.5`` (of its clock).
        without: capabilities that it lacks besides: ``["snapshots"]``.

    Raises:
        InvalidRequest: a value that none of these takes; the error names those it does.
    """
    fake = Fake(profile=profile, jobs=jobs, without=without)
    try:
        yield fake
    finally:
        fake.close()


def _less(world: World, without: Iterable[str]) -> Capabilities:
    if isinstance(without, str):
        checks.refuse("without", without, "a list of capabilities")
    lacking = tuple(without)
    for name in lacking:
        if name not in names():
            checks.refuse("without", name, f"one of {', '.join(names())}")
    less: dict[str, Any] = dict.fromkeys(lacking, False)
    return attrs.evolve(world.capabilities, why=dict.fromkeys(lacking, "this test takes it away"), **less)


def _read(path: Path) -> dict[str, Any]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        checks.refuse("file", str(path), "a JSON object")
    for name in data:
        if name not in _SEEDS:
            raise InvalidRequest(f"{path} has {name!r}; a seed has {', '.join(_SEEDS)}", field=name, value=data[name])
    return data
