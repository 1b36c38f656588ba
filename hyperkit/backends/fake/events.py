"""Changes of the fake's VMs, told as they happen."""

from __future__ import annotations

from collections.abc import Callable

from hyperkit.backends.fake.world import World
from hyperkit.driver import Change, Occurrence


class FakeEvents:
    """See `hyperkit.driver.EventPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def subscribe(self, sink: Callable[[Change | Occurrence], None]) -> Callable[[], None]:
        with self._world.lock:
            self._world.sinks.append(sink)
        return lambda: self._world.sinks.remove(sink)
