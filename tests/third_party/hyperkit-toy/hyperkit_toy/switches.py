"""Virtual switches of a toy: private ones, which carry no frames of nobody."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchChange, SwitchKind, SwitchSpec
from hyperkit_toy.store import Data, Store


class ToySwitches:
    """See `hyperkit.driver.SwitchPort`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> Sequence[SwitchRecord]:
        return [_record(data) for data in self._store.all("switches")]

    def get(self, switch_id: str) -> SwitchRecord:
        return _record(self._store.get("switches", switch_id))

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        data = {"id": str(uuid.uuid4()), "serial": self._store.next_serial("switches"), "name": spec.name}
        self._store.put("switches", data)
        return _record(data)

    def update(self, switch_id: str, change: SwitchChange) -> SwitchRecord:
        return self.get(switch_id)  # a toy has none of the capabilities that a change needs

    def delete(self, switch_id: str) -> None:
        self._store.drop("switches", switch_id)


def _record(data: Data) -> SwitchRecord:
    return SwitchRecord(id=data["id"], name=data["name"], kind=SwitchKind.PRIVATE)
