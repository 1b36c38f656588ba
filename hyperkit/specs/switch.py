"""Virtual switches."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from ipaddress import IPv4Network, ip_network

import attrs

from hyperkit import checks
from hyperkit.checks import as_tuple as _tuple
from hyperkit.checks import meant as _meant
from hyperkit.specs.isolation import OPEN, IsolationPolicy
from hyperkit.specs.lease import StaticLease, check_leases


class SwitchKind(StrEnum):
    """Whom the VMs on a switch can talk to."""

    EXTERNAL = "external"
    """The network outside, through a bridge or NIC of the host."""
    INTERNAL = "internal"
    """One another and the host; the host may route or NAT them outwards."""
    PRIVATE = "private"
    """One another only."""


def _switch_kind(value: SwitchKind | str) -> SwitchKind:
    return _meant(SwitchKind, value)


def _leases(values: Iterable[StaticLease]) -> tuple[StaticLease, ...]:
    return _tuple(values)


def _leases_or_none(values: Iterable[StaticLease] | None) -> tuple[StaticLease, ...] | None:
    return None if values is None else _leases(values)


@attrs.frozen(slots=False)
class SwitchSpec:
    """A virtual switch to create.

    Attributes:
        name: a label; unique where the host demands it.
        kind: whom its VMs can talk to.
        uplink: external only: the host's bridge or NIC that leads outside.
        subnet: internal only: an IPv4 network such as ``192.168.150.0/24`` whose first address is the host's.
        nat: internal only: translate addresses on the way outside, else route them.
        dhcp: internal only: hand out addresses of the subnet.
        leases: with `dhcp`: who gets which address, always.
        openvswitch: external only: the uplink is a bridge of Open vSwitch.
        vlan: the VLAN of every NIC on it that has none of its own.
        policy: what passes at all, of every NIC on it: ``spoof_guard`` and ``promiscuous``. The rest of a policy is
            a NIC's own.
    """

    name: str
    kind: SwitchKind = attrs.field(default=SwitchKind.PRIVATE, converter=_switch_kind)
    uplink: str | None = attrs.field(default=None, kw_only=True)
    subnet: str | None = attrs.field(default=None, kw_only=True)
    nat: bool = attrs.field(default=True, kw_only=True)
    dhcp: bool = attrs.field(default=True, kw_only=True)
    leases: tuple[StaticLease, ...] = attrs.field(default=(), converter=_leases, kw_only=True)
    openvswitch: bool = attrs.field(default=False, kw_only=True)
    vlan: int | None = attrs.field(default=None, kw_only=True)
    policy: IsolationPolicy = attrs.field(default=OPEN, kw_only=True)

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.one_of("kind", self.kind, SwitchKind, SwitchKind)
        checks.flag("nat", self.nat)
        checks.flag("dhcp", self.dhcp)
        if (self.uplink is not None) != (self.kind is SwitchKind.EXTERNAL):
            checks.refuse("uplink", self.uplink, "an external switch has an uplink, the others have none")
        if self.uplink is not None:
            checks.label("uplink", self.uplink)
        if self.subnet is not None:
            if self.kind is not SwitchKind.INTERNAL:
                checks.refuse("subnet", self.subnet, "only an internal switch has a subnet")
            object.__setattr__(self, "subnet", check_subnet("subnet", self.subnet))
        checks.flag("openvswitch", self.openvswitch)
        if self.openvswitch and self.kind is not SwitchKind.EXTERNAL:
            checks.refuse("openvswitch", True, "only an external switch is on a bridge that is there already")
        if self.vlan is not None:
            checks.vlan("vlan", self.vlan)
        checks.all_are("leases", self.leases, StaticLease)
        if self.leases:
            check_leases(self.leases, self.subnet if self.dhcp else None)
        if self.policy is not OPEN:
            check_switch_policy(self.policy)

    @property
    def network(self) -> IPv4Network | None:
        """The subnet, parsed."""
        return IPv4Network(self.subnet) if self.subnet else None


@attrs.frozen(slots=False, kw_only=True)
class SwitchChange:
    """What is to be different about a switch; None leaves a field as it is. Fields mean what they mean in `SwitchSpec`.

    Attributes:
        leases: all of them: those that are not named are no more.
        vlan: another VLAN; 0 for none.
        policy: another policy; `OPEN` lets everything through.
    """

    leases: tuple[StaticLease, ...] | None = attrs.field(default=None, converter=_leases_or_none)
    vlan: int | None = None
    policy: IsolationPolicy | None = None

    def __attrs_post_init__(self) -> None:
        if self.leases is not None:
            checks.all_are("leases", self.leases, StaticLease)
        if self.vlan is not None:
            checks.whole("vlan", self.vlan, least=0, most=4094)
        if self.policy is not None:
            check_switch_policy(self.policy)


def check_switch_policy(policy: IsolationPolicy) -> None:
    """A policy of all that is on a switch, which knows no addresses."""
    checks.one_of("policy", policy, IsolationPolicy, ["IsolationPolicy(...)"])
    kept = IsolationPolicy(spoof_guard=policy.spoof_guard, promiscuous=policy.promiscuous)
    if policy != kept:
        checks.refuse("policy", policy, "a switch has spoof_guard and promiscuous; the rest is a NIC's own policy")


def check_subnet(field: str, value: object) -> str:
    """An IPv4 network with room for the host and a guest, host bits clear; written with its prefix length."""
    try:
        network = ip_network(value) if isinstance(value, str) else None
    except ValueError as error:
        checks.refuse(field, value, f"an IPv4 network such as '192.168.150.0/24' ({error})")
    if not isinstance(network, IPv4Network) or not 8 <= network.prefixlen <= 29:
        checks.refuse(field, value, "an IPv4 network such as '192.168.150.0/24', from /8 to /29")
    if network.is_multicast or network.is_loopback or network.is_unspecified or network.is_link_local:
        checks.refuse(field, value, "a network whose addresses hosts may have")
    return str(network)
