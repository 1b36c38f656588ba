"""What is done with switches, and with files that belong to no VM."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hyperkit.specs import SwitchKind
from hyperkit.specs.isolation import IsolationPolicy
from hyperkit.testing.lockstep.choices import leases, sizes
from hyperkit.testing.lockstep.machine import DATA, HOST, STORE, Machine
from hyperkit.testing.lockstep.script import New, Ref

MOST_SWITCHES = 3
MOST_FILES = 30


class SwitchRules(Machine):
    """Create, change and delete switches."""

    @precondition(lambda self: len(self.switches) < MOST_SWITCHES)
    @rule(data=DATA)
    def create_switch(self, data: st.DataObject) -> None:
        """Of any kind."""
        kind = data.draw(st.sampled_from(SwitchKind))
        fields: dict[str, Any] = {"kind": kind}
        if kind is SwitchKind.EXTERNAL:
            fields["uplink"] = data.draw(st.sampled_from((self.bed.uplink or "br0", "nowhere0")))
        elif kind is SwitchKind.INTERNAL and data.draw(st.booleans()):
            fields["subnet"] = data.draw(st.sampled_from(self.bed.subnets))
            fields["nat"], fields["dhcp"] = data.draw(st.booleans()), data.draw(st.booleans())
        there = [switch["name"] for switch in self.pair.fake.survey.tree["switches"].values()]
        name, variable = self.name(data, there), self.variable("switch")
        outcome = self.do("switches.create", HOST.then("switches"), "create", name, result=variable, **fields)
        if outcome.error is None:
            self.switches.append(variable)

    @precondition(lambda self: self.able.switch_leases and self.switches)
    @rule(data=DATA)
    def configure_switch(self, data: st.DataObject) -> None:
        """Leases: also of a switch that cannot have any."""
        there = self.pair.fake.survey.tree["switches"]
        served = [switch for switch in self.switches if there[switch]["dhcp"]]
        switch = data.draw(st.sampled_from(served or self.switches))
        kept = data.draw(leases(there[switch]["subnet"]))
        self.do("switch.configure", Ref(switch), "configure", leases=kept)

    @precondition(lambda self: self.switches and (self.able.switch_vlan_change or self._parts()))
    @rule(data=DATA)
    def move_switch(self, data: st.DataObject) -> None:
        """Another VLAN or policy, or none."""
        fields: dict[str, Any] = {}
        if self.able.switch_vlan_change and data.draw(st.booleans()):
            fields["vlan"] = data.draw(st.sampled_from((7, 0, 4094, 4095)))
        if parts := self._parts():
            fields["policy"] = New(IsolationPolicy, {part: data.draw(st.booleans()) for part in parts})
        self.do("switch.configure", Ref(data.draw(st.sampled_from(self.switches))), "configure", **fields)

    def _parts(self) -> list[str]:
        """What a switch's policy can be of."""
        return [part for part in ("spoof_guard", "promiscuous") if getattr(self.able, f"switch_{part}")]

    @precondition(lambda self: self.switches)
    @rule(data=DATA)
    def delete_switch(self, data: st.DataObject) -> None:
        """Also one that VMs are plugged into."""
        switch = data.draw(st.sampled_from(self.switches))
        if self.do("switch.delete", Ref(switch), "delete").error is None:
            self.switches.remove(switch)


class VolumeRules(Machine):
    """Create and delete files."""

    @precondition(lambda self: self.able.volumes and len(self.files) < MOST_FILES)
    @rule(data=DATA)
    def create_volume(self, data: st.DataObject) -> None:
        """An image that no VM has."""
        fields: dict[str, Any] = {}
        if data.draw(st.booleans()):
            fields["format"] = data.draw(st.sampled_from(self.formats))
        if data.draw(st.integers(0, 4)) == 4:
            fields["thin"] = False
        there = [file["name"] for file in self.pair.fake.survey.tree["files"].values()]
        size = data.draw(st.sampled_from(sizes(self.sector)))
        self.do("volumes.create", STORE.then("volumes"), "create", self.name(data, there), size, **fields)

    @precondition(lambda self: self.able.volumes and self.files)
    @rule(data=DATA)
    def delete_volume(self, data: st.DataObject) -> None:
        """Also one that is in use."""
        variable = self.variable("volume")
        path = data.draw(st.sampled_from((*map(Ref, self.files), self.bed.missing_path)))
        if self.do("volumes.get", STORE.then("volumes"), "get", path, result=variable).error is None:
            self.do("volume.delete", Ref(variable), "delete")
