"""Changing a VM that exists."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import metadata, xml_edit
from hyperkit.backends.libvirt.reader import Reader, parse_domain
from hyperkit.records import VMRecord
from hyperkit.specs import VMChange

KEEP_SECRETS = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
"""Flags for XML that is to be given back: without them a screen's password would be lost."""


def reconfigure(conn: Any, domain: Any, change: VMChange, reader: Reader) -> VMRecord:
    """Change a VM; one that is active only in what needs no restart, which the caller has checked."""
    if domain.isActive():
        _change_active(domain, change)
    else:
        _change_inactive(conn, domain, change, reader)
    return reader.read(domain)


def _change_active(domain: Any, change: VMChange) -> None:
    if change.notes is not None:
        set_notes(domain, change.notes)
    if change.autostart is not None:
        domain.setAutostart(change.autostart)


def set_notes(domain: Any, notes: str) -> None:
    """Of a running VM: now and for later."""
    scope = libvirt.VIR_DOMAIN_AFFECT_LIVE | libvirt.VIR_DOMAIN_AFFECT_CONFIG
    extra = metadata.read(parse_domain(domain.XMLDesc(0)).find("metadata"))
    if "\r" in notes or extra.notes:
        set_extra(domain, extra.with_notes(notes), scope)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, notes or None, None, None, scope)


def set_extra(domain: Any, extra: metadata.Extra, scope: int) -> None:
    """Write our metadata."""
    text = xml_edit.text_of(metadata.element(extra)) if extra != metadata.NO_EXTRA else None
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, metadata.KEY, metadata.URI, scope)


def _change_inactive(conn: Any, domain: Any, change: VMChange, reader: Reader) -> None:
    old_name = domain.name()
    if change.name is not None:
        domain.rename(change.name)
    try:
        wanted = change.fields().keys() - {"name", "autostart"}
        if wanted:
            tree = xml_edit.parse_whole(domain.XMLDesc(KEEP_SECRETS))
            edited(tree, change, reader)
            conn.defineXML(xml_edit.text_of(tree))
        if change.autostart is not None:
            domain.setAutostart(change.autostart)
    except BaseException:
        if change.name is not None:
            domain.rename(old_name)
        raise


def edited(tree: ET.Element, change: VMChange, reader: Reader) -> None:
    """Apply all of a change but name and autostart, which libvirt has calls for."""
    now = reader.present(tree)
    if change.cpus is not None or change.max_cpus is not None:
        xml_edit.set_cpus(tree, _or(change.cpus, now.cpus), _or(change.max_cpus, now.max_cpus))
    if change.memory is not None or change.max_memory is not None:
        xml_edit.set_memory(tree, _or(change.memory, now.memory), _or(change.max_memory, now.max_memory))
    if change.topology is not None:
        xml_edit.set_topology(tree, change.topology)
    if change.cpu_allocation is not None:
        xml_edit.set_cpu_allocation(tree, change.cpu_allocation, reader.shares)
    if change.memory_allocation is not None:
        xml_edit.set_memory_allocation(tree, change.memory_allocation)
    if change.boot_order is not None:
        xml_edit.set_boot_order(tree, change.boot_order)
    if change.secure_boot is not None:
        xml_edit.set_secure_boot(tree, change.secure_boot)
    if change.tpm is not None:
        xml_edit.set_tpm(tree, change.tpm)
    if change.guest_os is not None:
        xml_edit.set_guest_os(tree, change.guest_os)
    if change.notes is not None:
        xml_edit.set_notes(tree, change.notes)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
