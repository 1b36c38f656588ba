"""Clones and templates: what `VM.begin_clone`, `VM.make_template` and `VM.make_vm` ask of the host, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from hyperkit import checks, guard
from hyperkit.collection import id_of
from hyperkit.driver import ClonePort
from hyperkit.errors import InvalidState
from hyperkit.records import changed
from hyperkit.resolve import datastore_id
from hyperkit.snapshot import Snapshot
from hyperkit.specs import CloneSpec
from hyperkit.specs.given import Identified
from hyperkit.states import PowerState, to_be_off
from hyperkit.tasks import Task

if TYPE_CHECKING:
    from hyperkit.vm import VM

V = TypeVar("V", bound="VM")

_OFF = frozenset({PowerState.OFF, PowerState.CRASHED})


def begin_clone(
    vm: VM, name: str, linked: bool, snapshot: Snapshot | str | None, datastore: str | Identified | None
) -> Task[VM]:
    """See `VM.begin_clone`."""
    host = vm.host
    port = _port(vm, "clones")
    spec = CloneSpec(name, linked, datastore=datastore)
    guard.check("clones.clone", (vm.id, spec), host.capabilities, host.url)
    if spec.datastore is not None:
        spec = changed(spec, datastore=datastore_id(host, spec.datastore))
    spec = changed(spec, snapshot=_snapshot_id(vm, snapshot))
    if spec.snapshot is None and linked:
        spec = changed(spec, snapshot=_current(vm))
    if spec.snapshot is None and not host.capabilities.running_clones and vm._look() not in _OFF:
        host.capabilities.refuse("running_clones", host.url)
    return vm._task("clone", vm._call(port.clone, vm.id, spec), host.vms._handle)


def _snapshot_id(vm: VM, snapshot: Snapshot | str | None) -> str | None:
    """The id of a snapshot that the VM has.

    Raises:
        NotFound: it has none of this id.
        InvalidRequest: neither a snapshot nor an id, or a snapshot of another VM.
    """
    if snapshot is None:
        return None
    if isinstance(snapshot, Snapshot):
        if snapshot.vm != vm:
            checks.refuse("snapshot", snapshot.label, f"a snapshot of {vm.label}")
        return snapshot.id
    return vm.snapshots.get(id_of(vm.host, "snapshot", snapshot, field="snapshot")).id


def _current(vm: VM) -> str:
    """The id of the snapshot that a linked clone begins from if none is named."""
    current = vm.snapshots.current()
    if current is None:
        raise InvalidState(
            f"cannot make a linked clone of {vm.label} on {vm.host.url}: it has no current snapshot to share blocks "
            "with; take one with vm.snapshots.create(...), or clone it with linked=False",
            current="no snapshot",
            wanted="linked clone",
            allowed=("snapshots.create", "clone with linked=False"),
            backend=vm.host.url,
            resource=vm.label,
        )
    return current.id


def set_template(vm: V, template: bool) -> V:
    """See `VM.make_template` and `VM.make_vm`."""
    port = _port(vm, "templates")
    if vm.refresh().template is template:
        return vm
    if template and vm.state not in _OFF:
        raise vm._invalid_state("make_template", "cannot make a template of", to_be_off(vm.state), "; stop it first")
    return vm._update(vm._call(port.set_template, vm.id, template))


def check_is_vm(vm: VM, wanted: str, verb: str) -> None:
    """Refuse to change a template, as it was read last: it stays as it is until it is a VM again.

    Raises:
        InvalidState: it is one.
    """
    if vm.template:
        hint = ", a template: make_vm() of it first"
        raise vm._invalid_state(wanted, f"cannot {verb}", ("clone", "make_vm"), hint)


def check_no_template(vm: VM) -> None:
    """Refuse to start a VM that was a template when it was last read, and still is.

    Raises:
        InvalidState: it is one.
    """
    if vm.template and vm.refresh().template:
        hint = " and a template, which is not started: clone() it, or make_vm() of it first"
        raise vm._invalid_state("start", "cannot start", ("clone", "make_vm"), hint)


def _port(vm: VM, capability: str) -> ClonePort:
    host = vm.host
    port = host.driver.clones
    if port is None or not getattr(host.capabilities, capability):
        host.capabilities.refuse(capability, host.url)
    return port
