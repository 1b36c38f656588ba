"""What this libvirt can do, and what a new domain is on it: asked once, when the connection is new.

Six to eight round trips: the host's capabilities, those of a domain (QEMU only), the version, the limits of drivers
that have no domain capabilities, and how many networks and pools there are, which tells whether there can be any.

libvirt has no question for whether a driver has a call: one learns it by making the call, and what a verb of a VM
does cannot be tried out on somebody's VM. So a driver that hyperkit knows is known by its name, of any other the
verbs are believed that nearly all have, and one that it lacks after all is `Unsupported` when it is asked for.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import libvirt

from hyperkit.backends.libvirt import containers
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.errors import asked
from hyperkit.backends.libvirt.images import FORMATS
from hyperkit.backends.libvirt.loop import ensure_running
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.backends.libvirt.xml_write import Platform, disk_buses
from hyperkit.capabilities import Capabilities
from hyperkit.units import MiB

_MACHINES = {"x86_64": "q35", "i686": "q35"}
_CGROUPS = Path("/sys/fs/cgroup")
_SHARES_V1, _SHARES_V2 = 1024, 100
_MOST_MEMORY = 2**52
"""Bytes that x86 and Arm have addresses for. libvirt defines a VM of any size, and tells no limit of QEMU's."""

_OF_NETWORKS = ("switch_external", "switch_internal", "switch_private", "switch_subnet", "switch_leases")
_OF_STORAGE = ("disks", "linked_disks", "copied_disks", "read_only_disks", "disk_resize", "volumes", "transfer")
_OVS = "ovs-vsctl"
"""What libvirt calls to plug a card into Open vSwitch."""
_FILTERED = ("nic_spoof_guard", "nic_address_guard", "nic_dhcp_guard", "nic_router_guard", "nic_acl")
_VLANS = ("nic_vlan", "nic_trunk", "switch_vlan", "switch_openvswitch")

_COMMON = Capabilities(
    pause=True,
    suspend=True,
    shutdown=True,
    reboot=True,
    autostart=True,
    rename=True,
    unique_vm_names=True,
    unique_switch_names=True,
    unique_snapshot_names=True,
    disks=True,
    boot_order=True,
    kernel_boot=True,
    cdrom=True,
    guest_os=True,
    notes=True,
    tags=True,
    cpu_topology=True,
    cpu_ceiling=True,
    memory_ceiling=True,
    linked_disks=True,
    copied_disks=True,
    read_only_disks=True,
    switch_external=True,
    switch_internal=True,
    switch_private=True,
    switch_subnet=True,
    switch_leases=True,
    snapshots=True,
    snapshot_memory=True,
    snapshot_rename=True,
    volumes=True,
    disk_formats=tuple(form.value for form in FORMATS),
)

_BLOCK = 128 * MiB
"""The least memory that Linux takes into use, and what its place must be a multiple of, on x86 (SECTION_SIZE_BITS)."""
_INSIDE = (
    *("guest_addresses", "guest_agent", "guest_exec", "guest_freeze"),
    *("screenshot", "send_keys", "serial_console", "display"),
)

_WHY_QEMU = {
    "cpu_reservation": "QEMU has none; control groups know weights and limits only",
    "memory_reservation": "libvirt has none for QEMU",
    "memory_shares": "libvirt has none for QEMU",
    "hot_memory_remove_any": "QEMU takes memory from a running VM as whole DIMMs only",
    "hot_nic_unplug": "QEMU cannot exchange the tap device of a card for one outside of libvirt's networks",
    "hot_rename": "libvirt renames a VM only while it is off",
    "snapshot_kinds_mix": "QEMU has internal and external ones, and what is done to one kind can destroy the other",
    "nic_promiscuous": "a Linux bridge learns where each address is, and sends its frames nowhere else",
}

_ON_PC = ("hot_cpu_add", "hot_cpu_remove", "hot_memory_add", "hot_memory_remove")


def probe(connection: Connection, host: ET.Element) -> tuple[Platform, Capabilities]:
    """The platform and the capabilities; ``host`` is the answer to virConnectGetCapabilities."""
    platform, able = _by_kind(connection, host)
    return platform, _without_what_is_not_there(connection, able)


