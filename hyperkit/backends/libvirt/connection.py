"""The connection to libvirt: opened, re-opened once it broke, and what does not change while it lasts."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import libvirt

from hyperkit.backends.libvirt import errors
from hyperkit.backends.libvirt.loop import ensure_running
from hyperkit.checks import refuse
from hyperkit.clock import Clock, SystemClock
from hyperkit.driver import Target
from hyperkit.errors import AuthenticationFailed, ConnectionFailed, InvalidState, NotFound

T = TypeVar("T")

LIVE, CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG
"""What a change is of: the domain that runs, and what it will be from its next start on."""

# libvirt prints every error to standard error unless it is given somebody else to tell; ours are raised.
libvirt.registerErrorHandler(lambda _context, _error: None, None)

_NAMES = (libvirt.VIR_CRED_USERNAME, libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_ECHOPROMPT)
_SECRETS = (libvirt.VIR_CRED_PASSPHRASE, libvirt.VIR_CRED_NOECHOPROMPT)


class _EditLock:
    """Whoever holds it is the only one in this process who changes a VM's configuration."""

    def __init__(self) -> None:
        self.lock = threading.RLock()


_edit_locks: weakref.WeakValueDictionary[str, _EditLock] = weakref.WeakValueDictionary()
"""By the VM's UUID alone, so that all connections share them, whatever URL they reached the host by."""
_edit_locks_lock = threading.Lock()


class Connection:
    """One session with one libvirt daemon.

    Attributes:
        url: where, without secrets.
        clock: the caller's.
        kind: libvirt's name of the driver: ``QEMU``, ``TEST``, ``LXC``, ``Xen`` …
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._closed = False
        self._conn: Any = _open(target)
        self.url = target.url
        self.clock: Clock = target.clock or SystemClock()
        self.kind = str(self._conn.getType())

    @property
    def conn(self) -> Any:
        """The virConnect; a new one if the last one broke. Asking whether it did costs no round trip."""
        if self._closed:
            raise InvalidState(f"the connection to {self.url} was closed")
        if not self._conn.isAlive():
            with self._lock:
                if not self._conn.isAlive():
                    self._conn = _open(self._target)
        return self._conn

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

    def repeat(self, read: Callable[[], T]) -> T:
        """Call something that only reads; once more with a new session if the session breaks meanwhile."""
        try:
            return read()
        except libvirt.libvirtError as error:
            if not errors.is_lost(error):
                raise
        return read()

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
        try:
            return {network.name(): network.UUIDString() for network in self.conn.listAllNetworks(0)}
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                return {}
            raise

    def close(self) -> None:
        """End the session; a second time does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._conn.close()


def _open(target: Target) -> Any:
    ensure_running()

    def answer(credentials: list[list[Any]], _data: object) -> int:
        for credential in credentials:
            kind = credential[0]
            value = target.user if kind in _NAMES else target.password if kind in _SECRETS else None
            if value is None:
                return -1
            credential[4] = value
        return 0

    try:
        return libvirt.openAuth(_uri(target), [[*_NAMES, *_SECRETS], answer, None], 0)
    except libvirt.libvirtError as error:
        kind = AuthenticationFailed if isinstance(errors.translate(error), AuthenticationFailed) else ConnectionFailed
        raise kind(f"cannot connect to {target.url}: {error}") from error


def _uri(target: Target) -> str:
    """The URL as libvirt wants it: the user where ssh looks for it, and our ``verify`` in libvirt's words."""
    parts = urlsplit(target.url)
    netloc, query = parts.netloc, parts.query
    if target.user and target.host and "@" not in netloc:
        netloc = f"{quote(target.user, safe='')}@{netloc}"
    if target.verify is False and "no_verify" not in target.options:
        query = "&".join(filter(None, (query, "no_verify=1")))
    elif isinstance(target.verify, str) and "pkipath" not in target.options:
        place = PurePosixPath(target.verify)
        if place.name != "cacert.pem":
            refuse("verify", target.verify, "libvirt takes the CA from a file cacert.pem in a directory")
        query = "&".join(filter(None, (query, f"pkipath={quote(str(place.parent))}")))
    # Not urlunsplit: it would make "test:/default" of "test:///default".
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if query else "")
