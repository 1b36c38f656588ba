"""Network cards of a VM."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from hyperkit.backends.libvirt import xml_read, xml_write
from hyperkit.backends.libvirt.connection import CONFIG, LIVE, Connection
from hyperkit.backends.libvirt.devices import Editing
from hyperkit.backends.libvirt.reader import Reader
from hyperkit.backends.libvirt.xml_edit import drop, text_of
from hyperkit.backends.libvirt.xml_write import Platform
from hyperkit.errors import NotFound
from hyperkit.records import NicRecord
from hyperkit.specs import NicChange, NicSpec


class Nics:
    """`NicPort`. A card's id is its alias if hyperkit made it, else its address."""

    def __init__(self, connection: Connection, platform: Platform, reader: Reader) -> None:
        self._connection = connection
        self._platform = platform
        self._reader = reader

    def attach(self, vm_id: str, spec: NicSpec) -> NicRecord:
        with self._connection.editing(vm_id):
            return self._attach(vm_id, spec)

    def detach(self, vm_id: str, nic_id: str) -> None:
        with self._connection.editing(vm_id):
            self._detach(vm_id, nic_id)

    def update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        with self._connection.editing(vm_id):
            return self._update(vm_id, nic_id, change)

    def _attach(self, vm_id: str, spec: NicSpec) -> NicRecord:
        editing = Editing(self._connection, vm_id)
        windows = editing.extra.guest_os.startswith("win")
        nic = xml_write.nic_element(spec, self._names(spec.switch), self._platform, windows=windows)
        nic_id = xml_read.nic_id(nic, [])
        if editing.active:
            editing.plug(nic)
        else:
            editing.devices.append(nic)
            editing.save()
        return self._record(vm_id, nic_id)

    def _detach(self, vm_id: str, nic_id: str) -> None:
        editing = Editing(self._connection, vm_id)
        nic = _found(editing.devices, nic_id)
        if editing.active:
            editing.unplug(nic, lambda devices: _find(devices, nic_id), f"NIC {nic_id}")
        else:
            editing.devices.remove(nic)
            editing.save()

    def _update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        editing = Editing(self._connection, vm_id)
        nic = _found(editing.devices, nic_id)
        if change.switch is not None:
            xml_write.plug(nic, change.switch, self._names(change.switch), self._platform)
        if change.mac is not None:
            drop(nic, "mac")
            ET.SubElement(nic, "mac", address=change.mac)
        if change.link_up is not None:
            drop(nic, "link")
            ET.SubElement(nic, "link", state="up" if change.link_up else "down")
        if editing.active:
            editing.domain.updateDeviceFlags(text_of(nic), LIVE | CONFIG)
        else:
            editing.save()
        # Without an alias of ours the address is the id, and may be another now.
        return self._record(vm_id, xml_read.nic_id(nic, []))

    def _names(self, switch_id: str | None) -> Mapping[str, str]:
        return {key: name for name, key in self._connection.networks().items()} if switch_id else {}

    def _record(self, vm_id: str, nic_id: str) -> NicRecord:
        record = self._reader.get(vm_id)
        for nic in record.nics:
            if nic.id == nic_id:
                return nic
        raise NotFound(f"VM {record.name!r} has no NIC {nic_id!r}")


def _find(devices: ET.Element, nic_id: str) -> ET.Element | None:
    before: list[NicRecord] = []
    for nic in devices.iterfind("interface"):
        if xml_read.nic_id(nic, before) == nic_id:
            return nic
        before.append(xml_read.nic_record(nic, {}, before))
    return None


def _found(devices: ET.Element, nic_id: str) -> ET.Element:
    nic = _find(devices, nic_id)
    if nic is None:
        raise NotFound(f"the VM has no NIC {nic_id!r}")
    return nic
