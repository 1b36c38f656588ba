"""What several unit tests need: a fake whose port calls are counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

import hyperkit
from hyperkit import Capabilities, Host, HyperkitError, PowerState
from hyperkit.backends.fake import driver as fake_driver
from hyperkit.backends.fake.profiles import ALL
from hyperkit.backends.fake.world import World
from hyperkit.driver import Driver
from hyperkit.instrument import instrument, intercept


class Calls(list[str]):
    """Names of the port calls that were made, in order; give `wrap` to `hyperkit.connect`."""

    def wrap(self, driver: Driver) -> Driver:
        return intercept(driver, self._note)

    def _note(self, operation: str, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        self.append(operation)
        return method(*args)

    def of(self, function: Callable[[], object]) -> list[str]:
        """The calls that ``function`` makes."""
        before = len(self)
        function()
        return self[before:]


def counted(url: str = "fake://") -> tuple[Host, Calls]:
    """A fresh fake, and the record of its calls. Reading the host's facts at the start is not in it."""
    calls = Calls()
    host = hyperkit.connect(url, wrap=[calls.wrap])
    calls.clear()
    return host, calls


def world_of(host: Host) -> World:
    """The world behind a fake host."""
    world = host.native
    assert isinstance(world, World)
    return world


def host_with(world: World, url: str = "fake://") -> Host:
    """A host on a world that a test made itself."""
    return Host(instrument(fake_driver(world, url)))


def all_but(**changes: Any) -> Capabilities:
    """What a fake can do, but for some."""
    return attrs.evolve(ALL, **changes)


E = TypeVar("E", bound=HyperkitError)


def refusal(kind: type[E], call: Callable[[], object]) -> E | None:
    """The error of this kind that a call raises; None if it goes well."""
    try:
        call()
    except kind as error:
        return error
    return None


def put_in_state(host: Host, vm_id: str, state: PowerState) -> None:
    """Behind hyperkit's back, as a guest or another tool would."""
    world = world_of(host)
    world.update(world.machine(vm_id), state=state)
