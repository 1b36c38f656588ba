"""Reading many things at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

libvirt = pytest.importorskip("libvirt", reason="libvirt-python is not installed")

from hyperkit.backends.libvirt.listing import AT_ONCE, read_each  # noqa: E402


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
    domains = sorted(connection.listAllDomains(), key=lambda domain: str(domain.name()))
    gone = [domain for domain in domains if domain.name() in ("read-3", "read-7")]
    for domain in gone:
        domain.undefine()
    read = read_each(lambda domain: domain.XMLDesc(), domains)
    assert [domain for domain, _ in read] == [domain for domain in domains if domain not in gone]
    assert all(f"<name>{domain.name()}</name>" in text for domain, text in read)


def test_another_error_ends_the_reading_and_is_raised() -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise libvirt.libvirtError("broken")
        return number

    with pytest.raises(libvirt.libvirtError, match="broken"):
        read_each(read, range(10_000))
    assert len(begun) < 10_000


def test_as_many_reads_are_in_flight_as_one_client_may_have_and_no_more() -> None:
    together = threading.Barrier(AT_ONCE, timeout=60)  # broken, and an error, if they do not come together
    lock = threading.Lock()
    now = most = 0

    def read(_: int) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait()
        with lock:
            now -= 1

    read_each(read, range(AT_ONCE * 3))
    assert most == AT_ONCE


def test_the_threads_end_with_the_call() -> None:
    read_each(lambda number: number, range(20))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hyperkit-read")]
