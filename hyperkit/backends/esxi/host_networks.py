"""The networks of machines: standard switches, the port groups on them, and the NICs that lead outside."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from lxml import etree
from pyVmomi import vim
from pyVmomi.SoapAdapter import Deserialize

from hyperkit.backends.esxi.elements import Element, child, children, flag, number, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.properties import Hop
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchKind
from hyperkit.specs.isolation import IsolationPolicy

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_SYSTEM = "configManager.networkSystem"
_INFO = tuple(f"networkInfo.{part}" for part in ("vswitch", "portgroup", "pnic", "vnic", "consoleVnic"))
ALL_VLANS = 4095
"""The VLAN id of a port group that passes frames of all VLANs with their tags."""
_LONGEST = 31
"""Characters of a vSwitch's name at most."""


@attrs.frozen(kw_only=True)
class VSwitch:
    """A standard switch of one machine.

    Attributes:
        uplinks: the devices of its physical NICs, such as ``vmnic0``.
        groups: the names of its port groups.
        found: as it was read.
    """

    name: str
    uplinks: tuple[str, ...]
    groups: tuple[str, ...]
    found: Element = attrs.field(repr=False)

    @property
    def specification(self) -> Any:
        """Its ``vim.host.VirtualSwitch.Specification``, whole."""
        return _decoded(child(self.found, "spec"), vim.host.VirtualSwitch.Specification)


@attrs.frozen(kw_only=True)
class HostNetworks:
    """The networks of one machine.

    Attributes:
        name: the machine's.
        system: the id of its HostNetworkSystem.
        pnics: the devices of its physical NICs.
        switches: by their names.
        groups: port groups by their names, as they were read.
        kernel: names of the port groups that the machine itself is plugged into.
    """

    name: str
    system: str
    pnics: tuple[str, ...]
    switches: Mapping[str, VSwitch]
    groups: Mapping[str, Element]
    kernel: frozenset[str]

    def switch_of(self, group: str) -> VSwitch | None:
        """The switch that a port group is on."""
        return self.switches.get(text(self.groups.get(group), "spec", "vswitchName"))

    def leading_through(self, uplink: str) -> VSwitch | None:
        """The switch that has a physical NIC."""
        return next((switch for switch in self.switches.values() if uplink in switch.uplinks), None)

    def name_for(self, group: str) -> str:
        """What a switch that is made for a port group is called: like it, if that is short enough and free."""
        short, other = own_names(group)
        return short if len(short.encode()) <= _LONGEST and short not in self.switches else other

    def is_inside(self, switch: VSwitch) -> bool:
        """Whether the machine itself is plugged into a switch."""
        return not self.kernel.isdisjoint(switch.groups)

    def specification(self, group: str) -> Any:
        """A port group's ``vim.host.PortGroup.Specification``, whole."""
        return _decoded(child(self.groups[group], "spec"), vim.host.PortGroup.Specification)


def own_names(group: str) -> tuple[str, str]:
    """What a switch is called that was made for a port group, and is removed with it."""
    return group, f"hyperkit-{hashlib.sha256(group.encode()).hexdigest()[:16]}"


def read(connection: Connection) -> list[HostNetworks]:
    """Those of all machines in the scope, with one call."""
    hosts = sorted(host for compute in connection.scope.computes for host in compute.hosts)
    paths = {"HostSystem": ("name", _SYSTEM), "HostNetworkSystem": _INFO}
    found = list(connection.properties.around_these("HostSystem", hosts, (Hop("HostSystem", _SYSTEM),), paths))
    systems = {each.ref.id: each.values for each in found if each.ref.kind == "HostNetworkSystem"}
    machines = {each.ref.id: each.values for each in found if each.ref.kind == "HostSystem"}
    return [
        _networks(from_vsphere(text(values.get("name"))), system, systems[system])
        for values in (machines[host] for host in hosts if host in machines)
        if (system := text(values.get(_SYSTEM))) in systems
    ]


def _networks(name: str, system: str, values: Mapping[str, Element]) -> HostNetworks:
    pnics = {text(each, "key"): text(each, "device") for each in children(values.get("networkInfo.pnic"))}
    groups = {text(each, "spec", "name"): each for each in children(values.get("networkInfo.portgroup"))}
    switches = (_switch(each, pnics, groups) for each in children(values.get("networkInfo.vswitch")))
    kernel = (values.get("networkInfo.vnic"), values.get("networkInfo.consoleVnic"))
    return HostNetworks(
        name=name,
        system=system,
        pnics=tuple(sorted(pnics.values())),
        switches={switch.name: switch for switch in switches},
        groups=groups,
        kernel=frozenset(text(nic, "portgroup") for nics in kernel for nic in children(nics)),
    )


def _switch(found: Element, pnics: Mapping[str, str], groups: Mapping[str, Element]) -> VSwitch:
    name = text(found, "name")
    return VSwitch(
        name=name,
        uplinks=tuple(pnics.get(nic.text or "", nic.text or "") for nic in children(found, "pnic")),
        groups=tuple(group for group, each in groups.items() if text(each, "spec", "vswitchName") == name),
        found=found,
    )


def _decoded(element: Element | None, kind: Any) -> Any:
    return Deserialize(etree.tostring(element), kind)


def record(switch_id: str, name: str, hosts: Sequence[HostNetworks]) -> SwitchRecord:
    """A port group as a switch: as the first machine has it, with the weakest policy that any has.

    One that no machine of the scope has now carries nothing.
    """
    there = [host for host in hosts if name in host.groups]
    if not there:
        return SwitchRecord(
            id=switch_id,
            name=name,
            kind=SwitchKind.PRIVATE,
            active=False,
            carries_vlans=False,
            enforces_policies=False,
        )
    host = there[0]
    switch, group = host.switch_of(name), host.groups[name]
    vlan = number(group, "spec", "vlanId") or 0
    uplinks = switch.uplinks if switch is not None else ()
    inside = switch is not None and host.is_inside(switch)
    policies = [_policy(each.groups[name]) for each in there]
    return SwitchRecord(
        id=switch_id,
        name=name,
        kind=SwitchKind.EXTERNAL if uplinks else SwitchKind.INTERNAL if inside else SwitchKind.PRIVATE,
        uplink=uplinks[0] if uplinks else None,
        vlan=vlan if 0 < vlan < ALL_VLANS else None,
        policy=IsolationPolicy(
            spoof_guard=all(policy.spoof_guard for policy in policies),
            promiscuous=any(policy.promiscuous for policy in policies),
        ),
        carries_vlans=vlan == ALL_VLANS,
        enforces_policies=False,
    )


def _policy(group: Element) -> IsolationPolicy:
    """What is in force: what the port group leaves open is as its switch has it."""
    security = child(group, "computedPolicy", "security")
    changes, forged = flag(security, "macChanges"), flag(security, "forgedTransmits")
    return IsolationPolicy(
        spoof_guard=changes is False and forged is False,
        promiscuous=flag(security, "allowPromiscuous") or False,
    )


def security(policy: IsolationPolicy) -> Any:
    """The ``vim.host.NetworkPolicy.SecurityPolicy`` of a policy, with nothing left open."""
    return vim.host.NetworkPolicy.SecurityPolicy(
        allowPromiscuous=policy.promiscuous,
        macChanges=not policy.spoof_guard,
        forgedTransmits=not policy.spoof_guard,
    )


def names(hosts: Sequence[HostNetworks]) -> Iterator[str]:
    """Of all their port groups."""
    for host in hosts:
        yield from host.groups
