"""Network cards of a VM."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import libvirt

from hyperkit.backends.libvirt import nic_policy, xml_read, xml_write
from hyperkit.backends.libvirt.connection import CONFIG, LIVE, Connection
from hyperkit.backends.libvirt.devices import Editing
from hyperkit.backends.libvirt.filters import Filters, filter_name, has_filter
from hyperkit.backends.libvirt.metadata import Extra, replace
from hyperkit.backends.libvirt.nic_policy import KnownNic
from hyperkit.backends.libvirt.reader import Reader
from hyperkit.backends.libvirt.undo import insist, tell
from hyperkit.backends.libvirt.wiring import Wire, plug, wire, wires
from hyperkit.backends.libvirt.xml_edit import drop, text_of
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.backends.libvirt.xml_write import Platform
from hyperkit.errors import InvalidState, NotFound
from hyperkit.records import NicRecord
from hyperkit.specs import NicChange, NicSpec


class Nics:
    """`NicPort`. A card's id is its alias if hyperkit made it, else its address."""

    def __init__(self, connection: Connection, platform: Platform, reader: Reader, filters: Filters) -> None:
        self._connection = connection
        self._platform = platform
        self._reader = reader
        self._filters = filters

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
        networks = wires(self._connection, {spec.switch} if spec.switch else ())
        nic = xml_write.nic_element(spec, vm_id, networks, self._platform, windows=windows)
        nic_id = xml_read.nic_id(nic, [])
        known = xml_write.remembered(spec)
        with self._remembering(editing, vm_id, editing.extra.with_nic(nic_id, known)):
            editing.devices.append(nic)
            self._filters.define(nic, known)
            if editing.active:
                editing.plug(nic)
        return self._record(vm_id, nic_id)

    def _detach(self, vm_id: str, nic_id: str) -> None:
        editing = Editing(self._connection, vm_id)
        nic = _found(editing.devices, nic_id)
        with self._remembering(editing, vm_id, editing.extra.without_nic(nic_id)):
            if editing.active:
                editing.unplug(nic, lambda devices: xml_read.nics_by_id(devices).get(nic_id), f"NIC {nic_id}")
            editing.devices.remove(nic)

    def _update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        editing = Editing(self._connection, vm_id)
        nic = _found(editing.devices, nic_id)
        networks = wires(self._connection, {change.switch} if change.switch else ())
        if editing.active:
            _check_live(nic, change, networks)
            if change.vlan == 0 and not change.trunk and nic_policy.vlans(nic) != (None, ()):
                self._check_untagged(nic)
        before = text_of(nic)
        known = _changed(nic_policy.present(nic, editing.extra.nics.get(nic_id)), change)
        # Without an alias of ours the address is the id, and may be another now.
        new_id = change.mac if change.mac is not None and not nic_id.startswith("ua-") else nic_id
        with self._remembering(editing, vm_id, editing.extra.without_nic(nic_id).with_nic(new_id, known)):
            if change.switch is not None:
                plug(nic, change.switch, networks, privileged=self._platform.privileged)
            if change.mac is not None:
                drop(nic, "mac")
                ET.SubElement(nic, "mac", address=change.mac)
            if change.link_up is not None:
                drop(nic, "link")
                ET.SubElement(nic, "link", state="up" if change.link_up else "down")
            wire(nic, known, filter_name(vm_id, new_id), live=editing.active)
            self._filters.define(nic, known)
            if editing.active and text_of(nic) != before:
                _update_live(editing.domain, nic)
        return self._record(vm_id, new_id)

    @contextmanager
    def _remembering(self, editing: Editing, vm_id: str, extra: Extra) -> Iterator[None]:
        """Change a VM's cards, with what is remembered of them and their filters; all of it, or nothing.

        The block changes the running VM, and the configuration's tree, which is saved here if nothing runs. Where
        neither has a filter of ours, nothing is asked about filters.
        """
        was, old = copy.deepcopy(editing.tree), editing.extra
        try:
            if editing.active and extra != old:
                editing.remember(extra)
            yield
            if extra != old:
                replace(editing.tree, extra)
            if not editing.active:
                editing.save()
            if has_filter(was):
                self._filters.keep(vm_id, editing.tree)
        except BaseException as error:
            filters = has_filter(was) or has_filter(editing.tree)
            known = (old, extra) if editing.active and extra != old else None
            if filters or known:
                failed = insist(self._connection, lambda: self._settle(vm_id, was, known, filters=filters))
                if failed is not None:
                    left = f"VM {editing.domain.name()} with other network filters than its NICs name"
                    tell(self._connection, error, [left])
            raise

    def _settle(self, vm_id: str, was: ET.Element, known: tuple[Extra, Extra] | None, *, filters: bool) -> None:
        """Make what is remembered and the filters those of the cards that the VM has, after a change that failed.

        The change may have come to be all the same, if the answer was lost. Of a VM that runs only the cards tell:
        ``known`` is what is to be remembered of those that there ``was``, and of others.
        """
        now = Editing(self._connection, vm_id)
        if known is not None:
            extra = known[0] if _cards(was) == _cards(now.tree) else known[1]
            now.remember(extra)
            replace(now.tree, extra)
        if filters:
            self._filters.restore(vm_id, now.tree)

    def _check_untagged(self, nic: ET.Element) -> None:
        """See that frames have no tags where a running VM's card goes that loses its VLAN. Two calls.

        Raises:
            InvalidState: its switch has a VLAN, which libvirt gives a card only as the VM starts.
        """
        source = nic.find("source")
        name = "" if source is None else source.get("network", "")
        if name and nic_policy.vlans(parse(self._connection.conn.networkLookupByName(name).XMLDesc(0))) != (None, ()):
            raise InvalidState(
                f"a running VM's NIC cannot go back to the VLAN of switch {name!r}; name it, or stop the VM first",
                wanted="set_vlan",
            )

    def _record(self, vm_id: str, nic_id: str) -> NicRecord:
        record = self._reader.get(vm_id)
        for nic in record.nics:
            if nic.id == nic_id:
                return nic
        raise NotFound(f"VM {record.name!r} has no NIC {nic_id!r}")


