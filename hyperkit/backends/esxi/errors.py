"""vSphere's faults as ours: one table by the fault's name, in which a fault without a line is what its parent is.

A fault (``vmodl.MethodFault``) carries a localized message and fields of its own; both are told. Source of the names
and of their hierarchy: the vSphere web services API, as pyVmomi has it.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from types import MappingProxyType
from typing import Any

from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import ManagedObject

from hyperkit.backends.esxi.transport import reason
from hyperkit.errors import (
    AgentUnavailable,
    AlreadyExists,
    AuthenticationFailed,
    BackendError,
    Busy,
    Cancelled,
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


def _table(table: Mapping[type[HyperkitError], str]) -> Mapping[str, type[HyperkitError]]:
    return MappingProxyType({name: kind for kind, names in table.items() for name in names.split()})


ERRORS: Mapping[str, type[HyperkitError]] = _table(
    {
        AgentUnavailable: "GuestOperationsUnavailable ToolsUnavailable",
        AlreadyExists: "AlreadyExists DuplicateName FileAlreadyExists VmAlreadyExistsInDatacenter",
        AuthenticationFailed: "InvalidLogin NoClientCertificate SSPIChallenge AuthenticationRequired",
        Busy: """
            ConcurrentAccess FailToLockFaultToleranceVMs FileLocked ResourceInUse SnapshotLocked TaskInProgress
            ToolsInstallationInProgress VAppOperationInProgress ReplicationVmInProgressFault
            StorageDrsHmsMoveInProgress""",
        Cancelled: "RequestCanceled ToolsUpgradeCancelled",
        ConnectionFailed: "UnsupportedVimApiVersion",
        # Of a session, and of a vCenter that does not reach the machine: what became of the call is unknown.
        ConnectionLost: "NotAuthenticated SessionNotFound InvalidCollectorVersion HostCommunication",
        InvalidRequest: """
            FileNameTooLong FileTooLarge IncorrectFileType InvalidArgument InvalidDatastorePath InvalidFolder
            InvalidFormat InvalidLicense InvalidLocale InvalidName InvalidPrivilege InvalidVmConfig NotADirectory
            NotAFile OutOfBounds VAppPropertyFault VmValidateMaxDevice""",
        InvalidState: """
            CannotAccessFile CannotAccessVmComponent CannotDisableSnapshot CannotUseNetwork CpuHotPlugNotSupported
            DeviceHotPlugNotSupported DirectoryNotEmpty DisallowedDiskModeChange HostNotConnected InaccessibleDatastore
            DatastoreNotWritableOnHost InvalidDeviceOperation InvalidState MemoryHotPlugNotSupported MigrationFault
            RebootRequired SnapshotFault SwapDatastoreUnset VAppNotRunning""",
        NotFound: """
            DeviceNotFound FileNotFound GuestProcessNotFound InvalidDatastore KeyNotFound ManagedObjectNotFound
            NoConnectedDatastore NoDiskFound NotFound UserNotFound""",
        PermissionDenied: """
            AuthMinimumAdminPermission DisallowedChangeByService FileNotWritable GuestPermissionDenied
            HostAccessRestrictedToManagementServer InvalidGuestLogin OperationDisallowedOnHost RestrictedByAdministrator
            SecurityError""",
        ResourceExhausted: """
            InsufficientResourcesFault InsufficientStorageIops LimitExceeded MksConnectionLimitReached NamespaceFull
            NamespaceLimitReached NoCompatibleDatastore NoCompatibleHost NoDiskSpace NotEnoughCpus NotEnoughLicenses
            ResourceNotAvailable TooManyConcurrentNativeClones TooManyDevices TooManyNativeCloneLevels
            TooManyGuestLogons TooManyNativeClonesOnFile TooManySnapshotLevels""",
        TaskFailed: """
            ApplicationQuiesceFault CannotCreateFile CannotDeleteFile FilesystemQuiesceFault GenericVmConfigFault
            HostConfigFault NetworkCopyFault NetworkDisruptedAndConfigRolledBack RemoveFailed""",
        Timeout: "Timedout",
        Unsupported: """
            CloneFromSnapshotNotSupported DeltaDiskFormatNotSupported DeviceUnsupportedForVmPlatform
            DeviceUnsupportedForVmVersion LargeRDMNotSupportedOnDatastore MethodDisabled MethodNotFound
            MigrationFeatureNotSupported MultipleSnapshotsNotSupported NotImplemented NotSupported
            OperationDisabledByGuest OperationNotSupportedByGuest RDMNotSupportedOnDatastore RestrictedVersion
            SnapshotCopyNotSupported SwapPlacementOverrideNotSupported UnsupportedDatastore UnsupportedGuest
            UnsupportedVmxLocation VirtualHardwareCompatibilityIssue""",
    }
)
"""By the fault's name, for it and for those derived from it that have no line of their own."""


