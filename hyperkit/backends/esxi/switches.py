"""Port groups and the switches they are on."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.esxi.connection import Connection
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchChange, SwitchSpec


class Switches:
    """Port groups and the switches they are on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> Sequence[SwitchRecord]:
        raise AssertionError("under construction")

    def get(self, switch_id: str) -> SwitchRecord:
        raise AssertionError("under construction")

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        raise AssertionError("under construction")

    def update(self, switch_id: str, change: SwitchChange) -> SwitchRecord:
        raise AssertionError("under construction")

    def delete(self, switch_id: str) -> None:
        raise AssertionError("under construction")
