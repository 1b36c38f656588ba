"""Distributed port groups, which vCenters have, as switches. They are read and connected to, and left as they are."""

from __future__ import annotations

from collections.abc import Mapping

from hyperkit.backends.esxi.elements import Element, child, flag, kind, number
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchKind
from hyperkit.specs.isolation import IsolationPolicy

PORTS = "config.defaultPortConfig"
"""The property that has what is in a record."""


def record(switch_id: str, name: str, above: str, values: Mapping[str, Element]) -> SwitchRecord:
    """A distributed port group as a switch, with its distributed switch as the uplink."""
    ports = values.get(PORTS)
    vlan = child(ports, "vlan")
    number_ = number(vlan, "vlanId") if _is_access(vlan) else number(vlan, "pvlanId")
    return SwitchRecord(
        id=switch_id,
        name=name,
        kind=SwitchKind.EXTERNAL,
        uplink=above or None,
        vlan=number_ or None,
        policy=_policy(child(ports, "securityPolicy")),
        carries_vlans=vlan is not None and kind(vlan) == "VmwareDistributedVirtualSwitchTrunkVlanSpec",
        enforces_policies=False,
    )


def _is_access(vlan: Element | None) -> bool:
    return vlan is not None and kind(vlan) == "VmwareDistributedVirtualSwitchVlanIdSpec"


def _policy(security: Element | None) -> IsolationPolicy:
    changes, forged = flag(security, "macChanges", "value"), flag(security, "forgedTransmits", "value")
    return IsolationPolicy(
        spoof_guard=changes is False and forged is False,
        promiscuous=flag(security, "allowPromiscuous", "value") or False,
    )
