"""What is done to VMs as a whole."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from hyperkit.specs import DiskSpec, NicSpec
from hyperkit.states import PowerState
from hyperkit.testing.lockstep.choices import MEMORY, NOTES, TAGS, changes, machines
from hyperkit.testing.lockstep.machine import DATA, HOST, Machine
from hyperkit.testing.lockstep.script import New, Ref
from hyperkit.units import MiB

MOST_VMS = 6
MOST_RUNNING = 2
VERBS = ("start", "stop", "pause", "resume", "reset", "reboot", "suspend", "discard_suspended", "shutdown")


class VMRules(Machine):
    """Create, power, configure, delete."""

    @initialize(data=DATA)
    def begin(self, data: st.DataObject) -> None:
        """Have something to work on."""
        self._create(data, {"disks": [New(DiskSpec, {"size": MiB})], "nics": [New(NicSpec, {})], **self._room()})
        self._create(data)

    @precondition(lambda self: len(self.vms) < MOST_VMS)
    @rule(data=DATA)
    def create(self, data: st.DataObject) -> None:
        """A new VM, of any kind the host is able to make, or one that it must refuse."""
        self._create(data)

    def _room(self) -> dict[str, Any]:
        """Ceilings that leave a VM room to grow while it runs."""
        cpus = {"max_cpus": 4} if self.able.cpu_ceiling else {}
        return {**cpus, "max_memory": MEMORY[0] + 2 * self._step} if self.able.memory_ceiling else cpus

    @property
    def _step(self) -> int:
        """What memory grows by while a VM runs."""
        return max(self.able.hot_memory_unit, self.able.memory_unit)

    def _create(self, data: st.DataObject, fields: dict[str, Any] | None = None) -> None:
        fields = {"memory": MEMORY[0], **fields} if fields else data.draw(machines(self.means))
        name = self.name(data, [self.record(vm).name for vm in self.vms])
        variable = self.variable("vm")
        outcome = self.do("vms.create", HOST.then("vms"), "create", name, result=variable, **fields)
        if outcome.error is None:
            self.vms.append(variable)

    @precondition(lambda self: self.vms)
    @rule(data=DATA)
    def power(self, data: st.DataObject) -> None:
        """Any verb in any state."""
        self._power(data, VERBS)

    @precondition(lambda self: any(self.record(vm).state is PowerState.OFF for vm in self.vms))
    @rule(data=DATA)
    def power_on(self, data: st.DataObject) -> None:
        """Something that is off runs, if there is room."""
        self._power(data, ("start",), [vm for vm in self.vms if self.record(vm).state is PowerState.OFF])

    @precondition(lambda self: self._suspended())
    @rule(data=DATA)
    def power_suspended(self, data: st.DataObject) -> None:
        """What a VM whose memory is in a file is mostly told."""
        self._power(data, ("discard_suspended", "start", "stop"), self._suspended())

    def _suspended(self) -> list[str]:
        return [vm for vm in self.vms if self.record(vm).state is PowerState.SUSPENDED]

    @precondition(lambda self: self.running)
    @rule(data=DATA)
    def power_held(self, data: st.DataObject) -> None:
        """What a VM that is in memory is mostly told."""
        verbs = ("stop", "stop", "suspend", "pause", "resume", "suspend", "reset", "reboot", "shutdown")
        self._power(data, verbs, [vm for vm in self.vms if self.holds_power(vm)])

    def _power(self, data: st.DataObject, verbs: tuple[str, ...], among: list[str] | None = None) -> None:
        vm = self.vm(data, among or self.vms)
        if self.running >= MOST_RUNNING and not self.holds_power(vm):
            verbs = tuple(verb for verb in verbs if verb != "start") or ("stop",)
        verb = data.draw(st.sampled_from(verbs))
        fields: dict[str, Any] = {"timeout": 0, "force": data.draw(st.booleans())} if verb == "shutdown" else {}
        self.do(f"vm.{verb}", Ref(vm), verb, **fields)

    @precondition(lambda self: self.vms)
    @rule(data=DATA)
    def configure(self, data: st.DataObject) -> None:
        """One field or a few, cold or hot."""
        vm = self.vm(data)
        self.do("vm.configure", Ref(vm), "configure", **data.draw(changes(self.means, self.record(vm))))

    @precondition(lambda self: self.running and (self.able.hot_cpu_add or self.able.hot_memory_add))
    @rule(data=DATA)
    def grow(self, data: st.DataObject) -> None:
        """More or fewer CPUs, more or less memory, of a VM that is in memory: one step or two."""
        vm = self.vm(data, [vm for vm in self.vms if self.holds_power(vm)])
        record, steps = self.record(vm), data.draw(st.sampled_from((1, 1, 1, 2, -1)))
        if data.draw(st.booleans()):
            self.do("cpus.configure", Ref(vm), "configure", cpus=max(record.cpus + steps, 1))
        else:
            memory = max(record.memory + steps * self._step, self._step)
            self.do("memory.configure", Ref(vm), "configure", memory=memory)

    @precondition(lambda self: self.vms)
    @rule(data=DATA)
    def configure_anytime(self, data: st.DataObject) -> None:
        """What can change in every state."""
        fields: dict[str, Any] = {"notes": data.draw(st.sampled_from(NOTES))} if self.able.notes else {}
        if self.able.tags and data.draw(st.booleans()):
            fields["tags"] = list(data.draw(st.sampled_from(TAGS)))
        if self.able.autostart and data.draw(st.booleans()):
            fields["autostart"] = data.draw(st.booleans())
        self.do("vm.configure", Ref(self.vm(data)), "configure", **fields)

    @precondition(lambda self: self.vms)
    @rule(data=DATA)
    def rename(self, data: st.DataObject) -> None:
        """To a name that is free, or not."""
        name = self.name(data, [self.record(vm).name for vm in self.vms])
        self.do("vm.rename", Ref(self.vm(data)), "rename", name)

    @precondition(lambda self: len(self.vms) > 1)
    @rule(data=DATA)
    def delete(self, data: st.DataObject) -> None:
        """With none, some or all of its disks."""
        vm = self.vm(data)
        own = [Ref(vm).then("refresh()", "disks", index) for index in range(len(self.record(vm).disks))]
        named = [own[:1], own[-1:], [self.bed.missing_path]]
        disks = data.draw(st.sampled_from(("created", "all", "none", *named)))
        force = data.draw(st.booleans())
        outcome = self.do("vm.delete", Ref(vm), "delete", disks=disks, force=force)
        if outcome.error is None:
            self.vms.remove(vm)
            self.gone.append(vm)
            self.snapshots = [(owner, snapshot) for owner, snapshot in self.snapshots if owner != vm]

    @precondition(lambda self: self.gone)
    @rule(data=DATA)
    def ask_what_is_gone(self, data: st.DataObject) -> None:
        """A VM that was deleted."""
        vm = self.vm(data, self.gone)
        self.do("vm (gone)", Ref(vm), data.draw(st.sampled_from(("refresh", "start", "delete"))))

    @precondition(lambda self: self.vms and self.pair.since_reconnect > 10)
    @rule()
    def reconnect(self) -> None:
        """Ids are the same over another connection, and so is everything else."""
        self.pair.reconnect()
