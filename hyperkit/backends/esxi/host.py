"""What a host, or a vCenter of the hosts in its scope, says of itself."""

from __future__ import annotations

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.elements import number, text
from hyperkit.records import HostRecord, HypervisorType
from hyperkit.units import MiB

_PRODUCTS = {"esx": "VMware ESX", "embeddedEsx": "VMware ESXi", "vpx": "VMware vCenter Server"}
"""By ``about.productLineId``. ESX, up to 4.1, had a Linux of its own for management."""

_CPU, _SIZE, _USED = "hardware.cpuInfo", "hardware.memorySize", "summary.quickStats.overallMemoryUsage"
_NAME = "name"


class HostFacts:
    """`HostPort`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def info(self) -> HostRecord:
        """One read, of all machines in the scope: CPUs and memory are those of all, the speed that of the fastest.

        A machine that is disconnected from its vCenter counts with what was known of it last, or not at all.
        """
        connection, about = self._connection, self._connection.content.about
        ids = [host for compute in connection.scope.computes for host in compute.hosts]
        found = list(connection.properties.of("HostSystem", ids, (_NAME, _CPU, _SIZE, _USED)))
        size = sum(number(host.values.get(_SIZE)) or 0 for host in found)
        used = [number(host.values.get(_USED)) for host in found]
        told = [use for use in used if use is not None]
        return HostRecord(
            id=connection.identity,
            name=text(found[0].values.get(_NAME)) if len(found) == 1 else connection.target.host,
            product=_PRODUCTS.get(about.productLineId, about.name),
            version=about.version,
            api_version=about.apiVersion,
            hypervisor_type=HypervisorType.BARE_METAL,
            cpus=sum(number(host.values.get(_CPU), "numCpuThreads") or 0 for host in found),
            cpu_mhz=max(((number(host.values.get(_CPU), "hz") or 0) // 1_000_000 for host in found), default=0),
            memory=size,
            memory_free=max(0, size - sum(told) * MiB) if told and len(told) == len(found) else None,
        )
