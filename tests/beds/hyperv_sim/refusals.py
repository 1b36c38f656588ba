"""What the simulator refuses, as a host would say it."""

from __future__ import annotations

import attrs

_CANNOT = "The WS-Management service cannot process the request."
WMI_PROVIDER = "%systemroot%\\system32\\WsmWmiPl.dll"


@attrs.define(kw_only=True)
class Refused(Exception):  # noqa: N818  it becomes a fault
    """A fault to be.

    Attributes:
        subcode: with its prefix, ``w:InvalidSelectors``.
        reason: for people.
        code: WinRM's number; 0 for none.
        wmi: WMI's own, which comes in a fault within the fault; 0 for none.
        sender: whether the caller is to blame (``s:Sender``), or the host.
        status: of HTTP.
    """

    subcode: str
    reason: str
    code: int = 0
    wmi: int = 0
    sender: bool = True
    status: int = 500


def schema_violation(why: str) -> Refused:
    """XML that does not fit the schema: a missing or unexpected element, or a text that is not what it is to be."""
    return Refused(
        subcode="w:SchemaValidationError",
        reason=f"The SOAP XML in the message does not match the corresponding XML schema definition. {why}",
        code=0x80338041,
    )


def wmi_error(code: int, why: str, subcode: str = "w:InternalError") -> Refused:
    """What WMI refused."""
    return Refused(subcode=subcode, reason=why, code=0x80338000 if subcode.startswith("a:") else code, wmi=code)


def not_found(why: str = "the resource") -> Refused:
    """No such instance (WBEM_E_NOT_FOUND)."""
    reason = "The service cannot find the resource identified by the resource URI and selectors."
    return wmi_error(0x80041002, f"{_CANNOT} {reason} ({why})", "a:DestinationUnreachable")


def no_class(name: str) -> Refused:
    """WBEM_E_INVALID_CLASS."""
    return wmi_error(0x80041010, f"The WMI class {name} does not exist.", "a:DestinationUnreachable")


def no_namespace(name: str) -> Refused:
    """A resource URI that leads nowhere: a host without the role of Hyper-V has no root/virtualization/v2."""
    return Refused(
        subcode="w:InvalidResourceURI",
        reason=f"{_CANNOT} The resource URI is missing or it has an incorrect format: {name}",
        code=0x8033801A,
    )


def invalid_selectors(why: str) -> Refused:
    """A selector that is no key, or no selector where one is needed."""
    return Refused(
        subcode="w:InvalidSelectors",
        reason=f"{_CANNOT} The selectors are not valid: {why}",
        code=0x8033801E,
    )


def invalid_query(why: str) -> Refused:
    """WBEM_E_INVALID_QUERY."""
    return wmi_error(0x80041017, f"The WMI query is not valid: {why}", "n:CannotProcessFilter")


def not_supported(action: str) -> Refused:
    """An action that no WMI class has."""
    return Refused(
        subcode="a:ActionNotSupported",
        reason=f"The action is not supported by the service: {action}",
        code=0x80338006,
    )
