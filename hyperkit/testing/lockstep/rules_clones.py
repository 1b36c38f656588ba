"""What is done with clones and templates."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hyperkit.testing.lockstep.machine import DATA, Machine
from hyperkit.testing.lockstep.rules_vms import MOST_VMS
from hyperkit.testing.lockstep.script import Ref


class CloneRules(Machine):
    """Clone, make a template and a VM again."""

    @precondition(lambda self: self.able.clones and self.vms and len(self.vms) < MOST_VMS)
    @rule(data=DATA)
    def clone(self, data: st.DataObject) -> None:
        """Whole or linked, as it is or of a snapshot; now and then of another VM's."""
        owners = [vm for vm in self.vms if any(owner == vm for owner, _ in self.snapshots)]
        of_owner, others_one = bool(data.draw(st.booleans())), data.draw(st.integers(0, 9)) == 9
        vm = self.vm(data, owners if owners and of_owner else None)
        fields: dict[str, Any] = {}
        if self.able.linked_clones and data.draw(st.booleans()):
            fields["linked"] = True
        own = [snapshot for owner, snapshot in self.snapshots if owner == vm]
        others = [snapshot for owner, snapshot in self.snapshots if owner != vm]
        among = others if others and others_one else own
        named = bool(data.draw(st.booleans()))
        if among and named:
            fields["snapshot"] = Ref(str(data.draw(st.sampled_from(among))))
        if data.draw(st.integers(0, 4)) == 4:
            fields["datastore"] = Ref("store")
        self._clone(data, vm, **fields)

    def _clone(self, data: st.DataObject, vm: str, **fields: Any) -> None:
        name = self.name(data, [self.record(each).name for each in self.vms])
        variable = self.variable("vm")
        if self.do("vm.clone", Ref(vm), "clone", name, result=variable, **fields).error is None:
            self.vms.append(variable)

    @precondition(lambda self: self.able.templates and self.vms)
    @rule(data=DATA)
    def template(self, data: st.DataObject) -> None:
        """A VM is a template for a while, and is not started: what else hosts refuse of templates they do not share."""
        vm = self.vm(data)
        if self.do("vm.make_template", Ref(vm), "make_template").error is not None:
            return
        self.do("vm.start", Ref(vm), "start")
        if self.able.clones and len(self.vms) < MOST_VMS:
            self._clone(data, vm)
        self.do("vm.make_vm", Ref(vm), "make_vm")
