"""Each benchmark runs, on little work, and its row is worth something. Times are not looked at: trips are."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.__main__ import BENCHMARKS
from tests.beds.libvirt_qemu import missing

needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))
needs_libcloud = pytest.mark.skipif(
    importlib.util.find_spec("libcloud") is None, reason="Apache Libcloud is not installed"
)

SCALE = 0.02
VMS = 10  # defined, and one that runs
HELPERS = 3  # sessions that list the VMs once more, to read some of them


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
    ],
)
def test_a_benchmark_runs_and_counts_its_trips(name: str, ours: int | None, others: int | None) -> None:
    (benchmark,) = (each for each in BENCHMARKS if each.name == name)
    row = benchmark.run(SCALE)
    assert (row.name, row.hyperkit > 0, row.other > 0) == (name, True, True)
    assert row.trips == (None if ours is None else {"hyperkit": ours, "other": others})
