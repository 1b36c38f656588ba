"""The fake: a hypervisor in memory, and the reference for what every backend must do.

``fake://`` is an empty host of one's own; ``fake://name`` is shared by all who name it in this process.
Options, as in ``fake://lab?profile=hyperv&jobs=polls:3``:

``profile``
    ``libvirt``, ``esxi``, ``vcenter``, ``hyperv`` or ``lxc``: its capabilities and naming rules. Default: everything
    there is.
``jobs``
    ``now`` (default), ``polls:N`` (done at the Nth look) or ``seconds:T`` (of the clock).
``clock``
    ``virtual`` (default: time passes only when somebody waits) or ``system``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from hyperkit.backends.fake.clones import FakeClones
from hyperkit.backends.fake.consoles import FakeConsoles
from hyperkit.backends.fake.datastores import FakeDatastores
from hyperkit.backends.fake.disks import FakeDisks
from hyperkit.backends.fake.events import FakeEvents
from hyperkit.backends.fake.guests import FakeGuests
from hyperkit.backends.fake.host import FakeHost
from hyperkit.backends.fake.jobs import JobMode
from hyperkit.backends.fake.metrics import FakeMetrics
from hyperkit.backends.fake.nics import FakeNics
from hyperkit.backends.fake.profiles import PROFILES
from hyperkit.backends.fake.snapshots import FakeSnapshots
from hyperkit.backends.fake.switches import FakeSwitches
from hyperkit.backends.fake.upkeep import FakeUpkeep
from hyperkit.backends.fake.vms import FakeVMs
from hyperkit.backends.fake.volumes import FakeVolumes
from hyperkit.backends.fake.world import World
from hyperkit.clock import Clock, SystemClock, VirtualClock
from hyperkit.driver import PORTS, Driver, Target
from hyperkit.errors import HyperkitError, InvalidRequest

T = TypeVar("T")

_shared: dict[str, World] = {}


def open(target: Target) -> Driver:  # noqa: A001  # the name every backend's entry has
    """Connect to a fake host.

    Raises:
        InvalidRequest: an option, or its value, that the fake does not know.
    """
    if not target.host:
        return driver(_world(target), target.url)
    # Made in any case, so that wrong options are refused by a world that exists too.
    return driver(_shared.setdefault(target.host, _world(target)), target.url)


def forget(name: str) -> None:
    """Let the next ``fake://name`` begin afresh."""
    _shared.pop(name, None)


def driver(world: World, url: str = "fake://") -> Driver:
    """A connection to a world that exists, for tests that made one themselves."""
    driver = Driver(
        backend="fake",
        url=url,
        identity=world.host.id,
        capabilities=world.capabilities,
        host=FakeHost(world),
        vms=FakeVMs(world),
        disks=FakeDisks(world),
        nics=FakeNics(world),
        switches=FakeSwitches(world),
        datastores=FakeDatastores(world),
        volumes=FakeVolumes(world),
        snapshots=FakeSnapshots(world) if world.capabilities.snapshots else None,
        clones=FakeClones(world) if _any(world, "clones", "templates") else None,
        guests=FakeGuests(world)
        if _any(world, "guest_addresses", "guest_agent", "guest_exec", "guest_freeze")
        else None,
        consoles=FakeConsoles(world) if _any(world, "screenshot", "send_keys", "serial_console", "display") else None,
        upkeep=FakeUpkeep(world) if _any(world, "questions", "snapshot_consolidation") else None,
        events=FakeEvents(world) if world.capabilities.events_pushed else None,
        metrics=FakeMetrics(world) if world.capabilities.metrics else None,
        translate=_nothing_of_a_vendor,
        native=lambda: world,
        close=_stays_in_memory,
        clock=world.clock,
    )
    if not world.jobs.seconds:
        return driver
    ports: dict[str, Any] = {
        name: _AtWork(world, port) for name in PORTS if (port := getattr(driver, name)) is not None
    }
    return attrs.evolve(driver, **ports)


def _any(world: World, *names: str) -> bool:
    return any(getattr(world.capabilities, name) for name in names)


def _world(target: Target) -> World:
    options = dict(target.options)
    capabilities = _choose("profile", options.pop("profile", "all"), PROFILES)
    clocks: dict[str, Callable[[], Clock]] = {"virtual": VirtualClock, "system": SystemClock}
    clock = target.clock or _choose("clock", options.pop("clock", "virtual"), clocks)()
    jobs = JobMode.parse(options.pop("jobs", "now"))
    for name, value in options.items():
        raise InvalidRequest(
            f"fake:// has no option {name}={value!r}; it has profile, jobs and clock", field=name, value=value
        )
    return World(capabilities=capabilities, clock=clock, jobs=jobs)


def _choose(option: str, value: str, choices: Mapping[str, T]) -> T:
    if value not in choices:
        raise InvalidRequest(f"{option}={value!r}: choose one of {', '.join(choices)}", field=option, value=value)
    return choices[value]


class _AtWork:
    """A port of a host whose jobs end by the clock: what time has done is done before each call."""

    def __init__(self, world: World, port: object) -> None:
        self._world = world
        self._port = port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any) -> Any:
            self._world.carry_on()
            return method(*args)

        return call


def _nothing_of_a_vendor(_error: Exception) -> HyperkitError | None:
    return None


def _stays_in_memory() -> None:
    """A named world lives until `forget`; an unnamed one as long as its host."""
