"""Requests, written by an XML library: no value is ever pasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import uuid4
from xml.etree import ElementTree as ET
from xml.etree.ElementTree import Element, SubElement

import attrs

from hyperkit.backends.hyperv.wsman import names
from hyperkit.backends.hyperv.wsman.cim import Reference
from hyperkit.backends.hyperv.wsman.names import ADDRESSING, ENUMERATION, SOAP, WSMAN

Argument: TypeAlias = "str | int | bool | Reference | Sequence[str | int | Reference]"
"""Of a method. An embedded instance is its text, an array a sequence; what is None is left out, which is null."""

_PREFIXES = {
    "s": SOAP,
    "a": ADDRESSING,
    "n": ENUMERATION,
    "w": WSMAN,
    "m": names.MICROSOFT,
    "xsi": names.XSI,
    "id": names.IDENTITY,
}
for _prefix, _uri in _PREFIXES.items():
    ET.register_namespace(_prefix, _uri)
_MUST = f"{{{SOAP}}}mustUnderstand"
_LANGUAGE = f"{{{names.XML}}}lang"
PAGE = 500
"""Instances that are asked for at a time; a host sends fewer if they do not fit its envelope."""


@attrs.frozen
class Request:
    """A request, and the id by which its answer is known."""

    id: str
    body: bytes = attrs.field(repr=False)
    about: str
    """What it asks, in a few words, for errors and records of calls."""


@attrs.frozen(kw_only=True)
class Writer:
    """Writes the requests of one connection.

    Attributes:
        to: the address of the host's service.
        timeout: whole seconds after which the host gives up what it was asked (``OperationTimeout``).
        largest: bytes that an answer may have (``MaxEnvelopeSize``).
    """

    to: str
    timeout: int
    largest: int = 512_000

    def identify(self) -> Request:
        """Who are you: the one request without an address."""
        root = Element(f"{{{SOAP}}}Envelope")
        SubElement(root, f"{{{SOAP}}}Header")
        SubElement(SubElement(root, f"{{{SOAP}}}Body"), f"{{{names.IDENTITY}}}Identify")
        return Request("", ET.tostring(root, "utf-8"), "Identify")

    def get(self, what: Reference) -> Request:
        """One instance."""
        root, name = self._envelope(names.GET, what)
        return _done(root, name, f"Get {what.class_name}")

    def put(self, what: Reference, properties: Mapping[str, Argument]) -> Request:
        """One instance, changed: with all its properties."""
        root, name = self._envelope(names.PUT, what)
        uri = names.class_uri(what.namespace, what.class_name)
        _fill(SubElement(_body(root), f"{{{uri}}}{what.class_name}"), uri, properties)
        return _done(root, name, f"Put {what.class_name}")

    def enumerate(self, what: Reference, query: str = "") -> Request:
        """All instances of a class, or what a query in WQL asks, for which the class is ``*``."""
        root, name = self._envelope(names.ENUMERATE, what)
        body = SubElement(_body(root), f"{{{ENUMERATION}}}Enumerate")
        SubElement(body, f"{{{WSMAN}}}OptimizeEnumeration")
        SubElement(body, f"{{{WSMAN}}}MaxElements").text = str(PAGE)
        if query:
            SubElement(body, f"{{{WSMAN}}}Filter", Dialect=names.WQL).text = query
        return _done(root, name, f"Enumerate {query or what.class_name}")

    def pull(self, what: Reference, context: str) -> Request:
        """More of what was enumerated."""
        root, name = self._envelope(names.PULL, what)
        body = SubElement(_body(root), f"{{{ENUMERATION}}}Pull")
        SubElement(body, f"{{{ENUMERATION}}}EnumerationContext").text = context
        SubElement(body, f"{{{ENUMERATION}}}MaxElements").text = str(PAGE)
        return _done(root, name, "Pull")

    def release(self, what: Reference, context: str) -> Request:
        """No more of it."""
        root, name = self._envelope(names.RELEASE, what)
        body = SubElement(_body(root), f"{{{ENUMERATION}}}Release")
        SubElement(body, f"{{{ENUMERATION}}}EnumerationContext").text = context
        return _done(root, name, "Release")

    def invoke(self, what: Reference, method: str, arguments: Mapping[str, Argument | None]) -> Request:
        """A method of an instance."""
        uri = names.class_uri(what.namespace, what.class_name)
        root, name = self._envelope(f"{uri}/{method}", what)
        _fill(SubElement(_body(root), f"{{{uri}}}{method}_INPUT"), uri, arguments)
        return _done(root, name, f"{what.class_name}.{method}")

    def _envelope(self, action: str, what: Reference) -> tuple[Element, str]:
        name = f"uuid:{uuid4()}".upper().replace("UUID:", "uuid:")
        root = Element(f"{{{SOAP}}}Envelope")
        header = SubElement(root, f"{{{SOAP}}}Header")
        SubElement(header, f"{{{ADDRESSING}}}To").text = self.to
        uri = names.class_uri(what.namespace, what.class_name)
        SubElement(header, f"{{{WSMAN}}}ResourceURI", {_MUST: "true"}).text = uri
        reply = SubElement(header, f"{{{ADDRESSING}}}ReplyTo")
        SubElement(reply, f"{{{ADDRESSING}}}Address", {_MUST: "true"}).text = names.ANONYMOUS
        SubElement(header, f"{{{ADDRESSING}}}Action", {_MUST: "true"}).text = action
        SubElement(header, f"{{{WSMAN}}}MaxEnvelopeSize", {_MUST: "true"}).text = str(self.largest)
        SubElement(header, f"{{{ADDRESSING}}}MessageID").text = name
        SubElement(header, f"{{{WSMAN}}}Locale", {_LANGUAGE: "en-US", _MUST: "false"})
        SubElement(header, f"{{{names.MICROSOFT}}}DataLocale", {_LANGUAGE: "en-US", _MUST: "false"})
        SubElement(header, f"{{{WSMAN}}}OperationTimeout").text = f"PT{self.timeout}S"
        if what.keys:
            _select(header, what)
        SubElement(root, f"{{{SOAP}}}Body")
        return root, name


def _body(root: Element) -> Element:
    return root[-1]


def _done(root: Element, name: str, about: str) -> Request:
    return Request(name, ET.tostring(root, "utf-8"), about)


def _select(parent: Element, what: Reference) -> None:
    selectors = SubElement(parent, f"{{{WSMAN}}}SelectorSet")
    for name, value in what.keys.items():
        SubElement(selectors, f"{{{WSMAN}}}Selector", Name=name).text = value


def _fill(parent: Element, uri: str, arguments: Mapping[str, Argument | None]) -> None:
    for name, value in arguments.items():
        if value is None:
            continue
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        for item in items:
            _put(SubElement(parent, f"{{{uri}}}{name}"), item)


def _put(element: Element, value: str | int | bool | Reference) -> None:
    if isinstance(value, Reference):
        # The content of an EndpointReference, without one around it: hosts refuse that.
        SubElement(element, f"{{{ADDRESSING}}}Address").text = names.ANONYMOUS
        parameters = SubElement(element, f"{{{ADDRESSING}}}ReferenceParameters")
        uri = names.class_uri(value.namespace, value.class_name)
        SubElement(parameters, f"{{{WSMAN}}}ResourceURI").text = uri
        _select(parameters, value)
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    else:
        element.text = str(value)
