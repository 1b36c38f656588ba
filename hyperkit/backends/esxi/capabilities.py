"""What an ESX, an ESXi or a vCenter can do, by version, licence and scope."""

from __future__ import annotations

from hyperkit.backends.esxi.connection import Connection
from hyperkit.capabilities import Capabilities


def probe(connection: Connection) -> Capabilities:
    """Ask the host what it can do."""
    raise AssertionError("under construction")
