"""hyperkit's conformance suite on a toy in a temporary directory."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import hyperkit
from hyperkit import Allocation, Host, HypervisorType, MiB, PowerState
from hyperkit.testing import Backdoor, Bed, Image, Machine, Network, PlainBackdoor, Plug, Shape
from hyperkit.testing.conformance import *  # noqa: F403


class ToyBackdoor(PlainBackdoor):
    """Looks at the files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._numbers = itertools.count(1)

    def vm_ids(self) -> set[str]:
        return {path.stem for path in (self._root / "vms").glob("*.json")}

    def power_state(self, vm_id: str) -> PowerState | None:
        path = self._root / "vms" / f"{vm_id}.json"
        return PowerState(json.loads(path.read_text())["state"]) if path.exists() else None

    def shape(self, vm_id: str) -> Shape:
        data = json.loads((self._root / "vms" / f"{vm_id}.json").read_text())
        return Shape(
            name=data["name"],
            cpus=data["cpus"],
            memory=data["memory"],
            disks=frozenset(disk["path"] for disk in data["disks"]),
            macs=frozenset(nic["mac"] for nic in data["nics"]),
        )

    def allocations(self, vm_id: str) -> tuple[Allocation, Allocation]:
        return Allocation(), Allocation()  # it controls nothing

    def plugs(self, vm_id: str) -> dict[str, Plug]:
        data = json.loads((self._root / "vms" / f"{vm_id}.json").read_text())
        return {nic["mac"]: Plug(self._switches().get(nic["switch"])) for nic in data["nics"]}

    def snapshots(self, vm_id: str) -> dict[str, str | None]:
        return {}

    def switch_names(self) -> set[str]:
        return set(self._switches().values())

    def network(self, name: str) -> Network:
        return Network()

    def _switches(self) -> dict[str, str]:
        found = [json.loads(path.read_text()) for path in (self._root / "switches").glob("*.json")]
        return {data["id"]: data["name"] for data in found}

    def files(self) -> set[str]:
        return {str(path) for path in (self._root / "images").iterdir()}

    def capacity(self, datastore: str) -> int:
        return shutil.disk_usage(self._root / datastore).total

    def disk_size(self, path: str) -> int:
        return os.stat(path).st_size

    def disk_space(self, path: str) -> int:
        return os.stat(path).st_blocks * 512

    def make_disk(self, size: int) -> str:
        path = self._root / "images" / f"foreign-{next(self._numbers)}.raw"
        with path.open("xb") as image:
            image.truncate(size)
        return str(path)

    def remove(self, path: str) -> None:
        Path(path).unlink()

    def write(self, path: str, offset: int, data: bytes) -> None:
        with open(path, "r+b") as image:
            image.seek(offset)
            image.write(data)

    def read(self, path: str, offset: int, length: int) -> bytes:
        with open(path, "rb") as image:
            image.seek(offset)
            return image.read(length)

    def boot_id(self, vm_id: str) -> str | None:
        return None  # nothing is ever booted


class ToyBed(Bed):
    """A directory of its own."""

    name = "toy"
    content = True
    deaf = {}  # no guest ever hears anything
    machine = Machine(
        product="Toy",
        version="1",
        hypervisor_type=HypervisorType.HOSTED,
        cpus=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        root = Path(self._directory.name)
        self._url = f"toy://{root}"
        self._backdoor = ToyBackdoor(root)
        self.directory = str(root / "images")
        self.missing_path = str(root / "images" / "no-such-file.raw")
        self.connect().close()
        self.base_image = Image(self._backdoor.make_disk(16 * MiB), 16 * MiB)

    @property
    def backdoor(self) -> Backdoor:
        return self._backdoor

    def connect(self) -> Host:
        return hyperkit.connect(self._url)

    def close(self) -> None:
        super().close()
        self._directory.cleanup()


@pytest.fixture(scope="module")
def bed() -> Iterator[ToyBed]:
    with ToyBed() as bed:
        yield bed
