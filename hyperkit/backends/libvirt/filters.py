"""Policies as libvirt's network filters: one for each card that needs one, named after the VM's id and the card's.

A filter of ours is a chain of rules for frames ("ebtables"), which needs nothing of the host's settings and leaves the
connection tracking alone. It is in a chain of its own, called before all others: it drops what may not pass and
*returns* the rest, so that a filter which somebody else gave the card, and which ours calls, still has its say.

A policy that changes while the VM runs replaces the definition: libvirt exchanges the rules without a gap.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import errors, metadata, xml_read
from hyperkit.backends.libvirt.nic_policy import PREFIX, KnownNic, filtered, own_filter
from hyperkit.backends.libvirt.xml_edit import text_of
from hyperkit.checks import refuse
from hyperkit.specs.isolation import AclAction, AclDirection, AclProtocol, AclRule, IsolationPolicy

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

_CHAIN = "mac-hyperkit"
_FIRST, _LAST = -1000, 1000
"""Priorities that libvirt knows; lower ones come first."""
_IDS = uuid.UUID("5d5c0a1e-8d1b-4c57-9f3e-0d6f2a3b9c11")
"""The namespace of our filters' UUIDs: a filter is defined anew under the one that it has."""

Match = Mapping[str, str]
Rule = tuple[str, str, str, Match]
"""Action, direction, the kind of frame, and what must be in it."""

_SOLICITED = {"protocol": "icmpv6", "type": "135", "typeend": "136"}
_FROM_ROUTERS = {"protocol": "icmpv6", "type": "133", "typeend": "134"}
_REDIRECT = {"protocol": "icmpv6", "type": "137"}
_LINK_LOCAL = {"srcipaddr": "fe80::", "srcipmask": "10"}
_UNSPECIFIED = {"srcipaddr": "::", "srcipmask": "128"}
_UNSET = "0.0.0.0"  # noqa: S104  an address in a packet
# What a guest sends before it has an address, or beside it.
_BEFORE_IPV4: tuple[Match, ...] = ({"srcipaddr": _UNSET, "srcipmask": "32", "protocol": "udp", "dstportstart": "67"},)
_BESIDE_IPV6: tuple[Match, ...] = (
    {**_UNSPECIFIED, "protocol": "icmpv6"},
    {**_LINK_LOCAL, "protocol": "icmpv6"},
    {**_LINK_LOCAL, "protocol": "udp", "dstportstart": "547"},
)


def filter_name(vm_id: str, nic_id: str) -> str:
    """The name of a card's filter. Of the VM's id, since that outlives a rename."""
    return f"{PREFIX}{vm_id}-{re.sub(r'[^A-Za-z0-9_-]', '', nic_id)}"


def has_filter(domain: ET.Element) -> bool:
    """Whether a card of the domain has a filter of ours."""
    return any(own_filter(nic) for nic in domain.iterfind("devices/interface"))


class Filters:
    """The network filters of cards; ``able`` is whether the daemon has any."""

    def __init__(self, connection: Connection, *, able: bool) -> None:
        self._connection = connection
        self._able = able

    def make(self, domain: ET.Element) -> None:
        """Define what the cards of a domain name: one call for each card with a filter of ours."""
        extra = metadata.read(domain.find("metadata"))
        for nic_id, nic in xml_read.nics_by_id(domain.find("devices")).items():
            self.define(nic, extra.nics.get(nic_id))

    def define(self, nic: ET.Element, known: KnownNic | None) -> None:
        """Define a card's filter, in place of the one that there is."""
        name = own_filter(nic)
        if name is not None and known is not None and filtered(known.policy):
            self._connection.conn.nwfilterDefineXML(text_of(filter_element(name, known.policy, known.filter)))

    def restore(self, vm_id: str, domain: ET.Element) -> None:
        """Make the filters those that a domain has, no more and no less."""
        self.make(domain)
        self.keep(vm_id, domain)

    @contextmanager
    def brought_back(self, vm_id: str, snapshot: ET.Element, read: Callable[[], ET.Element]) -> Iterator[None]:
        """To be held while a domain is brought back from a snapshot: its cards need the filters that they had then.

        Two calls more, ``read`` being the one of them that tells the domain as it is.
        """
        was = read()
        then = [tree for tag in ("domain", "inactiveDomain") if (tree := snapshot.find(tag)) is not None]
        if not any(has_filter(tree) for tree in (was, *then)):
            yield
            return
        try:
            for tree in then:
                self.make(tree)
            yield
        except BaseException:
            with suppress(libvirt.libvirtError):
                self.restore(vm_id, was)
            raise
        self.keep(vm_id, read())

    def keep(self, vm_id: str, domain: ET.Element | None = None) -> None:
        """Remove a VM's filters but for those that its domain names. One call, and one for each that goes."""
        if not self._able:
            return
        nics = [] if domain is None else domain.iterfind("devices/interface")
        named = {own_filter(nic) for nic in nics}
        for each in self._connection.conn.listAllNWFilters(0):
            name = each.name()
            if name.startswith(f"{PREFIX}{vm_id}-") and name not in named:
                try:
                    each.undefine()
                except libvirt.libvirtError as error:  # a VM that runs still has it, or somebody was quicker
                    if errors.is_lost(error):
                        raise


