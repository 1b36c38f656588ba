"""Reading values in the answers of a host: XML elements in the namespace ``urn:vim25``, by their local names.

A value is an element whose children are its fields. What pyVmomi would make of it costs most of the time of a read
(see docs/decisions/0021-reading-vsphere.md), and would refuse types that it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator

from lxml.etree import _Element as Element

NS = "{urn:vim25}"
__all__ = ["Element", "child", "children", "flag", "kind", "number", "text"]

_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"


def kind(element: Element) -> str:
    """The name of a value's own type, without its prefix: ``VirtualE1000``; empty if it is of its declared type."""
    return str(element.get(_TYPE, "")).rpartition(":")[2]


def child(element: Element | None, *path: str) -> Element | None:
    """The element that this path leads to, if there is one."""
    for name in path:
        if element is None:
            return None
        element = element.find(NS + name)
    return element


def children(element: Element | None, name: str | None = None) -> Iterator[Element]:
    """All fields of this name, or all there are."""
    if element is not None:
        yield from element.iterchildren(None if name is None else NS + name)


def text(element: Element | None, *path: str, default: str = "") -> str:
    """The text that this path leads to."""
    found = child(element, *path)
    return default if found is None else found.text or ""


def number(element: Element | None, *path: str) -> int | None:
    """The whole number that this path leads to; None if there is none."""
    found = text(element, *path)
    return int(found) if found else None


def flag(element: Element | None, *path: str) -> bool | None:
    """The truth that this path leads to; None if it leads nowhere."""
    found = text(element, *path)
    return None if not found else found in ("true", "1")
