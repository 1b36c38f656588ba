"""Screens and keyboards."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.esxi.connection import Connection
from hyperkit.guest_records import DisplayRecord
from hyperkit.specs import KeySpec
from hyperkit.streams import ByteStream


class Consoles:
    """Screens and keyboards."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def screenshot(self, vm_id: str) -> bytes:
        raise AssertionError("under construction")

    def send_keys(self, vm_id: str, keys: KeySpec) -> None:
        raise AssertionError("under construction")

    def displays(self, vm_id: str) -> Sequence[DisplayRecord]:
        raise AssertionError("under construction")

    def serial(self, vm_id: str, take: bool) -> ByteStream:
        raise AssertionError("under construction")
