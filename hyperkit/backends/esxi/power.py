"""Power verbs.

A VM is started by its own ``PowerOnVM_Task``, on vCenter too. ``Datacenter.PowerOnMultiVM_Task``, which DRS prefers,
is done before the VM is: it only says which VMs were tried, with a task for each, and where DRS is manual it starts
nothing but recommends. The VM's own task ends when the VM runs, fails with the reason, and DRS places the VM where DRS
is automatic.

``PowerOffVM_Task`` discards a suspended VM's memory. The API reference grants it to VMs that run; the REST API that is
built on it says "powered-on or suspended", and so do ESXi 5.0 and later. vSphere 4 refuses, with InvalidPowerState.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pyVmomi import vim, vmodl

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.backends.esxi.reader import question
from hyperkit.backends.esxi.tasks import TaskJob, Work
from hyperkit.clock import Clock
from hyperkit.errors import InvalidState, Unsupported
from hyperkit.jobs import Job, JobStatus
from hyperkit.records import PowerRecord, QuestionRecord
from hyperkit.states import GOAL, PowerAction

_TASKS: Mapping[PowerAction, Callable[[Any], Any]] = MappingProxyType(
    {
        PowerAction.START: lambda vm: vm.PowerOnVM_Task(),
        PowerAction.STOP: lambda vm: vm.PowerOffVM_Task(),
        PowerAction.SUSPEND: lambda vm: vm.SuspendVM_Task(),
        PowerAction.RESET: lambda vm: vm.ResetVM_Task(),
        PowerAction.DISCARD: lambda vm: vm.PowerOffVM_Task(),
    }
)


class Power:
    """Does what `VMPort.set_power` is asked."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory

    def act(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        """Do one action."""
        if action in (PowerAction.SHUTDOWN, PowerAction.REBOOT):
            self._ask(vm_id, action)
            return self._inventory.power(vm_id)
        if action not in _TASKS:
            raise Unsupported("vSphere pauses no VM", capability="pause")
        return _PowerJob(self._connection, _work(self._connection.vm(vm_id), action))

    def _ask(self, vm_id: str, action: PowerAction) -> None:
        """Ask the guest, by VMware Tools: there is no button to press.

        A guest whose Tools do not run yet does not hear a request to shut down, like one that boots; it is asked again.
        Nobody asks for a reboot again, so that the caller is told.
        """
        vm = self._connection.vm(vm_id)
        if action is PowerAction.REBOOT:
            vm.RebootGuest()
            return
        try:
            vm.ShutdownGuest()
        except vim.fault.ToolsUnavailable:
            return


def _work(vm: Any, action: PowerAction) -> Work[PowerRecord]:
    try:
        yield _TASKS[action](vm)
    except vmodl.fault.NotSupported as error:
        if action is not PowerAction.START:
            raise
        # PowerOnVM_Task's one reason for it
        raise InvalidState(
            "it is a template, which is not started: clone() it, or make_vm() of it first",
            current="template",
            wanted=action.value,
            allowed=("clone", "make_vm"),
        ) from error
    return PowerRecord(state=GOAL[action])


class _PowerJob(TaskJob[PowerRecord]):
    """A power task. One may stand still until somebody answers a question, such as whether a VM was moved or copied.

    Its progress says so, for whoever looks, and the answer lets it go on. Who only waits would wait for ever, and is
    told instead; the task goes on at the host.
    """

    _waited = False

    def poll(self) -> JobStatus[PowerRecord]:
        waited, self._waited = self._waited, False
        status = super().poll()
        asked = question(self.question)
        if status.done or asked is None or not waited:
            return status
        return JobStatus(True, error=_unanswered(asked))

    def wait(self, seconds: float, clock: Clock) -> None:
        self._waited = True
        super().wait(seconds, clock)


def _unanswered(question: QuestionRecord) -> InvalidState:
    choices = ", ".join(f"{key!r} ({label})" for key, label in question.choices.items())
    return InvalidState(
        f"the VM waits for an answer: {question.text} answer() takes {choices}; it goes on then",
        wanted="start",
        allowed=("answer",),
    )
