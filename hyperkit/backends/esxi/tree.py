"""Snapshots of a VM as records, of its property ``snapshot``: a ``VirtualMachineSnapshotInfo``."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from hyperkit.backends.esxi.elements import Element, child, children, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.states import POWER_STATES
from hyperkit.records import SnapshotRecord
from hyperkit.states import PowerState


def snapshots(vm_id: str, info: Element | None) -> list[SnapshotRecord]:
    """All snapshots of a VM, parents before their children; none if the property is not set."""
    current = text(info, "currentSnapshot")
    return [_record(vm_id, node, parent, current) for node, parent in _nodes(info)]


def _nodes(info: Element | None) -> Iterator[tuple[Element, str | None]]:
    """Each node with its parent's id. Not recursive: a chain may be deeper than Python calls."""
    waiting: list[tuple[Element, str | None]] = [(node, None) for node in children(info, "rootSnapshotList")]
    waiting.reverse()
    while waiting:
        node, parent = waiting.pop()
        yield node, parent
        below = [(one, text(node, "snapshot")) for one in children(node, "childSnapshotList")]
        waiting.extend(reversed(below))


def _record(vm_id: str, node: Element, parent: str | None, current: str) -> SnapshotRecord:
    id_ = text(node, "snapshot")
    state = POWER_STATES.get(text(node, "state"), PowerState.UNKNOWN)
    return SnapshotRecord(
        id=id_,
        vm_id=vm_id,
        name=from_vsphere(text(node, "name")),
        description=text(node, "description"),
        parent_id=parent,
        created=moment(text(node, "createTime")),
        state=state,
        # A snapshot of a running VM without memory is reverted to as switched off, and vSphere says so in its state.
        memory=state is not PowerState.OFF and child(node, "state") is not None,
        current=bool(id_) and id_ == current,
    )


def moment(told: str) -> datetime:
    """A time as XML Schema writes it, in UTC; where no offset stands it is UTC."""
    when = datetime.fromisoformat(told)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
