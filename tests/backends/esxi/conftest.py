"""An ESXi host and a vCenter, simulated, for all tests of a file; each test begins without faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hyperkit.connection import parse
from tests.beds.vcsim import Vcsim, missing


def _bed(**model: Any) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(**model) as bed:
        yield bed


@pytest.fixture(scope="module")
def an_esx() -> Iterator[Vcsim]:
    yield from _bed(model="esx", machines=4)


@pytest.fixture(scope="module")
def a_vcenter() -> Iterator[Vcsim]:
    yield from _bed(model="vcenter", machines=0, datacenters=2)


@pytest.fixture
def esx(an_esx: Vcsim) -> Vcsim:
    """A host by itself, with four VMs."""
    return _quiet(an_esx)


@pytest.fixture
def vcenter(a_vcenter: Vcsim) -> Vcsim:
    """A vCenter of two datacenters, DC0 and DC1, each with a host by itself and a cluster of three."""
    return _quiet(a_vcenter)


def _quiet(bed: Vcsim) -> Vcsim:
    bed.faults.clear()
    bed.control.expire_sessions()
    bed.control.reset_calls()
    return bed


@pytest.fixture
def session() -> Iterator[Callable[..., Any]]:
    """Opens a connection to a bed, by its URL or another, and closes it after the test."""
    from hyperkit.backends.esxi.connection import Connection

    with ExitStack() as stack:

        def opened(bed: Vcsim, url: str = "", **more: Any) -> Connection:
            options = {"password": bed.password, "verify": str(bed.ca_file)} | more
            connection = Connection(parse(url or bed.hyperkit_url, **options))
            stack.callback(connection.close)
            return connection

        yield opened
