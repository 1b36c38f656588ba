"""What the host says of itself."""

from __future__ import annotations

from hyperkit.backends.esxi.connection import Connection
from hyperkit.records import HostRecord


class HostFacts:
    """What the host says of itself."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def info(self) -> HostRecord:
        raise AssertionError("under construction")
