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

STEPS = int(os.environ.get("HYPERKIT_LOCKSTEP_STEPS", "1200"))
SEED = int(os.environ.get("HYPERKIT_LOCKSTEP_SEED", "1"))

MUST = frozenset(
    {
        *("vms.create", "vm.configure", "vm.rename", "vm.delete", "reconnect", "vm.start", "vm.stop"),
        *("disk.attach", "disk.detach", "nic.attach", "nic.detach", "nic.connect"),
        *("snapshots.create", "snapshots.create (hot)", "snapshot.revert", "snapshot.delete"),
        *("switches.create", "volumes.create", "volume.delete"),
    }
)
"""What must have been done at least once, not only asked for."""
LONG = 5000
MUST_OF_LONG = MUST | {
    *(
        "vm.suspend",
        "vm.discard_suspended",
        "vm.shutdown",
        "vm.reset",
        "cpus.configure (hot)",
        "memory.configure (hot)",
    ),
    *("disk.attach (hot)", "disk.resize", "cdrom.insert", "cdrom.eject"),
    *("nic.attach (hot)", "nic.disconnect", "nic.set_link", "nic.set_mac", "nic.set_policy"),
    *("snapshot.rename", "switch.configure", "switch.delete"),
}
"""What is done in that many steps, whichever rules a seed prefers."""


def _floor() -> frozenset[str]:
    return MUST_OF_LONG if STEPS >= LONG else MUST if STEPS >= 1000 else frozenset()


def test_an_esxi_host_and_a_fake_agree(esx_sim: Vcsim, report: Report) -> None:
    report(f"seed {SEED}: HYPERKIT_LOCKSTEP_SEED={SEED} HYPERKIT_LOCKSTEP_STEPS={STEPS} repeats this run")
    with EsxBed(esx_sim) as bed:
        coverage = lockstep(bed, steps=STEPS, first_seed=SEED, machine=VsphereLockstep, until=_floor())
    report(coverage)
    coverage.check(_floor())


def test_a_vcenter_and_a_fake_agree(vcenter_sim: Vcsim, report: Report) -> None:
    report(f"seed {SEED}: HYPERKIT_LOCKSTEP_SEED={SEED} HYPERKIT_LOCKSTEP_STEPS={STEPS} repeats this run")
    must = _floor() | {"vm.clone", "vm.make_template", "vm.make_vm"}
    with VcenterBed(vcenter_sim) as bed:
        coverage = lockstep(bed, steps=STEPS, first_seed=SEED, machine=VsphereLockstep, until=must)
    report(coverage)
    coverage.check(must)
