"""The fake host's facts."""

from __future__ import annotations

from hyperkit.backends.fake.world import World
from hyperkit.records import HostRecord, changed


class FakeHost:
    """See `hyperkit.driver.HostPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self) -> HostRecord:
        return changed(self._world.host, memory_free=self._world.free_memory())
