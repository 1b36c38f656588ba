"""README.md and docs/conformance.md say what docs/conformance.json says."""

from __future__ import annotations

import json
from pathlib import Path

from hyperkit.testing import render

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "run `python -m hyperkit.testing.render docs/conformance.json README.md`"


def test_the_documents_are_made_of_the_last_full_run() -> None:
    data = json.loads((ROOT / "docs/conformance.json").read_text(encoding="utf-8"))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme == render.put_in(readme, render.short(data)), AGAIN
    assert (ROOT / "docs/conformance.md").read_text(encoding="utf-8") == render.page(data), AGAIN
