"""Changing what libvirt remembers of a snapshot, and having it forget one."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import snapshot_xml, xml_edit
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.xml_edit import parse_whole, text_of
from hyperkit.backends.libvirt.xml_read import source_of, target_of

SECURE = libvirt.VIR_DOMAIN_SNAPSHOT_XML_SECURE
"""For XML that is to be given back: without it a screen's password would be lost."""
METADATA_ONLY = libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY
_BELOW = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS | libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL
_REDEFINE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
_CURRENT = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT


def redefine(domain: Any, snapshot: Any, tree: ET.Element) -> Any:
    """Have libvirt remember a snapshot otherwise."""
    return domain.snapshotCreateXML(text_of(tree), _REDEFINE | (_CURRENT if snapshot.isCurrent(0) else 0))


def make_current(domain: Any, snapshot: Any) -> None:
    """Tell libvirt that the VM descends from this snapshot."""
    domain.snapshotCreateXML(snapshot.getXMLDesc(SECURE), _REDEFINE | _CURRENT)


def forget(domain: Any, snapshot: Any, flags: int, *, children: bool) -> None:
    """Have libvirt delete one snapshot, or the tree below it too, and only that.

    Having deleted one, libvirt 9.0 goes on to its children, as if it had merged their images. It writes into an
    external one that it holds the image that its parent held, so that a revert to it would bring back the wrong disk.
    If the VM does not have one of the disks any more it fails, when all is done; told to delete the children too, it
    even crashes. So none that has children is ever deleted: they become its parent's first, or go first. What the
    others hold is compared afterwards.
    """
    below = snapshot.listAllChildren(_BELOW) if children else []
    if not children:
        parent = parse_domain(snapshot.getXMLDesc(0)).find("parent")
        for child in snapshot.listAllChildren(0):
            tree = parse_whole(child.getXMLDesc(SECURE))
            xml_edit.drop(tree, "parent")
            if parent is not None:
                tree.append(parent)
            redefine(domain, child, tree)
    doomed = [*reversed(below), snapshot]
    names = {each.getName() for each in doomed}
    others = [each for each in domain.listAllSnapshots(0) if each.getName() not in names]
    before = [parse_whole(each.getXMLDesc(SECURE)) for each in others]
    for each in doomed:
        each.delete(flags)
    for other, tree in zip(others, before, strict=True):
        if _images(parse_domain(other.getXMLDesc(0))) != _images(tree):
            redefine(domain, other, tree)


def _images(snapshot: ET.Element) -> list[tuple[str, str | None, str]]:
    """Of each disk of a snapshot, its image and that one's format."""
    disks = snapshot.iterfind(".//devices/disk")
    return [(target_of(disk), source_of(disk), snapshot_xml.format_of(disk)) for disk in disks]
