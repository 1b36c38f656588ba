"""Opening a session: libvirt's URI, the credentials, and how long a peer may be silent.

libvirt itself waits for a daemon that accepts and does not answer for ever. So a session is opened in a thread that
is left behind when the time is up; it closes what it gets after that. Once open, the session pings its peer, and
ends if no answer comes: calls that wait then fail as every call does that lost its session.
"""

from __future__ import annotations

import threading
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import libvirt

from hyperkit.backends.libvirt import errors
from hyperkit.backends.libvirt.loop import ensure_running
from hyperkit.checks import refuse
from hyperkit.driver import Target
from hyperkit.errors import AuthenticationFailed, ConnectionFailed, InvalidRequest

PATIENCE = 30.0
"""Seconds until a silent peer counts as dead, and a host as not reachable, unless the caller has set others: what
libvirt's daemons, five pings that are five seconds apart, give their clients."""
_PINGS = 5
_NO_PINGS = (0, 0)

_NAMES = (libvirt.VIR_CRED_USERNAME, libvirt.VIR_CRED_AUTHNAME, libvirt.VIR_CRED_ECHOPROMPT)
_SECRETS = (libvirt.VIR_CRED_PASSPHRASE, libvirt.VIR_CRED_NOECHOPROMPT)

# libvirt prints every error to standard error unless it is given somebody else to tell; ours are raised.
libvirt.registerErrorHandler(lambda _context, _error: None, None)


def open_session(target: Target) -> tuple[Any, bool]:
    """A new virConnect, and whether it has a peer: some drivers work in this very process.

    Raises:
        ConnectionFailed: the daemon cannot be reached, or not in time.
        AuthenticationFailed: it refuses the credentials.
    """
    seconds = PATIENCE if target.timeout is None else target.timeout
    loop = ensure_running()
    opening = _Opening(target)
    opening.start()
    conn = opening.result(seconds)
    try:
        conn.setKeepAlive(*(pings(seconds) if loop else _NO_PINGS))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
            return conn, False
        conn.close()
        raise
    return conn, True


def pings(seconds: float) -> tuple[int, int]:
    """Interval and count with which libvirt ends a session after ``seconds`` of silence, at the least after two.

    It sends a ping at each interval and gives up one interval after the last; all are whole seconds.
    """
    interval = max(1, int(seconds / (_PINGS + 1)))
    return interval, max(1, int(seconds / interval) - 1)


class _Opening(threading.Thread):
    """One attempt to connect."""

    def __init__(self, target: Target) -> None:
        super().__init__(name="hyperkit-connect", daemon=True)
        self._target = target
        self._uri = uri_of(target)
        self._ended = threading.Event()
        self._taken = threading.Lock()
        self._conn: Any = None
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._conn = libvirt.openAuth(self._uri, [[*_NAMES, *_SECRETS], self._answer, None], 0)
        except Exception as error:
            self._error = error
        if self._taken.acquire(blocking=False):
            self._ended.set()
        elif self._conn is not None:  # too late, nobody waits any more
            self._conn.close()

    def result(self, seconds: float) -> Any:
        """The virConnect, if there is one in time."""
        url = self._target.url
        if not self._ended.wait(seconds) and self._taken.acquire(blocking=False):
            raise ConnectionFailed(f"cannot connect to {url}: no answer within {seconds:g} seconds")
        self._ended.wait()
        self.join()
        if isinstance(self._error, libvirt.libvirtError):
            kind, hint = _why(self._error)
            raise kind(f"cannot connect to {url}: {self._error}{hint}") from self._error
        if self._error is not None:
            raise self._error
        return self._conn

    def _answer(self, credentials: list[list[Any]], _data: object) -> int:
        for credential in credentials:
            kind = credential[0]
            value = self._target.user if kind in _NAMES else self._target.password if kind in _SECRETS else None
            if value is None:
                return -1
            credential[4] = value
        return 0


def _why(error: Any) -> tuple[type[ConnectionFailed], str]:
    """Which of our errors it is, and what to do about it where libvirt's words leave that open."""
    text = str(error)
    if "peer's certificate" in text:  # with the code of credentials that are refused, but it is we who refuse
        return ConnectionFailed, " (its issuer and the host's name are checked; see verify=)"
    if "Permission denied (" in text:  # ssh's own words
        return AuthenticationFailed, ""
    return (AuthenticationFailed if isinstance(errors.translate(error), AuthenticationFailed) else ConnectionFailed), ""


def uri_of(target: Target) -> str:
    """The URL as libvirt wants it: the user where ssh looks for it, and our ``verify`` in libvirt's words.

    What asks at a terminal would wait there for ever: ssh is told not to.
    """
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
    if target.scheme.endswith("+ssh") and target.password is not None:
        raise InvalidRequest("password: ssh takes none from a program; use a key, or an agent", field="password")
    if target.scheme.endswith("+ssh") and "no_tty" not in target.options:
        query = "&".join(filter(None, (query, "no_tty=1")))
    # Not urlunsplit: it would make "test:/default" of "test:///default".
    return f"{parts.scheme}://{netloc}{parts.path}" + (f"?{query}" if query else "")
