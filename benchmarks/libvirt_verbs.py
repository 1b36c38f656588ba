"""Start, pause, resume and stop a real QEMU: hyperkit's verbs / the four calls of the bare binding.

Both work on the same domain, in turns, each over a connection of its own. hyperkit's verbs read the VM's state before
they act and after; the bare calls do neither, so that the ratio is what that costs. After each verb the domain is
looked at over a third connection, off the clock, and must be in the state that the verb leads to.

The medians of each verb are told on standard error. Pause and resume take a few milliseconds and scatter by as many,
since the guest's firmware keeps its QEMU busy: by themselves they say little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any

import hyperkit
from benchmarks.harness import Benchmark, BenchmarkFailed, Row, alternate, median, say, scaled
from benchmarks.libvirt_bed import libvirt_bed
from benchmarks.rpc_proxy import RpcProxy

_ROUNDS = 40
_NAME = "guest"
_STATES = {"start": 1, "pause": 3, "resume": 1, "stop": 5}
"""What each verb leads to, in libvirt's numbers: VIR_DOMAIN_RUNNING, PAUSED and SHUTOFF."""

Verbs = Mapping[str, Callable[[], object]]


def hyperkit_verbs(host: hyperkit.Host) -> Verbs:
    """The four of hyperkit, in order."""
    vm = host.vms.one(name=_NAME)
    return {"start": vm.start, "pause": vm.pause, "resume": vm.resume, "stop": vm.stop}


def bare_verbs(connection: Any) -> Verbs:
    """The four of libvirt, under the same names."""
    domain = connection.lookupByName(_NAME)
    return {"start": domain.create, "pause": domain.suspend, "resume": domain.resume, "stop": domain.destroy}


def cycle(verbs: Verbs, look: Callable[[], int], spent: dict[str, list[float]]) -> float:
    """Do them all once; returns the time they took together, without the looks in between.

    Raises:
        BenchmarkFailed: after a verb the domain is not in the state it leads to.
    """
    total = 0.0
    for name, verb in verbs.items():
        started = time.perf_counter()
        verb()
        took = time.perf_counter() - started
        if (state := look()) != _STATES[name]:
            raise BenchmarkFailed(f"after {name} the domain is in libvirt's state {state}, not {_STATES[name]}")
        total += took
        spent.setdefault(name, []).append(took)
    return total


def run(scale: float) -> Row:
    """Measure, in milliseconds for all four."""
    ours_each: dict[str, list[float]] = {}
    other_each: dict[str, list[float]] = {}
    with libvirt_bed() as bed:
        domain = bed.define(_NAME)

        def look() -> int:
            state: int = domain.state()[0]
            return state

        with hyperkit.connect(bed.uri) as host, closing(bed.libvirt.open(bed.uri)) as connection:
            ours, other = alternate(
                partial(cycle, hyperkit_verbs(host), look, ours_each),
                partial(cycle, bare_verbs(connection), look, other_each),
                rounds=scaled(_ROUNDS, scale, least=2),
            )
        with RpcProxy(bed.socket) as proxy:
            with hyperkit.connect(proxy.uri) as host:
                trips = {"hyperkit": proxy.count(partial(cycle, hyperkit_verbs(host), look, {}))}
            with closing(bed.libvirt.open(proxy.uri)) as connection:
                trips["other"] = proxy.count(partial(cycle, bare_verbs(connection), look, {}))
    for name, times in ours_each.items():
        mine, theirs = median(times) * 1e3, median(other_each[name]) * 1e3
        say(f"libvirt-verbs: {name:6} {mine:8.2f} ms / {theirs:8.2f} ms = {mine / theirs:.3f}")
    return Row.of(
        "libvirt-verbs", "ms/cycle", median(ours) * 1e3, median(other) * 1e3, "libvirt-python's bare calls", trips
    )


BENCHMARK = Benchmark(
    "libvirt-verbs",
    "start, pause, resume and stop a QEMU guest / the same by libvirt-python's bare calls",
    run,
    most=1.05,
)
