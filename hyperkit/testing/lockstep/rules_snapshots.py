"""What is done with snapshots."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hyperkit.testing.lockstep.choices import NOTES
from hyperkit.testing.lockstep.machine import DATA, Machine
from hyperkit.testing.lockstep.rules_vms import MOST_RUNNING
from hyperkit.testing.lockstep.script import Ref

MOST_SNAPSHOTS = 5


class SnapshotRules(Machine):
    """Take, revert, delete, one or a tree."""

    @precondition(lambda self: self.able.snapshots and self.vms)
    @rule(data=DATA)
    def take(self, data: st.DataObject) -> None:
        """With memory or without, of a VM in any state."""
        self._take(data)

    @precondition(lambda self: self.able.snapshots and self.vms)
    @rule(data=DATA)
    def take_one_more(self, data: st.DataObject) -> None:
        """Rules are drawn alike often, and trees are worth more than one."""
        self._take(data)

    def _take(self, data: st.DataObject) -> None:
        owners = [vm for vm in self.vms if any(owner == vm for owner, _ in self.snapshots)]
        # Trees are what is interesting: every second one goes where there are some.
        grows = bool(owners) and data.draw(st.integers(0, 1)) == 1
        vm = self.vm(data, owners if grows else None)
        there = [name for owner, name in self.snapshots if owner == vm]
        if len(there) >= MOST_SNAPSHOTS:
            return
        fields: dict[str, Any] = {}
        if data.draw(st.booleans()):
            fields["description"] = data.draw(st.sampled_from(NOTES))
        memory = data.draw(st.sampled_from((None, None, None, True, False)))
        if memory is not None:
            fields["memory"] = memory
        if data.draw(st.integers(0, 9)) == 9:
            fields["quiesce"] = True
        names = [each["name"] for each in self.pair.fake.survey.tree["snapshots"].get(vm, {}).values()]
        variable = self.variable("snapshot")
        name = self.name(data, names)
        outcome = self.do("snapshots.create", Ref(vm).then("snapshots"), "create", name, result=variable, **fields)
        if outcome.error is None:
            self.snapshots.append((vm, variable))

    def _revertable(self) -> list[str]:
        """Those that bring no third VM to run."""
        held = self.pair.fake.survey.tree["snapshots"]
        return [
            name
            for vm, name in self.snapshots
            if self.running < MOST_RUNNING or self.holds_power(vm) or not held[vm].get(name, {}).get("memory")
        ]

    @precondition(lambda self: self._revertable())
    @rule(data=DATA)
    def revert(self, data: st.DataObject) -> None:
        """To one of the snapshots, or one that is gone."""
        self._revert(data)

    @precondition(lambda self: self._revertable())
    @rule(data=DATA)
    def revert_once_more(self, data: st.DataObject) -> None:
        """As `take_one_more`."""
        self._revert(data)

    def _revert(self, data: st.DataObject) -> None:
        self.do("snapshot.revert", Ref(data.draw(st.sampled_from(self._revertable()))), "revert")

    @precondition(lambda self: self.snapshots)
    @rule(data=DATA)
    def delete_snapshot(self, data: st.DataObject) -> None:
        """One, or the tree below it too."""
        vm, name = data.draw(st.sampled_from(self.snapshots))
        children = data.draw(st.booleans())
        self.do("snapshot.delete", Ref(name), "delete", children=children)
        left = self.pair.fake.survey.tree["snapshots"].get(vm, {})
        if data.draw(st.integers(0, 9)) != 9:  # now and then, it is asked for again
            self.snapshots = [each for each in self.snapshots if each[0] != vm or each[1] in left]

    @precondition(lambda self: self.able.snapshot_rename and self.snapshots)
    @rule(data=DATA)
    def rename_snapshot(self, data: st.DataObject) -> None:
        """To a name that is free, or not."""
        vm, snapshot = data.draw(st.sampled_from(self.snapshots))
        names = [each["name"] for each in self.pair.fake.survey.tree["snapshots"].get(vm, {}).values()]
        self.do("snapshot.rename", Ref(snapshot), "rename", self.name(data, names))
