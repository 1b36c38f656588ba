"""What an ESX, an ESXi or a vCenter can do, by version, licence and scope.

Nothing is asked here: what it follows from was read when the connection was opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from hyperkit.backends.esxi.connection import Connection
from hyperkit.capabilities import Capabilities
from hyperkit.capabilities import names as all_names
from hyperkit.units import GiB, MiB, TiB


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_CURRENT = _words(
    """
    suspend shutdown reboot reset autostart rename unique_vm_names unique_switch_names
    bios uefi boot_order disks cdrom guest_os notes tags cpu_topology cpu_ceiling memory_ceiling
    cpu_reservation cpu_limit cpu_shares memory_reservation memory_limit memory_shares
    hot_cpu_add hot_memory_add hot_allocation hot_rename hot_disk hot_disk_resize hot_nic hot_nic_unplug hot_cdrom
    attach disk_resize copied_disks
    nic_link switch_external switch_private switch_vlan switch_vlan_change switch_spoof_guard switch_promiscuous
    snapshots snapshot_memory snapshot_running_disks snapshot_quiesced snapshot_kinds_mix snapshot_rename
    snapshot_consolidation
    volumes transfer guest_addresses guest_agent screenshot questions events_pushed
    """
)
"""What every version can; 5.0 is the oldest that hyperkit asks for it."""

_CLONES = ("clones", "running_clones", "linked_clones", "templates")

_READS = frozenset(
    {
        *(name for name in all_names() if name.startswith("unique_")),
        "guest_addresses",
        "guest_agent",
        "events_pushed",
    }
)
"""What is left where the API only reads."""

_FREE = ("esxBasic", "esx.hypervisor")
"""How the keys of free licences begin: of 4.0 to 7.0, and of 8.0."""

_WHY: Mapping[str, str] = MappingProxyType(
    {
        "pause": "vSphere has no pause; its suspend is to disk, from where start() goes on",
        "kernel_boot": "VMs start by their firmware",
        "containers": "vSphere runs machines only",
        "hot_cpu_remove": "vSphere adds CPUs to a running VM and takes none away",
        "hot_memory_remove": "vSphere adds memory to a running VM and takes none away",
        "hot_memory_remove_any": "vSphere adds memory to a running VM and takes none away",
        "read_only_disks": "a virtual disk of vSphere's is written to, or forgets what was written",
        "linked_disks": "vSphere makes disks that share blocks for snapshots and linked clones only",
        **dict.fromkeys(
            ("nic_vlan", "nic_trunk"), "a port group has the VLAN, for all of its cards: give the switch one"
        ),
        **dict.fromkeys(
            ("nic_spoof_guard", "nic_promiscuous"),
            "a port group has the policy, for all of its cards: give it to the switch",
        ),
        **dict.fromkeys(
            ("nic_address_guard", "nic_dhcp_guard", "nic_router_guard", "nic_isolation", "nic_acl"),
            "standard switches look at MAC addresses only",
        ),
        "switch_internal": "a host's own interfaces (VMkernel ports) are not hyperkit's to make",
        **dict.fromkeys(("switch_subnet", "switch_leases"), "vSphere runs no DHCP server and no NAT"),
        "switch_openvswitch": "vSphere has switches of its own",
        "guest_exec": "VMware Tools ask for an account of the guest's, which hyperkit has none of",
        "guest_freeze": "VMware Tools freeze file systems while a snapshot is taken, and else not",
        "serial_console": "a host sends serial ports to a concentrator, of one's own",
        "display": "a display is connected to with a ticket for each time, by VMware's own protocol",
        "metrics": "vSphere counts rates of 20 seconds, and no totals",
    }
)
"""Of every host."""

_NEWER = (((6, 5), ("secure_boot", "send_keys"), "vSphere has it from 6.5 on"),)
"""The version of the API, what came with it, and what to say of older hosts."""

_LIMITS = (
    ((7, 0, 1), 768, 24 * TiB),
    ((7, 0), 256, 6128 * GiB),
    ((6, 7, 2), 256, 6128 * GiB),
    ((6, 5), 128, 6128 * GiB),
    ((6, 0), 128, 4080 * GiB),
    ((5, 1), 64, 1011 * GiB),
    ((5, 0), 32, 1011 * GiB),
)
"""Most vCPUs and memory of a VM, by the version of the API, where the machines do not say (vSphere's configuration
maximums)."""


def probe(connection: Connection) -> Capabilities:
    """What the host of a connection can do."""
    facts, api = connection.facts, connection.api
    why = dict(_WHY)
    able = set(_CURRENT)
    for version, names, reason in _NEWER:
        if api >= version:
            able.update(names)
        else:
            why.update(dict.fromkeys(names, reason))
    if connection.is_vcenter:
        able.update(_CLONES)
    else:
        why.update(dict.fromkeys(_CLONES, "clones and templates are a vCenter's; this host is connected to by itself"))
    if connection.is_vcenter and api >= (6, 7) and facts.key_provider:
        able.add("tpm")
    else:
        why["tpm"] = "a TPM is encrypted: it needs vSphere 6.7 and a vCenter that has a key provider"
    cpus, memory = _limits(api)
    found = Capabilities(
        **dict.fromkeys(able, True),
        max_cpus=facts.max_cpus or cpus,
        max_memory=facts.max_memory or memory,
        max_disks=60,  # four controllers of fifteen places
        max_nics=10,
        disk_formats=("vmdk",),
        disk_buses=("scsi", "sata", "nvme", "ide") if api >= (6, 5) else ("scsi", "sata", "ide"),
        memory_unit=4 * MiB,
        hot_memory_unit=4 * MiB,
        why=why,
    )
    return _read_only(found) if any(key.startswith(_FREE) for key in facts.editions) else found


def _limits(api: tuple[int, ...]) -> tuple[int | None, int | None]:
    return next(((cpus, memory) for version, cpus, memory in _LIMITS if api >= version), (None, None))


def _read_only(able: Capabilities) -> Capabilities:
    """What is left of it by a licence with which the API changes nothing."""
    lost = [name for name in all_names() if getattr(able, name) and name not in _READS]
    none: dict[str, Any] = dict.fromkeys(lost, False)
    reason = "the licence of the free ESXi lets the API read and change nothing; the other licences do"
    return attrs.evolve(able, **none, why={**able.why, **dict.fromkeys(lost, reason)})
