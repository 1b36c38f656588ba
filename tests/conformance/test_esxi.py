"""The conformance suite on a simulated ESXi host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from hyperkit.testing.conformance import *  # noqa: F403
from tests.beds.vcsim import Vcsim
from tests.conformance.vsphere_beds import EsxBed


@pytest.fixture(scope="module")
def bed(esx_sim: Vcsim) -> Iterator[EsxBed]:
    with EsxBed(esx_sim) as bed:
        yield bed
