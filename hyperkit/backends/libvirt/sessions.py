"""Sessions of one connection: one for each call that is under way.

Threads could share a virConnect, but should not. Once its peer is dead, one of the calls that wait on it fails, and
the others wait on for ever, or crash the program when the peer comes back (libvirt 9.0; the crash is CVE-2024-4418).
And a daemon serves five calls of a session (``max_client_requests``) and then reads nothing from it, neither the next
call nor an answer to its pings, after which it takes the client for dead. So each operation has a session to itself
while it lasts, and so has the job it leaves behind. The first is always there; others are opened when threads need
them, and a few stay for the next time.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from hyperkit.backends.libvirt.errors import asked
from hyperkit.errors import InvalidState
from hyperkit.jobs import ThreadJob

_SPARE = 4
"""Sessions that stay open, besides the first, while no call needs them."""


Open = Callable[[], tuple[Any, bool]]
"""Opens a virConnect, and tells whether there is a peer at its other end."""


class Session:
    """A virConnect that is opened when it is needed, and again once it broke.

    Attributes:
        shared: whether it has no peer, so that any number of threads may use it; known once it was opened.
    """

    def __init__(self, open: Open, reopened: Callable[[Any], None]) -> None:
        self._open = open
        self._reopened = reopened
        self._lock = threading.Lock()
        self._conn: Any = None
        self.shared = False

    @property
    def conn(self) -> Any:
        """The virConnect. Asking whether it broke costs no round trip."""
        with self._lock:
            if self._conn is None or not asked(self._conn.isAlive, 1):
                broke = self._conn is not None
                self._conn, peer = self._open()
                self.shared = not peer
                if broke:
                    self._reopened(self._conn)
            return self._conn

    def leave(self) -> None:
        """Let go of a virConnect on which a call does not come back. It ends with the last who holds it: the call."""
        with self._lock:
            self._conn = None

    def close(self) -> None:
        with self._lock:
            conn, self._conn = self._conn, None
        if conn is not None:
            conn.close()

    def forget(self) -> None:
        """Let go of a virConnect that is another process's: to close it would end that one's session."""
        self._lock = threading.Lock()
        conn, self._conn = self._conn, None
        if conn is not None:
            conn._o = None


class _Lease:
    """One operation's hold on a session: its own, and that of the job that goes on after it."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.session = sessions.take()

    def end(self) -> None:
        self.sessions.give_back(self.session)


_lease: ContextVar[_Lease | None] = ContextVar("hyperkit-libvirt-lease", default=None)


class Sessions:
    """The sessions of one connection.

    ``open`` opens a virConnect, ``reopened`` is called with one that is in place of one that broke, ``url`` is for
    messages.
    """

    def __init__(self, open: Open, reopened: Callable[[Any], None], url: str) -> None:
        self._open = open
        self._reopened = reopened
        self._url = url
        self._lock = threading.Lock()
        self._closed = False
        self.first = Session(open, reopened)
        self._users = {self.first: 0}
        _all.add(self)

    @property
    def conn(self) -> Any:
        """The virConnect of the operation that asks; the first one's outside of any."""
        lease = _lease.get()
        if lease is not None and lease.sessions is self:
            return lease.session.conn
        return self.native

    def leave(self) -> None:
        """Leave the virConnect of the operation that asks behind; it gets another."""
        lease = _lease.get()
        (lease.session if lease is not None and lease.sessions is self else self.first).leave()

    @property
    def native(self) -> Any:
        """The first one's virConnect, which no operation takes away."""
        self._check()
        return self.first.conn

    def around(self, _operation: str, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Make a call with a session of its own; see `hyperkit.instrument.intercept`."""
        outer = _lease.get()
        if outer is not None and outer.sessions is self:  # a caller's own file that reads from the host, say
            return method(*args)
        lease = _Lease(self)
        token = _lease.set(lease)
        result = None
        try:
            result = method(*args)
        finally:
            _lease.reset(token)
            if isinstance(result, ThreadJob):
                result.afterwards(lease.end)
            else:
                lease.end()
        return result

    def take(self) -> Session:
        """A session that nobody uses."""
        with self._lock:
            self._check()
            unused = (session for session, users in self._users.items() if not users)
            session = self.first if self.first.shared else next(unused, None) or Session(self._open, self._reopened)
            self._users[session] = self._users.get(session, 0) + 1
            return session

    def give_back(self, session: Session) -> None:
        """It is not used any more."""
        with self._lock:
            if session not in self._users:  # forked in mid-call: it is the parent's
                return
            self._users[session] -= 1
            unused = sum(not users for users in self._users.values())
            close = not self._users[session] and (
                self._closed or (session is not self.first and unused > _SPARE + (not self._users[self.first]))
            )
            if close:
                del self._users[session]
        if close:
            session.close()

    def close(self) -> None:
        """End all sessions; those in use end with their calls."""
        with self._lock:
            self._closed = True
            unused = [session for session, users in self._users.items() if not users]
            for session in unused:
                del self._users[session]
        for session in unused:
            session.close()

    def _check(self) -> None:
        if self._closed:
            raise InvalidState(f"the connection to {self._url} was closed")

    def _forget(self) -> None:
        """In a forked child, all of them are the parent's."""
        self._lock = threading.Lock()
        for session in self._users:
            session.forget()
        self._users = {} if self._closed else {self.first: 0}


_all: weakref.WeakSet[Sessions] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for sessions in list(_all):
        sessions._forget()


os.register_at_fork(after_in_child=_after_fork_in_child)
