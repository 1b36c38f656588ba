"""What `VM.configure` may change in which state: one rule for all backends."""

from __future__ import annotations

from collections.abc import Callable

from hyperkit.capabilities import Capabilities
from hyperkit.checks import refuse
from hyperkit.errors import InvalidRequest, InvalidState
from hyperkit.records import VMRecord, changed, dimm_choices
from hyperkit.specs import ChangeFields, Firmware, VMChange, check_allocations, check_no_machine, check_topology
from hyperkit.states import PowerState, to_be_off
from hyperkit.units import exact_size, format_size

_ANY_STATE = frozenset({"notes", "tags", "autostart"})
_MOST_SIZES = 8
"""As many as an error names."""


def allowed_change(
    record: VMRecord,
    fields: ChangeFields,
    capabilities: Capabilities,
    invalid_state: Callable[[str, str, tuple[str, ...], str], InvalidState],
) -> VMChange:
    """The change to make: fields that already have their value left out, ceilings kept above what they bound.

    Raises:
        InvalidRequest: the VM could not be like that in any state.
        InvalidState: this state does not allow one of the fields; from ``invalid_state(wanted, what, allowed, hint)``.
    """
    try:
        asked = VMChange(**fields)
    except TypeError as error:
        unknown = next((name for name in fields if name not in ChangeFields.__annotations__), None)
        if unknown is None:
            raise
        known = ", ".join(ChangeFields.__annotations__)
        raise InvalidRequest(
            f"configure() cannot change {unknown!r}; it can change {known}", field=unknown, value=dict(fields)[unknown]
        ) from error
    for name, value in fields.items():
        if value is None:
            refuse(name, None, "a value; leave the field out to keep what is there")
    different = {name: value for name, value in asked.fields().items() if getattr(record, name) != value}
    off = record.state in (PowerState.OFF, PowerState.CRASHED)
    if off:
        _carry_ceilings(record, different, asked)
    else:
        for name, value in different.items():
            if name not in _ANY_STATE and (hint := _why_not(record, name, value, capabilities)) is not None:
                raise _forbidden(record.state, name, hint, invalid_state)
        for size, ceiling, able in (
            ("cpus", "max_cpus", capabilities.cpu_ceiling),
            ("memory", "max_memory", capabilities.memory_ceiling),
        ):
            if size in different and not able:
                different[ceiling] = different[size]  # where there are no ceilings, the size is the ceiling
    _check_result(record, different)
    if not off and (misfit := _misfit(record, different.get("memory"), capabilities)):
        raise _forbidden(record.state, "memory", f" {misfit}", invalid_state)
    return VMChange(**different)


def _forbidden(
    state: PowerState,
    name: str,
    hint: str,
    invalid_state: Callable[[str, str, tuple[str, ...], str], InvalidState],
) -> InvalidState:
    first = "" if state is PowerState.SUSPENDED else "; stop it first"
    return invalid_state(f"configure {name}", f"cannot change {name}{hint} of", to_be_off(state), first)


def _why_not(record: VMRecord, name: str, value: object, capabilities: Capabilities) -> str | None:
    """Why a field of a VM that is not off cannot change now, as far as there is more to say than the state."""
    hot = _hot_capability(record, name, value)
    if hot is None or record.state not in (PowerState.RUNNING, PowerState.PAUSED):
        return ""
    if not getattr(capabilities, hot):
        return f" ({capabilities.told(hot)})"
    if hot.endswith("_remove") and record.state is PowerState.PAUSED:
        return " (its guest must run to let go of it)"
    return None


def _hot_capability(record: VMRecord, name: str, value: object) -> str | None:
    if name in ("cpus", "memory"):
        kind = "cpu" if name == "cpus" else "memory"
        more = isinstance(value, int) and value > getattr(record, name)
        return f"hot_{kind}_{'add' if more else 'remove'}"
    if name in ("cpu_allocation", "memory_allocation"):
        return "hot_allocation"
    return "hot_rename" if name == "name" else None


def _misfit(record: VMRecord, memory: object, capabilities: Capabilities) -> str | None:
    """Why a running VM cannot go to this size of memory, in words; None if it can."""
    if not isinstance(memory, int):
        return None
    more, unit = memory - record.memory, capabilities.hot_memory_unit
    if more > 0:
        if not more % unit:
            return None
        # What fits its ceiling: the next step may be beyond.
        steps = (record.memory + more // unit * unit, record.memory + (more // unit + 1) * unit)
        nearest = [exact_size(size) for size in steps if record.memory < size <= record.max_memory]
        such = f", such as {' or '.join(nearest)}" if nearest else ""
        return f"to {exact_size(memory)} (it grows in steps of {format_size(unit)}{such})"
    choices = dimm_choices(record.dimms)
    if capabilities.hot_memory_remove_any or -more in choices:
        return None
    sizes = [exact_size(record.memory - amount) for amount in sorted(choices) if amount][:_MOST_SIZES]
    possible = f"it can shrink to {' or '.join(sizes)}" if sizes else "it has no DIMM that it got while it ran"
    return f"to {exact_size(memory)} ({possible})"


def _carry_ceilings(record: VMRecord, different: dict[str, object], asked: VMChange) -> None:
    """A VM without room to grow has its ceiling at its size, and keeps it there as the size changes unless told."""
    for field, ceiling in (("cpus", "max_cpus"), ("memory", "max_memory")):
        size = different.get(field)
        said = getattr(asked, ceiling)
        if not isinstance(size, int):
            continue
        if said is not None:
            different[ceiling] = said
        elif getattr(record, ceiling) == getattr(record, field) or size > getattr(record, ceiling):
            different[ceiling] = size


def _check_result(record: VMRecord, different: dict[str, object]) -> None:
    """The VM as it would be must be one that could be created."""
    after = changed(record, **different)
    for field, ceiling in (("cpus", "max_cpus"), ("memory", "max_memory")):
        if getattr(after, field) > getattr(after, ceiling):
            named = field if field in different else ceiling
            value = getattr(after, named)
            size = getattr(after, field)
            off = record.state in (PowerState.OFF, PowerState.CRASHED)
            way = (
                "" if off else f"; it is {record.state.value}: stop it and configure({ceiling}={size}, {field}={size})"
            )
            refuse(named, value, f"{field} ({size}) at most {ceiling} ({getattr(after, ceiling)}){way}")
    if after.topology is not None and {"topology", "cpus", "max_cpus"} & different.keys():
        check_topology(after.topology, after.max_cpus)
    if after.container is not None:
        check_no_machine(after)
    if after.secure_boot and after.firmware is not Firmware.UEFI:
        refuse("secure_boot", True, "secure boot needs a VM with UEFI firmware")
    if {"cpu_allocation", "memory_allocation", "cpus", "memory"} & different.keys():
        check_allocations(after.cpu_allocation, after.memory_allocation, after.cpus, after.memory)
