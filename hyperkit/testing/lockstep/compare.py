"""What both sides are to agree on: all records, with as little left out or renamed as can be, and each outcome."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import attrs

from hyperkit.errors import HyperkitError
from hyperkit.handle import Handle, PartOfVM
from hyperkit.host import Host
from hyperkit.records import (
    CdromRecord,
    DiskRecord,
    NicRecord,
    SnapshotRecord,
    SwitchRecord,
    VMRecord,
    VolumeRecord,
    to_dict,
)

LEFT_OUT: Mapping[type, Mapping[str, str]] = {
    VMRecord: {"host": "a fake has one machine, and no choice of where to put a VM"},
    DiskRecord: {
        "id": "each host has its own words for where a disk is attached; that it stays is looked at apart",
        "chain": "where a snapshot begins new files, all of them are the disk; it is known by the first",
    },
    NicRecord: {"id": "as a disk's"},
    CdromRecord: {"id": "as a disk's"},
    SnapshotRecord: {"created": "the two sides have clocks of their own"},
}
"""Fields that are not compared, and why. Besides them only what records themselves do not compare is left out:
free space, and space taken."""

_DEVICE = re.compile(r"\b(disk|NIC|CD-ROM drive) '[^']*'")
"""The id of a device in an error's words."""

Tree = dict[str, Any]


class Labels:
    """One side's own ids, paths and addresses, as what they are called in the script.

    Ids of VMs, switches and snapshots become the variable they are kept in, and so do the paths of files that were
    not there at the beginning: ``file3`` is the third that was seen. Hosts name files in their own ways, and one may
    give the path of a file that is gone to the next. A host may begin new files where a snapshot is taken or brought
    back (`DiskRecord.chain`): these are called by the file that the disk began as. A MAC address or a file's name
    that was asked for stays as it is. An address that the host chose is numbered as well: both sides see them in one
    order.
    """

    def __init__(self, asked: Collection[str]) -> None:
        self.asked = asked
        self.files: dict[str, str] = {}
        self.layers: dict[str, str | None] = {}
        """Files that snapshots made, and the one that each disk began as; None of one that is no disk."""
        self.formats: dict[str, str] = {}
        """What files are, by path."""
        self.found: list[tuple[str, str, str]] = []
        """Files since the last look: the variable, the path, and how a script gets at it."""
        self._names: dict[tuple[str, ...], str] = {}
        self._macs: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._past: dict[str, str] = {}
        """Layers that are gone: the record of a VM that nobody has read since still tells of them."""

    def give(self, handle: Handle[Any], name: str) -> None:
        """Remember what a result is called."""
        owner = (handle.vm.id,) if isinstance(handle, PartOfVM) else ()
        self._names[(handle.kind, *owner, handle.id)] = name

    def vm(self, vm_id: str) -> str:
        """What a VM is called; the id itself if the script never made it."""
        return self._names.get(("VM", vm_id), vm_id)

    def switch(self, switch_id: str | None) -> str | None:
        """What a switch is called."""
        return None if switch_id is None else self._names.get(("switch", switch_id), switch_id)

    def snapshot(self, vm_id: str, snapshot_id: str | None) -> str | None:
        """What a snapshot is called."""
        return None if snapshot_id is None else self._names.get(("snapshot", vm_id, snapshot_id), snapshot_id)

    def mac(self, mac: str) -> str:
        """An address that was asked for, or the number of one that was not."""
        return mac if mac in self.asked else self._macs.setdefault(mac, f"mac {len(self._macs) + 1}")

    def file(self, path: str | None) -> str | None:
        """What a file is called, or the disk that it is a layer of."""
        path = None if path is None else self.layers.get(path) or self._past.get(path) or path
        return None if path is None else self.files.get(path, path)

    @property
    def covered(self) -> frozenset[str]:
        """The files, as they are called, that others lie on: what was written last is not in them."""
        return frozenset(self.files.get(root, root) for root in self.layers.values() if root)

    def file_name(self, name: str, path: str) -> str:
        """A file's name if it was asked for, without the extension that a host may give it; else it says no more than
        the path.

        Where each VM has a directory, that is told with the name. A file called like its directory was not asked for.
        """
        if path not in self.files:
            return name
        directory, _, file = name.rpartition("/")
        words = (word for word in (file, file.rpartition(".")[0]) if word != directory)
        return next((word for word in words if word in self.asked), "chosen")

    def discover(self, path: str, origin: str) -> None:
        """A file that is there."""
        if path not in self.files:
            self.files[path] = f"file{next(self._numbers)}"
            self.found.append((self.files[path], path, origin))

    def forget(self, there: Collection[str]) -> None:
        """Drop the files that are gone."""
        self._past.update((path, root) for path, root in self.layers.items() if root)
        self._past = {path: root for path, root in self._past.items() if path not in there}
        self.layers = {path: root for path, root in self.layers.items() if path in there}
        self.files = {path: name for path, name in self.files.items() if path in there}


@attrs.define
class Survey:
    """Everything on one side."""

    vms: dict[str, VMRecord]
    """The VMs as they are told, by what they are called."""
    tree: Tree
    """All of it, in words that both sides share."""


