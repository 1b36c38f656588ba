"""Disks with a guest on them: a VM that starts from one, or from a copy of it, has that guest from then on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_HEAD = b"hyperkit guest "


def install(extent: Path, **guest: Any) -> None:
    """Put a guest onto a disk, into the file of its data. What a guest is, `Control.guest` has the words for."""
    with open(extent, "r+b") as disk:
        disk.write(_HEAD + json.dumps(guest).encode() + b"\n")