def _reasons(reasons: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType({name: why for why, names in reasons.items() for name in names.split()})


UNMAPPED: Mapping[str, str] = _reasons(
    {
        "a parent of others, which says nothing by itself": "MethodFault VimFault RuntimeFault LocalizedMethodFault",
        "a mistake of hyperkit's own": """
            FilterInUse InvalidEvent InvalidProperty InvalidRequest InvalidToken InvalidType""",
        "a failure inside the host; its text is all there is": """
            DatabaseError ExtendedFault FileFault HostHasComponentFailure HttpFault LogBundlingFailed ShrinkDiskFault
            SystemError UnexpectedFault VmConfigFault VmMetadataManagerFault WipeDiskFault""",
        "of machines in a vCenter and their clusters, which hyperkit does not manage": """
            ActiveDirectoryFault CannotDisableDrsOnClustersWithVApps CannotDisconnectHostWithFaultToleranceVm
            CannotEnableVmcpForCluster CannotMoveFaultToleranceVm CannotMoveHostWithFaultToleranceVm
            CannotPlaceWithoutPrerequisiteMoves ConflictingDatastoreFound DasConfigFault
            DisallowedOperationOnFailoverHost DrsDisabledOnVm EVCConfigFault FcoeFault GenericDrsFault
            HostConnectFault HostPowerOpFailed IORMNotSupportedHostOnDatastore InvalidAffinitySettingFault
            InvalidBmcRole InvalidIpmiLoginInfo InvalidIpmiMacAddress IscsiFault MissingBmcSupport
            NotSupportedHostForChecksum TooManyConsecutiveOverrides UnrecognizedHost""",
        "of a distributed switch's own configuration, which hyperkit reads only": "DvsFault",
        "of fault tolerance, replication and recording": """
            FaultToleranceVmNotDasProtected HostIncompatibleForRecordReplay RecordReplayDisabled ReplicationFault
            VmFaultToleranceIssue VmMonitorIncompatibleForFaultTolerance""",
        "of storage that a cluster manages by itself (Storage DRS, vSAN, flash caches, container volumes)": """
            CnsFault InaccessibleVFlashSource NamespaceWriteProtected SsdDiskNotAvailable
            StorageDrsCannotMoveDiskInMultiWriterMode StorageDrsCannotMoveFTVm StorageDrsCannotMoveIndependentDisk
            StorageDrsCannotMoveManuallyPlacedSwapFile StorageDrsCannotMoveManuallyPlacedVm
            StorageDrsCannotMoveSharedDisk StorageDrsCannotMoveTemplate StorageDrsCannotMoveVmInUserFolder
            StorageDrsCannotMoveVmWithMountedCDROM StorageDrsCannotMoveVmWithNoFilesInLayout
            StorageDrsDatacentersCannotShareDatastore StorageDrsDisabledOnVm StorageDrsHbrDiskNotMovable
            StorageDrsHmsUnreachable StorageDrsIolbDisabledInternally StorageDrsRelocateDisabled
            StorageDrsStaleHmsCollection StorageDrsUnableToMoveFiles VFlashModuleVersionIncompatible VsanFault
            VsanNodeNotMaster""",
        "of host profiles, patches, licences' administration and schedules": """
            AlreadyUpgraded AnswerFileUpdateFailed HostSpecificationOperationFailed InvalidProfileReferenceHost
            InvalidScheduledTask LicenseAssignmentFailed LicenseEntityNotFound LicenseServerUnavailable
            MethodAlreadyDisabledFault MismatchedBundle NoSubjectName PatchBinariesNotFound PatchMetadataInvalid
            PatchNotApplicable ProfileUpdateFailed ThirdPartyLicenseAssignmentFailed""",
        "of what happens in a guest, its customization and its tools": """
            CannotAccessLocalSource CustomizationFault GuestOperationsFault VmToolsUpgradeFault""",
        "of OVF and vApps": "OvfFault VAppConfigFault",
    }
)
"""Faults that become `BackendError`, each with the reason why no word of ours fits."""

_STATES = {"poweredOn": "running", "poweredOff": "off", "suspended": "suspended"}


def translate(error: Exception) -> HyperkitError | None:
    """A fault of vSphere, or of the way to it, as ours; None if it is neither."""
    if isinstance(error, HyperkitError):
        return None
    if isinstance(error, vmodl.MethodFault):
        return _fault(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConnectionFailed(f"the host's certificate is not trusted: {reason(error)}")
    if isinstance(error, HTTPException | ssl.SSLError | ConnectionError | TimeoutError):
        return ConnectionLost(f"the connection to the host broke: {reason(error)}")
    return None


def _fault(fault: Any) -> HyperkitError:
    kind, text = kind_of(type(fault)), _text(fault)
    if isinstance(fault, vmodl.fault.ManagedObjectNotFound) and isinstance(fault.obj, ManagedObject):
        text = f"there is no {type(fault.obj)._wsdlName} {fault.obj._moId!r} on the host, or no more"
    if isinstance(fault, vim.fault.RestrictedVersion):
        text += ": the host's licence (that of the free ESXi) lets the API read and change nothing"
    if issubclass(kind, InvalidState):
        return kind(text, current=_STATES.get(str(getattr(fault, "existingState", "")), ""))
    return kind(f"{text} ({_name(type(fault))})" if kind is BackendError else text)


def kind_of(fault: type) -> type[HyperkitError]:
    """What a kind of fault means: its own line in the table, or that of its nearest parent."""
    for parent in fault.__mro__:
        name = _name(parent)
        if name in ERRORS:
            return ERRORS[name]
        if name in UNMAPPED:
            break
    return BackendError


def _name(fault: type) -> str:
    return fault.__name__.rpartition(".")[2]


def _text(fault: Any) -> str:
    """The message, what else there is of words, and the fields that it leaves out."""
    words = [fault.msg or ""]
    words += [said.message or "" for said in fault.faultMessage or ()]
    if isinstance(fault.faultCause, vmodl.MethodFault):
        words.append(fault.faultCause.msg or "")
    said = list(dict.fromkeys(text for word in words if (text := word.strip().rstrip("."))))
    told = ": ".join(said) or f"the host says {_name(type(fault))} and no more"
    fields = ", ".join(f"{name} {value}" for name, value in _fields(fault) if value not in told)
    return f"{told} ({fields})" if fields else told


def _fields(fault: Any) -> Iterator[tuple[str, str]]:
    if isinstance(fault, vim.fault.SSPIChallenge):  # a secret
        return
    for field in fault._GetPropertyList():
        value = getattr(fault, field.name, None)
        if field.name in ("msg", "dynamicType") or value is None:
            continue
        if isinstance(value, ManagedObject):
            yield field.name, f"{type(value)._wsdlName} {value._moId}"
        elif isinstance(value, str | int) and not isinstance(value, bool) and str(value):
            yield field.name, str(value)
