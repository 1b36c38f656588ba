"""The lockstep on a real libvirtd with QEMU.

``HYPERKIT_LOCKSTEP_STEPS=10000 pytest tests/lockstep/test_libvirt_qemu.py`` for a long one, and
``HYPERKIT_LOCKSTEP_SEED`` for other steps: a run is the same each time, and the report says with which seed.
"""

from __future__ import annotations

import os

import pytest

pytest.importorskip("libvirt", reason="no Python module libvirt (libvirt-python)")

from hyperkit.testing.lockstep import lockstep
from tests.beds.libvirt_qemu import LibvirtHost
from tests.conformance.libvirt_beds import LibvirtQemuBed
from tests.lockstep.conftest import Report
from tests.lockstep.machines import QemuLockstep

STEPS = int(os.environ.get("HYPERKIT_LOCKSTEP_STEPS", "2000"))
SEED = int(os.environ.get("HYPERKIT_LOCKSTEP_SEED", "1"))

MUST = frozenset(
    {
        *("vms.create", "vm.configure", "vm.rename", "vm.delete", "reconnect"),
        *("vm.start", "vm.stop", "vm.pause", "vm.resume", "vm.reset", "vm.reboot", "vm.shutdown"),
        *("vm.suspend", "vm.discard_suspended", "cpus.configure (hot)", "memory.configure (hot)"),
        *("disk.attach", "disk.attach (hot)", "disk.detach", "disk.resize", "cdrom.insert", "cdrom.eject"),
        *("nic.attach", "nic.attach (hot)", "nic.detach", "nic.connect", "nic.disconnect", "nic.set_link"),
        *("nic.set_mac", "nic.set_policy", "nic.set_policy (hot)"),
        *("snapshots.create", "snapshots.create (hot)", "snapshot.revert", "snapshot.rename", "snapshot.delete"),
        *("switches.create", "switch.configure", "switch.delete", "volumes.create", "volume.delete"),
    }
)
"""What must have been done at least once, not only asked for."""


def test_qemu_and_a_fake_agree(qemu_host: LibvirtHost, report: Report) -> None:
    report(f"seed {SEED}: HYPERKIT_LOCKSTEP_SEED={SEED} HYPERKIT_LOCKSTEP_STEPS={STEPS} repeats this run")
    with LibvirtQemuBed(qemu_host) as bed:
        must = MUST if STEPS >= 1000 else frozenset()
        coverage = lockstep(bed, steps=STEPS, first_seed=SEED, machine=QemuLockstep, until=must)
    report(coverage)
    coverage.check(must)
