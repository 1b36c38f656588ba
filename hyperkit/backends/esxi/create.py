"""Making a VM: first its directory and the disks that are copied, then the VM with all its devices in one task.

A VM with new disks gets a directory of its own, which is made by us, so that the disks' paths are known before there is
a VM. It is called after the VM, with a number where that is taken, as vSphere itself does it. Without new disks vSphere
chooses one. Disks are called after the directory: ``web1/web1.vmdk``, ``web1/web1_1.vmdk``.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import autostart, copies, files, hardware, names, placement
from hyperkit.backends.esxi.devices import present
from hyperkit.backends.esxi.elements import text
from hyperkit.backends.esxi.networks import Networks
from hyperkit.backends.esxi.placement import Place, Store
from hyperkit.backends.esxi.plan import DevicePlan
from hyperkit.backends.esxi.tasks import Work
from hyperkit.backends.esxi.undo import Made, datacenter, is_lost
from hyperkit.errors import AlreadyExists, InvalidRequest
from hyperkit.records import VMRecord
from hyperkit.specs import DiskSpec, VMSpec

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.inventory import Inventory

_TRIES = 100
"""Directories of a VM's name that may be taken before one gives up."""


@attrs.frozen
class _Disk:
    """A disk of the new VM.

    Attributes:
        field: how errors call it: ``disks[0]``.
        spec: as asked for, with its size if that is known.
        path: its file.
        copied: whether the file is made before the VM is.
    """

    field: str
    spec: DiskSpec
    path: str
    copied: bool = False


def check(spec: VMSpec) -> None:
    """Refuse what can be known to be wrong before any call.

    Raises:
        InvalidRequest: a value that vSphere has no word for, or a path that is none.
        AlreadyExists: two disks of one name.
    """
    hardware.check(spec)
    seen = set()
    for index, disk in enumerate(spec.disks):
        if disk.base is not None:
            files.parse(disk.base, f"disks[{index}].base")
            copies.check_size(disk, None, f"disks[{index}].size")
        if disk.path is not None:
            files.parse(disk.path, f"disks[{index}].path")
        if disk.name is not None:
            if (disk.datastore, disk.name) in seen:
                raise AlreadyExists(f"disks[{index}].name: another disk of this VM is called {disk.name!r}")
            seen.add((disk.datastore, disk.name))
    if spec.iso is not None:
        files.parse(spec.iso, "iso")


def create(connection: Connection, inventory: Inventory, spec: VMSpec) -> Work[VMRecord]:
    """Make it. What can be wrong with the spec is found before anything is made, as far as it can be."""
    place = placement.choose(
        connection,
        stores=[disk.datastore for disk in spec.disks if disk.datastore is not None],
        named=[files.parse(path, "disks").store for path in _paths(spec)],
        networks={nic.switch for nic in spec.nics if nic.switch is not None},
    )
    there = yield from _look(connection, place, spec)
    backings = _backings(connection, place, spec)
    made = Made(
        connection,
        spec.name,
        frozenset(files.parse(disk.path, "disks").text for disk in spec.disks if disk.path is not None),
    )
    try:
        disks = yield from _files(connection, place, spec, there, made)
        config = _config(connection, place, spec, disks, backings, made)
        vm_id = yield from _vm(connection, place, config, made)
        yield from _finish(connection, place, spec, vm_id)
        return inventory.get(vm_id)
    except GeneratorExit:  # nobody waits any more
        raise
    except BaseException as error:
        yield from made.undo(error)
        raise


def _paths(spec: VMSpec) -> Iterator[str]:
    """Of files that must be there, on the machine that the VM is put on. A base is only read, and by vCenter."""
    for disk in spec.disks:
        path = disk.path or disk.base
        if path is not None:
            yield path
    if spec.iso is not None:
        yield spec.iso


def _look(connection: Connection, place: Place, spec: VMSpec) -> Work[dict[str, files.File]]:
    """Look for all files that must be there, and be what they are said to be."""
    fields = {path: f"disks[{i}].path" for i, disk in enumerate(spec.disks) if (path := disk.path) is not None}
    fields |= {base: f"disks[{i}].base" for i, disk in enumerate(spec.disks) if (base := disk.base) is not None}
    disks = tuple(fields)
    if spec.iso is not None:
        fields[spec.iso] = "iso"
    there = yield from files.look(connection, {name: store.browser for name, store in place.stores.items()}, fields)
    for path in disks:
        files.check_disk(path, fields[path], there[path])
    if spec.iso is not None:
        files.check_iso(spec.iso, "iso", there[spec.iso])
    for index, disk in enumerate(spec.disks):
        if disk.base is not None:
            copies.check_size(disk, there[disk.base].capacity, f"disks[{index}].size")
    return there


def _backings(connection: Connection, place: Place, spec: VMSpec) -> list[Any]:
    """What each card is plugged into: where it is plugged into none, a network that the machine has."""
    if not spec.nics:
        return []
    networks = Networks(connection)
    reached = {key: network for key, network in networks.all().items() if key in place.machine.networks}
    return [networks.backing(nic.switch, reached) for nic in spec.nics]


