r"""Names as vSphere writes them: ``%``, ``/`` and ``\`` stand as ``%25``, ``%2f`` and ``%5c`` in every entity's name.

The API reference says so at ``ManagedEntity.name``. A host escapes what a client did not, and takes an escape that the
client wrote for one; so ours are written whole.
"""

from __future__ import annotations

import re

_ESCAPES = {"%": "%25", "/": "%2f", "\\": "%5c"}
_CHARACTERS = {escape: character for character, escape in _ESCAPES.items()}
_PLAIN = re.compile(r"[%/\\]")
_ESCAPED = re.compile("%25|%2f|%5c", re.IGNORECASE)


def to_vsphere(name: str) -> str:
    """A name as vSphere is to be given it."""
    return _PLAIN.sub(lambda found: _ESCAPES[found[0]], name)


def from_vsphere(name: str) -> str:
    """A name as people write it."""
    return _ESCAPED.sub(lambda found: _CHARACTERS[found[0].lower()], name) if "%" in name else name