def _by_kind(connection: Connection, host: ET.Element) -> tuple[Platform, Capabilities]:
    kind = connection.kind
    if kind == "QEMU":
        return _qemu(connection, host)
    if kind == "LXC":
        return _lxc(connection, host)
    guest = next((guest for guest in host.iterfind("guest") if guest.findtext("os_type") == "hvm"), None)
    domain_type, arch = _first_domain(guest)
    platform = Platform(kind, domain_type, arch)
    if kind == "TEST":
        most = asked(lambda: connection.conn.getMaxVcpus(domain_type), None)
        lacks = ("disk_resize", "cpu_shares", "cpu_limit", "snapshot_running_disks", "snapshot_quiesced")
        why = dict.fromkeys(lacks, "libvirt's test driver has no such call")
        why.update(dict.fromkeys(_INSIDE, "libvirt's test driver runs no guests; what it says of them it makes up"))
        why["metrics"] = "libvirt's test driver counts nothing; what it tells is made up"
        why["events_pushed"] = "the world of libvirt's test driver is this process's own"
        # Devices of a VM that is off are changed by defining it anew, which this driver can.
        return platform, attrs.evolve(
            _COMMON,
            reset=True,
            bios=True,
            uefi=True,
            attach=True,
            nic_link=True,
            snapshot_kinds_mix=True,
            max_cpus=most,
            why=why,
        )
    return platform, _other(kind, guest is not None)


def _without_what_is_not_there(connection: Connection, able: Capabilities) -> Capabilities:
    """Less what needs networks and storage, where the daemon has no driver of such."""
    lacking: dict[str, bool] = {}
    why = dict(able.why)
    conn = connection.conn
    for count, of_it, what in (
        (conn.numOfNetworks, _OF_NETWORKS, "networks"),
        (conn.numOfStoragePools, _OF_STORAGE, "storage pools"),
    ):
        if asked(count, None) is None:
            had = [name for name in of_it if getattr(able, name)]
            lacking.update(dict.fromkeys(had, False))
            why.update(dict.fromkeys(had, f"libvirt has no {what} on this host"))
    return attrs.evolve(able, **lacking, why=why) if lacking else able  # type: ignore[arg-type]


def _lxc(connection: Connection, host: ET.Element) -> tuple[Platform, Capabilities]:
    arch = host.findtext("host/cpu/arch", "")
    guest = next((g for g in host.iterfind("guest") if g.find(f"arch[@name='{arch}']/domain") is not None), None)
    why = dict(containers.CAPABILITIES.why)
    if guest is None:
        why["containers"] = "libvirt found nothing on the host to run them with"
    shares = None
    if connection.local:
        shares = _shares(connection, why)
    else:
        why["cpu_shares"] = "whether the host has control groups v1 or v2 cannot be told from here"
    able = attrs.evolve(
        containers.CAPABILITIES,
        containers=guest is not None,
        cpu_shares=shares is not None,
        cpu_limit=shares is not None or not connection.local,
        memory_limit=shares is not None or not connection.local,
        switch_external=True,
        switch_internal=True,
        switch_private=True,
        switch_subnet=True,
        switch_leases=True,
        volumes=True,
        transfer=True,
        metrics=True,
        events_pushed=ensure_running(),
        disk_formats=_COMMON.disk_formats,
        why=why,
    )
    return Platform(connection.kind, "lxc", arch, shares=shares or _SHARES_V2), able


def _other(kind: str, machines: bool) -> Capabilities:
    """Drivers that nobody tried with hyperkit: what libvirt gives all of them, and the host decides the rest."""
    why = {}
    if not machines:
        cause = "the host has no emulator" if kind == "QEMU" else "the host makes no machines"
        why["bios"] = f"{cause}; hyperkit controls the VMs that there are, and makes none"
    return Capabilities(
        metrics=True,
        events_pushed=ensure_running(),
        pause=True,
        shutdown=True,
        reboot=True,
        autostart=True,
        unique_vm_names=True,
        unique_switch_names=True,
        guest_os=True,
        notes=True,
        tags=True,
        bios=machines,
        disks=machines,
        cdrom=machines,
        boot_order=machines,
        why=why,
    )


