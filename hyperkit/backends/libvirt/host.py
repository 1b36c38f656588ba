"""The machine that libvirt runs on."""

from __future__ import annotations

import uuid
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import libvirt

from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.errors import asked
from hyperkit.backends.libvirt.xml_write import Platform
from hyperkit.records import HostRecord, HypervisorType
from hyperkit.units import KiB, MiB

_HOSTED = frozenset({"VBOX", "VMware", "TEST", "bhyve"})
_OS_LEVEL = frozenset({"LXC", "OPENVZ", "Virtuozzo"})
_NAMESPACE = uuid.UUID("d0c7b1a4-54be-4f4e-9c56-0a1f0f6a2b11")


@attrs.frozen
class Identity:
    """What stays the same while the host does: asked for once.

    The CPU's speed is among it, though libvirt reports the present one: records of a host are compared.
    """

    id: str
    name: str
    arch: str
    cpus: int
    cpu_mhz: int
    memory: int


def identify(connection: Connection, host: ET.Element) -> Identity:
    """Ask; ``host`` is the answer to virConnectGetCapabilities."""
    conn = connection.conn
    unknown: list[Any] = [host.findtext("host/cpu/arch", ""), 0, 0, 0]
    arch, memory_mib, cpus, mhz, *_ = asked(conn.getInfo, unknown)
    name = asked(conn.getHostname, "")
    try:
        memory = conn.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)["total"] * KiB
    except (libvirt.libvirtError, KeyError):
        memory = memory_mib * MiB
    # The test driver's host has no UUID, and neither have Xen's and others' in old versions.
    own = host.findtext("host/uuid") or str(uuid.uuid5(_NAMESPACE, f"{connection.kind}:{name}:{connection.url}"))
    return Identity(own, name, str(arch), cpus, mhz, memory)


class HostFacts:
    """`HostPort`."""

    def __init__(self, connection: Connection, identity: Identity, platform: Platform) -> None:
        self._connection = connection
        self._identity = identity
        self._platform = platform

    def info(self) -> HostRecord:
        return self._connection.repeat(self._info)

    def _info(self) -> HostRecord:
        conn = self._connection.conn
        try:
            free: int | None = conn.getFreeMemory()
        except libvirt.libvirtError:
            free = None
        return HostRecord(
            id=self._identity.id,
            name=self._identity.name,
            product=self._connection.kind,
            version=_version(_hypervisor_version(conn)),
            api_version=_version(asked(conn.getLibVersion, 0)),
            hypervisor_type=_hypervisor_type(self._connection.kind, self._platform.domain_type),
            arch=self._identity.arch,
            cpus=self._identity.cpus,
            cpu_mhz=self._identity.cpu_mhz,
            memory=self._identity.memory,
            memory_free=free,
        )


def _hypervisor_type(kind: str, domain_type: str) -> HypervisorType:
    """By convention KVM is bare-metal: it makes the host's own kernel the hypervisor. QEMU without it is a program."""
    if kind in _OS_LEVEL:
        return HypervisorType.OS_LEVEL
    if kind in _HOSTED or (kind == "QEMU" and domain_type != "kvm"):
        return HypervisorType.HOSTED
    return HypervisorType.BARE_METAL


def _hypervisor_version(conn: object) -> int:
    """0 where the driver has none, such as QEMU's while no emulator is installed."""
    try:
        return int(conn.getVersion())  # type: ignore[attr-defined]
    except libvirt.libvirtError:
        return 0


def _version(number: int) -> str:
    """Versions are major * 1,000,000 + minor * 1,000 + release."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
