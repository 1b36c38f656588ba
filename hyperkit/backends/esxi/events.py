"""Changes, as the host reports them."""

from __future__ import annotations

from collections.abc import Callable

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.driver import Change, Occurrence
from hyperkit.errors import HyperkitError


class Events:
    """Changes, as the host reports them."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def subscribe(self, sink: Callable[[Change | Occurrence | HyperkitError], None]) -> Callable[[], None]:
        raise AssertionError("under construction")

    def close(self) -> None:
        """End every subscription."""