def _qemu(connection: Connection, host: ET.Element) -> tuple[Platform, Capabilities]:
    conn = connection.conn
    arch = host.findtext("host/cpu/arch", "x86_64")
    guests = [g for g in host.iterfind("guest") if g.findtext("os_type") == "hvm"]
    guest = next((g for g in guests if g.find(f"arch[@name='{arch}']") is not None), guests[0] if guests else None)
    domain_type, arch = _first_domain(guest)
    if not domain_type:
        return Platform(connection.kind, "", ""), _other(connection.kind, machines=False)
    machine = _MACHINES.get(arch)
    domain = parse(conn.getDomainCapabilities(None, arch, machine, domain_type, 0))
    buses = frozenset(_values(domain, "devices/disk", "bus"))
    why = dict(_WHY_QEMU)
    privileged = not connection.session
    shares = _shares(connection, why) if privileged else None
    uefi = "efi" in _values(domain, "os", "firmware")
    secure = "yes" in _values(domain, "os/loader", "secure")
    tpm = "emulator" in _values(domain, "devices/tpm", "backendModel")
    if not uefi:
        why["uefi"] = "libvirt found no UEFI firmware on the host (Debian: apt install ovmf)"
    if not tpm:
        why["tpm"] = "libvirt found no swtpm on the host"
    platform = Platform(connection.kind, domain_type, arch, machine, buses, shares or _SHARES_V1, privileged=privileged)
    groups = privileged and (shares is not None or not connection.local)
    if domain_type != "kvm":
        why["hot_cpu_remove"] = "without KVM, QEMU does not notice that the guest gave a CPU back"
    if not platform.x86:
        why.update(dict.fromkeys(_ON_PC, "hyperkit has tried it on PCs only"))
    if not groups:
        limits = ("cpu_limit", "memory_limit", "cpu_shares", "hot_allocation")
        why.update(dict.fromkeys(limits, "the daemon has no control groups"))
    filters = privileged and _filters(connection)
    openvswitch = privileged and (not connection.local or shutil.which(_OVS) is not None)
    if not filters:
        why.update(dict.fromkeys(_FILTERED, "the daemon has no network filters (driver nwfilter)"))
    if not privileged:
        why["nic_isolation"] = "a daemon without privileges has no bridges"
    if not openvswitch:
        cause = f"Linux bridges carry no tags for a guest, and the host has no Open vSwitch ({_OVS})"
        why.update(dict.fromkeys(_VLANS, cause))
    networking: dict[str, Any] = {**dict.fromkeys(_FILTERED, filters), **dict.fromkeys(_VLANS, openvswitch)}
    vcpu = domain.find("vcpu")
    return platform, attrs.evolve(
        _COMMON,
        reset=True,
        bios=platform.x86,
        uefi=uefi,
        secure_boot=uefi and secure,
        tpm=tpm,
        cpu_shares=shares is not None,
        cpu_limit=groups,
        memory_limit=groups,
        attach=True,
        hot_cpu_add=platform.x86,
        hot_cpu_remove=platform.x86 and domain_type == "kvm",
        hot_memory_add=platform.x86,
        hot_memory_remove=platform.x86,
        hot_memory_unit=_BLOCK,
        hot_allocation=groups,
        hot_disk=True,
        hot_disk_resize=True,
        hot_nic=True,
        hot_cdrom=True,
        disk_resize=True,
        disk_buses=disk_buses(buses),
        nic_link=True,
        nic_isolation=privileged,
        **networking,
        snapshot_running_disks=True,
        snapshot_quiesced=True,
        transfer=True,
        guest_addresses=True,
        guest_agent=True,
        guest_exec=True,
        guest_freeze=True,
        screenshot=True,
        send_keys=True,
        serial_console=True,
        display=True,
        metrics=True,
        events_pushed=ensure_running(),
        max_memory=_MOST_MEMORY,
        max_cpus=int(vcpu.get("max", "0")) or None if vcpu is not None else None,
        # QEMU rounds memory up to MiB when it starts, which would not be what was asked for.
        memory_unit=MiB,
        why=why,
    )


def _filters(connection: Connection) -> bool:
    """Whether the daemon has a driver of network filters, which may run apart from it."""
    try:
        connection.conn.numOfNWFilters()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_NO_CONNECT):
            raise
        return False
    return True


def _first_domain(guest: ET.Element | None) -> tuple[str, str]:
    """The kind of domain and the architecture: KVM where the host offers it."""
    arch = guest.find("arch") if guest is not None else None
    if arch is None:
        return "", ""
    kinds = [domain.get("type", "") for domain in arch.iterfind("domain")]
    return ("kvm" if "kvm" in kinds else kinds[0] if kinds else ""), arch.get("name", "")


def _values(domain: ET.Element, path: str, name: str) -> list[str]:
    return [value.text or "" for value in domain.iterfind(f"{path}/enum[@name='{name}']/value")]


def _shares(connection: Connection, why: dict[str, str]) -> int | None:
    """The number of a VM of normal weight: 1024 with control groups v1, 100 with v2, None with none.

    libvirt passes the number through, and tells the host's version nowhere. On this machine the mounts do; of a
    remote one a running VM does, whose weight nobody changed. A wrong guess would weigh VMs wrongly, silently.
    """
    if connection.local:
        if (_CGROUPS / "cgroup.controllers").exists():
            return _SHARES_V2
        return _SHARES_V1 if (_CGROUPS / "cpu").exists() else None
    for domain in connection.conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING):
        with suppress(libvirt.libvirtError):
            if "<shares>" not in domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE):
                parameters: dict[str, Any] = domain.schedulerParameters()
                if parameters.get("cpu_shares") in (_SHARES_V1, _SHARES_V2):
                    return int(parameters["cpu_shares"])
    why["cpu_shares"] = "whether the host has control groups v1 or v2 is seen on a running VM only, and none runs"
    return None
