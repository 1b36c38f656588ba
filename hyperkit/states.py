"""Power states, and what may be asked in each.

One vocabulary for three vendors who disagree:

=============  ==========================  ============================  ================
hyperkit       Hyper-V (EnabledState v2)   libvirt (state, reason)       vSphere
=============  ==========================  ============================  ================
OFF            3 Disabled                  SHUTOFF                       poweredOff
RUNNING        2 Enabled, 4 ShuttingDown   RUNNING, BLOCKED, SHUTDOWN    poweredOn
PAUSED         9 Quiesce                   PAUSED, by somebody           does not exist
SUSPENDED      6 Offline (saved)           SHUTOFF with a saved image    suspended
SLEEPING       does not exist              PMSUSPENDED                   does not exist
CRASHED        HealthState 25              CRASHED, PAUSED/CRASHED       does not exist
UNKNOWN        0, 1, 5, 7, 8               NOSTATE, any new number       connectionState
=============  ==========================  ============================  ================

libvirt also says PAUSED while it starts, saves or snapshots a VM that runs on by itself: here that is RUNNING, with
a reason. "Suspend" is a false friend: libvirt's ``virDomainSuspend`` and Hyper-V's ``Suspend-VM`` pause in memory,
vSphere's suspends to disk. Here *pause* keeps memory in RAM and *suspend* saves it to disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class PowerState(StrEnum):
    """What a VM is doing, in one word. `StateReason` says why, where that changes what it means."""

    OFF = "off"
    RUNNING = "running"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    SLEEPING = "sleeping"
    CRASHED = "crashed"
    UNKNOWN = "unknown"


class StateReason(StrEnum):
    """Why a VM is in its state, where the state alone would mislead."""

    NORMAL = "normal"
    SHUTTING_DOWN = "shutting-down"
    """The guest was asked to stop and is stopping; it still runs."""
    STARTING = "starting"
    SAVING = "saving"
    MIGRATING = "migrating"
    SNAPSHOTTING = "snapshotting"
    IO_ERROR = "io-error"
    """The host paused the VM because its disk failed or is full: a fault, not somebody's pause."""
    CRASHED = "crashed"
    FAILED = "failed"
    """It could not be started, or the hypervisor ended it."""
    UNREACHABLE = "unreachable"
    """The host lost sight of the VM or of its files."""
    UNKNOWN = "unknown"


class PowerAction(StrEnum):
    """A power verb. What each asks for is documented on `hyperkit.VM`."""

    START = "start"
    STOP = "stop"
    SHUTDOWN = "shutdown"
    REBOOT = "reboot"
    RESET = "reset"
    PAUSE = "pause"
    RESUME = "resume"
    SUSPEND = "suspend"
    DISCARD = "discard_suspended"


_S = PowerState
_A = PowerAction

GOAL: Mapping[PowerAction, PowerState] = MappingProxyType(
    {
        _A.START: _S.RUNNING,
        _A.STOP: _S.OFF,
        _A.SHUTDOWN: _S.OFF,
        _A.REBOOT: _S.RUNNING,
        _A.RESET: _S.RUNNING,
        _A.PAUSE: _S.PAUSED,
        _A.RESUME: _S.RUNNING,
        _A.SUSPEND: _S.SUSPENDED,
        _A.DISCARD: _S.OFF,
    }
)
"""The state each action leads to."""

ALLOWED: Mapping[PowerState, frozenset[PowerAction]] = MappingProxyType(
    {
        _S.OFF: frozenset({_A.START}),
        _S.RUNNING: frozenset({_A.STOP, _A.SHUTDOWN, _A.REBOOT, _A.RESET, _A.PAUSE, _A.SUSPEND}),
        # QEMU resets a paused machine and leaves it paused, Hyper-V refuses: nobody gets what the word says.
        _S.PAUSED: frozenset({_A.STOP, _A.RESUME, _A.SUSPEND}),
        _S.SUSPENDED: frozenset({_A.START, _A.DISCARD}),
        _S.SLEEPING: frozenset({_A.STOP, _A.RESUME}),
        _S.CRASHED: frozenset({_A.START, _A.STOP}),
        # Nothing is known of it, so nothing is forbidden: the host decides.
        _S.UNKNOWN: frozenset(PowerAction),
    }
)
"""The actions that change something in each state. A state that already is the goal is no error."""

HOLD_POWER = frozenset({_S.RUNNING, _S.PAUSED, _S.SLEEPING, _S.UNKNOWN})
"""Where there may be something to switch off."""


def already_there(state: PowerState, action: PowerAction) -> bool:
    """Whether the action's goal is the present state, so that there is nothing to do.

    Restarting actions always have something to do, and so has `DISCARD` whose point is the saved memory.
    """
    if action in (_A.REBOOT, _A.RESET, _A.DISCARD):
        return False
    return GOAL[action] is state


def in_words(action: PowerAction) -> str:
    """What an action does to the VM whose label follows."""
    return {_A.SHUTDOWN: "shut down", _A.DISCARD: "discard the saved memory of"}.get(action, action.value)


def to_be_off(state: PowerState) -> tuple[str, ...]:
    """The verbs that lead from a state to `OFF`, for what can be done only there."""
    if state is _S.SUSPENDED:
        return _A.START.value, _A.DISCARD.value
    return tuple(action.value for action in (_A.SHUTDOWN, _A.STOP) if action in ALLOWED[state])


def allowed_in(state: PowerState) -> tuple[str, ...]:
    """The verbs a user may call in this state, in the order of `PowerAction`."""
    return tuple(action.value for action in PowerAction if action in ALLOWED[state])
