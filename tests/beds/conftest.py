"""Simulators for the beds' own tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.beds import vcsim

if TYPE_CHECKING:
    from tests.beds.vcsim.client import Client


def _client(model: str) -> Iterator[Client]:
    if reasons := vcsim.missing():
        pytest.skip("; ".join(reasons))
    from tests.beds.vcsim.client import Client  # needs pyVmomi

    with vcsim.Vcsim("esx" if model == "esx" else "vcenter") as sim:
        client = Client(sim)
        yield client
        client.close()


@pytest.fixture(params=["esx", "vcenter"])
def vsphere(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A session on a host, then on a vCenter."""
    yield from _client(request.param)


@pytest.fixture
def esx() -> Iterator[Client]:
    """A session on a host."""
    yield from _client("esx")


@pytest.fixture
def vcenter() -> Iterator[Client]:
    """A session on a vCenter."""
    yield from _client("vcenter")
