"""Tasks as jobs: what they cost, tell and raise, and that they can be given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hyperkit.clock import SystemClock
from hyperkit.errors import Cancelled, ConnectionLost, InvalidState, TaskFailed, Timeout
from hyperkit.jobs import Progress
from hyperkit.tasks import Task
from tests.beds.vcsim import Vcsim

pytest.importorskip("pyVmomi")
from pyVmomi import vim, vmodl

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.tasks import TaskJob, Work, finished

Session = Callable[..., Connection]

TASK = {"PowerOnVM_Task": 1, "RetrievePropertiesEx": 1}


@pytest.fixture
def connection(esx: Vcsim, session: Session) -> Connection:
    connection = session(esx)
    for vm in vms(connection):
        state = connection.properties.one("VirtualMachine", vm._moId, ["runtime.powerState"])
        if state.values["runtime.powerState"].text == "poweredOn":
            finished(connection, doing(vm.PowerOffVM_Task))
    esx.control.reset_calls()
    return connection


def vms(connection: Connection) -> list[Any]:
    return [connection.vm(found.ref.id) for found in connection.properties.all("VirtualMachine", ["name"])]


def doing(*starts: Callable[[], Any]) -> Work[list[Any]]:
    results = []
    for start in starts:
        results.append((yield start()))
    return results


def as_task(job: TaskJob[Any]) -> Task[Any]:
    return Task(job, what="power on", clock=SystemClock(), finish=lambda result: result)


def test_a_task_that_is_soon_done_costs_two_round_trips(esx: Vcsim, connection: Connection) -> None:
    vm = vms(connection)[0]
    esx.control.reset_calls()
    assert finished(connection, doing(vm.PowerOnVM_Task)) == [None]
    assert esx.calls().methods == TASK


def test_pyvims_own_wait_costs_seven(esx: Vcsim, connection: Connection) -> None:
    from pyVim.task import WaitForTask

    vm = vms(connection)[0]
    esx.control.reset_calls()
    WaitForTask(vm.PowerOnVM_Task())
    assert esx.calls().requests >= 7


def test_a_task_that_takes_its_time_is_waited_for_by_one_collector(esx: Vcsim, connection: Connection) -> None:
    first, second = vms(connection)[:2]
    esx.faults.slow_task("PowerOnVM_Task", seconds=1, count=2)
    esx.control.reset_calls()
    finished(connection, doing(first.PowerOnVM_Task))
    calls = dict(esx.control.reset_calls().methods)
    assert 2 <= calls.pop("WaitForUpdatesEx") <= 13  # what is, and an answer for each change: of progress there are ten
    assert calls == TASK | {"CreatePropertyCollector": 1, "CreateFilter": 1, "DestroyPropertyFilter": 1}
    finished(connection, doing(second.PowerOnVM_Task))  # the collector is there
    assert "CreatePropertyCollector" not in esx.calls().methods


def test_tasks_in_a_row_are_one_job_that_ends_with_what_the_work_returns(connection: Connection) -> None:
    vm = vms(connection)[0]
    job = TaskJob(connection, doing(vm.PowerOnVM_Task, vm.SuspendVM_Task, vm.PowerOnVM_Task))
    assert as_task(job).result(10) == [None] * 3


def test_a_result_is_an_element(connection: Connection) -> None:
    vm = vms(connection)[0]

    def work() -> Work[str]:
        snapshot = yield vm.CreateSnapshot_Task("s", "", False, False)
        assert snapshot is not None
        return str(snapshot.get("type"))

    assert finished(connection, work()) == "VirtualMachineSnapshot"
    finished(connection, doing(lambda: vm.RemoveAllSnapshots_Task(True)))


def test_a_work_without_tasks(connection: Connection) -> None:
    def work() -> Work[int]:
        yield from ()
        return 3

    job = TaskJob(connection, work())
    assert job.poll().done
    job.cancel()
    job.wait(5, SystemClock())
    assert finished(connection, work()) == 3


def test_what_a_work_raises_before_its_first_task_is_raised_at_once(connection: Connection) -> None:
    def refuse() -> None:
        raise InvalidState("not now")

    with pytest.raises(InvalidState, match="not now"):
        TaskJob(connection, doing(refuse))


def test_progress_and_phase_are_told(esx: Vcsim, connection: Connection) -> None:
    esx.faults.slow_task("PowerOnVM_Task", seconds=1)
    task = as_task(TaskJob(connection, doing(vms(connection)[0].PowerOnVM_Task)))
    seen: list[Progress] = []
    task.on_progress(seen.append)
    while not task.done:
        time.sleep(0.1)
    fractions = [progress.fraction for progress in seen[:-1] if progress.fraction is not None]
    assert fractions == sorted(fractions)
    assert any(0 < fraction < 1 for fraction in fractions)
    assert {progress.phase for progress in seen[:-1]} == {"VirtualMachine.powerOnVM"}
    assert seen[-1] == Progress(fraction=1.0, phase="done")


def test_a_task_can_be_given_up(esx: Vcsim, connection: Connection) -> None:
    vm = vms(connection)[0]
    esx.faults.slow_task("PowerOnVM_Task", seconds=20)
    undone = []

    def work() -> Work[None]:
        try:
            yield vm.PowerOnVM_Task()
        except Cancelled:
            undone.append((yield vm.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="given up"))))
            raise

    task = as_task(TaskJob(connection, work()))
    with pytest.raises(Timeout):
        task.result(0.1)
    task.cancel()
    with pytest.raises(Cancelled) as raised:
        task.result(10)
    assert isinstance(raised.value.__cause__, vmodl.fault.RequestCanceled)
    assert undone == [None]
    task.cancel()


def test_a_task_that_cannot_be_given_up_says_so(
    esx: Vcsim, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    esx.faults.slow_task("PowerOnVM_Task", seconds=1)
    esx.faults.fault("CancelTask", "NotSupported")
    job = TaskJob(connection, doing(vms(connection)[0].PowerOnVM_Task))
    with pytest.raises(InvalidState, match="runs to its end") as raised:
        job.cancel()
    assert isinstance(raised.value.__cause__, vmodl.fault.NotSupported)
    assert as_task(job).result(10) == [None]


def test_giving_up_what_is_over_is_no_error(connection: Connection) -> None:
    job = TaskJob(connection, doing(vms(connection)[0].PowerOnVM_Task))
    job.cancel()
    assert as_task(job).result(10) == [None]


def test_giving_up_reaches_the_tasks_to_come(esx: Vcsim, connection: Connection) -> None:
    vm = vms(connection)[0]
    esx.faults.slow_task("SuspendVM_Task", seconds=20)
    job = TaskJob(connection, doing(vm.PowerOnVM_Task, vm.SuspendVM_Task))
    job.cancel()  # too late for the first
    with pytest.raises(Cancelled):
        as_task(job).result(10)


def test_a_fault_is_raised_where_the_task_was_yielded(connection: Connection) -> None:
    vm = vms(connection)[0]

    def work() -> Generator[Any, Any, str]:
        yield vm.PowerOnVM_Task()
        try:
            yield vm.PowerOnVM_Task()
        except vim.fault.InvalidPowerState as fault:
            return f"{fault.existingState}: {fault.msg}"
        return ""

    assert finished(connection, work()).startswith("poweredOn: The attempted operation cannot be performed")
    with pytest.raises(vim.fault.InvalidPowerState):
        finished(connection, doing(vm.PowerOnVM_Task))
    status = TaskJob(connection, doing(vm.PowerOnVM_Task)).poll()
    assert isinstance(status.error, vim.fault.InvalidPowerState)


def test_faults_of_tasks_are_pyvmomis(esx: Vcsim, connection: Connection) -> None:
    vm = vms(connection)[0]
    for name in ("NoDiskSpace", "FileLocked", "RequestCanceled", "GenericVmConfigFault", "TaskInProgress"):
        esx.faults.task_fault("PowerOnVM_Task", name)
        kind = Cancelled if name == "RequestCanceled" else getattr(vim.fault, name)
        with pytest.raises(kind):
            finished(connection, doing(vm.PowerOnVM_Task))


def test_a_task_that_the_host_forgot_has_failed_for_all_that_is_known(esx: Vcsim, connection: Connection) -> None:
    vm = vms(connection)[0]
    esx.faults.fault("RetrievePropertiesEx", "ManagedObjectNotFound")
    with pytest.raises(TaskFailed, match="unknown"):
        finished(connection, doing(vm.PowerOnVM_Task))


def test_a_session_that_ends_while_a_task_is_waited_for(esx: Vcsim, connection: Connection) -> None:
    esx.faults.slow_task("PowerOnVM_Task", seconds=2)
    task = as_task(TaskJob(connection, doing(vms(connection)[0].PowerOnVM_Task)))
    for _ in range(2):
        with pytest.raises(Timeout):
            task.result(0.05)
    esx.control.expire_sessions()
    assert task.result(10) == [None]
    assert esx.calls().methods["Login"] == 1


def test_a_connection_that_breaks_while_a_task_is_waited_for(esx: Vcsim, connection: Connection) -> None:
    vm = vms(connection)[0]
    esx.faults.slow_task("PowerOnVM_Task", seconds=1)
    esx.faults.drop("WaitForUpdatesEx", skip=1)
    finished(connection, doing(vm.PowerOnVM_Task))
    undone = []

    def work() -> Work[None]:
        try:
            yield vm.PowerOffVM_Task()
        except ConnectionLost:
            undone.append(True)
            raise

    esx.faults.drop("RetrievePropertiesEx", count=2)
    with pytest.raises(ConnectionLost):
        finished(connection, work())
    assert undone == [True]


def test_threads_wait_for_tasks_of_their_own(esx: Vcsim, connection: Connection) -> None:
    esx.faults.slow_task("PowerOnVM_Task", seconds=1, count=4)
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda vm: finished(connection, doing(vm.PowerOnVM_Task)), vms(connection)))
    assert results == [[None]] * 4
    assert time.monotonic() - began < 3


def test_one_task_can_be_waited_for_by_many_threads(esx: Vcsim, connection: Connection) -> None:
    esx.faults.slow_task("PowerOnVM_Task", seconds=1)
    job = TaskJob(connection, doing(vms(connection)[0].PowerOnVM_Task))
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(as_task(job).result(10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[None]] * 4


def test_what_is_forgotten_is_cleared_away(esx: Vcsim, connection: Connection) -> None:
    first, second = vms(connection)[:2]
    esx.faults.slow_task("PowerOnVM_Task", seconds=1, count=2)
    job = TaskJob(connection, doing(first.PowerOnVM_Task))
    for _ in range(3):
        job.poll()
    del job
    esx.control.reset_calls()
    finished(connection, doing(second.PowerOnVM_Task))
    assert esx.calls().methods["DestroyPropertyCollector"] == 1
