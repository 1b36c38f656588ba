"""Disk images of the fake: new, linked, copied or already there."""

from __future__ import annotations

import itertools
from pathlib import PurePosixPath

from hyperkit.backends.fake.world import Volume, World
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, ResourceExhausted
from hyperkit.records import DiskRecord, VolumeRecord, changed
from hyperkit.specs import CloneSpec, DiskBus, DiskFormat, DiskSpec
from hyperkit.units import format_size


def make_disk(world: World, vm_name: str, disk_id: str, spec: DiskSpec) -> DiskRecord:
    """The disk a spec asks for, its file made unless it exists.

    Raises:
        NotFound: a path or base that leads nowhere.
        InvalidRequest: a directory, or a size below the base image's.
        AlreadyExists: the file name is taken.
        ResourceExhausted: the datastore is full.
    """
    if spec.path is not None:
        file = world.volume(spec.path, "path").record
        return _disk(world, disk_id, file, spec, created=False)
    base = world.volume(spec.base, "base") if spec.base is not None else None
    size = spec.size if spec.size is not None else base.record.size if base else 0
    if base is not None and size < base.record.size:
        refuse("size", size, f"at least the {base.record.size} bytes of the base image {base.record.path}")
    name = spec.name or _free_name(world, vm_name, spec.datastore)
    extension = spec.format or DiskFormat(world.capabilities.disk_formats[0])
    linked = base is not None and spec.linked
    file = add_volume(
        world,
        spec.datastore,
        f"{name}.{extension}",
        size,
        extension,
        thin=spec.thin or linked,
        base=base.record.path if base and linked else None,
        data=base.data if base else b"",
    )
    return _disk(world, disk_id, file, spec, created=True)


def copy_disk(world: World, spec: CloneSpec, disk: DiskRecord, source: Volume) -> DiskRecord:
    """The disk that a clone has for one of its source, whose content is that of ``source``.

    Raises:
        ResourceExhausted: the datastore is full.
    """
    file = source.record
    datastore_id = spec.datastore or file.datastore_id
    name = _free_name(world, spec.name, datastore_id)
    suffix = PurePosixPath(file.path).suffix or f".{file.format}"
    copy = add_volume(
        world,
        datastore_id,
        f"{name}{suffix}",
        file.size,
        file.format,
        thin=spec.linked or not file.allocated,
        base=file.path if spec.linked else None,
        data=source.data,
    )
    return changed(disk, path=copy.path, size=copy.size, created=True, base=copy.base, chain=())


def add_volume(
    world: World,
    datastore_id: str | None,
    file_name: str,
    size: int,
    format: str,
    *,
    thin: bool = True,
    base: str | None = None,
    data: bytes = b"",
) -> VolumeRecord:
    """A new file in a datastore.

    Raises:
        AlreadyExists: the name is taken.
        ResourceExhausted: no room for a file that is not thin.
    """
    # A thin file needs no look at the free space, which would make ten thousand of them slow.
    store = world.place(datastore_id) if thin else world.datastore(datastore_id)
    path = f"{store.path}/{file_name}"
    if path in world.volumes:
        raise AlreadyExists(f"{path} exists already in datastore {store.name!r}")
    if not thin and size > store.free:
        raise ResourceExhausted(
            f"datastore {store.name!r} has {format_size(store.free)} free, {format_size(size)} wanted"
        )
    record = VolumeRecord(
        id=path,
        name=file_name,
        path=path,
        datastore_id=store.id,
        size=size,
        allocated=0 if thin else size,
        format=format,
        base=base,
    )
    world.volumes[path] = Volume(record, data)
    return record


def resize(world: World, path: str, size: int) -> None:
    """Let a file have another size, for every VM that has it as a disk."""
    volume = world.volume(path)
    volume.record = changed(volume.record, size=size)
    for machine in world.machines.values():
        disks = machine.record.disks
        if any(disk.path == path for disk in disks):
            world.update(machine, disks=tuple(changed(d, size=size) if d.path == path else d for d in disks))


def _free_name(world: World, vm_name: str, datastore_id: str | None) -> str:
    directory = world.place(datastore_id).path
    extensions = world.capabilities.disk_formats
    for number in itertools.count():
        name = f"{vm_name}-{number}"
        if not any(f"{directory}/{name}.{extension}" in world.volumes for extension in extensions):
            return name
    raise AssertionError("count() does not end")


def _disk(world: World, disk_id: str, file: VolumeRecord, spec: DiskSpec, *, created: bool) -> DiskRecord:
    usual_bus = DiskBus(next(iter(world.capabilities.disk_buses), DiskBus.VIRTIO))
    known = file.format in DiskFormat.__members__.values()
    return DiskRecord(
        id=disk_id,
        path=file.path,
        size=file.size,
        format=DiskFormat(file.format) if known else spec.format,
        bus=spec.bus or usual_bus,
        created=created,
        base=file.base,
        read_only=spec.read_only,
    )