def _files(
    connection: Connection, place: Place, spec: VMSpec, there: dict[str, files.File], made: Made
) -> Work[list[_Disk]]:
    """Make the VM's directory, if it has new disks, one in each other datastore that they are in, and copies."""
    if any(disk.base is not None for disk in spec.disks):
        _check_free(connection, spec.name)  # a copy may take hours
    directories: dict[str, str] = {}
    taken = {disk.name for disk in spec.disks}
    disks = []
    for index, asked in enumerate(spec.disks):
        field = f"disks[{index}]"
        if asked.path is not None:
            disks.append(_Disk(field, asked, files.parse(asked.path, field).text))
            continue
        store = place.store(asked.datastore)
        if store.id not in directories:
            directories[store.id] = _directory(connection, store, spec.name, made)
        directory = directories[store.id]
        name = asked.name or _free_name(_stem(directory), taken)
        taken.add(name)
        disks.append(_Disk(field, asked, f"{directory}/{name}.vmdk", copied=asked.base is not None))
    for disk in disks:
        if disk.copied:
            yield from copies.copy(connection, disk.spec, disk.path, there[str(disk.spec.base)].capacity)
    return disks


def _stem(directory: str) -> str:
    """The last part of a directory's path: ``web1`` of ``[datastore1] web1``."""
    return re.split(r"[/\] ]", directory)[-1]


def _free_name(stem: str, taken: Collection[str | None]) -> str:
    return next(name for n in count() if (name := f"{stem}_{n}" if n else stem) not in taken)


def _check_free(connection: Connection, name: str) -> None:
    folder = vim.Folder(connection.scope.vm_folder, connection.stub)
    if connection.content.searchIndex.FindChild(folder, names.to_vsphere(name)) is not None:
        raise AlreadyExists(f"VM {name!r} exists already")


def _directory(connection: Connection, store: Store, name: str, made: Made) -> str:
    """Make a directory that was not there, and say its path.

    Where directories at a datastore's top are objects of their own, as on vSAN, they are made by another manager, which
    never finds one taken, and says where it is.
    """
    if not store.plain_directories:
        manager = connection.content.datastoreNamespaceManager
        url = manager.CreateDirectory(vim.Datastore(store.id, connection.stub), name, "")
        made.directories.append(path := f"[{store.name}] {url.rstrip('/').rpartition('/')[2]}")
        return path
    safe = _safe(name)
    for number in range(_TRIES):
        path = f"[{store.name}] {safe}_{number}" if number else f"[{store.name}] {safe}"
        try:
            connection.content.fileManager.MakeDirectory(path, datacenter(connection), False)
        except vim.fault.FileAlreadyExists:
            continue
        except Exception as error:
            made.unsure = (path, store.browser) if is_lost(error) else None
            raise
        made.directories.append(path)
        return path
    raise AlreadyExists(f"[{store.name}] has {_TRIES} directories that are called after VM {name!r}")


def _safe(name: str) -> str:
    """A name for a directory: without what means something in a path or an escape."""
    return re.sub(r"[%\[\]]", "_", name)


def _config(
    connection: Connection, place: Place, spec: VMSpec, disks: Sequence[_Disk], backings: Sequence[Any], made: Made
) -> Any:
    """The ``vim.vm.ConfigSpec``, and from here on the uuid that the VM is to have."""
    new = [disk.path for disk in disks if disk.spec.creates]
    home = next((directory for directory in made.directories if directory.startswith(f"[{place.home.name}]")), "")
    path = f"{home}/{_stem(home)}.vmx" if home else f"[{place.home.name}]"
    config = hardware.new(
        spec,
        path=path,
        uuid=str(uuid.uuid4()),
        mhz=place.machine.mhz,
        api_version=connection.content.about.apiVersion,
        created=new,
    )
    plan = DevicePlan(guest_id=config.guestId)
    for disk in disks:
        with _field(disk.field):
            plan.disk(disk.spec, disk.path, create=disk.spec.creates and not disk.copied)
    for index, (nic, backing) in enumerate(zip(spec.nics, backings, strict=True)):
        with _field(f"nics[{index}]"):
            plan.nic(nic, backing)
    if spec.iso is not None or spec.cdrom:
        plan.cdrom(spec.iso)
    config.deviceChange = plan.changes + ([hardware.tpm()] if spec.tpm else [])
    return config


@attrs.frozen
class _field:  # noqa: N801  used as a statement
    """Names the device in what a plan refuses, which knows the device's own fields alone."""

    name: str

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InvalidRequest) and error.field and "." not in error.field:
            error.field = f"{self.name}.{error.field}"


def _vm(connection: Connection, place: Place, config: Any, made: Made) -> Work[str]:
    """Make the VM. From here on there may be one, even if the answer that says so is lost."""
    folder = vim.Folder(connection.scope.vm_folder, connection.stub)
    pool = vim.ResourcePool(place.machine.pool, connection.stub)
    made.uuid = config.instanceUuid
    result = yield folder.CreateVM_Task(config, pool, vim.HostSystem(place.machine.id, connection.stub))
    return text(result)


def _finish(connection: Connection, place: Place, spec: VMSpec, vm_id: str) -> Work[None]:
    """What can only be said of a VM that is there: an order of devices, which have keys now, and starting."""
    if tuple(spec.boot_order) != hardware.DEFAULT_BOOT:
        values = connection.properties.one("VirtualMachine", vm_id, ["config.hardware"]).values
        keys = hardware.boot_keys(present(values.get("config.hardware")))
        entries = hardware.boot_entries(spec.boot_order, keys)
        change = vim.vm.ConfigSpec(bootOptions=vim.vm.BootOptions(bootOrder=entries))
        yield connection.vm(vm_id).ReconfigVM_Task(change)
    if spec.autostart:
        autostart.configure(connection, place.machine.id, vm_id, True)
