"""Faults that come as values, in a task's error or instead of a property, as the exceptions they are."""

from __future__ import annotations

from typing import Any, cast

from lxml import etree
from pyVmomi import vmodl
from pyVmomi.SoapAdapter import Deserialize
from pyVmomi.VmomiSupport import GetWsdlType

from hyperkit.backends.esxi.elements import Element, child, kind, text


def fault_in(error: Element | None, stub: Any) -> Exception:
    """The fault in a ``LocalizedMethodFault``, with its message.

    One of which pyVmomi cannot read a field is at least of its class; one that it has no class for keeps its name.
    """
    said = text(error, "localizedMessage")
    try:
        fault: Any = Deserialize(etree.tostring(error), vmodl.MethodFault, stub)
    except Exception:  # pyVmomi raises whatever comes up: KeyError, TypeError, AttributeError …
        fault = None
    if not isinstance(fault, Exception):
        name = kind(inner) if (inner := child(error, "fault")) is not None else ""
        try:
            fault = GetWsdlType("urn:vim25", name)(msg=said)
        except KeyError:
            fault = vmodl.MethodFault(msg=f"{said} ({name})" if name else said or "a fault without a text")
    elif said:
        fault.msg = said
    return cast(Exception, fault)
