"""Reading VMs: the one place that makes records of domains.

What a record costs in round trips, for n VMs::

    list   n + 4     all their states and disk sizes in one call, the sets of those with autostart and with saved
                     memory in one each, the networks in one, and the XML of each, which libvirt has no bulk call
                     for: with more than eight VMs, four of those are in flight at a time, for three more calls
    get    4 to 6    lookup, XML, state and sizes, autostart; saved memory if the VM is off; the networks if a NIC
                     is in one

The disks' sizes of VMs that are off are among the statistics, too. Those of a VM that hangs, and of a driver whose
statistics have none (LXC, the test driver), are asked of the storage.

Of a VM that runs, libvirt learns the sizes from QEMU's monitor, which answers within milliseconds at best; that
is most of the cost of a read. `Reader.power` asks for none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import errors, states, xml_read
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.listing import read_each
from hyperkit.backends.libvirt.stats import Stats
from hyperkit.errors import NotFound
from hyperkit.records import PowerRecord, VMRecord
from hyperkit.states import PowerState, StateReason

_STATS = libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_BLOCK
_AUTOSTART = libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART
_SAVED = libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE


class Reader:
    """Makes records; ``shares`` is the host's number for 100 CPU shares."""

    def __init__(self, connection: Connection, shares: int, statistics: Stats) -> None:
        self._connection = connection
        self.shares = shares
        self._saves = True
        self._statistics = statistics

    def list(self) -> Sequence[VMRecord]:
        """Every VM; one that vanishes meanwhile is left out."""
        found = self._statistics.read(_STATS, None, _state_alone)
        conn = self._connection.conn
        autostart = {domain.UUIDString() for domain in conn.listAllDomains(_AUTOSTART)}
        saved = {domain.UUIDString() for domain in conn.listAllDomains(_SAVED)} if self._saves else set()
        networks = self._connection.networks()
        records = []
        texts = read_each(
            self._connection,
            found,
            lambda one: str(one[0].XMLDesc(0)),
            again=lambda: [(domain, {}) for domain in self._connection.conn.listAllDomains(0)],
            key=lambda one: str(one[0].UUIDString()),
        )
        for (domain, stats), text in texts:
            vm_id = domain.UUIDString()
            records.append(self._record(parse_domain(text), stats, vm_id in autostart, vm_id in saved, networks))
        return records

    def get(self, vm_id: str) -> VMRecord:
        """One VM.

        Raises:
            NotFound: there is none with this id.
        """
        return self.read(self._connection.domain(vm_id))

    def power(self, domain: Any) -> PowerRecord:
        """What a VM is doing: one call, and one more if it is off."""
        number, reason = domain.state(0)
        off = number == libvirt.VIR_DOMAIN_SHUTOFF
        saved = off and self._saved(domain)
        state, why = states.power_state(number, reason, saved)
        return PowerRecord(state=state, reason=why)

    def read(self, domain: Any) -> VMRecord:
        """One VM whose domain is at hand."""
        ((domain, stats),) = self._statistics.read(_STATS, [domain], _state_alone) or _gone(domain)
        off = stats["state.state"] == libvirt.VIR_DOMAIN_SHUTOFF
        saved = off and self._saved(domain)
        return self._record(parse_domain(domain.XMLDesc(0)), stats, self._autostart(domain), saved, None)

    def present(self, tree: ET.Element) -> VMRecord:
        """What XML at hand says, without asking the host."""
        return xml_read.vm_record(
            tree, xml_read.Facts(PowerState.UNKNOWN, StateReason.UNKNOWN, False, {}, {}, self.shares)
        )

    def _saved(self, domain: Any) -> bool:
        """Whether it has saved memory. A driver that has no such thing is asked once."""
        found = errors.asked(lambda: domain.hasManagedSaveImage(0), None) if self._saves else None
        self._saves = found is not None
        return bool(found)

    def _autostart(self, domain: Any) -> bool:
        # A VM that nobody defined has no configuration that could say so.
        return bool(errors.asked(domain.autostart, False, libvirt.VIR_ERR_OPERATION_INVALID))

    def _record(
        self,
        tree: ET.Element,
        stats: Mapping[str, Any],
        autostart: bool,
        saved: bool,
        networks: Mapping[str, str] | None,
    ) -> VMRecord:
        if networks is None:
            in_network = tree.find("devices/interface/source[@network]") is not None
            networks = self._connection.networks() if in_network else {}
        state, reason = states.power_state(stats["state.state"], stats.get("state.reason", 0), saved)
        sizes = self._sizes(tree, stats)
        facts = xml_read.Facts(state, reason, autostart, sizes, networks, self.shares)
        return xml_read.vm_record(tree, facts)

    def _sizes(self, tree: ET.Element, stats: Mapping[str, Any]) -> dict[str, int]:
        """Bytes of each disk by its target."""
        sizes: dict[str, int] = {}
        for index in range(stats.get("block.count", 0)):
            capacity = stats.get(f"block.{index}.capacity")
            if capacity:
                sizes[stats[f"block.{index}.name"]] = capacity
        for device in tree.iterfind("devices/disk"):
            target = xml_read.target_of(device)
            path = xml_read.source_of(device) if device.get("device", "disk") in ("disk", "lun") else None
            if path and target not in sizes:
                with suppress(libvirt.libvirtError):  # in no pool, or no file at all: the record says None
                    sizes[target] = self._connection.conn.storageVolLookupByPath(path).info()[1]
        return sizes


def _state_alone(domain: Any) -> Mapping[str, Any]:
    state, reason = domain.state(0)
    return {"state.state": state, "state.reason": reason}


def _gone(domain: Any) -> NoReturn:
    """Raise libvirt's own words for a domain that vanished between two calls."""
    domain.state(0)
    raise NotFound(f"no VM with id {domain.UUIDString()!r}")


def parse_domain(text: str) -> ET.Element:
    """A domain's XML. libvirt writes a carriage return as it is, which XML takes for a line's end."""
    return xml_read.parse(text.replace("\r", "&#13;") if "\r" in text else text)
