"""The conformance suite on the fake: as itself, and as each hypervisor it takes on the profile of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hyperkit.testing import Calls, Faults
from hyperkit.testing.conformance import *  # noqa: F403
from tests.conformance.fake_bed import FakeBed

BEDS: dict[str, Callable[[], FakeBed]] = {
    "fake": lambda: FakeBed("fake"),
    "fake-libvirt": lambda: FakeBed("fake-libvirt", profile="libvirt"),
    "fake-esxi": lambda: FakeBed("fake-esxi", profile="esxi"),
    "fake-vcenter": lambda: FakeBed("fake-vcenter", profile="vcenter"),
    "fake-hyperv": lambda: FakeBed("fake-hyperv", profile="hyperv"),
    "fake-lxc": lambda: FakeBed("fake-lxc", profile="lxc"),
    # Every slow verb ends later than it begins, and every call goes through the testing kit's own decorators.
    "fake-slow": lambda: FakeBed("fake-slow", jobs="polls:3", wrap=[Faults(), Calls()]),
}


@pytest.fixture(params=list(BEDS.values()), ids=list(BEDS))
def bed(request: pytest.FixtureRequest) -> Iterator[FakeBed]:
    with request.param() as bed:
        yield bed
