"""What libvirt cannot tell of a card, in the metadata of its domain.

::

    <hk:nic id="ua-nic-1a2b3c4d" guards="spoof dhcp router" isolated="yes" filter="clean-traffic">
      <hk:address>192.168.150.10</hk:address>
      <hk:rule action="deny" direction="in" protocol="tcp" remote="10.0.0.0/8" port="22"/>
    </hk:nic>

A network filter holds more than a policy, and reading each would cost a call; so the policy is here, and believed as
long as the card has the filter that was made of it. What a card has only while it is plugged in (its VLANs, that it
is isolated) is here as well.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

import attrs

from hyperkit.errors import InvalidRequest
from hyperkit.specs.isolation import OPEN, AclProtocol, AclRule, IsolationPolicy

_URI = "urn:hyperkit:vm:1"
NIC, _ADDRESS, _RULE = (f"{{{_URI}}}{tag}" for tag in ("nic", "address", "rule"))
_GUARDS = ("spoof", "dhcp", "router")
PREFIX = "hyperkit-"
"""What the names of our filters begin with."""


@attrs.frozen
class KnownNic:
    """What is remembered of a card.

    Attributes:
        vlan, trunk: its VLANs.
        policy: what passes.
        filter: the network filter that somebody else gave it, which ours calls.
    """

    vlan: int | None = None
    trunk: tuple[int, ...] = ()
    policy: IsolationPolicy = OPEN
    filter: str | None = None


NOTHING = KnownNic()


def filtered(policy: IsolationPolicy) -> bool:
    """Whether a policy needs a network filter; being isolated is a property of the bridge's port."""
    return policy.spoof_guard or policy.dhcp_guard or policy.router_guard or bool(policy.rules)


def own_filter(nic: ET.Element) -> str | None:
    """The name of our filter, if the card has it."""
    reference = nic.find("filterref")
    name = "" if reference is None else reference.get("filter", "")
    return name if name.startswith(PREFIX) else None


def is_plugged(nic: ET.Element) -> bool:
    """Whether the card is in anything that hyperkit would call a switch, its own or somebody's."""
    return nic.get("type") not in ("ethernet", "user", "null")


def vlans(element: ET.Element) -> tuple[int | None, tuple[int, ...]]:
    """The access VLAN or the native one of a card or network, and the tagged ones."""
    there = element.find("vlan")
    if there is None:
        return None, ()
    tags = [(_whole(tag.get("id")), tag.get("nativeMode")) for tag in there.iterfind("tag")]
    if there.get("trunk") != "yes" and len(tags) == 1:
        return tags[0][0] or None, ()
    native = next((number for number, mode in tags if mode), None)
    return native, tuple(sorted(number for number, mode in tags if not mode))


def present(nic: ET.Element, known: KnownNic | None) -> KnownNic:
    """What a card has, from its XML as far as that tells."""
    plugged = is_plugged(nic)
    isolated = nic.find("port[@isolated='yes']") is not None
    if known is None:
        vlan, trunk = vlans(nic)
        reference = nic.find("filterref")
        theirs = None if reference is None or own_filter(nic) else reference.get("filter")
        if vlan is None and not trunk and not isolated and theirs is None:
            return NOTHING
        return KnownNic(vlan, trunk, IsolationPolicy(isolated=True) if isolated else OPEN, theirs)
    vlan, trunk = vlans(nic) if plugged else (known.vlan, known.trunk)
    policy = known.policy
    if filtered(policy) and own_filter(nic) is None:
        policy = IsolationPolicy(isolated=policy.isolated)
    if plugged and policy.isolated != isolated:
        policy = attrs.evolve(policy, isolated=isolated)
    theirs = known.filter
    if own_filter(nic) is None:
        reference = nic.find("filterref")
        theirs = None if reference is None else reference.get("filter")
    return KnownNic(vlan, trunk, policy, theirs)


def element(nic_id: str, known: KnownNic) -> ET.Element:
    """The entry of a card."""
    policy = known.policy
    entry = ET.Element(NIC, id=nic_id)
    if known.vlan is not None:
        entry.set("vlan", str(known.vlan))
    if known.trunk:
        entry.set("trunk", " ".join(map(str, known.trunk)))
    if known.filter is not None:
        entry.set("filter", known.filter)
    guards = [guard for guard in _GUARDS if getattr(policy, f"{guard}_guard")]
    if guards:
        entry.set("guards", " ".join(guards))
    if policy.isolated:
        entry.set("isolated", "yes")
    for address in policy.addresses:
        ET.SubElement(entry, _ADDRESS).text = address
    for rule in policy.rules:
        line = ET.SubElement(entry, _RULE, action=rule.action.value, direction=rule.direction.value)
        if rule.protocol is not AclProtocol.ANY:
            line.set("protocol", rule.protocol.value)
        if rule.remote is not None:
            line.set("remote", rule.remote)
        if rule.port is not None:
            line.set("port", str(rule.port))
    return entry


def read(entry: ET.Element) -> KnownNic | None:
    """An entry; None if it says what no policy of ours can."""
    guards = entry.get("guards", "").split()
    try:
        policy = IsolationPolicy(
            spoof_guard="spoof" in guards,
            addresses=[address.text or "" for address in entry.iterfind(_ADDRESS)],
            dhcp_guard="dhcp" in guards,
            router_guard="router" in guards,
            isolated=entry.get("isolated") == "yes",
            rules=[
                AclRule(
                    rule.get("action", ""),
                    rule.get("direction", ""),
                    rule.get("protocol", AclProtocol.ANY),
                    rule.get("remote"),
                    _whole(rule.get("port")) or None,
                )
                for rule in entry.iterfind(_RULE)
            ],
        )
    except InvalidRequest:
        return None
    trunk = tuple(_whole(number) for number in entry.get("trunk", "").split())
    return KnownNic(_whole(entry.get("vlan")) or None, trunk, policy, entry.get("filter"))


def _whole(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
