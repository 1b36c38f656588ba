"""Virtual switches of the fake."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit.backends.fake.world import World
from hyperkit.errors import AlreadyExists, InvalidRequest
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchKind, SwitchSpec


class FakeSwitches:
    """See `hyperkit.driver.SwitchPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def list(self) -> Sequence[SwitchRecord]:
        with self._world.lock:
            return list(self._world.switches.values())

    def get(self, switch_id: str) -> SwitchRecord:
        with self._world.lock:
            return self._world.switch(switch_id)

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        world = self._world
        with world.lock:
            if world.capabilities.unique_switch_names and any(s.name == spec.name for s in world.switches.values()):
                raise AlreadyExists(f"a switch called {spec.name!r} exists already")
            if spec.uplink is not None and spec.uplink not in world.uplinks:
                raise InvalidRequest(
                    f"uplink={spec.uplink!r}: the host has {', '.join(sorted(world.uplinks))}",
                    field="uplink",
                    value=spec.uplink,
                )
            switch = SwitchRecord(
                id=world.new_id(),
                name=spec.name,
                kind=spec.kind,
                uplink=spec.uplink,
                subnet=spec.subnet,
                nat=spec.kind is SwitchKind.INTERNAL and spec.subnet is not None and spec.nat,
                dhcp=spec.subnet is not None and spec.dhcp,
            )
            world.switches[switch.id] = switch
            return switch

    def delete(self, switch_id: str) -> None:
        with self._world.lock:
            self.get(switch_id)
            del self._world.switches[switch_id]
