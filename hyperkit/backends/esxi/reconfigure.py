"""Changing a VM that exists: all of it in one ``ReconfigVM_Task``, which is done whole or not at all.

The task names the version of the configuration that it was made for (``changeVersion``). If somebody else has changed
it since, the host refuses it with ConcurrentAccess, which is Busy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import allocation, autostart, guest_ids, hardware, kept, names
from hyperkit.backends.esxi.devices import present
from hyperkit.backends.esxi.elements import Element, flag, kind, number, text
from hyperkit.backends.esxi.kept import Kept
from hyperkit.backends.esxi.tasks import Work
from hyperkit.checks import refuse
from hyperkit.errors import InvalidState
from hyperkit.records import VMRecord
from hyperkit.specs import Firmware, VMChange
from hyperkit.units import MiB, exact_size

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.inventory import Inventory

_PATHS = (
    "runtime.powerState",
    "runtime.host",
    "config.changeVersion",
    "config.hardware",
    "config.extraConfig",
    "config.guestId",
    "config.firmware",
    "config.cpuAllocation",
    "config.memoryAllocation",
    "config.cpuHotAddEnabled",
    "config.memoryHotAddEnabled",
    "config.hotPlugMemoryIncrementSize",
    "config.hotPlugMemoryLimit",
)


@attrs.frozen
class _Present:
    """What a VM is like, as far as a change of it depends on that."""

    values: Mapping[str, Element]
    kept: Kept
    cpus: int
    memory: int

    @classmethod
    def read(cls, connection: Connection, vm_id: str) -> _Present:
        values = connection.properties.one("VirtualMachine", vm_id, _PATHS).values
        machine = values.get("config.hardware")
        return cls(
            values,
            kept.of(values.get("config.extraConfig")),
            number(machine, "numCPU") or 0,
            (number(machine, "memoryMB") or 0) * MiB,
        )

    @property
    def runs(self) -> bool:
        return self.text("runtime.powerState") == "poweredOn"

    def text(self, path: str) -> str:
        return text(self.values.get(path))

    def has(self, path: str) -> bool:
        return bool(flag(self.values.get(path)))


def change(connection: Connection, inventory: Inventory, vm_id: str, change: VMChange) -> Work[VMRecord]:
    """Change it: a read, a task and a read of the whole.

    One read more for CPUs in thousandths, and two calls more for autostart.
    """
    now = _Present.read(connection, vm_id)
    if now.runs:
        _check_hot(now, change)
    spec = _spec(connection, now, change)
    host = now.text("runtime.host")
    if change.autostart is not None:
        autostart.configure(connection, host, vm_id, change.autostart)
    if spec is not None:
        try:
            yield connection.vm(vm_id).ReconfigVM_Task(spec)
        except BaseException:
            if change.autostart is not None:
                autostart.configure(connection, host, vm_id, not change.autostart)
            raise
    return inventory.get(vm_id)


def _check_hot(now: _Present, change: VMChange) -> None:
    """Refuse what this VM cannot do before it was off.

    Raises:
        InvalidState: CPUs or memory are to come that it was made without room for.
    """
    if change.cpus is not None and change.cpus > now.cpus:
        if not now.has("config.cpuHotAddEnabled"):
            raise InvalidState(f"it takes no CPUs while it runs: stop it and configure(max_cpus={change.cpus}) first")
        cores = number(now.values.get("config.hardware"), "numCoresPerSocket") or 1
        if change.cpus % cores:
            raise InvalidState(f"it takes whole sockets of {cores} cores while it runs, and {change.cpus} CPUs are not")
    if change.memory is not None and change.memory > now.memory:
        _check_hot_memory(now, change.memory)


def _check_hot_memory(now: _Present, memory: int) -> None:
    if not now.has("config.memoryHotAddEnabled"):
        raise InvalidState(f"it takes no memory while it runs: stop it and configure(max_memory={memory}) first")
    most = (number(now.values.get("config.hotPlugMemoryLimit")) or 0) * MiB
    if most and memory > most:
        raise InvalidState(f"it takes at most {exact_size(most)} of memory while it runs")
    step = (number(now.values.get("config.hotPlugMemoryIncrementSize")) or 0) * MiB
    if step and (memory - now.memory) % step:
        low = now.memory + (memory - now.memory) // step * step
        raise InvalidState(f"its memory grows in steps of {exact_size(step)} while it runs, such as to {low + step}")


def _spec(connection: Connection, now: _Present, change: VMChange) -> Any:
    """The ``vim.vm.ConfigSpec`` that changes it; None if there is nothing to change."""
    fields: dict[str, Any] = {}
    keep: dict[str, Any] = {}
    if change.name is not None:
        fields["name"] = names.to_vsphere(change.name)
    if change.notes is not None:
        fields["annotation"] = change.notes
    if change.tags is not None:
        keep["tags"] = change.tags
    if change.guest_os is not None:
        fields["guestId"] = guest_ids.guest_id(change.guest_os, connection.content.about.apiVersion)
        keep["guest_os"] = guest_ids.worth_keeping(change.guest_os, fields["guestId"])
    _size(now, change, fields, keep)
    _allocate(connection, now, change, fields)
    _boot(now, change, fields, keep)
    if change.tpm is not None and (device := _tpm(now, change.tpm)) is not None:
        fields["deviceChange"] = [device]
    if options := hardware.keep(now.kept, **keep):
        fields["extraConfig"] = options
    if not fields:
        return None
    return vim.vm.ConfigSpec(changeVersion=now.text("config.changeVersion") or None, **fields)


def _size(now: _Present, change: VMChange, fields: dict[str, Any], keep: dict[str, Any]) -> None:
    """CPUs and memory, and what they may grow to: hot-adding is switched on while a VM is off alone."""
    cpus = now.cpus if change.cpus is None else change.cpus
    memory = now.memory if change.memory is None else change.memory
    if cpus != now.cpus:
        fields["numCPUs"] = cpus
    if memory != now.memory:
        fields["memoryMB"] = hardware.memory_mb(memory)
    if change.max_cpus is not None:
        keep["max_cpus"] = hardware.ceiling(change.max_cpus, cpus)
        fields["cpuHotAddEnabled"] = change.max_cpus > cpus
    if change.max_memory is not None:
        keep["max_memory"] = hardware.ceiling(change.max_memory, memory)
        fields["memoryHotAddEnabled"] = change.max_memory > memory
    if change.topology is not None:
        hardware.check_topology(change.topology, cpus)
        fields["numCoresPerSocket"] = change.topology.cores
        keep["single_cores"] = change.topology.cores == 1


def _allocate(connection: Connection, now: _Present, change: VMChange, fields: dict[str, Any]) -> None:
    """Reservation, limit and shares: those asked for, or those that were there, for another size."""
    cpus, memory = fields.get("numCPUs", now.cpus), now.memory if change.memory is None else change.memory
    if change.cpu_allocation is not None:
        mhz = _mhz(connection, now.text("runtime.host"))
        fields["cpuAllocation"] = allocation.cpu_to_vsphere(change.cpu_allocation, cpus=cpus, mhz=mhz)
    elif cpus != now.cpus:
        _set(fields, "cpuAllocation", hardware.scaled(now.values.get("config.cpuAllocation"), old=now.cpus, new=cpus))
    if change.memory_allocation is not None:
        fields["memoryAllocation"] = allocation.memory_to_vsphere(change.memory_allocation, memory=memory)
    elif memory != now.memory:
        info = now.values.get("config.memoryAllocation")
        _set(fields, "memoryAllocation", hardware.scaled(info, old=now.memory, new=memory))


def _set(fields: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        fields[name] = value


def _mhz(connection: Connection, host_id: str) -> int:
    values = connection.properties.one("HostSystem", host_id, ["summary.hardware.cpuMhz"]).values
    return number(values.get("summary.hardware.cpuMhz")) or 1000


def _boot(now: _Present, change: VMChange, fields: dict[str, Any], keep: dict[str, Any]) -> None:
    options = vim.vm.BootOptions()
    if change.secure_boot is not None:
        if change.secure_boot and now.text("config.firmware") != hardware.FIRMWARE[Firmware.UEFI]:
            refuse("secure_boot", True, "a VM with UEFI firmware")
        options.efiSecureBootEnabled = change.secure_boot
    if change.boot_order is not None:
        keys = hardware.boot_keys(present(now.values.get("config.hardware")))
        options.bootOrder = hardware.boot_entries(change.boot_order, keys)
        keep["boot_order"] = hardware.order_to_keep(change.boot_order, {each for each in keys if keys[each]})
    if change.secure_boot is not None or change.boot_order is not None:
        fields["bootOptions"] = options


def _tpm(now: _Present, wanted: bool) -> Any:
    """The change that gives a VM a TPM, or takes it with all its keys; None if it is as it should be."""
    found = next((each for each in present(now.values.get("config.hardware")) if kind(each) == "VirtualTPM"), None)
    if wanted == (found is not None):
        return None
    if found is None:
        return hardware.tpm()
    device = vim.vm.device.VirtualTPM(key=number(found, "key"))
    return vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
