"""What several tests say: what they ask a host for, as far as it is able, and how often they look."""

from __future__ import annotations

from collections.abc import Iterator

from hyperkit.capabilities import Capabilities
from hyperkit.specs import Allocation, DiskSpec
from hyperkit.specs.isolation import AclRule, IsolationPolicy
from hyperkit.testing.beds import Bed
from hyperkit.units import MiB
from hyperkit.vm import VM

ANY_SWITCH = "switch_private|switch_internal|switch_external"
ANY_BASE = "linked_disks|copied_disks"
RUNNING_SNAPSHOT = "snapshot_memory|snapshot_running_disks"
CPU_ALLOCATION = "cpu_reservation|cpu_limit|cpu_shares"
MEMORY_ALLOCATION = "memory_reservation|memory_limit|memory_shares"
ALLOCATION = f"{CPU_ALLOCATION}|{MEMORY_ALLOCATION}"

ANY_SWITCH_POLICY = "switch_spoof_guard|switch_promiscuous"
ANY_POLICY = "nic_spoof_guard|nic_dhcp_guard|nic_router_guard|nic_isolation|nic_promiscuous|nic_acl"


def policies(able: Capabilities) -> tuple[IsolationPolicy, IsolationPolicy]:
    """A policy with as much in it as a host has, and one with something else in each part."""
    acl = (
        AclRule("allow", "out", "tcp", remote="192.0.2.0/24", port=443),
        AclRule("deny", "out", remote="2001:db8::/32"),
        AclRule("deny", "in", "icmp"),
    )
    one = IsolationPolicy(
        spoof_guard=able.nic_spoof_guard,
        addresses=("192.0.2.10", "2001:db8::10") if able.nic_address_guard else (),
        dhcp_guard=able.nic_dhcp_guard,
        router_guard=able.nic_router_guard,
        isolated=able.nic_isolation,
        promiscuous=able.nic_promiscuous,
        rules=acl if able.nic_acl else (),
    )
    return one, IsolationPolicy(
        spoof_guard=able.nic_spoof_guard and (able.nic_address_guard or able.nic_acl),
        rules=acl[::-1] if able.nic_acl else (),
    )


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


def tags(bed: Bed, *words: str) -> tuple[str, ...]:
    """Tags, where the host keeps them."""
    return words if bed.host.capabilities.tags else ()


def delete_volume(bed: Bed, path: str) -> None:
    """Delete an image that no VM has."""
    for store in bed.host.datastores:
        for volume in store.volumes.find(path=path):
            volume.delete()
