"""Which capabilities a call needs, and the limits it must keep: asked before the vendor is.

One generator per operation yields the names of `Capabilities` fields; `check` refuses at the first that
is false. Conditions that need the VM's present state are checked where that is known, in `hyperkit.vm`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hyperkit.capabilities import Capabilities
from hyperkit.checks import refuse
from hyperkit.errors import Unsupported
from hyperkit.specs import (
    DEFAULT_ALLOCATION,
    NORMAL_SHARES,
    Allocation,
    BootDevice,
    CloneSpec,
    DiskSpec,
    Firmware,
    NicChange,
    NicSpec,
    SnapshotSpec,
    SwitchChange,
    SwitchSpec,
    VMChange,
    VMSpec,
    VolumeSpec,
)
from hyperkit.specs.isolation import IsolationPolicy
from hyperkit.states import PowerAction
from hyperkit.units import to_unit

_DEFAULT_BOOT = (BootDevice.DISK,)


def _vm(spec: VMSpec) -> Iterator[str]:
    if spec.container is not None:
        yield "containers"
    else:
        yield "uefi" if spec.firmware is Firmware.UEFI else "bios"
    if spec.secure_boot:
        yield "secure_boot"
    if spec.tpm:
        yield "tpm"
    if spec.boot_order != _DEFAULT_BOOT:
        yield "boot_order"
    if spec.kernel is not None:
        yield "kernel_boot"
    if spec.iso is not None or spec.cdrom:
        yield "cdrom"
    if spec.topology is not None:
        yield "cpu_topology"
    if spec.max_cpus != spec.cpus:
        yield "cpu_ceiling"
    if spec.max_memory != spec.memory:
        yield "memory_ceiling"
    if spec.guest_os:
        yield "guest_os"
    if spec.notes:
        yield "notes"
    if spec.tags:
        yield "tags"
    if spec.autostart:
        yield "autostart"
    yield from _allocation("cpu", spec.cpu_allocation)
    yield from _allocation("memory", spec.memory_allocation)
    if spec.disks:
        yield "disks"
    for disk in spec.disks:
        yield from _disk(disk)
    for nic in spec.nics:
        yield from _nic(nic)


def _allocation(resource: str, allocation: Allocation | None) -> Iterator[str]:
    if allocation is None or allocation is DEFAULT_ALLOCATION:
        return
    if allocation.reservation:
        yield f"{resource}_reservation"
    if allocation.limit is not None:
        yield f"{resource}_limit"
    if allocation.shares != NORMAL_SHARES:
        yield f"{resource}_shares"


def _disk(spec: DiskSpec) -> Iterator[str]:
    if spec.base is not None:
        yield "linked_disks" if spec.linked else "copied_disks"
    if spec.read_only:
        yield "read_only_disks"


def _nic(spec: NicSpec) -> Iterator[str]:
    if spec.vlan is not None:
        yield "nic_vlan"
    if spec.trunk:
        yield "nic_trunk"
    if not spec.link_up:
        yield "nic_link"
    yield from _policy(spec.policy)


def _policy(policy: IsolationPolicy) -> Iterator[str]:
    if policy.spoof_guard:
        yield "nic_spoof_guard"
    if policy.addresses:
        yield "nic_address_guard"
    if policy.dhcp_guard:
        yield "nic_dhcp_guard"
    if policy.router_guard:
        yield "nic_router_guard"
    if policy.isolated:
        yield "nic_isolation"
    if policy.promiscuous:
        yield "nic_promiscuous"
    if policy.rules:
        yield "nic_acl"


def _change(_vm_id: str, change: VMChange) -> Iterator[str]:
    if change.name is not None:
        yield "rename"
    if change.secure_boot:
        yield "secure_boot"
    if change.tpm:
        yield "tpm"
    if change.boot_order is not None:
        yield "boot_order"
    if change.topology is not None:
        yield "cpu_topology"
    # A ceiling that goes along with the size, as it does while a VM that is off changes, is no room to grow.
    if change.max_cpus is not None and change.max_cpus != change.cpus:
        yield "cpu_ceiling"
    if change.max_memory is not None and change.max_memory != change.memory:
        yield "memory_ceiling"
    if change.guest_os:
        yield "guest_os"
    if change.notes:
        yield "notes"
    if change.tags:
        yield "tags"
    if change.autostart:
        yield "autostart"
    yield from _allocation("cpu", change.cpu_allocation)
    yield from _allocation("memory", change.memory_allocation)


def _power(_vm_id: str, action: PowerAction) -> Iterator[str]:
    if action is PowerAction.RESUME:
        yield "pause"
    elif action is PowerAction.DISCARD:
        yield "suspend"
    elif action not in (PowerAction.START, PowerAction.STOP):
        yield action.value


def _attach_disk(_vm_id: str, spec: DiskSpec) -> Iterator[str]:
    yield "disks"
    yield "attach"
    yield from _disk(spec)


def _attach_nic(_vm_id: str, spec: NicSpec) -> Iterator[str]:
    yield "attach"
    yield from _nic(spec)


def _update_nic(_vm_id: str, _nic_id: str, change: NicChange) -> Iterator[str]:
    yield "attach"
    if change.link_up is not None:
        yield "nic_link"
    if change.vlan:
        yield "nic_vlan"
    if change.trunk:
        yield "nic_trunk"
    if change.policy is not None:
        yield from _policy(change.policy)


def _switch(spec: SwitchSpec) -> Iterator[str]:
    yield f"switch_{spec.kind.value}"
    if spec.subnet is not None:
        yield "switch_subnet"
    if spec.openvswitch:
        yield "switch_openvswitch"
    if spec.vlan is not None:
        yield "switch_vlan"
    if spec.leases:
        yield "switch_leases"
    yield from _switch_policy(spec.policy)


def _switch_policy(policy: IsolationPolicy | None) -> Iterator[str]:
    if policy is None:
        return
    if policy.spoof_guard:
        yield "switch_spoof_guard"
    if policy.promiscuous:
        yield "switch_promiscuous"


def _change_switch(_switch_id: str, change: SwitchChange) -> Iterator[str]:
    if change.leases is not None:
        yield "switch_leases"
    if change.vlan is not None:
        yield "switch_vlan_change"
    yield from _switch_policy(change.policy)


def _snapshot(_vm_id: str, spec: SnapshotSpec) -> Iterator[str]:
    yield "snapshots"
    if spec.memory:
        yield "snapshot_memory"
    if spec.quiesce:
        yield "snapshot_quiesced"


def _clone(_vm_id: str, spec: CloneSpec) -> Iterator[str]:
    yield "clones"
    if spec.linked:
        yield "linked_clones"


def _always(*names: str) -> Callable[..., Iterator[str]]:
    return lambda *_args: iter(names)


NEEDS: dict[str, Callable[..., Iterator[str]]] = {
    "vms.create": _vm,
    "vms.configure": _change,
    "vms.set_power": _power,
    "disks.attach": _attach_disk,
    "disks.detach": _always("attach"),
    "disks.resize": _always("disk_resize"),
    "disks.set_iso": _always("cdrom"),
    "nics.attach": _attach_nic,
    "nics.detach": _always("attach"),
    "nics.update": _update_nic,
    "switches.create": _switch,
    "switches.update": _change_switch,
    "volumes.create": _always("volumes"),
    "volumes.delete": _always("volumes"),
    "volumes.upload": _always("transfer"),
    "volumes.download": _always("transfer"),
    "snapshots.create": _snapshot,
    "snapshots.update": _always("snapshot_rename"),
    "clones.clone": _clone,
    "clones.set_template": _always("templates"),
    "guests.addresses": _always("guest_addresses"),
    "guests.ping": _always("guest_agent"),
    "guests.info": _always("guest_agent"),
    "guests.execute": _always("guest_exec"),
    "guests.freeze": _always("guest_freeze"),
    "guests.thaw": _always("guest_freeze"),
    "consoles.screenshot": _always("screenshot"),
    "consoles.send_keys": _always("send_keys"),
    "consoles.displays": _always("display"),
    "consoles.serial": _always("serial_console"),
    "upkeep.answer": _always("questions"),
    "upkeep.consolidate": _always("snapshot_consolidation"),
    "metrics.read": _always("metrics"),
}
"""What each operation needs, from its arguments; an operation that is not here needs nothing."""


def check(operation: str, args: tuple[Any, ...], capabilities: Capabilities, backend: str) -> None:
    """Refuse a call that this host cannot carry out.

    Raises:
        Unsupported: a capability is missing.
        InvalidRequest: a limit of the host is passed; the error says which.
    """
    needs = NEEDS.get(operation)
    if needs is None:
        return
    for name in needs(*args):
        if not getattr(capabilities, name):
            capabilities.refuse(name, backend)
    if operation == "vms.create":
        _limits_of_vm(args[0], capabilities, backend)
    elif operation == "vms.configure":
        _limits_of_size(args[1], capabilities)
    elif operation in ("disks.attach", "volumes.create"):
        _format(args[1], capabilities, backend)
        if operation == "disks.attach":
            _bus(args[1], capabilities, "bus")
    elif operation == "switches.create":
        check_switch_vlan(args[0].vlan, args[0].openvswitch, capabilities)


def _limits_of_vm(spec: VMSpec, caps: Capabilities, backend: str) -> None:
    _limits_of_size(spec, caps)
    for field, items, most in (("disks", spec.disks, caps.max_disks), ("nics", spec.nics, caps.max_nics)):
        if most is not None and len(items) > most:
            refuse(field, len(items), f"this host allows a VM at most {most}")
    for index, disk in enumerate(spec.disks):
        _format(disk, caps, backend)
        _bus(disk, caps, f"disks[{index}].bus")


def check_switch_vlan(vlan: int | None, openvswitch: bool, caps: Capabilities) -> None:
    """Refuse a VLAN for a switch that carries none: where there is Open vSwitch, the other bridges have no tags.

    Raises:
        InvalidRequest: it is such a switch.
    """
    if vlan is not None and caps.switch_openvswitch and not openvswitch:
        refuse("vlan", vlan, "on this host only a switch with openvswitch=True carries VLANs")


def _format(spec: DiskSpec | VolumeSpec, caps: Capabilities, backend: str) -> None:
    creates = isinstance(spec, VolumeSpec) or spec.creates
    if creates and spec.format is not None and spec.format not in caps.disk_formats:
        raise Unsupported(
            f"{backend} cannot create {spec.format} disks; it can {', '.join(caps.disk_formats) or 'none'}",
            capability="disk_formats",
            backend=backend,
        )


def _bus(spec: DiskSpec, caps: Capabilities, field: str) -> None:
    if spec.bus is not None and caps.disk_buses and spec.bus not in caps.disk_buses:
        refuse(field, spec.bus.value, f"one of {', '.join(caps.disk_buses)}")


def _limits_of_size(wanted: VMSpec | VMChange, caps: Capabilities) -> None:
    for field, most in (("cpus", caps.max_cpus), ("max_cpus", caps.max_cpus)):
        value = getattr(wanted, field)
        if most is not None and value is not None and value > most:
            refuse(field, value, f"this host allows a VM at most {most}")
    for field in ("memory", "max_memory"):
        value = getattr(wanted, field)
        if value is None:
            continue
        if caps.max_memory is not None and value > caps.max_memory:
            refuse(field, value, f"this host allows a VM at most {caps.max_memory} bytes")
        if caps.memory_unit > 1024:
            to_unit(value, caps.memory_unit, field=field)
