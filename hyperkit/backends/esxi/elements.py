"""Reading values in the answers of a host: XML elements in the namespace ``urn:vim25``, by their local names.

A value is an element whose children are its fields, in the order in which the API's schema has them. What pyVmomi would
make of it costs most of the time of a read (see docs/decisions/0021-reading-vsphere.md), and would refuse types that it
does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any
from xml.sax.saxutils import escape

from lxml import etree
from lxml.etree import _Element as Element
from pyVmomi.VmomiSupport import GetWsdlType

from hyperkit.errors import BackendError, ConnectionLost

NS = "{urn:vim25}"
__all__ = ["NS", "Element", "child", "children", "fields", "flag", "kind", "managed", "number", "parse", "text"]

_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"
_PREFIX = len(NS)
_PIECE = 1 << 16


def parse(body: IO[bytes]) -> Element:
    """What is in the body of a SOAP envelope: a method's response, or a fault. It is read as it comes.

    It is from outside: it gets no document type, no entities and nothing from elsewhere, and a text that is longer than
    any in an answer (libxml2's 10 MB) is refused.

    Raises:
        ConnectionLost: it broke off, or is no envelope.
        BackendError: it has a document type.
    """
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        while piece := body.read(_PIECE):
            parser.feed(piece)
        root: Element = parser.close()
    except etree.XMLSyntaxError as error:
        raise ConnectionLost(f"the host's answer broke off, or is no XML: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BackendError("the host's answer has a document type, as no answer of vSphere has")
    envelope = root.find(_BODY)
    if envelope is None or not len(envelope):
        raise ConnectionLost("the host's answer is no SOAP envelope")
    return envelope[0]


def managed(kind: str, id: str, stub: Any = None) -> Any:
    """PyVmomi's object of this type and id, which writes ids into its requests as they stand: this one is escaped.

    An ESXi host makes ids of names (``HaNetwork-R&D``), and anybody can ask for an id that there never was.
    """
    return GetWsdlType("urn:vim25", kind)(escape(id), stub)


def kind(element: Element) -> str:
    """The name of a value's own type, without its prefix: ``VirtualE1000``; empty if it is of its declared type."""
    return str(element.get(_TYPE, "")).rpartition(":")[2]


def fields(element: Element | None) -> dict[str, Element]:
    """All fields by their names; of an array, the last item."""
    return {} if element is None else {each.tag[_PREFIX:]: each for each in element}


def child(element: Element | None, *path: str) -> Element | None:
    """The element that this path leads to, if there is one."""
    for name in path:
        if element is None:
            return None
        element = next(element.iterchildren(NS + name), None)
    return element


def children(element: Element | None, name: str | None = None) -> Iterator[Element]:
    """All fields of this name, or all there are."""
    if element is not None:
        yield from element if name is None else element.iterchildren(NS + name)


def text(element: Element | None, *path: str, default: str = "") -> str:
    """The text that this path leads to."""
    found = child(element, *path) if path else element
    return default if found is None else found.text or ""


def number(element: Element | None, *path: str) -> int | None:
    """The whole number that this path leads to; None if there is none."""
    found = text(element, *path)
    return int(found) if found else None


def flag(element: Element | None, *path: str) -> bool | None:
    """The truth that this path leads to; None if it leads nowhere."""
    found = text(element, *path)
    return None if not found else found in ("true", "1")
