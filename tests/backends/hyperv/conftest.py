"""A simulated Hyper-V host, and ways to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.beds.hyperv_sim import HyperVSim, missing

Connect = Callable[..., Any]


@pytest.fixture
def simulated() -> Iterator[Callable[..., HyperVSim]]:
    """Starts a host, which ends with the test."""
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with ExitStack() as stack:
        yield lambda **how: stack.enter_context(HyperVSim(**how))


@pytest.fixture
def sim(simulated: Callable[..., HyperVSim]) -> HyperVSim:
    """A host with TLS."""
    return simulated()


@pytest.fixture
def plain(simulated: Callable[..., HyperVSim]) -> HyperVSim:
    """A host without TLS, which takes encrypted messages alone."""
    return simulated(tls=False)


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A client of a host, as its one user by NTLM unless something else is said, which ends with the test."""
    from hyperkit.backends.hyperv.wsman import Carrier, Client, Way
    from hyperkit.backends.hyperv.wsman.envelope import Writer

    with ExitStack() as stack:

        def connected(sim: HyperVSim, *, largest: int = 512_000, **how: Any) -> Client:
            told: dict[str, Any] = {"url": sim.url, "user": sim.user, "password": sim.password, "silence": 5.0} | how
            if sim.tls:
                told.setdefault("verify", str(sim.ca_file))
            carrier = Carrier(Way(**told))
            stack.callback(carrier.close)
            return Client(carrier, Writer(to=sim.url, timeout=4, largest=largest))

        yield connected
