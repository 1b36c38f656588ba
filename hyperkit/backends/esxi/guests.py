"""What VMware Tools tell of a guest."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.esxi.connection import Connection
from hyperkit.guest_records import CommandResult, GuestRecord
from hyperkit.jobs import Job
from hyperkit.records import AddressRecord
from hyperkit.specs import CommandSpec


class Guests:
    """What VMware Tools tell of a guest."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        raise AssertionError("under construction")

    def ping(self, vm_id: str, timeout: float) -> None:
        raise AssertionError("under construction")

    def info(self, vm_id: str, timeout: float) -> GuestRecord:
        raise AssertionError("under construction")

    def execute(self, vm_id: str, command: CommandSpec) -> Job[CommandResult]:
        raise AssertionError("under construction")

    def freeze(self, vm_id: str, timeout: float) -> int:
        raise AssertionError("under construction")

    def thaw(self, vm_id: str, timeout: float) -> None:
        raise AssertionError("under construction")
