"""Each fault of vSphere is one of our errors, or listed with the reason why not, and says what its host said."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from http.client import HTTPException, RemoteDisconnected
from typing import Any

import pytest

from hyperkit import errors as ours
from hyperkit.errors import HyperkitError, InvalidState

pytest.importorskip("pyVmomi")
from lxml import etree
from pyVmomi import VmomiSupport, vim, vmodl

from hyperkit.backends.esxi.errors import ERRORS, UNMAPPED, kind_of, translate
from hyperkit.backends.esxi.faults import fault_in, fault_of

ROOTS = {"MethodFault", "VimFault", "RuntimeFault", "LocalizedMethodFault"}


def name(fault: type) -> str:
    return fault.__name__.rpartition(".")[2]


def faults() -> Iterator[type]:
    for known in VmomiSupport._dataDefMap:
        if known.startswith(("vim.", "vmodl.")):
            found = VmomiSupport.GetVmodlType(known)
            if isinstance(found, type) and issubclass(found, vmodl.MethodFault):
                yield found


FAULTS = {name(fault): fault for fault in faults()}


def test_there_are_hundreds() -> None:
    assert len(FAULTS) > 600
    assert len(FAULTS) == sum(1 for _ in faults())  # no two of one name


def test_every_fault_is_mapped_or_listed_with_a_reason() -> None:
    for fault in faults():
        nearest = next(name(parent) for parent in fault.__mro__ if name(parent) in {*ERRORS, *UNMAPPED})
        assert nearest not in ROOTS or name(fault) in ROOTS, f"{name(fault)} has no line"
        assert (kind_of(fault) is not ours.BackendError) == (nearest in ERRORS)


def test_the_table_has_no_fault_that_there_is_not_and_none_twice() -> None:
    assert {*ERRORS, *UNMAPPED} - {*FAULTS, *ROOTS} == set()
    assert {*ERRORS} & {*UNMAPPED} == set()
    assert all(UNMAPPED.values())


def test_no_fault_tells_its_repr() -> None:
    for known, fault in FAULTS.items():
        error = translate(fault())
        assert isinstance(error, HyperkitError)
        assert known in error.message
        assert "unset" not in error.message


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (vim.fault.InvalidLogin, ours.AuthenticationFailed),
        (vim.fault.PasswordExpired, ours.AuthenticationFailed),
        (vim.fault.NotAuthenticated, ours.ConnectionLost),
        (vim.fault.NoPermission, ours.PermissionDenied),
        (vim.fault.RestrictedVersion, ours.Unsupported),
        (vmodl.fault.NotSupported, ours.Unsupported),
        (vmodl.fault.MethodNotFound, ours.Unsupported),
        (vim.fault.HostAccessRestrictedToManagementServer, ours.PermissionDenied),
        (vim.fault.InsufficientMemoryResourcesFault, ours.ResourceExhausted),
        (vim.fault.NoDiskSpace, ours.ResourceExhausted),
        (vim.fault.LicenseExpired, ours.ResourceExhausted),
        (vim.fault.TaskInProgress, ours.Busy),
        (vim.fault.ConcurrentAccess, ours.Busy),
        (vim.fault.ResourceInUse, ours.Busy),
        (vim.fault.FileLocked, ours.Busy),
        (vim.fault.FileNotFound, ours.NotFound),
        (vmodl.fault.ManagedObjectNotFound, ours.NotFound),
        (vim.fault.DuplicateName, ours.AlreadyExists),
        (vim.fault.FileAlreadyExists, ours.AlreadyExists),
        (vim.fault.InvalidPowerState, ours.InvalidState),
        (vim.fault.QuestionPending, ours.InvalidState),
        (vim.fault.InvalidDeviceSpec, ours.InvalidRequest),
        (vim.fault.InvalidDeviceBacking, ours.InvalidRequest),
        (vim.fault.DeviceNotFound, ours.NotFound),
        (vim.fault.TooManyDevices, ours.ResourceExhausted),
        (vmodl.fault.InvalidArgument, ours.InvalidRequest),
        (vmodl.query.InvalidProperty, ours.BackendError),
        (vmodl.fault.SystemError, ours.BackendError),
        (vmodl.fault.RequestCanceled, ours.Cancelled),
        (vim.fault.Timedout, ours.Timeout),
        (vim.fault.ToolsUnavailable, ours.AgentUnavailable),
        (vim.fault.MemorySizeNotSupported, ours.Unsupported),
    ],
)
def test_what_faults_mean(fault: Any, kind: type[HyperkitError]) -> None:
    assert type(translate(fault(msg="said"))) is kind


def test_what_may_succeed_later_is_retryable() -> None:
    assert all(translate(fault()).retryable for fault in (vim.fault.TaskInProgress, vim.fault.NotAuthenticated))  # type: ignore[union-attr]


def test_the_message_has_all_that_the_host_says() -> None:
    details = [vmodl.LocalizableMessage(key="k", message="Failed to lock the file."), vmodl.LocalizableMessage(key="j")]
    fault = vim.fault.GenericVmConfigFault(
        msg="Cannot open the disk.",
        faultMessage=details,
        reason="locked",
        faultCause=vim.fault.FileLocked(msg="By esx2."),
    )
    error = translate(fault)
    assert str(error) == "Cannot open the disk: Failed to lock the file: By esx2 (reason locked)"


def test_a_field_that_the_message_has_is_not_told_twice() -> None:
    fault = vim.fault.FileNotFound(msg="File [ds] a.iso was not found", file="[ds] a.iso")
    assert str(translate(fault)) == "File [ds] a.iso was not found"
    assert (
        str(translate(vim.fault.DuplicateName(name="a/b", msg="")))
        == "the host says DuplicateName and no more (name a/b)"
    )


def test_a_missing_privilege_is_named_with_the_object() -> None:
    fault = vim.fault.NoPermission(
        msg="Permission to perform this operation was denied.",
        object=vim.VirtualMachine("vm-7"),
        privilegeId="VirtualMachine.Interact.PowerOn",
    )
    error = translate(fault)
    assert "VirtualMachine.Interact.PowerOn" in str(error)
    assert "VirtualMachine vm-7" in str(error)


def test_an_invalid_power_state_tells_the_present_one() -> None:
    error = translate(vim.fault.InvalidPowerState(msg="no", existingState="poweredOn", requestedState="poweredOff"))
    assert isinstance(error, InvalidState)
    assert error.current == "running"


def test_the_free_licence_is_told_as_the_reason() -> None:
    said = "Current license or ESXi version prohibits execution of the requested operation"
    assert "licence" in str(translate(vim.fault.RestrictedVersion(msg=said)))


def test_a_secret_in_a_fault_is_not_told() -> None:
    assert "c2VjcmV0" not in str(translate(vim.fault.SSPIChallenge(msg="go on", base64Token="c2VjcmV0")))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RemoteDisconnected("gone"), ours.ConnectionLost),
        (ConnectionResetError(104, "reset"), ours.ConnectionLost),
        (TimeoutError(), ours.ConnectionLost),
        (HTTPException("503"), ours.ConnectionLost),
        (ssl.SSLError("broken"), ours.ConnectionLost),
        (ssl.SSLCertVerificationError("not trusted"), ours.ConnectionFailed),
    ],
)
def test_what_goes_wrong_on_the_way(error: Exception, kind: type[HyperkitError]) -> None:
    assert type(translate(error)) is kind


@pytest.mark.parametrize("error", [ours.Timeout("t"), ValueError("v"), FileNotFoundError(2, "their own file")])
def test_what_is_not_vspheres_is_left(error: Exception) -> None:
    assert translate(error) is None


def element(inner: str, said: str = "It failed.") -> Any:
    return etree.fromstring(
        '<val xmlns="urn:vim25" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="LocalizedMethodFault">'
        f"{inner}<localizedMessage>{said}</localizedMessage></val>"
    )


def test_a_fault_that_is_a_value_becomes_an_exception() -> None:
    fault: Any = fault_in(element('<fault xsi:type="FileNotFound"><file>[ds] x</file></fault>'), None)
    assert isinstance(fault, vim.fault.FileNotFound)
    assert (fault.file, fault.msg) == ("[ds] x", "It failed.")


def test_a_fault_that_pyvmomi_does_not_know_keeps_its_name() -> None:
    fault: Any = fault_in(element('<fault xsi:type="NewInVersion12"><x>1</x></fault>'), None)
    assert "It failed. (NewInVersion12)" in str(translate(fault))
    assert "It failed. (NewInVersion12)" in fault.msg


def test_a_fault_with_what_pyvmomi_does_not_know_keeps_its_kind() -> None:
    fault = fault_in(element('<fault xsi:type="FileLocked"><fileOfVersion12>1</fileOfVersion12></fault>'), None)
    assert isinstance(fault, vim.fault.FileLocked)


def test_an_answer_that_pyvmomi_cannot_read_keeps_its_kind_and_message() -> None:
    envelope = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><e:Fault><faultcode>x</faultcode>'
        '<faultstring>No &lt;way&gt;</faultstring><detail><FileLockedFault xmlns="urn:vim25"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="{}"/></detail>'
        "</e:Fault></e:Body></e:Envelope>"
    )
    fault: Any = fault_of(envelope.format("FileLocked").encode())
    assert isinstance(fault, vim.fault.FileLocked)
    assert fault.msg == "No <way>"
    assert "No <way> (NewInVersion12)" in str(translate(fault_of(envelope.format("NewInVersion12").encode())))
