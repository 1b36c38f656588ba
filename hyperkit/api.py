"""The public names: what ``hyperkit.NAME`` is. Loaded at the first use of one of them."""

from hyperkit.capabilities import Capabilities
from hyperkit.clock import Clock, SystemClock, VirtualClock
from hyperkit.connection import connect
from hyperkit.console import Console, SerialConsole
from hyperkit.datastore import Datastore, Volume
from hyperkit.disk import Cdrom, Disk
from hyperkit.errors import (
    AgentUnavailable,
    AlreadyExists,
    Ambiguous,
    AuthenticationFailed,
    BackendError,
    Busy,
    Cancelled,
    CommandFailed,
    ConnectionFailed,
    ConnectionLost,
    HyperkitError,
    InvalidRequest,
    InvalidState,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TaskFailed,
    Timeout,
    Unsupported,
)
from hyperkit.events import (
    Event,
    VMChanged,
    VMCreated,
    VMDeleted,
    VMIOError,
    VMJobEnded,
    VMRebooted,
    VMStateChanged,
)
from hyperkit.guest import Guest
from hyperkit.guest_records import CommandResult
from hyperkit.host import Host
from hyperkit.jobs import Progress
from hyperkit.metrics import DiskMetrics, DiskRates, MetricsRecord, NicMetrics, NicRates, Rates
from hyperkit.nic import Nic
from hyperkit.records import HypervisorType, to_dict
from hyperkit.snapshot import Snapshot
from hyperkit.specs import (
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskFormat,
    DiskSpec,
    Firmware,
    KernelBoot,
    NicSpec,
    SwitchKind,
    SwitchSpec,
    VMSpec,
)
from hyperkit.specs.container import ContainerSpec
from hyperkit.specs.isolation import AclAction, AclDirection, AclProtocol, AclRule, IsolationPolicy
from hyperkit.specs.lease import StaticLease
from hyperkit.states import PowerState, StateReason
from hyperkit.switch import Switch
from hyperkit.tasks import Task
from hyperkit.units import GiB, KiB, MiB, TiB, format_size, parse_size
from hyperkit.vm import VM

__all__ = [
    "VM",
    "AclAction",
    "AclDirection",
    "AclProtocol",
    "AclRule",
    "AgentUnavailable",
    "Allocation",
    "AlreadyExists",
    "Ambiguous",
    "AuthenticationFailed",
    "BackendError",
    "BootDevice",
    "Busy",
    "Cancelled",
    "Capabilities",
    "Cdrom",
    "Clock",
    "CommandFailed",
    "CommandResult",
    "ConnectionFailed",
    "ConnectionLost",
    "Console",
    "ContainerSpec",
    "CpuTopology",
    "Datastore",
    "Disk",
    "DiskBus",
    "DiskFormat",
    "DiskMetrics",
    "DiskRates",
    "DiskSpec",
    "Event",
    "Firmware",
    "GiB",
    "Guest",
    "Host",
    "HyperkitError",
    "HypervisorType",
    "InvalidRequest",
    "InvalidState",
    "IsolationPolicy",
    "KernelBoot",
    "KiB",
    "MetricsRecord",
    "MiB",
    "Nic",
    "NicMetrics",
    "NicRates",
    "NicSpec",
    "NotFound",
    "PermissionDenied",
    "PowerState",
    "Progress",
    "Rates",
    "ResourceExhausted",
    "SerialConsole",
    "Snapshot",
    "StateReason",
    "StaticLease",
    "Switch",
    "SwitchKind",
    "SwitchSpec",
    "SystemClock",
    "Task",
    "TaskFailed",
    "TiB",
    "Timeout",
    "Unsupported",
    "VMChanged",
    "VMCreated",
    "VMDeleted",
    "VMIOError",
    "VMJobEnded",
    "VMRebooted",
    "VMSpec",
    "VMStateChanged",
    "VirtualClock",
    "Volume",
    "connect",
    "format_size",
    "parse_size",
    "to_dict",
]
