"""What an ESX, an ESXi or a vCenter can do, by version, licence and scope."""

from __future__ import annotations

from typing import Any

from hyperkit.backends.esxi.connection import Connection
from hyperkit.capabilities import Capabilities
from hyperkit.units import MiB

_ABLE: dict[str, Any] = dict.fromkeys(
    (
        "suspend shutdown reboot reset autostart rename bios uefi secure_boot boot_order disks cdrom guest_os notes tags"
        " cpu_topology cpu_ceiling memory_ceiling cpu_reservation cpu_limit cpu_shares memory_reservation memory_limit"
        " memory_shares hot_cpu_add hot_memory_add hot_allocation hot_rename hot_disk hot_disk_resize hot_nic"
        " hot_nic_unplug hot_cdrom attach disk_resize copied_disks nic_link switch_external switch_private switch_vlan"
        " switch_vlan_change switch_spoof_guard switch_promiscuous unique_switch_names snapshots snapshot_memory"
        " snapshot_running_disks snapshot_quiesced snapshot_kinds_mix snapshot_rename snapshot_consolidation volumes"
        " transfer guest_addresses guest_agent screenshot send_keys questions events_pushed unique_vm_names"
    ).split(),
    True,
)


def probe(connection: Connection) -> Capabilities:
    """Ask the host what it can do."""
    return Capabilities(
        **_ABLE,
        clones=connection.is_vcenter,
        linked_clones=connection.is_vcenter,
        running_clones=connection.is_vcenter,
        templates=connection.is_vcenter,
        disk_formats=("vmdk",),
        disk_buses=("scsi", "sata", "ide", "nvme"),
        memory_unit=4 * MiB,
    )
