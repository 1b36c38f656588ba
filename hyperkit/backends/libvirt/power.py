"""Power verbs.

Verbs that may take long, because they read or write a VM's whole memory, run as jobs; libvirt's calls block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import libvirt

from hyperkit.backends.libvirt import agent, containers
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.reader import Reader
from hyperkit.jobs import Job, JobStatus, Progress, ThreadJob
from hyperkit.records import PowerRecord
from hyperkit.states import PowerAction, PowerState


class Power:
    """Does what `VMPort.set_power` is asked."""

    def __init__(self, connection: Connection, reader: Reader) -> None:
        self._connection = connection
        self._reader = reader
        self._asked_agent: set[str] = set()

    def act(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        """Do one action."""
        domain = self._connection.domain(vm_id)
        if action is PowerAction.START:
            return ThreadJob("start", lambda: self._start(domain))
        if action is PowerAction.SUSPEND:
            return ThreadJob(
                "suspend",
                lambda: self._suspend(domain),
                progress=self._connection.beside(lambda: _progress(self._connection.domain(vm_id))),
                abort=self._connection.beside(lambda: self._abort(vm_id)),
            )
        if action is PowerAction.RESUME:
            return self._resume(domain)
        if action in _REQUESTS and self._connection.kind == "QEMU":
            self._request(domain, vm_id, action)
        elif action in _REQUESTS and self._connection.kind == "LXC":
            containers.ask(domain, action)
        else:
            _SIMPLE[action](domain)
        return self._reader.power(domain)

    def _request(self, domain: Any, vm_id: str, action: PowerAction) -> None:
        """Ask the guest by its agent, if that answers, and the next time by its power button.

        Either may be deaf: a system that has no program for the agent to call, a desktop that asks its user what the
        button means. libvirt's own choice asks one of them alone, and waits a minute for the agent.
        """
        mode, call, button = _REQUESTS[action]
        if vm_id not in self._asked_agent and agent.ask_to_stop(domain, mode):
            self._asked_agent.add(vm_id)
            return
        self._asked_agent.discard(vm_id)
        try:
            call(domain, button)
        except libvirt.libvirtError as error:
            # A guest that the agent has let go off may be off before the agent's silence is noticed.
            if action is not PowerAction.SHUTDOWN or error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                raise
            if domain.isActive():
                raise

    def _start(self, domain: Any) -> PowerRecord:
        if self._connection.kind == "LXC":
            containers.check_root(self._connection.conn, domain)
        try:
            domain.create()  # from its saved memory, if it has any
        except libvirt.libvirtError as error:
            # A crashed VM that its <on_crash> preserves is still active: the rest of it goes first.
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                raise
            if self._reader.power(domain).state is not PowerState.CRASHED:
                raise
            domain.destroy()
            domain.create()
        return self._reader.power(domain)

    def _suspend(self, domain: Any) -> PowerRecord:
        domain.managedSave(0)
        return self._reader.power(domain)

    def _abort(self, vm_id: str) -> None:
        self._connection.domain(vm_id).abortJob()

    def _resume(self, domain: Any) -> PowerRecord | Job[PowerRecord]:
        try:
            domain.resume()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID:
                raise
            if self._reader.power(domain).state is not PowerState.SLEEPING:
                raise
            domain.pMWakeup(0)
            return _Awake(lambda: self._reader.power(domain))
        return self._reader.power(domain)


class _Awake(Job[PowerRecord]):
    """Over once the guest is awake: the call that wakes it does not wait for that."""

    def __init__(self, read: Callable[[], PowerRecord]) -> None:
        self._read = read

    def poll(self) -> JobStatus[PowerRecord]:
        record = self._read()
        asleep = record.state is PowerState.SLEEPING
        return JobStatus(not asleep, Progress(phase="waking"), None if asleep else record)


_SIMPLE: Mapping[PowerAction, Callable[[Any], object]] = MappingProxyType(
    {
        PowerAction.STOP: lambda domain: domain.destroy(),
        PowerAction.SHUTDOWN: lambda domain: domain.shutdown(),
        PowerAction.REBOOT: lambda domain: domain.reboot(0),
        PowerAction.RESET: lambda domain: domain.reset(0),
        PowerAction.PAUSE: lambda domain: domain.suspend(),
        PowerAction.DISCARD: lambda domain: domain.managedSaveRemove(0),
    }
)


_REQUESTS: Mapping[PowerAction, tuple[str, Callable[[Any, int], object], int]] = MappingProxyType(
    {
        PowerAction.SHUTDOWN: (
            "powerdown",
            lambda domain, flags: domain.shutdownFlags(flags),
            libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN,
        ),
        PowerAction.REBOOT: (
            "reboot",
            lambda domain, flags: domain.reboot(flags),
            libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN,
        ),
    }
)
"""How a guest is asked: the agent's word, libvirt's call, and its flag for the power button."""


def _progress(domain: Any) -> Progress:
    """There are figures only while a job runs."""
    try:
        stats = domain.jobStats(0)
    except libvirt.libvirtError:
        return Progress(phase="saving memory")
    total, done = stats.get("data_total", 0), stats.get("data_processed", 0)
    fraction = min(done / total, 1.0) if total else None
    return Progress(fraction, "saving memory", done, total or None)
