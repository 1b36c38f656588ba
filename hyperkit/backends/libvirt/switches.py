"""libvirt's networks as switches; `switch_xml` says which network each kind of switch is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import attrs
import libvirt

from hyperkit.backends.libvirt import switch_xml
from hyperkit.backends.libvirt.errors import asked
from hyperkit.backends.libvirt.listing import unless_gone
from hyperkit.backends.libvirt.undo import insist, tell
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, NotFound
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchChange, SwitchSpec
from hyperkit.specs.lease import StaticLease

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
_LEASES = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
_LIVE, _CONFIG = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE, libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG


class Switches:
    """See `hyperkit.driver.SwitchPort`. A switch's id is its network's UUID."""

    def __init__(self, connection: Connection, *, filters: bool = True) -> None:
        self._connection = connection
        self._filters = filters

    @property
    def _conn(self) -> Any:
        return self._connection.conn

    def list(self) -> Sequence[SwitchRecord]:
        """One call, and two for each network: libvirt has none for all."""
        return self._connection.repeat(self._list)

    def get(self, switch_id: str) -> SwitchRecord:
        """See the contract."""
        return self._connection.repeat(lambda: self._record(self._network(switch_id)))

    def _list(self) -> Sequence[SwitchRecord]:
        found = []
        networks: list[Any] = asked(lambda: self._conn.listAllNetworks(0), [])
        for network in networks:
            with unless_gone():
                found.append(self._record(network))
        return found

    def _record(self, network: Any) -> SwitchRecord:
        active = bool(asked(network.isActive, True))
        return switch_xml.record(parse(network.XMLDesc(0)), active=active, filters=self._filters)

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        """See the contract.

        Raises:
            InvalidRequest: an uplink that the host does not have, or a subnet that it uses already.
        """
        tree = switch_xml.new_network(spec, bridge=self._is_bridge(spec))
        # With a UUID of its own this never changes a network that has the name, and can be found if the answer is lost.
        switch_id = str(uuid.uuid4())
        ET.SubElement(tree, "uuid").text = switch_id
        try:
            network = self._define(tree, spec.name)
            network.create()
            network.setAutostart(True)
        except libvirt.libvirtError as error:
            if insist(self._connection, lambda: self._undo(self._network(switch_id))) is not None:
                tell(self._connection, error, [f"switch {spec.name}"])
            if spec.subnet is not None and "already in use" in str(error):
                refuse("subnet", spec.subnet, f"a subnet that the host does not use yet ({error})")
            raise
        return self._record(network)

    def _define(self, tree: ET.Element, name: str) -> Any:
        try:
            return self._conn.networkDefineXML(ET.tostring(tree, "unicode"))
        except libvirt.libvirtError as error:
            if "already exists" in str(error):
                raise AlreadyExists(f"a switch called {name!r} exists already") from error
            raise

    def update(self, switch_id: str, change: SwitchChange) -> SwitchRecord:
        """See the contract. Three calls, two for the record, and one for each lease that goes or comes."""
        network = self._network(switch_id)
        if change.leases is not None:
            now = _Leases.of(network)
            try:
                now.become(network, change.leases)
            except BaseException as error:
                failed = insist(self._connection, lambda: self._lease_again(switch_id, now))
                if failed is not None:
                    tell(self._connection, error, [f"some of the new leases of switch {network.name()}"])
                raise
        return self._record(network)

    def _lease_again(self, switch_id: str, leases: _Leases) -> None:
        network = self._network(switch_id)
        _Leases.of(network).become(network, leases.leases)

    def delete(self, switch_id: str) -> None:
        """See the contract."""
        self._undo(self._network(switch_id))

    @staticmethod
    def _undo(network: Any) -> None:
        persistent = network.isPersistent()
        if network.isActive():
            network.destroy()
        if persistent:
            network.undefine()

    def _network(self, switch_id: str) -> Any:
        try:
            return self._conn.networkLookupByUUIDString(switch_id)
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_NETWORK, libvirt.VIR_ERR_INVALID_ARG):
                raise NotFound(f"no switch with id {switch_id!r}") from error
            raise

    def _is_bridge(self, spec: SwitchSpec) -> bool:
        """Whether the uplink is a bridge. libvirt itself notices a wrong one only when a VM starts.

        One of Open vSwitch looks like any other interface.
        """
        if spec.uplink is None:
            return False
        try:
            interface = self._conn.interfaceLookupByName(spec.uplink)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return True  # no interface driver to ask; a bridge is the usual uplink
            if error.get_error_code() != libvirt.VIR_ERR_NO_INTERFACE:
                raise
            known = ", ".join(sorted(each.name() for each in self._conn.listAllInterfaces(0)))
            refuse("uplink", spec.uplink, f"an interface of the host, which are {known}")
        bridge = parse(interface.XMLDesc(0)).get("type") == "bridge"
        if spec.openvswitch and bridge:
            refuse("uplink", spec.uplink, "a bridge of Open vSwitch; this is one of the kernel's own")
        return bridge or spec.openvswitch


@attrs.frozen
class _Leases:
    """Those of a network, which is ``active`` or not, and the ``index`` of the ``<ip>`` that has them."""

    active: bool
    index: int
    leases: Sequence[StaticLease]

    @classmethod
    def of(cls, network: Any) -> _Leases:
        active = bool(network.isActive())
        tree = parse(network.XMLDesc(0 if active else libvirt.VIR_NETWORK_XML_INACTIVE))
        ip = switch_xml.ipv4(tree)
        return cls(active, tree.findall("ip").index(ip) if ip is not None else -1, switch_xml.leases(ip))

    def become(self, network: Any, wanted: Sequence[StaticLease]) -> None:
        """Replace them, from the first that is different on, so that they stay in order.

        libvirt has no call for all of them.
        """
        there = self.leases
        same = next((n for n, (one, two) in enumerate(zip(there, wanted, strict=False)) if one != two), None)
        same = min(len(there), len(wanted)) if same is None else same
        scope = _CONFIG | (_LIVE if self.active else 0)
        for command, leases in ((_DELETE, there[same:][::-1]), (_ADD, wanted[same:])):
            for lease in leases:
                network.update(
                    command, _LEASES, self.index, ET.tostring(switch_xml.lease_element(lease), "unicode"), scope
                )
