"""The lockstep on libvirt's test driver, as far as that driver is true."""

from __future__ import annotations

import pytest

pytest.importorskip("libvirt", reason="no Python module libvirt (libvirt-python)")

from hyperkit.testing.lockstep import lockstep
from tests.conformance.libvirt_beds import LibvirtTestBed
from tests.lockstep.conftest import Report
from tests.lockstep.machines import TestDriverLockstep


def test_the_test_driver_and_a_fake_agree(report: Report) -> None:
    with LibvirtTestBed() as bed:
        coverage = lockstep(bed, steps=300, machine=TestDriverLockstep, shrink=0)
    report(coverage)
    coverage.check()
