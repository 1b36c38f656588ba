"""Statistics of many VMs in one round trip, although one of them may hang.

``virConnectGetAllDomainStats`` asks the QEMU of each VM that runs, one after the other, and libvirt's calls have no
timeout: one QEMU that does not answer (stopped, or in an endless wait for its storage) keeps the call from ever
returning. NOWAIT alone does not help the first who asks: it passes by a VM that somebody waits for, and nobody does
yet. So a call that is late (`hyperkit.backends.libvirt.late`) is made again in a new session, where it passes by the VM
that the first waits for. What a VM that hangs costs is one delay, and one call that stays until the VM answers or is
stopped.

Once as many are late as may be, no QEMU is asked any more, but the daemon itself, which knows the states and the NICs'
counters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import libvirt

from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.late import Late, Patience
from hyperkit.backends.libvirt.listing import unless_gone

Found = Sequence[tuple[Any, Mapping[str, Any]]]

_NOWAIT = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
_NOBODY_ASKED = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_INTERFACE
_NONE_SUCH = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED)


class Stats:
    """Reads statistics."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._in_bulk = True
        self._patience = Patience(connection.leave)

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
        while (groups & ~_NOBODY_ASKED) and self._patience.left:
            with suppress(Late):
                return self._patience.call(partial(_ask, self._connection.conn, groups, domains))
            conn = self._connection.conn
            domains = None if domains is None else [conn.lookupByUUID(domain.UUID()) for domain in domains]
        return _ask(self._connection.conn, groups & _NOBODY_ASKED, domains)


def _ask(conn: Any, groups: int, domains: Sequence[Any] | None) -> Found:
    if domains is None:
        return conn.getAllDomainStats(groups, _NOWAIT) or []
    return conn.domainListGetStats(domains, groups, _NOWAIT) or []
