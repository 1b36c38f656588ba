"""What a VM waits for somebody else to do: questions answered, and files of deleted snapshots merged."""

from __future__ import annotations

from typing import Any

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.tasks import TaskJob, Work
from hyperkit.jobs import Job


class Upkeep:
    """See `hyperkit.driver.UpkeepPort`. That there is something to do, the VM's record says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def answer(self, vm_id: str, question_id: str, choice: str) -> None:
        """One call."""
        self._connection.vm(vm_id).AnswerVM(question_id, choice)

    def consolidate(self, vm_id: str) -> Job[None] | None:
        """A task."""
        return TaskJob(self._connection, _consolidate(self._connection.vm(vm_id)))


def _consolidate(vm: Any) -> Work[None]:
    yield vm.ConsolidateVMDisks_Task()
