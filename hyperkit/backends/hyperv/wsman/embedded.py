"""Embedded instances: CIM-XML in a string, which is how methods of Hyper-V's take and give settings.

The parser that reads them at the host is no whole XML parser: it refuses named entities (``&amp;``), so that special
characters are written as numbers, and it wants the right TYPE of each property, and arrays as such.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias
from xml.etree.ElementTree import Element

from hyperkit.backends.hyperv.wsman import xml
from hyperkit.backends.hyperv.wsman.cim import Instance, Reference, Value
from hyperkit.checks import refuse

Given: TypeAlias = "str | int | bool | Reference | Sequence[str | int | Reference]"
"""What a property can be set to. A reference is written as its object path."""

_SPECIAL = re.compile(r"[&<>\"'\t\n\r]")
_REFUSED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _types(lines: str) -> Mapping[str, str]:
    found = {}
    for line in lines.strip().splitlines():
        kind, _, names = line.strip().partition(": ")
        found.update(dict.fromkeys(names.split(), kind))
    return MappingProxyType(found)


_RESOURCE = """
    string: InstanceID ElementName ResourceSubType Parent Address AddressOnParent
    string[]: HostResource VirtualSystemIdentifiers
    uint16: ResourceType
"""
_AMOUNT = """
    string: InstanceID
    uint32: Weight
    uint64: VirtualQuantity Reservation Limit
"""
TYPES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Msvm_VirtualSystemSettingData": _types(
            """
            string: InstanceID ElementName VirtualSystemSubType SecureBootTemplateId ConfigurationDataRoot LogDataRoot
            string: SnapshotDataRoot SuspendDataRoot SwapFileDataRoot
            string[]: Notes BootSourceOrder
            uint16: AutomaticStartupAction AutomaticShutdownAction UserSnapshotType
            uint16[]: BootOrder
            boolean: AutomaticSnapshotsEnabled SecureBootEnabled VirtualNumaEnabled
            """
        ),
        "Msvm_ProcessorSettingData": _types(_AMOUNT + "boolean: LimitProcessorFeatures ExposeVirtualizationExtensions"),
        "Msvm_MemorySettingData": _types(_AMOUNT + "boolean: DynamicMemoryEnabled\nuint32: TargetMemoryBuffer"),
        "Msvm_ResourceAllocationSettingData": _types(_RESOURCE),
        "Msvm_StorageAllocationSettingData": _types(_RESOURCE + "uint64: IOPSLimit IOPSReservation"),
        "Msvm_SyntheticEthernetPortSettingData": _types(_RESOURCE + "boolean: StaticMacAddress"),
        "Msvm_EmulatedEthernetPortSettingData": _types(_RESOURCE + "boolean: StaticMacAddress"),
        "Msvm_EthernetPortAllocationSettingData": _types(_RESOURCE + "uint16: EnabledState"),
        "Msvm_EthernetSwitchPortVlanSettingData": _types(
            """
            string: InstanceID
            uint32: OperationMode
            uint16: AccessVlanId NativeVlanId
            uint16[]: TrunkVlanIdArray
            """
        ),
        "Msvm_EthernetSwitchPortSecuritySettingData": _types(
            """
            string: InstanceID
            boolean: AllowMacSpoofing EnableDhcpGuard EnableRouterGuard
            uint8: MonitorMode
            """
        ),
        "Msvm_EthernetSwitchPortExtendedAclSettingData": _types(
            """
            string: InstanceID LocalIPAddress RemoteIPAddress LocalPort RemotePort Protocol
            uint8: Direction Action
            uint16: Weight
            boolean: Stateful
            """
        ),
        "Msvm_VirtualHardDiskSettingData": _types(
            """
            string: Path ParentPath
            uint16: Type Format
            uint64: MaxInternalSize
            uint32: BlockSize LogicalSectorSize PhysicalSectorSize
            """
        ),
        "Msvm_VirtualEthernetSwitchSettingData": _types("string: InstanceID ElementName\nstring[]: Notes"),
        "Msvm_SecuritySettingData": _types("string: InstanceID\nboolean: TpmEnabled"),
        "Msvm_VirtualSystemSnapshotSettingData": _types("uint8: ConsistencyLevel"),
    }
)
"""The properties that hyperkit sets, by class, with their types (Hyper-V's MOF, in Microsoft's win32 documentation)."""


def write(class_name: str, properties: Mapping[str, Given]) -> str:
    """An instance with these properties and no others: what is left out stays as it is.

    Raises:
        InvalidRequest: a text has characters that no XML can carry.
        KeyError: no class or property of `TYPES`: a mistake of hyperkit's.
        TypeError: a value is not what the property is: likewise.
    """
    types = TYPES[class_name]
    parts = [_property(name, types[name], value) for name, value in properties.items()]
    return f'<INSTANCE CLASSNAME="{class_name}">{"".join(parts)}</INSTANCE>'


def _property(name: str, kind: str, value: Given) -> str:
    if not kind.endswith("[]"):
        if isinstance(value, Sequence) and not isinstance(value, str):
            raise TypeError(f"{name} is no array")
        return f'<PROPERTY NAME="{name}" TYPE="{kind}">{_text(name, kind, value)}</PROPERTY>'
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name} is an array")
    kind = kind.removesuffix("[]")
    items = "".join(_text(name, kind, item) for item in value)
    return f'<PROPERTY.ARRAY NAME="{name}" TYPE="{kind}"><VALUE.ARRAY>{items}</VALUE.ARRAY></PROPERTY.ARRAY>'


def _text(name: str, kind: str, value: str | int | bool | Reference) -> str:
    if kind == "boolean":
        if not isinstance(value, bool):
            raise TypeError(f"{name} is a boolean")
        written = "true" if value else "false"
    elif kind == "string":
        if isinstance(value, int):
            raise TypeError(f"{name} is a string")
        written = value.path if isinstance(value, Reference) else value
    else:
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} is a number")
        written = str(value)
    if _REFUSED.search(written):
        refuse(name, written, "text without control characters")
    return f"<VALUE>{_SPECIAL.sub(lambda found: f'&#{ord(found[0])};', written)}</VALUE>"


def read(text: str) -> Instance:
    """An instance that came in a string.

    Raises:
        ConnectionLost, BackendError: as `xml.parse`.
    """
    root = xml.parse(text.encode("utf-8", "surrogatepass"))
    found = root if root.tag == "INSTANCE" else next(root.iter("INSTANCE"), root)
    return _instance(found)


def _instance(element: Element) -> Instance:
    values: dict[str, Sequence[Value]] = {}
    for each in element:
        name = each.get("NAME", "")
        if each.tag == "PROPERTY.ARRAY":
            values[name] = [_read(value) for value in each.iterfind("VALUE.ARRAY/*")]
        elif each.tag == "PROPERTY":
            value = each.find("VALUE")
            values[name] = [] if value is None else [_read(value)]
    return Instance(element.get("CLASSNAME", ""), values)


def _read(value: Element) -> Value:
    inner = next(value.iter("INSTANCE"), None)
    return value.text or "" if inner is None else _instance(inner)
