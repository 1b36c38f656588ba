"""VMs, their states, and the guests' shutdown service: those of a fake host that is like Hyper-V."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from hyperkit.backends.fake.world import Machine, World
from hyperkit.driver import VMPort
from hyperkit.errors import InvalidState, ResourceExhausted
from hyperkit.states import ALLOWED, PowerAction, PowerState
from tests.beds.hyperv_sim.providers.jobs import Jobs
from tests.beds.hyperv_sim.rows import Repository, Result, Row

_NUMBERS = {PowerState.RUNNING: 2, PowerState.OFF: 3, PowerState.SUSPENDED: 6, PowerState.PAUSED: 9}
_ACTIONS = {
    2: (PowerAction.START, PowerAction.RESUME),
    3: (PowerAction.STOP, PowerAction.DISCARD),
    6: (PowerAction.SUSPEND,),
    9: (PowerAction.PAUSE,),
    11: (PowerAction.RESET,),
}
_INVALID_PARAMETER, _INVALID_STATE, _OUT_OF_MEMORY = 32773, 32775, 32778


class Systems:
    """Serves them.

    Attributes:
        odd: by VM's id, an ``EnabledState`` that it is said to have, besides what it does.
        health: by VM's id, its ``HealthState``.
        late: by VM's id, for how many looks a VM is still on its way after a job's end.
        answers: what a guest's shutdown service answers, if it is not that it shuts down.
    """

    def __init__(self, repository: Repository, world: World, vms: VMPort, jobs: Jobs) -> None:
        self._repository, self._world, self._vms, self._jobs = repository, world, vms, jobs
        self.odd: dict[str, int] = {}
        self.health: dict[str, int] = {}
        self.late: dict[str, int] = {}
        self.answers: int | None = None
        host = list(repository.all("Msvm_ComputerSystem"))
        repository.serve("Msvm_ComputerSystem", lambda: [*host, *self._rows()], {"RequestStateChange": self._request})
        repository.serve(
            "Msvm_ShutdownComponent",
            self._components,
            {"InitiateShutdown": self._shut_down, "InitiateReboot": self._reboot},
        )

    def _machines(self) -> list[Machine]:
        with self._world.lock:
            return list(self._world.machines.values())

    def _rows(self) -> Iterator[Row]:
        for machine in self._machines():
            record = machine.record
            number = self.odd.get(record.id, _NUMBERS.get(record.state, 0))
            if self.late.get(record.id, 0):
                self.late[record.id] -= 1
                number = 10
            yield Row(
                "Msvm_ComputerSystem",
                {
                    "CreationClassName": "Msvm_ComputerSystem",
                    "Name": record.id.upper(),
                    "ElementName": record.name,
                    "Caption": "Virtueller Computer",
                    "Description": "Virtueller Microsoft-Computer",
                    "EnabledState": number,
                    "HealthState": self.health.get(record.id, 5),
                    "OperationalStatus": [2],
                    "InstallDate": datetime(2026, 1, 1, tzinfo=UTC),
                },
            )

    def _machine(self, name: str) -> Machine:
        return next(each for each in self._machines() if each.record.id.casefold() == name.casefold())

    def _request(self, row: Row, given: dict[str, Any]) -> Result:
        actions = _ACTIONS.get(given.get("RequestedState", 0))
        if actions is None:
            return _INVALID_PARAMETER, {}
        machine = self._machine(row.get("Name"))
        action = next((each for each in actions if each in ALLOWED[machine.record.state]), None)
        if action is None:
            return _INVALID_STATE, {}

        def work() -> None:
            job: Any = self._vms.set_power(machine.record.id, action)
            if hasattr(job, "poll"):
                job.poll()

        if action in (PowerAction.START, PowerAction.SUSPEND):
            try:
                self._world.free_memory()
            except ResourceExhausted:
                return _OUT_OF_MEMORY, {}
            return self._jobs.begin("Status ändern", work)
        work()
        return 0, {}

    def _components(self) -> Iterator[Row]:
        for machine in self._machines():
            if machine.record.state is PowerState.RUNNING and machine.record.disks:
                yield Row(
                    "Msvm_ShutdownComponent",
                    {
                        "CreationClassName": "Msvm_ShutdownComponent",
                        "DeviceID": f"Microsoft:{machine.record.id.upper()}",
                        "SystemCreationClassName": "Msvm_ComputerSystem",
                        "SystemName": machine.record.id.upper(),
                    },
                )

    def _shut_down(self, row: Row, given: dict[str, Any]) -> Result:
        return self._guest(row, given, PowerAction.SHUTDOWN)

    def _reboot(self, row: Row, given: dict[str, Any]) -> Result:
        return self._guest(row, given, PowerAction.REBOOT)

    def _guest(self, row: Row, given: dict[str, Any], action: PowerAction) -> Result:
        if not isinstance(given.get("Force"), bool) or not given.get("Reason"):
            return _INVALID_PARAMETER, {}
        if self.answers is not None:
            return self.answers, {}
        try:
            self._vms.set_power(self._machine(row.get("SystemName")).record.id, action)
        except InvalidState:
            return _INVALID_STATE, {}
        return 0, {}
