"""MAC addresses that are given to VMs: by one call each, also when several threads ask at once."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hyperkit.errors import AlreadyExists
from hyperkit.jobs import DoneJob, Job

if TYPE_CHECKING:
    from hyperkit.host import Host


class Claim:
    """A call that is about to give a VM its addresses."""

    def __init__(self) -> None:
        self._job: weakref.ref[Job[Any]] | None = None

    def goes_on(self, job: Job[Any]) -> None:
        """It lasts until the job has ended, or nobody looks at it any more."""
        if not isinstance(job, DoneJob):
            self._job = weakref.ref(job)

    @property
    def returned(self) -> bool:
        """Whether it ends with the call that made it."""
        return self._job is None

    @property
    def over(self) -> bool:
        """Whether the job has ended. Looks at the host."""
        if self._job is None:
            return False
        job = self._job()
        return job is None or job.poll().done

    @property
    def forgotten(self) -> bool:
        """Whether nobody holds the job any more."""
        return self._job is not None and self._job() is None


_claims: dict[tuple[str, str], Claim] = {}
"""By the host's identity, so that all connections to it share them, and the address."""
_lock = threading.Lock()


def _after_fork_in_child() -> None:
    """Whoever claimed something stayed in the parent."""
    global _lock  # noqa: PLW0603
    _claims.clear()
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


@contextmanager
def free_macs(host: Host, macs: Iterable[str | None]) -> Iterator[Claim]:
    """To be held from the look whether MAC addresses are free until a VM has them: no hypervisor looks by itself.

    Nobody waits for another call, which may take as long as a disk is copied: who comes second is refused.
    Other processes can still be between the look and the call.

    Raises:
        AlreadyExists: a VM of this host has one, or is being given it; the error names the VM that has it.
    """
    wanted = {mac for mac in macs if mac}
    claim = Claim()
    keys = [(host.identity, mac) for mac in sorted(wanted)]
    try:
        if keys:
            _drop_forgotten()
        for key in keys:
            _take(key, claim, host)
        if wanted:
            check_macs_free(host, wanted)
        yield claim
    except BaseException:
        _give_back(keys, claim)
        raise
    if claim.returned:
        _give_back(keys, claim)


def _take(key: tuple[str, str], claim: Claim, host: Host) -> None:
    with _lock:
        holder = _claims.setdefault(key, claim)
    if holder is claim:
        return
    if holder.over:
        _give_back([key], holder)
        _take(key, claim, host)
        return
    raise AlreadyExists(f"MAC address {key[1]} is just being given to a VM on {host.url}", backend=host.url)


def _give_back(keys: Iterable[tuple[str, str]], claim: Claim) -> None:
    with _lock:
        for key in keys:
            if _claims.get(key) is claim:
                del _claims[key]


def _drop_forgotten() -> None:
    """Else the claims of jobs that nobody waited for would stay as long as the process."""
    with _lock:
        for key in [key for key, claim in _claims.items() if claim.forgotten]:
            del _claims[key]


def check_macs_free(host: Host, macs: Iterable[str]) -> None:
    """Refuse MAC addresses that a VM of this host already has. Reads all VMs."""
    for record in host.driver.vms.list():
        for nic in record.nics:
            if nic.mac in macs:
                raise AlreadyExists(
                    f"MAC address {nic.mac} belongs to VM {record.name!r} on {host.url}", backend=host.url
                )
