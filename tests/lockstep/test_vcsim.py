"""The lockstep on a simulated ESXi host, and on a simulated vCenter.

``HYPERKIT_LOCKSTEP_STEPS`` and ``HYPERKIT_LOCKSTEP_SEED`` make it longer, and other steps.
"""

from __future__ import annotations

import os

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from hyperkit.testing.lockstep import lockstep
from tests.beds.vcsim import Vcsim
from tests.conformance.vsphere_beds import EsxBed, VcenterBed
from tests.lockstep.conftest import Report
from tests.lockstep.machines import VsphereLockstep

STEPS = int(os.environ.get("HYPERKIT_LOCKSTEP_STEPS", "800"))
SEED = int(os.environ.get("HYPERKIT_LOCKSTEP_SEED", "1"))

MUST = frozenset(
    {
        *("vms.create", "vm.configure", "vm.rename", "vm.delete", "reconnect"),
        *("vm.start", "vm.stop", "vm.suspend", "disk.attach", "disk.attach (hot)", "disk.detach"),
        *("nic.attach", "nic.attach (hot)", "nic.connect", "nic.detach"),
        *("snapshots.create", "snapshot.revert", "snapshot.rename", "snapshot.delete"),
        *("switches.create", "switch.delete", "volumes.create", "volume.delete"),
    }
)
"""What must have been done at least once, not only asked for."""


def test_an_esxi_host_and_a_fake_agree(esx_sim: Vcsim, report: Report) -> None:
    report(f"seed {SEED}: HYPERKIT_LOCKSTEP_SEED={SEED} HYPERKIT_LOCKSTEP_STEPS={STEPS} repeats this run")
    with EsxBed(esx_sim) as bed:
        coverage = lockstep(bed, steps=STEPS, first_seed=SEED, machine=VsphereLockstep, until=MUST)
    report(coverage)
    coverage.check(MUST)


def test_a_vcenter_and_a_fake_agree(vcenter_sim: Vcsim, report: Report) -> None:
    must = MUST | {"vm.clone", "vm.make_template", "vm.make_vm"}
    with VcenterBed(vcenter_sim) as bed:
        coverage = lockstep(bed, steps=STEPS, first_seed=SEED, machine=VsphereLockstep, until=must)
    report(coverage)
    coverage.check(must)
