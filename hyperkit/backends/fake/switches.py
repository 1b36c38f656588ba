"""Virtual switches of the fake."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hyperkit.backends.fake.world import World
from hyperkit.errors import AlreadyExists, InvalidRequest
from hyperkit.records import SwitchRecord, changed
from hyperkit.specs import SwitchChange, SwitchKind, SwitchSpec

_PARTS = ("nic_spoof_guard", "nic_dhcp_guard", "nic_router_guard", "nic_isolation", "nic_promiscuous", "nic_acl")
"""What a NIC's policy is made of."""


class FakeSwitches:
    """See `hyperkit.driver.SwitchPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def list(self) -> Sequence[SwitchRecord]:
        with self._world.lock:
            return list(self._world.switches.values())

    def get(self, switch_id: str) -> SwitchRecord:
        with self._world.lock:
            return self._world.switch(switch_id)

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        world = self._world
        with world.lock:
            able = world.capabilities
            uplinks = world.open_vswitches if spec.openvswitch else world.uplinks
            if spec.uplink is not None and spec.uplink not in uplinks:
                raise InvalidRequest(
                    f"uplink={spec.uplink!r}: the host has {', '.join(sorted(uplinks)) or 'none'}",
                    field="uplink",
                    value=spec.uplink,
                )
            if able.unique_switch_names and any(s.name == spec.name for s in world.switches.values()):
                raise AlreadyExists(f"a switch called {spec.name!r} exists already")
            switch = SwitchRecord(
                id=world.new_id(),
                name=spec.name,
                kind=spec.kind,
                uplink=spec.uplink,
                subnet=spec.subnet,
                nat=spec.kind is SwitchKind.INTERNAL and spec.subnet is not None and spec.nat,
                dhcp=spec.subnet is not None and spec.dhcp,
                leases=spec.leases,
                openvswitch=spec.openvswitch,
                vlan=spec.vlan,
                policy=spec.policy,
                # As on Linux: where there is Open vSwitch, it is what has VLANs, and the other bridges have filters.
                carries_vlans=spec.openvswitch or (able.nic_vlan and not able.switch_openvswitch),
                enforces_policies=not spec.openvswitch and any(getattr(able, part) for part in _PARTS),
            )
            world.switches[switch.id] = switch
            return switch

    def update(self, switch_id: str, change: SwitchChange) -> SwitchRecord:
        world = self._world
        with world.lock:
            switch = world.switch(switch_id)
            changes: dict[str, Any] = {}
            if change.leases is not None:
                changes["leases"] = change.leases
            if change.vlan is not None:
                changes["vlan"] = change.vlan or None
            if change.policy is not None:
                changes["policy"] = change.policy
            world.switches[switch_id] = changed(switch, **changes)
            return world.switches[switch_id]

    def delete(self, switch_id: str) -> None:
        with self._world.lock:
            self.get(switch_id)
            del self._world.switches[switch_id]
