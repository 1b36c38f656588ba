"""The namespaces, actions and addresses of WS-Management."""

from __future__ import annotations

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
MICROSOFT = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
CIM = "http://schemas.dmtf.org/wbem/wscim/1/common"
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
WMI_ERROR = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XML = "http://www.w3.org/XML/1998/namespace"

ANONYMOUS = f"{ADDRESSING}/role/anonymous"
WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
WMI = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"

GET, PUT = f"{TRANSFER}/Get", f"{TRANSFER}/Put"
ENUMERATE, PULL, RELEASE = f"{ENUMERATION}/Enumerate", f"{ENUMERATION}/Pull", f"{ENUMERATION}/Release"

VIRTUALIZATION = "root/virtualization/v2"
"""The CIM namespace of Hyper-V."""
CIMV2 = "root/cimv2"
"""The CIM namespace of the machine and its Windows."""


def class_uri(namespace: str, name: str) -> str:
    """The address of a class; ``*`` is all of them, as a query needs it."""
    return f"{WMI}{namespace}/{name}"


def of_uri(uri: str) -> tuple[str, str]:
    """Namespace and class of such an address, whatever comes before them."""
    _, found, rest = uri.partition("/wmi/")
    namespace, _, name = (rest if found else uri).rpartition("/")
    return namespace, name
