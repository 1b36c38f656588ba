"""Between the vendor's JSON and hyperkit's records."""

from __future__ import annotations

import secrets
from pathlib import Path

from hyperkit.records import DiskRecord, NicRecord, VMRecord
from hyperkit.specs import DiskFormat, DiskSpec, NicSpec
from hyperkit.states import PowerState
from hyperkit_toy.store import Data, Store, ToyError


def record(store: Store, data: Data) -> VMRecord:
    """A whole VM."""
    return VMRecord(
        id=data["id"],
        name=data["name"],
        state=PowerState(data["state"]),
        cpus=data["cpus"],
        memory=data["memory"],
        max_cpus=data["cpus"],
        max_memory=data["memory"],
        disks=tuple(disk(item) for item in data["disks"]),
        nics=tuple(nic(store, item) for item in data["nics"]),
        notes=data["notes"],
    )


def disk(data: Data) -> DiskRecord:
    """A disk; how large it is, its file knows best."""
    file = Path(data["path"])
    return DiskRecord(
        id=data["id"],
        path=data["path"],
        size=file.stat().st_size if file.exists() else None,
        format=DiskFormat.RAW,
        created=data["created"],
        read_only=data["read_only"],
    )


def nic(store: Store, data: Data) -> NicRecord:
    """A network card."""
    name = store.get("switches", data["switch"])["name"] if data["switch"] else None
    return NicRecord(id=data["id"], mac=data["mac"], switch_id=data["switch"], switch=name, model="toy")


def new_disk(store: Store, id_: str, vm_name: str, spec: DiskSpec) -> Data:
    """The disk that a spec asks for; its file is made, the base image's content is yet to be copied."""
    if spec.path is not None:
        path, created = store.image(spec.path), False
    else:
        base = store.image(spec.base).stat().st_size if spec.base else 0
        size = base if spec.size is None else spec.size
        if size < base:
            raise ToyError("too-small", f"size={size} is below the {base} bytes of {spec.base}")
        name = spec.name or f"{vm_name}-{secrets.token_hex(4)}"
        path, created = store.new_image(f"{name}.raw", size, thin=spec.thin), True
    return {"id": id_, "path": str(path), "created": created, "read_only": spec.read_only}


def new_nic(store: Store, id_: str, spec: NicSpec) -> Data:
    """The card that a spec asks for."""
    if spec.switch:
        store.get("switches", spec.switch)
    # 3 bytes of 2**24 chances: the toy does not look whether somebody else had the same luck.
    mac = spec.mac or ":".join(["52", "54", "00", *(f"{byte:02x}" for byte in secrets.token_bytes(3))])
    return {"id": id_, "mac": mac, "switch": spec.switch}


def free_id(items: list[Data], prefix: str) -> str:
    """An id that none of these has: the others keep theirs."""
    taken = {item["id"] for item in items}
    return next(id_ for number in range(len(items) + 1) if (id_ := f"{prefix}{number}") not in taken)


def find(items: list[Data], id_: str) -> Data:
    """The item with this id."""
    for item in items:
        if item["id"] == id_:
            return item
    raise ToyError("missing", f"no device {id_!r}; there are {', '.join(item['id'] for item in items) or 'none'}")
