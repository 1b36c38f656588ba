"""libvirt's events as notes: which VM to look at again, and what happened that no record shows.

The callbacks run in the thread of the event loop and call nothing of libvirt's but what it answers by itself: a call
that waits for the daemon there waits for its own thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import attrs
import libvirt

from hyperkit.states import PowerState


@attrs.frozen(kw_only=True)
class Note:
    """A reason to look at a VM.

    Attributes:
        vm_id: which.
        state: one that it surely had, if only for a moment.
        rebooted: what is in it began afresh.
        failure: path, whether the VM was paused for it, and whether there was no room, of a disk that failed.
        ended: what work has ended, and the error, if it failed.
    """

    vm_id: str
    state: PowerState | None = None
    rebooted: bool = False
    failure: tuple[str, bool, bool] | None = None
    ended: tuple[str, str | None] | None = None


Take = Callable[[Note], None]

_BY_A_REVERT = libvirt.VIR_DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT
_PAUSES = libvirt.VIR_DOMAIN_EVENT_IO_ERROR_PAUSE

# By number, as everywhere: a newer daemon may send what this binding has no name for.
_JOBS: Mapping[int, str] = MappingProxyType(
    {
        1: "start",
        2: "save",
        3: "restore",
        4: "migration in",
        5: "migration out",
        6: "snapshot",
        7: "revert",
        8: "dump",
        9: "backup",
        10: "snapshot deletion",
    }
)
_BLOCK_JOBS: Mapping[int, str] = MappingProxyType(
    {1: "block pull", 2: "block copy", 3: "block commit", 4: "block commit", 5: "backup"}
)
_BLOCK_JOB_ENDS: Mapping[int, str | None] = MappingProxyType({0: None, 1: "it failed", 2: "it was cancelled"})


def register(conn: Any, take: Take) -> None:
    """Have ``take`` called with a note for whatever happens to a VM, as long as the session lasts."""

    def listen(event: int, note: Callable[..., Note | None]) -> None:
        def called(_conn: Any, domain: Any, *args: Any) -> None:
            made = note(domain.UUIDString(), *args[:-1])
            if made is not None:
                take(made)

        try:
            conn.domainEventRegisterAny(None, event, called, None)
        except libvirt.libvirtError as error:
            # A daemon that is older than the binding has not all of them.
            if error.get_error_code() not in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_NO_SUPPORT):
                raise

    listen(libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, _lifecycle)
    listen(libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, lambda vm_id: Note(vm_id=vm_id, rebooted=True))
    listen(libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, _io_error)
    listen(libvirt.VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, _job)
    listen(libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, _block_job)
    for event in _LOOK_AGAIN:
        listen(event, lambda vm_id, *_: Note(vm_id=vm_id))


_LOOK_AGAIN = (
    libvirt.VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED,
    libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
    libvirt.VIR_DOMAIN_EVENT_ID_DISK_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_METADATA_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_PMSUSPEND,
    libvirt.VIR_DOMAIN_EVENT_ID_PMWAKEUP,
    libvirt.VIR_DOMAIN_EVENT_ID_TRAY_CHANGE,
    libvirt.VIR_DOMAIN_EVENT_ID_TUNABLE,
)


def _lifecycle(vm_id: str, event: int, detail: int) -> Note | None:
    """Pauses are looked up, since libvirt calls what a snapshot or save does to a VM a pause, too.

    A revert stops a VM and starts it again: what comes of it is seen when that is over.
    """
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        if detail == _BY_A_REVERT:
            return None
        saved = detail == libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED
        return Note(vm_id=vm_id, state=PowerState.SUSPENDED if saved else PowerState.OFF)
    if event == libvirt.VIR_DOMAIN_EVENT_STARTED and detail != libvirt.VIR_DOMAIN_EVENT_STARTED_FROM_SNAPSHOT:
        return Note(vm_id=vm_id, state=PowerState.RUNNING)
    return Note(vm_id=vm_id)


def _io_error(vm_id: str, path: str, _alias: str, action: int, reason: str) -> Note:
    return Note(vm_id=vm_id, failure=(path, action == _PAUSES, reason == "enospc"))


def _job(vm_id: str, params: Mapping[str, Any]) -> Note:
    error = params.get("errmsg")
    if error is None and not params.get("success", True):
        error = "it failed"
    return Note(vm_id=vm_id, ended=(_JOBS.get(params.get("operation", 0), "job"), error))


def _block_job(vm_id: str, _target: str, kind: int, status: int) -> Note | None:
    if status not in _BLOCK_JOB_ENDS:  # ready to be ended
        return None
    return Note(vm_id=vm_id, ended=(_BLOCK_JOBS.get(kind, "block job"), _BLOCK_JOB_ENDS[status]))