def survey(host: Host, labels: Labels, known: Collection[str], *, layered: bool = False) -> Survey:
    """Read everything: VMs, their snapshots, switches, datastores and the files in them.

    Args:
        host: what to read.
        labels: what things are called; files that are new are numbered.
        known: the paths of files that were there at the beginning, which both sides call alike.
        layered: whether a snapshot was taken or brought back since the last look: files that are new are its own.
    """
    vms = {labels.vm(vm.id): vm for vm in host.vms}
    vms = {name: vms[name] for name in sorted(vms)}
    stores = host.datastores.list()
    volumes = [volume for store in stores if store.record.accessible for volume in store.volumes]
    places = [
        (disk.record.files[-1], f"{name}.refresh().disks[{index}].record.files[-1]")
        for name, vm in vms.items()
        for index, disk in enumerate(vm.disks)
    ]
    places += sorted((volume.path, f"store.volumes.one({volume.name!r}).path") for volume in volumes)
    labels.forget({path for path, _origin in places})
    labels.formats = {volume.path: volume.record.format for volume in volumes}
    if layered:
        new = {path for path, _origin in places}.difference(known, labels.files, labels.layers)
        labels.layers.update(dict.fromkeys(new))
        labels.layers.update(
            (path, disk.record.files[-1]) for vm in vms.values() for disk in vm.disks for path in disk.record.files[:-1]
        )
    for path, origin in places:
        if path not in known and path not in labels.layers:
            labels.discover(path, origin)
    tree: Tree = {
        "vms": {name: normal(vm.record, labels) for name, vm in vms.items()},
        "snapshots": {
            name: {labels.snapshot(vm.id, s.id): normal(s.record, labels) for s in vm.snapshots}
            for name, vm in vms.items()
            if host.capabilities.snapshots
        },
        "switches": {labels.switch(switch.id): normal(switch.record, labels) for switch in host.switches},
        "datastores": {store.name: normal(store.record, labels) for store in stores},
        "files": _files([volume.record for volume in volumes], labels, [vm.record for vm in vms.values()]),
    }
    return Survey({name: vm.record for name, vm in vms.items()}, tree)


def _files(volumes: Iterable[VolumeRecord], labels: Labels, vms: Iterable[VMRecord]) -> Tree:
    """The files, each as large as the disk is that it is the beginning of."""
    sizes: dict[str, Any] = {**dict.fromkeys(filter(None, labels.layers.values()), ANYTHING)}
    sizes |= {disk.files[-1]: disk.size for vm in vms for disk in vm.disks if disk.chain}
    found: Tree = {}
    for volume in volumes:
        if volume.path not in labels.layers:
            name = str(labels.file(volume.path))
            found[name] = normal(volume, labels)
            found[name]["size"] = sizes.get(volume.path, volume.size)
    return found


def normal(record: Any, labels: Labels) -> Tree:
    """A record in words that both sides share."""
    kind = type(record)
    left_out = LEFT_OUT.get(kind, {})
    shown = [field.name for field in attrs.fields(kind) if field.eq and field.name not in left_out]
    tree = {name: _plain(getattr(record, name), labels) for name in shown}
    if isinstance(record, VMRecord):
        tree["id"] = labels.vm(record.id)
    elif isinstance(record, SnapshotRecord):
        tree["id"] = labels.snapshot(record.vm_id, record.id)
        tree["parent_id"] = labels.snapshot(record.vm_id, record.parent_id)
        tree["vm_id"] = labels.vm(record.vm_id)
    elif isinstance(record, NicRecord):
        tree["mac"] = labels.mac(record.mac)
        tree["switch_id"] = labels.switch(record.switch_id)
    elif isinstance(record, DiskRecord):
        tree["path"], tree["base"] = labels.file(record.path), labels.file(record.base)
        if record.chain:
            tree["format"] = labels.formats.get(record.files[-1])
    elif isinstance(record, VolumeRecord):
        tree["id"] = tree["path"] = labels.file(record.path)
        tree["base"] = labels.file(record.base)
        tree["name"] = labels.file_name(record.name, record.path)
    elif isinstance(record, SwitchRecord):
        tree["id"] = labels.switch(record.id)
    return tree


def _plain(value: Any, labels: Labels) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(each, labels) for each in value]
    return normal(value, labels) if isinstance(value, (DiskRecord, NicRecord, CdromRecord)) else to_dict(value)


@attrs.frozen
class Outcome:
    """What came of a step on one side."""

    value: Any = None
    error: HyperkitError | None = None

    @property
    def word(self) -> str:
        """``done``, or the class of the error."""
        return type(self.error).__name__ if self.error else "done"

    def told(self, labels: Labels) -> Any:
        """What the caller learns, in words that both sides share; of an error all but its sentence."""
        if self.error is not None:
            known = {name: value for name, value in vars(self.error).items() if name != "backend"}
            return {"error": self.word, **{name: _words(value, labels) for name, value in known.items()}}
        return normal(self.value.record, labels) if isinstance(self.value, Handle) else to_dict(self.value)


def _words(value: Any, labels: Labels) -> Any:
    if isinstance(value, (list, tuple)):
        return [_words(each, labels) for each in value]
    return _DEVICE.sub(r"\1", labels.file(value) or "") if isinstance(value, str) else to_dict(value)


def differences(one: Any, other: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two trees differ, and what is there."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            yield from differences(one.get(key, _NOTHING), other.get(key, _NOTHING), f"{where}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{where}[{index}]")
    elif one != other:
        yield where, one, other


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


ANYTHING = _Anything()
"""What one side cannot say, so that the other may say what it wants."""


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def unsteady(before: Survey, after: Survey) -> Iterable[str]:
    """Devices whose ids changed although they stayed in their VM: disks by their file, NICs by their address."""
    for name in before.vms.keys() & after.vms.keys():
        then, now = _devices(before.vms[name]), _devices(after.vms[name])
        for device in then.keys() & now.keys():
            if then[device] != now[device]:
                yield f"{device} of {name} was {then[device]!r} and is {now[device]!r}"


def _devices(record: VMRecord) -> dict[str, str]:
    return {**{disk.files[-1]: disk.id for disk in record.disks}, **{nic.mac: nic.id for nic in record.nics}}