def _cards(domain: ET.Element) -> list[str]:
    return [text_of(nic) for nic in domain.iterfind("devices/interface")]


def _changed(known: KnownNic, change: NicChange) -> KnownNic:
    if change.vlan is not None:
        known = attrs.evolve(known, vlan=change.vlan or None)
    if change.trunk is not None:
        known = attrs.evolve(known, trunk=change.trunk)
    return known if change.policy is None else attrs.evolve(known, policy=change.policy)


def _check_live(nic: ET.Element, change: NicChange, networks: dict[str, Wire]) -> None:
    """Refuse what libvirt cannot do to a running VM's card, in words of ours.

    Raises:
        InvalidState: the way to another kind of bridge.
    """
    onto = networks.get(change.switch or "")
    if onto is not None and (onto.openvswitch or nic.find("virtualport") is not None):
        raise InvalidState(
            "a running VM's NIC is moved neither to a switch of Open vSwitch nor away from one; stop the VM first",
            wanted="connect",
        )


def _update_live(domain: Any, nic: ET.Element) -> None:
    try:
        domain.updateDeviceFlags(text_of(nic), LIVE | CONFIG)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
            raise
        # A NIC that somebody else put into a bridge, say.
        raise InvalidState(f"this cannot change while the VM runs; stop it first ({error})", wanted="change") from error


def _found(devices: ET.Element, nic_id: str) -> ET.Element:
    nic = xml_read.nics_by_id(devices).get(nic_id)
    if nic is None:
        raise NotFound(f"the VM has no NIC {nic_id!r}")
    return nic
