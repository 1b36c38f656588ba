"""What a VM of vSphere is doing, in our words."""

from __future__ import annotations

from hyperkit.records import PowerRecord
from hyperkit.states import PowerState, StateReason

POWER_STATES = {
    "poweredOn": PowerState.RUNNING,
    "poweredOff": PowerState.OFF,
    "suspended": PowerState.SUSPENDED,
}
"""By ``VirtualMachinePowerState``."""


def power(power_state: str, connection_state: str) -> PowerRecord:
    """By ``runtime.powerState`` and ``runtime.connectionState``, which is to be looked at first.

    Of a VM whose host is disconnected, or whose files cannot be reached, vSphere repeats the power state that it saw
    last: nobody knows whether it is still true.
    """
    if connection_state not in ("connected", ""):
        return PowerRecord(state=PowerState.UNKNOWN, reason=StateReason.UNREACHABLE)
    return PowerRecord(state=POWER_STATES.get(power_state, PowerState.UNKNOWN))
