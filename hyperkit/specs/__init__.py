"""What a caller asks for: frozen, checked when made, never changed on the way to the host.

Sizes are bytes, CPU reservations and limits thousandths of one host CPU. A spec that exists is
well-formed; whether a host can do it is the host's `Capabilities`.
"""

from hyperkit.specs.clone import CloneSpec
from hyperkit.specs.container import ContainerSpec
from hyperkit.specs.disk import DiskBus, DiskFormat, DiskSpec, VolumeSpec
from hyperkit.specs.given import Identified, Located
from hyperkit.specs.guest import CommandSpec, KeySpec, check_argument
from hyperkit.specs.isolation import AclAction, AclDirection, AclProtocol, AclRule, IsolationPolicy
from hyperkit.specs.lease import StaticLease
from hyperkit.specs.nic import NicChange, NicSpec, check_trunk
from hyperkit.specs.snapshot import SnapshotChange, SnapshotSpec
from hyperkit.specs.switch import SwitchChange, SwitchKind, SwitchSpec, check_subnet
from hyperkit.specs.vm import (
    DEFAULT_ALLOCATION,
    NORMAL_SHARES,
    Allocation,
    BootDevice,
    ChangeFields,
    CpuTopology,
    Firmware,
    KernelBoot,
    VMChange,
    VMFields,
    VMSpec,
    check_allocations,
    check_boot_order,
    check_guest_os,
    check_memory,
    check_no_machine,
    check_tags,
    check_topology,
)

__all__ = [
    "DEFAULT_ALLOCATION",
    "NORMAL_SHARES",
    "AclAction",
    "AclDirection",
    "AclProtocol",
    "AclRule",
    "Allocation",
    "BootDevice",
    "ChangeFields",
    "CloneSpec",
    "CommandSpec",
    "ContainerSpec",
    "CpuTopology",
    "DiskBus",
    "DiskFormat",
    "DiskSpec",
    "Firmware",
    "Identified",
    "IsolationPolicy",
    "KernelBoot",
    "KeySpec",
    "Located",
    "NicChange",
    "NicSpec",
    "SnapshotChange",
    "SnapshotSpec",
    "StaticLease",
    "SwitchChange",
    "SwitchKind",
    "SwitchSpec",
    "VMChange",
    "VMFields",
    "VMSpec",
    "VolumeSpec",
    "check_allocations",
    "check_argument",
    "check_boot_order",
    "check_guest_os",
    "check_memory",
    "check_no_machine",
    "check_subnet",
    "check_tags",
    "check_topology",
    "check_trunk",
]
