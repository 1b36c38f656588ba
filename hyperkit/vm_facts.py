"""What is known of a VM without asking: the attributes that `hyperkit.vm.VM` has of its record."""

from __future__ import annotations

from hyperkit.handle import Handle
from hyperkit.records import AgentState, QuestionRecord, VMRecord
from hyperkit.states import PowerState, StateReason
from hyperkit.units import format_size


class VMFacts(Handle[VMRecord]):
    """A virtual machine as it was last read."""

    kind = "VM"
    __slots__ = ()

    @property
    def name(self) -> str:
        """Its label; see `Capabilities.unique_vm_names`."""
        return self._record.name

    @property
    def state(self) -> PowerState:
        """What it is doing."""
        return self._record.state

    @property
    def reason(self) -> StateReason:
        """Why, where the state alone would mislead: paused by an I/O error is a fault."""
        return self._record.reason

    @property
    def cpus(self) -> int:
        """VCPUs."""
        return self._record.cpus

    @property
    def memory(self) -> int:
        """Bytes of memory."""
        return self._record.memory

    @property
    def notes(self) -> str:
        """Free text kept with it."""
        return self._record.notes

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to find it by, in ascending order: ``host.vms.find(lambda vm: "web" in vm.tags)``."""
        return self._record.tags

    @property
    def template(self) -> bool:
        """Whether it is a template, which is cloned and never started."""
        return self._record.template

    @property
    def question(self) -> QuestionRecord | None:
        """What it waits for an answer to; None if it does not wait."""
        return self._record.question

    @property
    def agent(self) -> AgentState:
        """Whether the agent in its guest runs, as the host knows it unasked; `Guest.ping` asks."""
        return self._record.agent

    def _summary(self) -> str:
        template = "template " if self.template else ""
        cpus = f"{self.cpus} cpu{'' if self.cpus == 1 else 's'}"
        return f"{template}{self.state.value} {cpus} {format_size(self.memory)}"
