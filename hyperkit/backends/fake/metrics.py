"""Counters of the fake's VMs."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.fake.world import Machine, World
from hyperkit.metrics import MetricsRecord


class FakeMetrics:
    """See `hyperkit.driver.MetricsPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def read(self, vm_ids: Sequence[str] | None) -> Sequence[MetricsRecord]:
        world = self._world
        with world.lock:
            world.settle()
            asked = world.machines if vm_ids is None else vm_ids
            return [measure(world, world.machines[vm_id]) for vm_id in asked if vm_id in world.machines]


def measure(world: World, machine: Machine) -> MetricsRecord:
    """What a VM has used by now."""
    machine.activity.go_on(machine.record, world.clock.monotonic())
    return machine.activity.reading(machine.record, world.now())
