"""Reading many things at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed")

from hyperkit.backends.libvirt import listing  # noqa: E402
from hyperkit.backends.libvirt.connection import Connection  # noqa: E402
from hyperkit.backends.libvirt.listing import AT_ONCE  # noqa: E402

T = TypeVar("T")
R = TypeVar("R")


class Remote:
    """A connection to a daemon, as far as a list needs one."""

    def __init__(self, *, shared: bool = False) -> None:
        self.sessions = SimpleNamespace(first=SimpleNamespace(shared=shared))
        self.others = 0
        self.broken = False

    def beside(self, look: Callable[[], T]) -> Callable[[], T]:
        self.others += 1
        if self.broken:
            raise libvirt.libvirtError("no session for you")
        return look


def read_each(
    read: Callable[[T], R], things: Iterable[T], *, remote: Remote | None = None, again: Iterable[T] | None = None
) -> list[tuple[T, R]]:
    things = list(things)
    return listing.read_each(
        cast(Connection, remote or Remote()), things, read, again=lambda: things if again is None else again, key=str
    )


@pytest.fixture
def connection() -> Iterator[Any]:
    """libvirt's test driver with some more domains."""
    with closing(libvirt.open("test:///default")) as connection:
        for number in range(10):
            connection.defineXML(
                f"<domain type='test'><name>read-{number}</name><memory>1024</memory><os><type>hvm</type></os></domain>"
            )
        yield connection


@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_what_is_read_comes_in_order(count: int) -> None:
    assert read_each(lambda number: number * 2, range(count)) == [(number, number * 2) for number in range(count)]


def test_what_vanished_meanwhile_is_left_out(connection: Any) -> None:
    domains = {domain.name(): domain for domain in connection.listAllDomains()}
    for name in ("read-3", "read-7"):
        domains[name].undefine()
    read = read_each(lambda name: str(domains[name].XMLDesc()), sorted(domains))
    assert [name for name, _ in read] == sorted(domains.keys() - {"read-3", "read-7"})
    assert all(f"<name>{name}</name>" in text for name, text in read)


def test_an_error_ends_the_reading_and_is_raised() -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise libvirt.libvirtError("broken")
        return number

    with pytest.raises(libvirt.libvirtError, match="broken"):
        read_each(read, range(10_000))
    assert len(begun) < 10_000


def test_so_many_threads_read_and_no_more() -> None:
    together = threading.Barrier(AT_ONCE, timeout=60)  # broken, and an error, if they do not come together
    readers: set[int] = set()

    def read(_: int) -> None:
        readers.add(threading.get_ident())
        together.wait()

    read_each(read, range(AT_ONCE * 3))
    assert len(readers) == AT_ONCE


@pytest.mark.parametrize(("count", "shared"), [(8, False), (100, True)], ids=["few", "without a peer"])
def test_other_threads_help_where_they_are_of_use(count: int, shared: bool) -> None:
    remote = Remote(shared=shared)
    assert len(read_each(str, range(count), remote=remote)) == count
    assert remote.others == 0


def test_what_the_others_cannot_do_the_caller_s_thread_does() -> None:
    remote = Remote()
    remote.broken = True
    assert read_each(str, range(100), remote=remote) == [(number, str(number)) for number in range(100)]
    assert remote.others == AT_ONCE - 1


def test_what_fails_in_another_thread_is_read_again() -> None:
    caller = threading.get_ident()
    failed = threading.Event()

    def read(number: int) -> int:
        if threading.get_ident() == caller:
            assert failed.wait(60)
            return number
        failed.set()
        raise libvirt.libvirtError("lost")

    assert read_each(read, range(100)) == [(number, number) for number in range(100)]


def test_the_threads_end_with_the_call() -> None:
    read_each(lambda number: number, range(20))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hyperkit-read")]
