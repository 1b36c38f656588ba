"""Statistics of many VMs in one round trip, although one of them may hang.

``virConnectGetAllDomainStats`` asks the QEMU of each VM that runs, one after the other, and libvirt's calls have no
timeout: one QEMU that does not answer (stopped, or in an endless wait for its storage) keeps the call from ever
returning. NOWAIT alone does not help the first who asks: it passes by a VM that somebody waits for, and nobody does
yet. So the call runs in a thread. One that is late is left behind, with its session, and made again in a new one, where
it passes by the VM that the first waits for. What a VM that hangs costs is one delay, and one call that stays until the
VM answers or is stopped.

Every call that stays holds one of the daemon's 20 workers. Once `_MOST_LATE` do, no QEMU is asked any more, but the
daemon itself, which knows the states and the NICs' counters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import libvirt

from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.listing import unless_gone

Found = Sequence[tuple[Any, Mapping[str, Any]]]

_NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
_NOBODY_ASKED = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_INTERFACE
PATIENCE = 5.0
"""Seconds until a call is held for one that hangs. A QEMU answers within milliseconds; a host may have thousands."""
_MOST_LATE = 3
_NONE_SUCH = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)


class Stats:
    """Reads statistics."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._in_bulk = True
        self._late: list[threading.Thread] = []

    def read(self, groups: int, domains: Sequence[Any] | None, alone: Callable[[Any], Mapping[str, Any]]) -> Found:
        """What libvirt counts of these domains, or of all: one round trip, one more for each VM that begins to hang.

        A VM that hangs lacks what only its QEMU knows; one that is gone is left out.

        Args:
            groups: of ``VIR_DOMAIN_STATS_*``, the state among them.
            domains: those found are of the present session, which theirs may have ceased to be.
            alone: asks one domain for the same, where the driver has no such call (LXC).
        """
        if self._in_bulk:
            try:
                return self._bulk(groups, domains)
            except libvirt.libvirtError as error:
                if error.get_error_code() not in _NONE_SUCH:
                    raise
                self._in_bulk = False
        found = []
        for domain in self._connection.conn.listAllDomains(0) if domains is None else domains:
            with unless_gone():
                found.append((domain, alone(domain)))
        return found

    def _bulk(self, groups: int, domains: Sequence[Any] | None) -> Found:
        while (groups & ~_NOBODY_ASKED) and len(self._still_late()) < _MOST_LATE:
            call = _Call(self._connection.conn, groups, domains)
            thread = threading.Thread(target=call.run, name="hyperkit-statistics", daemon=True)
            thread.start()
            thread.join(PATIENCE)
            if call.ended:
                return call.answer()
            self._late.append(thread)
            self._connection.leave()
            conn = self._connection.conn
            domains = None if domains is None else [conn.lookupByUUID(domain.UUID()) for domain in domains]
        return _Call(self._connection.conn, groups & _NOBODY_ASKED, domains).run().answer()

    def _still_late(self) -> list[threading.Thread]:
        self._late = [thread for thread in self._late if thread.is_alive()]
        return self._late


@attrs.define
class _Call:
    """One call, whose answer may come too late for anybody to want it."""

    conn: Any
    groups: int
    domains: Sequence[Any] | None
    ended: bool = False
    found: Found | None = None
    error: Exception | None = None

    def run(self) -> _Call:
        try:
            if self.domains is None:
                self.found = self.conn.getAllDomainStats(self.groups, _NOWAIT)
            else:
                self.found = self.conn.domainListGetStats(self.domains, self.groups, _NOWAIT)
        except Exception as error:
            self.error = error
        self.ended = True
        return self

    def answer(self) -> Found:
        if self.error is not None:
            raise self.error
        return self.found or []
