"""VMs as records: what is read of each, and for which switches, datastores and hosts it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyperkit.records import VMRecord

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection


class Inventory:
    """Reads VMs whole. The other ports return what they changed by it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Sequence[VMRecord]:
        """All VMs of the scope: one call for them, pages aside, and one for each type that they refer to."""
        raise AssertionError("under construction")

    def get(self, vm_id: str) -> VMRecord:
        """One VM.

        Raises:
            vmodl.fault.ManagedObjectNotFound: there is none of this id.
        """
        raise AssertionError("under construction")
