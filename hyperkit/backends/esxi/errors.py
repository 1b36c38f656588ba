"""What each fault of vSphere means in our tree."""

from __future__ import annotations

from hyperkit.errors import HyperkitError


def translate(error: Exception) -> HyperkitError | None:
    """A fault of vSphere, or of the way to it, as ours; None if it is neither."""
    return None
