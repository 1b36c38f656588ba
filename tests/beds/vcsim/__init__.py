"""A vSphere simulator: govmomi's, made stricter and more complete by a Go program of ours, controlled by tests."""

from __future__ import annotations

import importlib.util

from tests.beds.vcsim import build
from tests.beds.vcsim.control import Calls, Control, Faults, Guest, Key
from tests.beds.vcsim.errors import BedFailure
from tests.beds.vcsim.server import Vcsim

__all__ = ["BedFailure", "Calls", "Control", "Faults", "Guest", "Key", "Vcsim", "missing"]


def missing() -> list[str]:
    """Why this bed cannot run here, one reason each; empty when it can. Looks only, and quickly."""
    reasons = build.missing()
    if importlib.util.find_spec("pyVmomi") is None:
        reasons.append("no Python module pyVmomi (pyvmomi)")
    return reasons
