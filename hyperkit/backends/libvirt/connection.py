"""The connection to libvirt: opened, re-opened once it broke, and what does not change while it lasts."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import libvirt

from hyperkit.backends.libvirt import errors
from hyperkit.backends.libvirt.datastores import end_lost_looks
from hyperkit.backends.libvirt.opening import open_session
from hyperkit.backends.libvirt.sessions import Sessions
from hyperkit.clock import Clock, SystemClock
from hyperkit.driver import Target
from hyperkit.errors import ConnectionFailed, NotFound

T = TypeVar("T")

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
"""What a change is of: the domain that runs, and what it will be from its next start on."""


class _EditLock:
    """Whoever holds it is the only one in this process who changes a VM's configuration."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


_edit_locks: weakref.WeakValueDictionary[str, _EditLock] = weakref.WeakValueDictionary()
"""By the VM's UUID alone, so that all connections share them, whatever URL they reached the host by."""
_edit_locks_lock = threading.Lock()


def _after_fork_in_child() -> None:
    """Whoever holds a lock stayed in the parent."""
    global _edit_locks_lock  # noqa: PLW0603
    _edit_locks.clear()
    _edit_locks_lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork_in_child)


class Connection:
    """What a `Driver` holds of one libvirt daemon.

    Attributes:
        sessions: with the daemon.
        url: where, without secrets.
        clock: the caller's.
        kind: libvirt's name of the driver: ``QEMU``, ``TEST``, ``LXC``, ``Xen`` …
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self.sessions = Sessions(lambda: open_session(target), end_lost_looks, target.url)
        self.url = target.url
        self.clock: Clock = target.clock or SystemClock()
        self.kind = str(self.conn.getType())

    @property
    def conn(self) -> Any:
        """The virConnect of the operation that asks; a new one if the last one broke."""
        return self.sessions.conn

    @property
    def native(self) -> Any:
        """The first session's virConnect, which lasts until it breaks or the connection is closed."""
        return self.sessions.native

    def open(self) -> Any:
        """A new virConnect, for what lasts longer than a call; whoever opens it closes it."""
        return open_session(self._target)[0]

    def leave(self) -> None:
        """Let the operation that asks go on with a new virConnect: on the present one a call does not come back."""
        self.sessions.leave()

    @property
    def transport(self) -> str:
        """How the daemon is reached: ``ssh``, ``tcp``, ``unix`` …; empty in the URL's own default."""
        return self._target.scheme.partition("+")[2]

    @property
    def local(self) -> bool:
        """Whether the daemon runs on this machine."""
        return not self._target.host and self.transport in ("", "unix")

    @property
    def session(self) -> bool:
        """Whether the daemon is a user's own, without privileges."""
        return self._target.path.rstrip("/").endswith("/session")

    def beside(self, look: Callable[[], T]) -> Callable[[], T]:
        """The same with a session of its own, for what is called from other threads while a job goes on."""
        return lambda: self.sessions.around("", look, ())

    def repeat(self, read: Callable[[], T]) -> T:
        """Call something that only reads; once more with a new session if the session breaks meanwhile."""
        try:
            return read()
        except libvirt.libvirtError as error:
            if not errors.is_lost(error):
                raise
            lost = error
        try:
            return read()
        except ConnectionFailed as error:
            raise lost from error

    @contextmanager
    def editing(self, vm_id: str) -> Iterator[None]:
        """To be held from reading a VM's configuration until it is written back.

        libvirt has no version of a configuration that a write could name, so the last write wins. This keeps the
        threads of one process from losing each other's changes; another process can still do it.
        """
        with _edit_locks_lock:
            held = _edit_locks.setdefault(vm_id.lower(), _EditLock())
        with held.lock:
            yield

    def domain(self, vm_id: str) -> Any:
        """The domain with this UUID.

        Raises:
            NotFound: there is none.
        """
        try:
            return self.conn.lookupByUUIDString(vm_id)
        except libvirt.libvirtError as error:
            # What is no UUID at all is no argument for libvirt.
            if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_INVALID_ARG):
                raise NotFound(f"no VM with id {vm_id!r} on {self.url}") from error
            raise

    def networks(self) -> dict[str, str]:
        """The ids of the networks by their names, in one round trip."""
        networks: list[Any] = errors.asked(lambda: self.conn.listAllNetworks(0), [])
        return {network.name(): network.UUIDString() for network in networks}

    def close(self) -> None:
        """End the sessions; a second time does nothing."""
        self.sessions.close()
