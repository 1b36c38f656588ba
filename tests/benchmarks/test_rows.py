"""Each benchmark runs, on little work, and its row is worth something. Times are not looked at: trips are."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Sequence

import pytest

from benchmarks.__main__ import BENCHMARKS
from tests.beds import libvirt_qemu, vcsim


def needs(reasons: Sequence[str]) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(reasons), reason="; ".join(reasons))


needs_bed = needs(libvirt_qemu.missing())
needs_vcsim = needs(vcsim.missing())
needs_libcloud = pytest.mark.skipif(
    importlib.util.find_spec("libcloud") is None, reason="Apache Libcloud is not installed"
)

leaves_loops_open = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Libcloud's driver makes an event loop for each list, and closes none."""

SCALE = 0.02
VMS = 10  # defined, and one that runs
HELPERS = 3  # sessions that list the VMs once more, to read some of them
SIMULATED = 20


@pytest.mark.parametrize(
    ("name", "ours", "others"),
    [
        pytest.param("import", None, None, marks=needs_libcloud),
        pytest.param(
            "fake-throughput",
            None,
            None,
            marks=pytest.mark.skipif(
                importlib.util.find_spec("libvirt") is None, reason="libvirt-python is not installed"
            ),
        ),
        # The XML of each, four for all, and the helpers' lists; the loop's list, and five for each.
        pytest.param("libvirt-inventory", VMS + 1 + 4 + HELPERS, 1 + 5 * (VMS + 1), marks=needs_bed),
        pytest.param("libvirt-inventory-delayed", VMS + 1 + 4 + HELPERS, 1 + 5 * (VMS + 1), marks=needs_bed),
        pytest.param(
            "libvirt-inventory-libcloud", VMS + 1 + 4 + HELPERS, 2 + 3 * (VMS + 1), marks=[needs_bed, needs_libcloud]
        ),
        # Each verb looks before and after.
        pytest.param("libvirt-verbs", 23, 5, marks=needs_bed),
        # What the VMs refer to, and the VMs; one page of them.
        pytest.param("esxi-inventory", 2, 1, marks=needs_vcsim),
        pytest.param("esxi-inventory-5000", 2, 1, marks=needs_vcsim),
        pytest.param(
            "esxi-inventory-libcloud", 2, 14 + 4 * SIMULATED, marks=[needs_vcsim, needs_libcloud, leaves_loops_open]
        ),
        # To make it and read it, 6; four verbs that look before and after their task, 12; and to delete it, 7.
        pytest.param("esxi-verbs", 25, 49, marks=needs_vcsim),
    ],
)
def test_a_benchmark_runs_and_counts_its_trips(name: str, ours: int | None, others: int | None) -> None:
    (benchmark,) = (each for each in BENCHMARKS if each.name == name)
    row = benchmark.run(SCALE)
    gc.collect()  # what is left open is this test's, not the next one's
    assert (row.name, row.hyperkit > 0, row.other > 0) == (name, True, True)
    assert row.trips == (None if ours is None else {"hyperkit": ours, "other": others})
