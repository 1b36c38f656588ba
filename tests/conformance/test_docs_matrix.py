"""README.md and docs/conformance.md say what docs/conformance.json says."""

from __future__ import annotations

import json
from pathlib import Path

from hyperkit.testing import conformance, render

ROOT = Path(__file__).resolve().parents[2]
RUN_AGAIN = "run `pytest tests/conformance --hyperkit-matrix=docs/conformance.json` on a machine that has every bed"
AGAIN = "run `python -m hyperkit.testing.render docs/conformance.json README.md`"


def test_the_documents_are_made_of_the_last_full_run() -> None:
    data = json.loads((ROOT / "docs/conformance.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == render.put_in(readme, render.short(data)), AGAIN
    assert (ROOT / "docs/conformance.md").read_text(encoding="utf-8") == render.page(data), AGAIN


def test_the_last_full_run_had_every_line_of_the_contract_on_every_bed() -> None:
    rows = json.loads((ROOT / "docs/conformance.json").read_text(encoding="utf-8"))["rows"]
    ran = {(row["bed"], row["test"]) for row in rows}
    beds = {"fake", "fake-esxi", "fake-hyperv", "fake-libvirt", "fake-lxc", "fake-slow"}
    beds |= {"fake-vcenter", "libvirt-lxc", "libvirt-qemu", "libvirt-test", "esxi", "vcenter"}
    missing = {(bed, test) for bed in beds for test in conformance.TESTS} - ran
    assert not missing, f"{RUN_AGAIN}, then {AGAIN}"
    assert not {test for _, test in ran} - set(conformance.TESTS), f"{RUN_AGAIN}: it has lines that are no more"
