"""The machine: its Windows, processors and disks, and the management services of Hyper-V."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.beds.hyperv_sim.rows import Repository, Result, Row

NAME = "HV1"
_GIB = 1 << 30
SERVICES = (
    "Msvm_VirtualSystemManagementService",
    "Msvm_VirtualSystemSnapshotService",
    "Msvm_VirtualSystemMigrationService",
    "Msvm_ImageManagementService",
    "Msvm_VirtualEthernetSwitchManagementService",
    "Msvm_SecurityService",
)


def serve(repository: Repository) -> None:
    """Register what every host has."""
    for name, row in _ROWS.items():
        repository.serve(name, lambda row=row: [row])  # type: ignore[misc]
    repository.serve("Win32_Processor", lambda: _processors(2))
    for name in SERVICES:
        methods = {"GetSummaryInformation": _nothing} if name == SERVICES[0] else {}
        repository.serve(name, lambda name=name: [_service(name)], methods)  # type: ignore[misc]
    repository.serve("Msvm_ComputerSystem", lambda: [_itself()])


def _nothing(_service: Row, _arguments: dict[str, Any]) -> Result:
    """A host without VMs has no summaries of them."""
    return 0, {"SummaryInformation": []}


def _itself() -> Row:
    """The host is a row among its VMs. The words are the host's language."""
    return Row(
        "Msvm_ComputerSystem",
        {
            "CreationClassName": "Msvm_ComputerSystem",
            "Name": NAME,
            "ElementName": NAME,
            "Caption": "Hostcomputersystem",
            "Description": "Microsoft-Hostcomputersystem",
            "EnabledState": 2,
            "HealthState": 5,
            "OperationalStatus": [2],
        },
    )


def _service(name: str) -> Row:
    return Row(
        name,
        {
            "CreationClassName": name,
            "Name": name.removeprefix("Msvm_"),
            "SystemCreationClassName": "Msvm_ComputerSystem",
            "SystemName": NAME,
        },
    )


def _processors(count: int) -> Iterator[Row]:
    for number in range(count):
        yield Row(
            "Win32_Processor",
            {
                "DeviceID": f"CPU{number}",
                "Name": "Simulated CPU",
                "MaxClockSpeed": 2400,
                "NumberOfCores": 4,
                "NumberOfLogicalProcessors": 8,
                "Architecture": 9,
            },
        )


_ROWS = {
    "Win32_ComputerSystem": Row(
        "Win32_ComputerSystem",
        {
            "Name": NAME,
            "DNSHostName": "hv1",
            "Domain": "lab.example",
            "Manufacturer": "Simulated",
            "Model": "Bed",
            "NumberOfProcessors": 2,
            "NumberOfLogicalProcessors": 16,
            "TotalPhysicalMemory": 64 * _GIB,
        },
    ),
    "Win32_ComputerSystemProduct": Row(
        "Win32_ComputerSystemProduct",
        {
            "IdentifyingNumber": "1",
            "Name": "Bed",
            "Version": "1",
            "UUID": "00000000-0000-4000-8000-00000000A1A1",
            "Vendor": "Simulated",
        },
    ),
    "Win32_OperatingSystem": Row(
        "Win32_OperatingSystem",
        {
            "Name": "Microsoft Windows Server 2022 Datacenter|C:\\Windows|\\Device\\Harddisk0\\Partition3",
            "Caption": "Microsoft Windows Server 2022 Datacenter",
            "Version": "10.0.20348",
            "BuildNumber": "20348",
            "FreePhysicalMemory": 48 * _GIB // 1024,
            "TotalVisibleMemorySize": 64 * _GIB // 1024,
        },
    ),
    "Win32_LogicalDisk": Row(
        "Win32_LogicalDisk",
        {"DeviceID": "C:", "DriveType": 3, "FileSystem": "NTFS", "Size": 500 * _GIB, "FreeSpace": 400 * _GIB},
    ),
    "Msvm_VirtualSystemManagementServiceSettingData": Row(
        "Msvm_VirtualSystemManagementServiceSettingData",
        {
            "InstanceID": f"Microsoft:{NAME}",
            "DefaultExternalDataRoot": "C:\\ProgramData\\Microsoft\\Windows\\Hyper-V",
            "DefaultVirtualHardDiskPath": "C:\\Users\\Public\\Documents\\Hyper-V\\Virtual Hard Disks",
        },
    ),
}
