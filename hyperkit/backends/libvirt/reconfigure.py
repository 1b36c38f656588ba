"""Changing a VM that exists."""

from __future__ import annotations

import json
import posixpath
import re
from contextlib import suppress
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import metadata, xml_edit
from hyperkit.backends.libvirt.connection import CONFIG, LIVE, Connection
from hyperkit.backends.libvirt.hot import Running, Undo, all_or_nothing
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.reader import Reader, parse_domain
from hyperkit.backends.libvirt.undo import insist, is_lost, tell_untaken
from hyperkit.errors import InvalidState, NotFound
from hyperkit.records import VMRecord
from hyperkit.specs import VMChange

KEEP_SECRETS = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
"""Flags for XML that is to be given back: without them a screen's password would be lost."""
_VARIABLES = re.compile(r'"filename":("(?:[^"\\]|\\.)*"),"node-name":"libvirt-pflash1-storage"')


class Reconfiguring:
    """Does what `VMPort.configure` is asked."""

    def __init__(self, connection: Connection, images: Images, reader: Reader) -> None:
        self._connection = connection
        self._images = images
        self._reader = reader

    def change(self, vm_id: str, change: VMChange) -> VMRecord:
        """Change a VM; one that is active only in what needs no restart, which the caller has checked.

        Of one that is active the configuration is changed first, because that can be taken back whatever happens: the
        guest has no say in it.
        """
        with self._connection.editing(vm_id):
            return self._change(self._connection.domain(vm_id), change)

    def _change(self, domain: Any, change: VMChange) -> VMRecord:
        if domain.isActive():
            self._change_active(domain, change)
        else:
            self._change_inactive(domain, change)
        return self._reader.read(domain)

    def _change_active(self, domain: Any, change: VMChange) -> None:
        label = change.fields().keys() <= {"notes", "tags", "autostart"}
        now = self._reader.present(parse_domain(domain.XMLDesc(0)))
        with all_or_nothing(self._connection, now.id, now.name) as undo:
            if label:
                self._change_label(domain, now, change, LIVE | CONFIG, undo)
            else:
                running = Running(domain, self._reader.shares)
                running.check(now, change)
                self._change_configuration(domain, change, undo)
                self._change_label(domain, now, change, LIVE, undo)
                running.change(now, change, undo)

    def _change_configuration(self, domain: Any, change: VMChange, undo: Undo) -> None:
        """Of a domain that runs, for its next start."""
        if not domain.isPersistent():
            raise InvalidState(f"VM {domain.name()!r} is gone once it stops: it has no configuration to be changed")
        before = domain.XMLDesc(KEEP_SECRETS)
        tree = xml_edit.parse_whole(before)
        self._edit(tree, change, None)
        undo(lambda _domain: self._connection.conn.defineXML(before))
        self._connection.conn.defineXML(xml_edit.text_of(tree))

    def _change_label(self, domain: Any, now: VMRecord, change: VMChange, scope: int, undo: Undo) -> None:
        if change.notes is not None:
            undo(lambda domain: set_notes(domain, now.notes, scope))
            set_notes(domain, change.notes, scope)
        if change.tags is not None:
            undo(lambda domain: set_tags(domain, now.tags, scope))
            set_tags(domain, change.tags, scope)
        if change.autostart is not None:
            undo(lambda domain: domain.setAutostart(not change.autostart))
            domain.setAutostart(change.autostart)

    def _change_inactive(self, domain: Any, change: VMChange) -> None:
        """The name first: it is the one thing that others may have taken."""
        before, old_name, vm_id = domain.XMLDesc(KEEP_SECRETS), domain.name(), domain.UUIDString()
        tree = xml_edit.parse_whole(before)
        variables = _uefi_variables(self._connection.conn, tree) if _moves_variables(tree, change) else None
        try:
            if change.name is not None:
                domain.rename(change.name)
                xml_edit.set_name(tree, change.name)
            self._edit(tree, change, variables)
            if variables or change.fields().keys() - {"name", "autostart"}:
                self._connection.conn.defineXML(xml_edit.text_of(tree))
            if change.autostart is not None:
                domain.setAutostart(change.autostart)
        except BaseException as error:
            whole = before if is_lost(error) else None  # whatever was lost, it may have been done
            failed = insist(self._connection, lambda: self._restore(vm_id, old_name, whole, change.autostart))
            if failed is not None:
                tell_untaken(self._connection, error, old_name, failed)
            raise
        if variables and change.secure_boot is not None:
            with suppress(NotFound):  # it never started
                self._images.remove(variables)

    def _restore(self, vm_id: str, name: str, whole: str | None, autostart: bool | None) -> None:
        """Name and, if it is given, configuration as they were."""
        domain = self._connection.domain(vm_id)
        if domain.name() != name:
            domain.rename(name)
        if whole is not None:
            self._connection.conn.defineXML(whole)
            if autostart is not None:
                domain.setAutostart(not autostart)

    def _edit(self, tree: ET.Element, change: VMChange, variables: str | None) -> None:
        """Apply all but name and autostart, which libvirt has calls for."""
        now = self._reader.present(tree)
        if change.cpus is not None or change.max_cpus is not None:
            xml_edit.set_cpus(tree, _or(change.cpus, now.cpus), _or(change.max_cpus, now.max_cpus))
        if change.memory is not None or change.max_memory is not None:
            xml_edit.set_memory(tree, _or(change.memory, now.memory), _or(change.max_memory, now.max_memory))
        if change.topology is not None:
            xml_edit.set_topology(tree, change.topology)
        if change.cpu_allocation is not None:
            xml_edit.set_cpu_allocation(tree, change.cpu_allocation, self._reader.shares)
        if change.memory_allocation is not None:
            xml_edit.set_memory_allocation(tree, change.memory_allocation)
        if change.boot_order is not None:
            xml_edit.set_boot_order(tree, change.boot_order)
        if change.secure_boot is not None:
            xml_edit.set_secure_boot(tree, change.secure_boot)
            if variables:
                # Those of the other firmware have its keys, or lack them.
                kind = "secure" if change.secure_boot else "plain"
                variables = f"{posixpath.dirname(variables)}/{now.id}-{kind}_VARS.fd"
        if variables:
            xml_edit.set_uefi_variables(tree, variables)
        if change.tpm is not None:
            xml_edit.set_tpm(tree, change.tpm)
        if change.guest_os is not None:
            xml_edit.set_guest_os(tree, change.guest_os)
        if change.notes is not None:
            xml_edit.set_notes(tree, change.notes)
        if change.tags is not None:
            xml_edit.set_tags(tree, change.tags)


