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
_REDEFINE = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE
_CURRENT = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT


def redefine(domain: Any, snapshot: Any, tree: ET.Element) -> Any:
    """Have libvirt remember a snapshot otherwise."""
    return domain.snapshotCreateXML(text_of(tree), _REDEFINE | (_CURRENT if snapshot.isCurrent(0) else 0))


def make_current(domain: Any, snapshot: Any) -> None:
    """Tell libvirt that the VM descends from this snapshot."""
    domain.snapshotCreateXML(snapshot.getXMLDesc(SECURE), _REDEFINE | _CURRENT)


def forget(domain: Any, snapshot: Any, flags: int) -> None:
    """Have libvirt delete one snapshot, and only that.

    libvirt 9.0 goes on to its children then, as if it had merged their images. It writes into an external one that
    it holds the image that its parent held, so that a revert to it would bring back the wrong disk; and it fails,
    when all is done, if the VM does not have a disk any more. So they become its parent's children first, and what
    they hold is compared afterwards.
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
    snapshot.delete(flags)
    for other, tree in zip(others, before, strict=True):
        if _images(parse_domain(other.getXMLDesc(0))) != _images(tree):
            redefine(domain, other, tree)


def _images(snapshot: ET.Element) -> list[tuple[str, str | None, str]]:
    """Of each disk of a snapshot, its image and that one's format."""
    disks = snapshot.iterfind(".//devices/disk")
    return [(target_of(disk), source_of(disk), snapshot_xml.format_of(disk)) for disk in disks]
