"""Faults that pyVmomi's decoder leaves to us, as the exceptions they are: those that come as values (a task's error, or
what came instead of a property), and those that it cannot read whole.
"""

from __future__ import annotations

from typing import Any, cast

from lxml import etree
from pyVmomi import vmodl
from pyVmomi.SoapAdapter import Deserialize
from pyVmomi.VmomiSupport import GetWsdlType

from hyperkit.backends.esxi.elements import Element, child, kind, text

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


def fault_in(error: Element | None, stub: Any) -> Exception:
    """The fault in a ``LocalizedMethodFault``, with its message."""
    said = text(error, "localizedMessage")
    try:
        fault: Any = Deserialize(etree.tostring(error), vmodl.MethodFault, stub)
        fault.msg = said or fault.msg
    except Exception:  # pyVmomi raises whatever comes up: KeyError, TypeError, AttributeError …
        found = child(error, "fault")
        return _named(kind(found) if found is not None else "", said)
    return cast(Exception, fault)


def fault_of(answer: bytes) -> Exception:
    """The fault that an answer is, by its name and message alone."""
    root = etree.fromstring(answer, _PARSER)
    said = root.findtext(".//faultstring", "")
    detail = root.find(".//detail/*")
    return _named(kind(detail) if detail is not None else "", said)


def _named(name: str, said: str) -> Exception:
    """A fault of this type; one that pyVmomi does not have keeps its name in the message."""
    try:
        known = GetWsdlType("urn:vim25", name)
    except KeyError:
        known = None
    if known is not None and issubclass(known, vmodl.MethodFault):
        return cast(Exception, known(msg=said))
    return cast(Exception, vmodl.RuntimeFault(msg=f"{said} ({name})" if name else said or "a fault without a text"))