def _moves_variables(tree: ET.Element, change: VMChange) -> bool:
    """Whether libvirt would look for the file of UEFI variables elsewhere after the change, and leave it behind."""
    if tree.find("os[@firmware='efi']") is None:
        return False
    return change.secure_boot is not None or (change.name is not None and tree.find("os/nvram") is None)


def _uefi_variables(conn: Any, tree: ET.Element) -> str | None:
    """Where they are. Of a VM that is off, whose file is named after it, only the command line to be run tells."""
    if path := tree.findtext("os/nvram"):
        return path
    command = conn.domainXMLToNative("qemu-argv", xml_edit.text_of(tree), 0)
    found = _VARIABLES.search(command)
    return str(json.loads(found[1])) if found else None


def set_notes(domain: Any, notes: str, scope: int) -> None:
    """Of a running VM: now, for later, or both."""
    extra = metadata.read(parse_domain(domain.XMLDesc(0)).find("metadata"))
    if "\r" in notes or extra.notes:
        set_extra(domain, extra.with_notes(notes), scope)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, notes or None, None, None, scope)


def set_tags(domain: Any, tags: tuple[str, ...], scope: int) -> None:
    """Of a running VM: now, for later, or both."""
    extra = metadata.read(parse_domain(domain.XMLDesc(0)).find("metadata"))
    set_extra(domain, extra.with_tags(tags), scope)


def set_extra(domain: Any, extra: metadata.Extra, scope: int) -> None:
    """Write our metadata."""
    text = xml_edit.text_of(metadata.element(extra)) if extra != metadata.NO_EXTRA else None
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, metadata.KEY, metadata.URI, scope)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
