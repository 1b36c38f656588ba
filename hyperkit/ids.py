"""Identities that hyperkit makes itself, and the shape of those it is given.

A VM's, switch's or snapshot's id is the vendor's: opaque, stable over rename and reconnect. Only MAC
addresses have a shape that is checked here.
"""

from __future__ import annotations

import re

_MAC = re.compile(r"[0-9a-f]{2}([-:])[0-9a-f]{2}(\1[0-9a-f]{2}){4}|[0-9a-f]{4}(\.[0-9a-f]{4}){2}|[0-9a-f]{12}")


def normalize_mac(text: str) -> str | None:
    """``52:54:00:12:34:56`` from ``52-54-00-12-34-56``, ``5254.0012.3456`` or upper case; None if it is no MAC."""
    if not _MAC.fullmatch(text.lower()):
        return None
    digits = re.sub(r"[-:.]", "", text).lower()
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def is_unicast(mac: str) -> bool:
    """Whether a normalised MAC may belong to one NIC: the group bit is clear, and it is not all zeros."""
    return not int(mac[:2], 16) & 1 and mac.strip("0:") != ""
