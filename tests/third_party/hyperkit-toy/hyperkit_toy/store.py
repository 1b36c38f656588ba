"""The vendor: a directory with ``vms/*.json``, ``switches/*.json`` and ``images/*``. It knows nothing of hyperkit."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

Data = dict[str, Any]


class ToyError(Exception):
    """What the vendor raises, always this: the reason tells one from the other."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Store:
    """One directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images = root / "images"
        for directory in (self.images, root / "vms", root / "switches"):
            directory.mkdir(exist_ok=True)
        name = root / "identity"
        if not name.exists():
            name.write_text(str(uuid.uuid4()), encoding="ascii")
        self.identity = name.read_text(encoding="ascii")

    def put(self, kind: str, data: Data) -> None:
        """Write an object whole or not at all, so that nobody reads half of one."""
        place = self._place(kind, data["id"])
        part = place.with_suffix(f".{uuid.uuid4()}")
        part.write_text(json.dumps(data), encoding="utf-8")
        part.replace(place)

    def get(self, kind: str, id_: str) -> Data:
        """Read an object."""
        try:
            data: Data = json.loads(self._place(kind, id_).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ToyError("missing", f"no {kind} object with id {id_!r}") from None
        return data

    def all(self, kind: str) -> list[Data]:
        """Read all objects, the oldest first; one that vanishes meanwhile is left out."""
        found = []
        for place in (self.root / kind).glob("*.json"):
            try:
                found.append(json.loads(place.read_text(encoding="utf-8")))
            except FileNotFoundError:
                continue
        return sorted(found, key=lambda data: (data["serial"], data["id"]))

    def drop(self, kind: str, id_: str) -> None:
        """Delete an object."""
        self.get(kind, id_)
        self._place(kind, id_).unlink(missing_ok=True)

    def _place(self, kind: str, id_: str) -> Path:
        return self.root / kind / f"{id_}.json"

    def next_serial(self, kind: str) -> int:
        """A number greater than that of every object."""
        return max((data["serial"] for data in self.all(kind)), default=0) + 1

    def image(self, path: str) -> Path:
        """The image at a path."""
        place = Path(path)
        if place.is_dir():
            raise ToyError("not-an-image", f"{path} is a directory")
        if not place.is_file():
            raise ToyError("missing", f"no image at {path}")
        return place

    def new_image(self, name: str, size: int, *, thin: bool = True) -> Path:
        """Make an image of zeros, which take no space if it is thin."""
        place = self.images / name
        try:
            with place.open("xb") as image:
                image.truncate(size)
                if not thin:
                    os.posix_fallocate(image.fileno(), 0, size)
        except FileExistsError:
            raise ToyError("taken", f"{place} exists already") from None
        except OSError:  # the disk is full
            place.unlink(missing_ok=True)
            raise
        return place
