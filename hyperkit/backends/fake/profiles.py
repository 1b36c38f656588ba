"""What each real hypervisor can do and how it names things, for the fake to take on."""

from __future__ import annotations

from typing import Any

import attrs

from hyperkit.capabilities import Capabilities, names
from hyperkit.units import GiB, MiB, TiB

_ABLE: dict[str, Any] = {name: True for name in names() if not name.startswith("unique_")}

ALL = Capabilities(
    **_ABLE,
    unique_vm_names=True,
    unique_switch_names=True,
    max_cpus=512,
    max_memory=16 * TiB,
    disk_formats=("qcow2", "raw", "vmdk", "vhdx"),
    disk_buses=("virtio", "scsi", "sata", "ide", "nvme"),
)
"""Everything hyperkit has a word for. VM and switch names are unique, names of snapshots are not."""

LIBVIRT = attrs.evolve(
    ALL,
    containers=False,
    unique_snapshot_names=True,
    cpu_reservation=False,
    memory_reservation=False,
    memory_shares=False,
    hot_memory_remove_any=False,
    hot_rename=False,
    hot_nic_unplug=False,
    nic_promiscuous=False,
    switch_vlan_change=False,
    switch_spoof_guard=False,
    switch_promiscuous=False,
    snapshot_consolidation=False,
    snapshot_kinds_mix=False,
    clones=False,
    running_clones=False,
    linked_clones=False,
    templates=False,
    questions=False,
    max_cpus=288,
    disk_formats=("qcow2", "raw"),
    disk_buses=("virtio", "scsi", "sata"),
    hot_memory_unit=128 * MiB,
)
"""QEMU/KVM by libvirt. It has no CPU reservation, and memory comes and goes as DIMMs while a VM runs."""

ESXI = attrs.evolve(
    ALL,
    containers=False,
    tpm=False,
    guest_exec=False,
    guest_freeze=False,
    serial_console=False,
    display=False,
    metrics=False,
    pause=False,
    kernel_boot=False,
    hot_cpu_remove=False,
    hot_memory_remove=False,
    hot_memory_remove_any=False,
    linked_disks=False,
    read_only_disks=False,
    nic_vlan=False,
    nic_trunk=False,
    nic_spoof_guard=False,
    nic_promiscuous=False,
    nic_address_guard=False,
    nic_dhcp_guard=False,
    nic_router_guard=False,
    nic_isolation=False,
    nic_acl=False,
    switch_internal=False,
    switch_subnet=False,
    switch_leases=False,
    switch_openvswitch=False,
    clones=False,
    running_clones=False,
    linked_clones=False,
    templates=False,
    max_cpus=128,
    max_memory=6 * TiB,
    max_disks=60,
    max_nics=10,
    disk_formats=("vmdk",),
    memory_unit=4 * MiB,
)
"""A stand-alone ESXi: no pause, no clone, no switch with a subnet; VLANs and policies belong to port groups.

Its tools freeze for a snapshot only, and it sends serial ports to a concentrator of one's own."""

VCENTER = attrs.evolve(ESXI, clones=True, running_clones=True, linked_clones=True, templates=True, tpm=True)
"""ESXi hosts below a vCenter, which clones and has templates, and a key provider for TPMs."""

HYPERV = attrs.evolve(
    ALL,
    containers=False,
    guest_exec=False,
    guest_freeze=False,
    serial_console=False,
    display=False,
    unique_vm_names=False,
    unique_switch_names=False,
    kernel_boot=False,
    guest_os=False,
    cpu_topology=False,
    cpu_ceiling=False,
    hot_cpu_add=False,
    hot_cpu_remove=False,
    nic_address_guard=False,
    nic_isolation=False,
    nic_promiscuous=False,
    clones=False,
    running_clones=False,
    linked_clones=False,
    templates=False,
    questions=False,
    snapshot_consolidation=False,
    switch_subnet=False,
    switch_leases=False,
    switch_openvswitch=False,
    switch_vlan=False,
    switch_vlan_change=False,
    switch_spoof_guard=False,
    switch_promiscuous=False,
    snapshot_quiesced=True,
    events_pushed=False,
    max_cpus=240,
    max_memory=12 * TiB,
    max_nics=12,
    disk_formats=("vhdx", "vhd"),
    memory_unit=2 * MiB,
)
"""Hyper-V, where nothing's name need be unique.

Its integration services tell of a guest and run nothing in it; screen and keyboard are to be had by WMI, a display that
others could connect to and a serial port, which is a named pipe of the host's, are not."""

LXC = Capabilities(
    containers=True,
    pause=True,
    shutdown=True,
    reboot=True,
    autostart=True,
    unique_vm_names=True,
    unique_switch_names=True,
    guest_os=True,
    notes=True,
    tags=True,
    cpu_limit=True,
    cpu_shares=True,
    memory_limit=True,
    attach=True,
    switch_external=True,
    switch_internal=True,
    switch_private=True,
    switch_subnet=True,
    switch_leases=True,
    volumes=True,
    transfer=True,
    guest_addresses=True,
    metrics=True,
    events_pushed=True,
    disk_formats=("qcow2", "raw"),
)
"""Containers by libvirt's LXC driver: no machine, so no firmware, disks, snapshots or suspending to disk."""

PROFILES = {"all": ALL, "libvirt": LIBVIRT, "esxi": ESXI, "vcenter": VCENTER, "hyperv": HYPERV, "lxc": LXC}

HOST_MEMORY = 64 * TiB
DATASTORE_SIZE = 1024 * GiB
