"""XML from outside: no document types, no entities but XML's own, and nothing larger than any answer."""

from __future__ import annotations

from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from hyperkit.errors import BackendError, ConnectionLost

LARGEST = 64 << 20
"""Bytes that an answer has at most. A host sends no more than its MaxEnvelopeSize, which is 500 KB unless somebody
raised it.
"""


class _Strict(TreeBuilder):
    """Expat tells of a document type before it declares any entity."""

    def doctype(self, *_named: object) -> NoReturn:
        raise BackendError("the host's answer has a document type, as no answer of WS-Management has")


def parse(data: bytes) -> Element:
    """The root of a document.

    Raises:
        ConnectionLost: it is cut off, or no XML.
        BackendError: it has a document type, or is larger than any answer.
    """
    if len(data) > LARGEST:
        raise BackendError(f"the host's answer has {len(data)} bytes, more than any answer of WS-Management")
    parser = XMLParser(target=_Strict())  # noqa: S314  what is dangerous in XML needs a document type
    try:
        parser.feed(data)
        root: Element = parser.close()
    except ParseError as error:
        raise ConnectionLost(f"the host's answer broke off, or is no XML: {error}") from error
    return root