def filter_element(name: str, policy: IsolationPolicy, theirs: str | None = None) -> ET.Element:
    """The filter of a policy; ``theirs`` is somebody else's, which is asked too.

    Raises:
        InvalidRequest: the policy needs more rules than a filter can have.
    """
    tree = ET.Element("filter", name=name, chain=_CHAIN, priority=str(_FIRST))
    ET.SubElement(tree, "uuid").text = str(uuid.uuid5(_IDS, name))
    if theirs is not None:
        ET.SubElement(tree, "filterref", filter=theirs)
    lines = list(rules(policy))
    if len(lines) > _LAST - _FIRST:
        refuse("policy", policy, f"fewer rules or addresses: it comes to {len(lines)} lines, a filter has at most 2000")
    for priority, (action, direction, kind, match) in enumerate(lines, _FIRST):
        rule = ET.SubElement(tree, "rule", action=action, direction=direction, priority=str(priority))
        ET.SubElement(rule, kind, dict(match))
    return tree


def rules(policy: IsolationPolicy) -> Iterator[Rule]:
    """A policy's lines, in the order in which a frame meets them: the first that it matches decides."""
    if policy.spoof_guard:
        yield "drop", "out", "mac", {"match": "no", "srcmacaddr": "$MAC"}
        yield "drop", "out", "arp", {"match": "no", "arpsrcmacaddr": "$MAC"}
    if policy.addresses or policy.dhcp_guard or policy.router_guard or policy.rules:
        # Behind a tag of the guest's own, nothing below would see what is in a frame.
        for tag in ("0x8100", "0x88a8"):
            yield "drop", "inout", "mac", {"protocolid": tag}
    if policy.dhcp_guard:
        yield "drop", "out", "ip", {"protocol": "udp", "srcportstart": "67"}
        yield "drop", "out", "ipv6", {"protocol": "udp", "srcportstart": "547"}
    if policy.router_guard:
        yield "drop", "out", "ipv6", {"protocol": "icmpv6", "type": "134"}
        yield "drop", "out", "ipv6", _REDIRECT
    sources = _sources(policy)
    if policy.rules:
        for beside in (_SOLICITED, _FROM_ROUTERS):
            yield "return", "in", "ipv6", beside
            yield from _from(sources, "ipv6", beside)
    for rule in policy.rules:
        for kind, match in _matches(rule):
            if rule.action is AclAction.DENY:
                yield "drop", rule.direction.value, kind, match
            elif rule.direction is AclDirection.IN:
                yield "return", "in", kind, match
            else:
                yield from _from(sources, kind, match)
    if policy.addresses:
        for kind in ("ip", "ipv6"):
            yield from _from(sources, kind, {})
            yield "drop", "out", kind, {}
        for address in (_UNSET, *policy.addresses):  # that one asks whether somebody has an address already
            if ip_address(address).version == 4:
                yield "return", "out", "arp", {"arpsrcipaddr": address}
        yield "drop", "out", "arp", {}


def _sources(policy: IsolationPolicy) -> Mapping[str, tuple[Match, ...]]:
    """Whom packets may come from, by kind of frame: anybody, where no addresses are given."""
    if not policy.addresses:
        return {"ip": ({},), "ipv6": ({},)}
    found: dict[str, tuple[Match, ...]] = {"ip": (), "ipv6": ()}
    for text in policy.addresses:
        address = ip_address(text)
        kind, bits = ("ip", "32") if address.version == 4 else ("ipv6", "128")
        found[kind] += ({"srcipaddr": text, "srcipmask": bits},)
    return {
        "ip": found["ip"] + _BEFORE_IPV4 if found["ip"] else (),
        "ipv6": found["ipv6"] + _BESIDE_IPV6 if found["ipv6"] else (),
    }


def _from(sources: Mapping[str, tuple[Match, ...]], kind: str, match: Match) -> Iterator[Rule]:
    """What leaves by a match and from one of the sources; a source that says otherwise than the match is none."""
    for source in sources[kind]:
        if all(match.get(name, value) == value for name, value in source.items()):
            yield "return", "out", kind, {**source, **match}


def _matches(rule: AclRule) -> Iterator[tuple[str, Match]]:
    """The frames that a rule is about: IPv4's and IPv6's, unless its network is of one of them."""
    network, way = rule.network, "src" if rule.direction is AclDirection.IN else "dst"
    for version, kind, icmp in ((4, "ip", "icmp"), (6, "ipv6", "icmpv6")):
        if network is not None and network.version != version:
            continue
        match: dict[str, str] = {}
        if network is not None:
            match |= {f"{way}ipaddr": str(network.network_address), f"{way}ipmask": str(network.prefixlen)}
        if rule.protocol is not AclProtocol.ANY:
            match["protocol"] = icmp if rule.protocol is AclProtocol.ICMP else rule.protocol.value
        if rule.port is not None:
            match["dstportstart"] = str(rule.port)
        yield kind, match
