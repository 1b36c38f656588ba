"""Power states by the numbers of ``EnabledState`` in the second version of Hyper-V's classes.

The first version's numbers (32768 paused, 32769 saved) are in old documents and in libvirt; hosts say 9 and 6. A VM
whose storage was lost is *critical*, which is a state of its own beside each of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hyperkit.backends.hyperv.wsman import Instance
from hyperkit.records import PowerRecord
from hyperkit.states import PowerState, StateReason

_S, _R = PowerState, StateReason

_STATES: Mapping[int, tuple[PowerState, StateReason]] = MappingProxyType(
    {
        2: (_S.RUNNING, _R.NORMAL),
        3: (_S.OFF, _R.NORMAL),
        4: (_S.RUNNING, _R.SHUTTING_DOWN),
        6: (_S.SUSPENDED, _R.NORMAL),
        9: (_S.PAUSED, _R.NORMAL),
        10: (_S.RUNNING, _R.STARTING),
        32770: (_S.RUNNING, _R.STARTING),
        32771: (_S.RUNNING, _R.SNAPSHOTTING),
        32773: (_S.RUNNING, _R.SAVING),
        32774: (_S.RUNNING, _R.SHUTTING_DOWN),
        32776: (_S.RUNNING, _R.NORMAL),
        32777: (_S.PAUSED, _R.NORMAL),
        32779: (_S.SUSPENDED, _R.NORMAL),
        32780: (_S.RUNNING, _R.SAVING),
        32781: (_S.RUNNING, _R.IO_ERROR),
        32782: (_S.OFF, _R.UNREACHABLE),
        32783: (_S.RUNNING, _R.SHUTTING_DOWN),
        32784: (_S.SUSPENDED, _R.UNREACHABLE),
        32785: (_S.PAUSED, _R.IO_ERROR),
        32786: (_S.RUNNING, _R.STARTING),
        32787: (_S.RUNNING, _R.STARTING),
        32788: (_S.RUNNING, _R.SAVING),
        32789: (_S.RUNNING, _R.IO_ERROR),
        32790: (_S.PAUSED, _R.IO_ERROR),
        32791: (_S.SUSPENDED, _R.UNREACHABLE),
        32792: (_S.RUNNING, _R.SAVING),
    }
)
"""Any other number is unknown, and never taken for running."""

_MOVING = frozenset(
    {4, 10, 32770, 32771, 32773, 32774, 32776, 32777, 32780, 32783, 32786, 32787, 32788, 32789, 32790, 32792}
)
_MAJOR = 20
"""Of ``HealthState``: 20 is a major failure, 25 a critical one (a disk that is full, or gone)."""
_MIGRATING, _CREATING_SNAPSHOT, _APPLYING_SNAPSHOT = 32774, 32768, 32769
"""Of ``OperationalStatus``, whose second value says what a VM is busy with."""


def power(system: Instance) -> PowerRecord:
    """What a VM is doing, by its ``Msvm_ComputerSystem``."""
    state, reason = _STATES.get(system.number("EnabledState") or 0, (_S.UNKNOWN, _R.UNKNOWN))
    if reason is _R.NORMAL:
        busy = system.numbers("OperationalStatus")
        if (system.number("HealthState") or 0) >= _MAJOR and state in (_S.RUNNING, _S.PAUSED):
            reason = _R.IO_ERROR
        elif _MIGRATING in busy:
            reason = _R.MIGRATING
        elif _CREATING_SNAPSHOT in busy or _APPLYING_SNAPSHOT in busy:
            reason = _R.SNAPSHOTTING
    return PowerRecord(state=state, reason=reason)


def is_moving(system: Instance) -> bool:
    """Whether a VM is on its way from one state to another."""
    return (system.number("EnabledState") or 0) in _MOVING
