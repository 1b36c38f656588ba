"""libvirt's (state, reason) pairs as ours.

Reasons change the meaning: a VM that QEMU paused for an I/O error has a fault. "This enum will increase over
time" says ``libvirt-domain.h`` of both, so a number that is not here is unknown, never off.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import libvirt

from hyperkit.states import PowerState, StateReason

_STATES: Mapping[int, PowerState] = MappingProxyType(
    {
        libvirt.VIR_DOMAIN_NOSTATE: PowerState.UNKNOWN,
        libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
        libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,  # Xen: idle
        libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
        libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,  # being shut down: it still runs
        libvirt.VIR_DOMAIN_SHUTOFF: PowerState.OFF,
        libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
        libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.SLEEPING,
    }
)

# By number, since a reason newer than the binding at hand has no name there: libvirt-domain.h of 10.0.
_RUNNING = {10: StateReason.MIGRATING, 11: StateReason.FAILED}
_PAUSED = {
    2: StateReason.MIGRATING,
    3: StateReason.SAVING,
    4: StateReason.SAVING,  # a core dump
    5: StateReason.IO_ERROR,
    6: StateReason.FAILED,  # the guest's watchdog fired
    8: StateReason.SHUTTING_DOWN,
    9: StateReason.SNAPSHOTTING,
    10: StateReason.CRASHED,
    11: StateReason.STARTING,
    12: StateReason.MIGRATING,
    13: StateReason.FAILED,  # the link broke in post-copy: its memory is on two hosts
    14: StateReason.FAILED,  # an API call that stopped it failed half-way
}
_SHUTOFF = {3: StateReason.CRASHED, 6: StateReason.FAILED, 8: StateReason.FAILED}
_CRASHED = {0: StateReason.CRASHED, 1: StateReason.CRASHED}

_REASONS: Mapping[int, Mapping[int, StateReason]] = MappingProxyType(
    {
        libvirt.VIR_DOMAIN_RUNNING: _RUNNING,
        libvirt.VIR_DOMAIN_PAUSED: _PAUSED,
        libvirt.VIR_DOMAIN_SHUTOFF: _SHUTOFF,
        libvirt.VIR_DOMAIN_CRASHED: _CRASHED,
    }
)
_LAST_REASON = {
    libvirt.VIR_DOMAIN_RUNNING: 11,
    libvirt.VIR_DOMAIN_PAUSED: 14,
    libvirt.VIR_DOMAIN_SHUTOFF: 8,
    libvirt.VIR_DOMAIN_CRASHED: 1,
}
_PAUSED_CRASHED = 10
_RUNS_ON = frozenset({3, 4, 8, 9, 11})
"""Reasons for which libvirt itself stops a VM's CPUs for a moment: nobody paused it, and resuming it would be wrong.

It runs on by itself, or is off, when the start, save, dump, snapshot or shutdown is over; a daemon that restarts
meanwhile sees to that. A migration is not among them: one that broke is left paused for its owner to decide.
"""


def power_state(state: int, reason: int, saved: bool) -> tuple[PowerState, StateReason]:
    """What a VM does and why; ``saved`` is whether it has a managed save image.

    Only the image tells suspended from off: the reason SAVED outlives the image that was removed, and is lost
    when the daemon restarts.
    """
    if state == libvirt.VIR_DOMAIN_SHUTOFF and saved:
        return PowerState.SUSPENDED, StateReason.NORMAL
    if state == libvirt.VIR_DOMAIN_PAUSED and reason == _PAUSED_CRASHED:
        return PowerState.CRASHED, StateReason.CRASHED
    if state == libvirt.VIR_DOMAIN_PAUSED and reason in _RUNS_ON:
        return PowerState.RUNNING, _PAUSED[reason]
    if state == libvirt.VIR_DOMAIN_SHUTDOWN:
        return PowerState.RUNNING, StateReason.SHUTTING_DOWN
    ours = _STATES.get(state, PowerState.UNKNOWN)
    if ours is PowerState.UNKNOWN or reason > _LAST_REASON.get(state, reason):
        return ours, StateReason.UNKNOWN
    return ours, _REASONS.get(state, {}).get(reason, StateReason.NORMAL)
