"""DIMMs of the fake's VMs: what comes while a VM runs can go as it came, and lasts as long as its memory."""

from __future__ import annotations

from hyperkit.records import VMRecord, changed, dimm_choices
from hyperkit.states import PowerState

IN_MEMORY = frozenset({PowerState.RUNNING, PowerState.PAUSED, PowerState.SLEEPING})
NO_MEMORY = frozenset({PowerState.OFF, PowerState.CRASHED})


def changed_dimms(record: VMRecord, memory: int) -> tuple[int, ...]:
    """A VM's DIMMs once it has this much memory. One that is off has none: it starts with all of it in one piece."""
    if record.state in NO_MEMORY:
        return ()
    if memory > record.memory:
        return (*record.dimms, memory - record.memory)
    gone = dimm_choices(record.dimms)[record.memory - memory]
    return tuple(size for position, size in enumerate(record.dimms) if position not in gone)


def carry_dimms(before: VMRecord, after: VMRecord, saved: tuple[int, ...]) -> VMRecord:
    """A VM in a new state with the DIMMs it has there; ``saved`` are those in its saved memory."""
    dimms = after.dimms or (saved if before.state is PowerState.SUSPENDED else ())
    return changed(after, dimms=dimms if after.state in IN_MEMORY else ()) if dimms else after
