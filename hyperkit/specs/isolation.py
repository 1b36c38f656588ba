"""What a switch lets through to and from one NIC, whatever the guest behind it does.

Every rule looks at one frame alone: nothing is remembered of those that went before, so that an answer needs a rule
of its own where questions do. ARP and IPv6's neighbour discovery are no subject of rules.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import attrs

from hyperkit import checks


class AclAction(StrEnum):
    """What happens to a packet that a rule is about."""

    ALLOW = "allow"
    DENY = "deny"


class AclDirection(StrEnum):
    """Which way a packet goes, as the guest sees it."""

    IN = "in"
    OUT = "out"


class AclProtocol(StrEnum):
    """What is in an IPv4 or IPv6 packet. ``icmp`` is either's."""

    ANY = "any"
    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


def _action(value: AclAction | str) -> AclAction:
    return checks.meant(AclAction, value)


def _direction(value: AclDirection | str) -> AclDirection:
    return checks.meant(AclDirection, value)


def _protocol(value: AclProtocol | str) -> AclProtocol:
    return checks.meant(AclProtocol, value)


@attrs.frozen(slots=False)
class AclRule:
    """One line of an access control list: ``AclRule("deny", "in", "tcp", remote="10.0.0.0/8", port=22)``.

    Attributes:
        action: whether the packet passes.
        direction: to the guest or from it.
        protocol: of TCP, UDP or ICMP only; `AclProtocol.ANY` is every IPv4 and IPv6 packet.
        remote: the other end's network or address, IPv4 or IPv6; None is everybody.
        port: the port a packet goes to, with TCP and UDP only; None is every one.
    """

    action: AclAction = attrs.field(converter=_action)
    direction: AclDirection = attrs.field(converter=_direction)
    protocol: AclProtocol = attrs.field(default=AclProtocol.ANY, converter=_protocol)
    remote: str | None = None
    port: int | None = None

    def __attrs_post_init__(self) -> None:
        checks.one_of("action", self.action, AclAction, AclAction)
        checks.one_of("direction", self.direction, AclDirection, AclDirection)
        checks.one_of("protocol", self.protocol, AclProtocol, AclProtocol)
        if self.remote is not None:
            object.__setattr__(self, "remote", str(_network("remote", self.remote)))
        if self.port is not None:
            if self.protocol not in (AclProtocol.TCP, AclProtocol.UDP):
                checks.refuse("port", self.port, "a port goes with protocol 'tcp' or 'udp'")
            checks.whole("port", self.port, least=1, most=65535)

    @property
    def network(self) -> IPv4Network | IPv6Network | None:
        """The remote network, parsed."""
        return ip_network(self.remote) if self.remote else None


def _rules(values: Iterable[AclRule]) -> tuple[AclRule, ...]:
    return checks.as_tuple(values)


def _addresses(values: Iterable[str]) -> tuple[str, ...]:
    return checks.as_tuple(values)


@attrs.frozen(slots=False, kw_only=True)
class IsolationPolicy:
    """How a NIC is kept from harming others, and others from reaching it. The default keeps nobody from anything.

    Attributes:
        spoof_guard: frames that claim another MAC address than the NIC's do not leave it.
        addresses: with `spoof_guard`: neither do packets and ARP from other IP addresses than these. What a guest
            sends before it has an address passes, so that it can ask for one. Of a family that none of these is of,
            nothing passes.
        dhcp_guard: the guest cannot answer as a DHCP server.
        router_guard: the guest cannot announce itself as an IPv6 router, nor redirect others.
        isolated: it talks to the host and the uplink, not to other isolated NICs of its switch.
        promiscuous: it is sent the frames of the others on its switch too.
        rules: the first that a packet matches decides; what none matches passes.
    """

    spoof_guard: bool = False
    addresses: tuple[str, ...] = attrs.field(default=(), converter=_addresses)
    dhcp_guard: bool = False
    router_guard: bool = False
    isolated: bool = False
    promiscuous: bool = False
    rules: tuple[AclRule, ...] = attrs.field(default=(), converter=_rules)

    def __attrs_post_init__(self) -> None:
        for field in ("spoof_guard", "dhcp_guard", "router_guard", "isolated", "promiscuous"):
            checks.flag(field, getattr(self, field))
        checks.all_are("rules", self.rules, AclRule)
        if len(set(self.rules)) != len(self.rules):
            checks.refuse("rules", self.rules, "each rule once: the second of two that are alike decides nothing")
        if self.addresses and not self.spoof_guard:
            checks.refuse("addresses", self.addresses, "they are guarded with spoof_guard=True")
        addresses = tuple(_address(f"addresses[{index}]", value) for index, value in enumerate(self.addresses))
        if len(set(addresses)) != len(addresses):
            checks.refuse("addresses", self.addresses, "each address once")
        object.__setattr__(self, "addresses", addresses)


OPEN = IsolationPolicy()
"""The policy that lets everything through."""


def _network(field: str, value: object) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value if isinstance(value, str) and "%" not in value else "")
    except ValueError as error:
        checks.refuse(field, value, f"a network or address such as '10.0.0.0/8' or '2001:db8::1' ({error})")


def _address(field: str, value: object) -> str:
    try:
        address = ip_address(value if isinstance(value, str) else "")
    except ValueError as error:
        checks.refuse(field, value, f"an address such as '192.168.150.10' ({error})")
    if address.is_multicast or address.is_loopback or address.is_unspecified or "%" in str(address):
        checks.refuse(field, value, "an address that a host may have")
    return str(address)
