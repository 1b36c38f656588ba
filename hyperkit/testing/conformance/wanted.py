"""What several tests say: what they ask a host for, as far as it is able, and how often they look."""

from __future__ import annotations

from collections.abc import Iterator

from hyperkit.capabilities import Capabilities
from hyperkit.specs import Allocation, DiskSpec
from hyperkit.testing.beds import Bed
from hyperkit.units import MiB
from hyperkit.vm import VM

ANY_SWITCH = "switch_private|switch_internal|switch_external"
ANY_BASE = "linked_disks|copied_disks"
RUNNING_SNAPSHOT = "snapshot_memory|snapshot_running_disks"
ALLOCATION = "cpu_reservation|cpu_limit|cpu_shares|memory_reservation|memory_limit|memory_shares"


def allocations(able: Capabilities, *, cpus: int, memory: int) -> tuple[Allocation, Allocation]:
    """As much control of CPU and memory as a host has: half reserved, no more than all, twice the normal weight."""
    cpu = Allocation(
        reservation=cpus * 500 if able.cpu_reservation else 0,
        limit=cpus * 1000 if able.cpu_limit else None,
        shares=200 if able.cpu_shares else 100,
    )
    size = Allocation(
        reservation=memory // 2 if able.memory_reservation else 0,
        limit=memory if able.memory_limit else None,
        shares=200 if able.memory_shares else 100,
    )
    return cpu, size


def now_and_after_a_restart(vm: VM) -> Iterator[None]:
    """Twice: while a VM runs, and when it was switched off and runs again."""
    yield
    vm.stop().start()
    yield


def disks(bed: Bed) -> list[DiskSpec]:
    """A new disk, where the host can give a VM one."""
    return [DiskSpec(size=8 * MiB)] if bed.host.capabilities.disks else []


def notes(bed: Bed, text: str) -> str:
    """Notes, where the host keeps them."""
    return text if bed.host.capabilities.notes else ""


def delete_volume(bed: Bed, path: str) -> None:
    """Delete an image that no VM has."""
    for store in bed.host.datastores:
        for volume in store.volumes.find(path=path):
            volume.delete()
