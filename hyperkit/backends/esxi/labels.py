r"""Names as vSphere writes them: ``/``, ``\`` and ``%`` of an inventory object's name are escaped there."""

from __future__ import annotations

import re


def plain(name: str) -> str:
    """As people write it: ``a/b`` for ``a%2fb``."""
    return re.sub(r"%(2f|5c|25)", lambda found: chr(int(found[1], 16)), name, flags=re.IGNORECASE)


def escaped(name: str) -> str:
    """As vSphere takes it."""
    return re.sub(r"[%/\\]", lambda found: f"%{ord(found[0]):02x}", name)
