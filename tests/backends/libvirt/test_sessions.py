"""One session for each call that is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hyperkit.clock import SystemClock
from hyperkit.errors import InvalidState
from hyperkit.jobs import ThreadJob

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt.sessions import _SPARE, Sessions

PATIENCE = 60


class Conn:
    """A virConnect."""

    def __init__(self, opened: list[Conn]) -> None:
        opened.append(self)
        self.open = True

    def isAlive(self) -> bool:  # noqa: N802  libvirt's name
        return self.open

    def close(self) -> None:
        assert self.open
        self.open = False


class Pool:
    """Sessions, and what they opened."""

    def __init__(self, *, peer: bool = True) -> None:
        self.opened: list[Conn] = []
        self.reopened: list[Conn] = []
        self.sessions = Sessions(lambda: (Conn(self.opened), peer), self.reopened.append, "qemu:///system")
        assert self.sessions.native is self.opened[0]

    @property
    def open(self) -> int:
        return sum(conn.open for conn in self.opened)

    def call(self, work: Callable[[], Any] = lambda: None) -> Any:
        return self.sessions.around("vms.get", work, ())

    def together(self, count: int) -> list[Conn]:
        """The sessions of so many calls that are under way at once."""
        barrier = threading.Barrier(count, timeout=PATIENCE)

        def work() -> Conn:
            conn: Conn = self.sessions.conn
            barrier.wait()
            return conn

        with ThreadPoolExecutor(count) as pool:
            return [each.result(PATIENCE) for each in [pool.submit(self.call, work) for _ in range(count)]]


def test_calls_one_after_the_other_use_one_session() -> None:
    pool = Pool()
    assert {pool.call(lambda: pool.sessions.conn) for _ in range(5)} == {pool.sessions.native}
    assert len(pool.opened) == 1


def test_calls_at_once_have_one_each_and_a_few_stay() -> None:
    pool = Pool()
    assert len(set(pool.together(10))) == 10
    assert pool.open == 1 + _SPARE
    assert pool.sessions.native.open
    pool.together(1 + _SPARE)
    assert len(pool.opened) == 10


def test_a_call_keeps_its_session_over_all_its_steps() -> None:
    pool = Pool()

    def outer() -> set[Conn]:
        inner = pool.call(lambda: pool.sessions.conn)
        assert pool.call(lambda: len(pool.together(3))) == 3
        return {pool.sessions.conn, inner, pool.sessions.conn}

    assert len(pool.call(outer)) == 1


def test_a_driver_without_a_peer_is_shared() -> None:
    """Its world may live in the session."""
    pool = Pool(peer=False)
    assert set(pool.together(10)) == {pool.sessions.native}
    assert len(pool.opened) == 1
    pool.sessions.close()
    assert pool.open == 0


def test_a_job_takes_its_session_along() -> None:
    pool = Pool()
    go_on = threading.Event()

    def job() -> ThreadJob[Conn]:
        def work() -> Conn:
            assert go_on.wait(PATIENCE)
            conn: Conn = pool.sessions.conn
            return conn

        return ThreadJob("test", work)

    started: ThreadJob[Conn] = pool.call(job)
    assert pool.call(lambda: pool.sessions.conn) is not pool.sessions.native
    go_on.set()
    started.wait(PATIENCE, SystemClock())
    started.join()
    assert started.poll().result is pool.sessions.native
    assert pool.call(lambda: pool.sessions.conn) is pool.sessions.native


def test_a_call_that_fails_gives_its_session_back() -> None:
    pool = Pool()
    with pytest.raises(ZeroDivisionError):
        pool.call(lambda: 1 / 0)
    pool.call()
    assert len(pool.opened) == 1


def test_one_that_broke_is_opened_again() -> None:
    pool = Pool()
    pool.opened[0].open = False
    assert pool.call(lambda: pool.sessions.conn) is pool.sessions.native is pool.opened[1]
    assert pool.reopened == [pool.opened[1]]


def test_closing_ends_what_is_not_in_use_and_the_rest_with_its_calls() -> None:
    pool = Pool()

    def work() -> bool:
        pool.sessions.close()
        pool.sessions.close()
        assert pool.open == 1
        return bool(pool.sessions.conn.open)  # and the call goes on

    pool.together(3)
    assert pool.call(work) is True
    assert pool.open == 0
    uses: list[Callable[[], Any]] = [pool.call, lambda: pool.sessions.conn, lambda: pool.sessions.native]
    for use in uses:
        with pytest.raises(InvalidState, match="closed"):
            use()


def test_a_call_that_forked_ends_in_the_child_too() -> None:
    """Its session is the parent's; `_forget` is what the child does first."""
    pool = Pool()
    pool.together(2)
    first = pool.sessions.first

    def work() -> str:
        pool.sessions.conn  # noqa: B018  the other call's session
        pool.sessions._forget()
        return "done"

    pool.sessions._users[first] += 1  # so that the call has another one
    assert pool.call(work) == "done"
    assert pool.sessions._users == {first: 0}
