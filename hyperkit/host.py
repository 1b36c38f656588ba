"""Host: one hypervisor, or one vCenter, that hyperkit is connected to."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from hyperkit.capabilities import Capabilities
from hyperkit.clock import Clock
from hyperkit.datastore import DatastoreCollection
from hyperkit.driver import Driver
from hyperkit.events import EventSource
from hyperkit.metrics import MetricsSource
from hyperkit.records import HostRecord
from hyperkit.switch import SwitchCollection
from hyperkit.vms import VMCollection


class Host:
    """A connected host; made by `hyperkit.connect`, closed by ``close()`` or at the end of a ``with``.

    Attributes:
        vms: its virtual machines.
        switches: its virtual switches.
        datastores: its places for disk images.
        events: what happens on it.
        metrics: what its virtual machines use.
        info: its facts, read at `connect` and by `refresh`.
    """

    def __init__(self, driver: Driver) -> None:
        self._closed = False
        self.driver = driver
        """The ports, for code that extends hyperkit; see `hyperkit.driver`."""
        self.info: HostRecord = driver.host.info()
        self.vms = VMCollection(self)
        self.switches = SwitchCollection(self)
        self.datastores = DatastoreCollection(self)
        self.events = EventSource(self)
        self.metrics = MetricsSource(self)

    @property
    def name(self) -> str:
        """Its hostname."""
        return self.info.name

    @property
    def url(self) -> str:
        """Where it was connected to, without secrets."""
        return self.driver.url

    @property
    def backend(self) -> str:
        """Which backend serves it: ``fake``, ``libvirt``."""
        return self.driver.backend

    @property
    def identity(self) -> str:
        """What makes it the same host over two connections."""
        return self.driver.identity

    @property
    def capabilities(self) -> Capabilities:
        """What it can do: decide by this beforehand instead of by an exception afterwards."""
        return self.driver.capabilities

    @property
    def native(self) -> object:
        """The vendor's own connection (``libvirt.virConnect``) as it is now, for what hyperkit has no word for."""
        return self.driver.native()

    @property
    def clock(self) -> Clock:
        """The time it lives by; virtual on the fake."""
        return self.driver.clock

    def refresh(self) -> Self:
        """Read its facts again."""
        self.info = self.driver.host.info()
        return self

    def close(self) -> None:
        """End the connection, once the calls that run in this process have ended; a second time does no harm.

        VMs run on. A job that the host itself works on goes on too.
        """
        self._closed = True
        self.driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Host) and other.identity == self.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __repr__(self) -> str:
        closed = " closed" if self._closed else ""
        return f"<Host {self.name!r} {self.info.product} {self.info.version} at {self.url}{closed}>"
