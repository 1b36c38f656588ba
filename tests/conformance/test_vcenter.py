"""The conformance suite on a simulated vCenter."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from hyperkit.testing.conformance import *  # noqa: F403
from tests.beds.vcsim import Vcsim
from tests.conformance.vsphere_beds import VcenterBed


@pytest.fixture(scope="module")
def bed(vcenter_sim: Vcsim) -> Iterator[VcenterBed]:
    with VcenterBed(vcenter_sim) as bed:
        yield bed
