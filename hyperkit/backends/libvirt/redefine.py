"""Changing what libvirt remembers of a snapshot, and having it forget one."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import snapshot_xml, xml_edit
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.xml_edit import parse_whole, text_of

SECURE = libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE
"""For XML that is to be given back: without it a screen's password would be lost."""
METADATA_ONLY = libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY
_REDEFINE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
_CURRENT = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT


def redefine(domain: Any, snapshot: Any, tree: ET.Element) -> Any:
    """Have libvirt remember a snapshot otherwise."""
    return domain.snapshotCreateXML(text_of(tree), _REDEFINE | (_CURRENT if snapshot.isCurrent(0) else 0))


def make_current(domain: Any, snapshot: Any) -> None:
    """Tell libvirt that the VM descends from this snapshot."""
    domain.snapshotCreateXML(snapshot.getXMLDesc(SECURE), _REDEFINE | _CURRENT)


def forget(domain: Any, snapshot: Any) -> None:
    """Have libvirt forget one snapshot, and only that.

    Told to forget one that has children, libvirt 9.0 writes into those that they hold the image it held, as if the
    two had been merged, and a revert to them would bring back the wrong disk. So they become its parent's children
    first, and what they hold is compared afterwards.
    """
    parent = parse_domain(snapshot.getXMLDesc(0)).find("parent")
    for child in snapshot.listAllChildren(0):
        tree = parse_whole(child.getXMLDesc(SECURE))
        xml_edit.drop(tree, "parent")
        if parent is not None:
            tree.append(parent)
        redefine(domain, child, tree)
    others = [each for each in domain.listAllSnapshots(0) if each.getName() != snapshot.getName()]
    before = [parse_whole(each.getXMLDesc(SECURE)) for each in others]
    snapshot.delete(METADATA_ONLY)
    for other, tree in zip(others, before, strict=True):
        if snapshot_xml.frozen(parse_domain(other.getXMLDesc(0))) != snapshot_xml.frozen(tree):
            redefine(domain, other, tree)
