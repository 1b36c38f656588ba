"""The matrix as documentation."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from hyperkit.capabilities import names
from hyperkit.testing import render


def bed(backend: str, *able: str, **why: str) -> dict[str, Any]:
    return {
        "backend": backend,
        "capabilities": {name: name in able for name in names()},
        "hypervisor_type": "hosted",
        "limits": {"max_cpus": 8, "disk_formats": ["qcow2", "raw"]},
        "product": backend.upper(),
        "version": "1.2",
        "why": why,
    }


def row(bed: str, outcome: str, behaviour: str = "A new VM is off.", reason: str = "") -> dict[str, str]:
    return {
        "bed": bed,
        "behaviour": behaviour,
        "operation": "vms.create",
        "outcome": outcome,
        "reason": reason,
        "test": "",
    }


DATA = {
    "beds": {
        "fake": bed("fake", *names()),
        "real": bed("real", *render.GROUPS["Power"], "snapshots", "transfer", snapshot_memory="nobody knows how"),
    },
    "rows": [
        row("fake", "passed"),
        row("real", "passed"),
        row("fake", "xfail", "A VM floats.", "it sinks"),
        row("real", "unsupported", "A VM floats.", "it has no water"),
        row("real", "unsupported", "A VM dives.", "it has no water"),
    ],
}


def test_every_capability_is_in_one_group() -> None:
    assert Counter(name for members in render.GROUPS.values() for name in members) == Counter(names())


def test_the_short_form_sums_up_what_each_real_host_can_do() -> None:
    lines = render.short(DATA).splitlines()
    assert lines[0] == "|  | `real`<br>REAL 1.2 |"
    assert "| Power | \N{CHECK MARK} |" in lines
    assert "| Devices | \N{EN DASH} |" in lines
    assert "| Storage | \N{CHECK MARK} but `volumes` |" in lines
    assert "| Snapshots | \N{EN DASH} but `snapshots` |" in lines
    assert "| **Lines of the contract** | 1 passed, 2 unsupported |" in lines
    assert lines[-1].endswith("`fake` 1 passed, 1 xfail.")


def test_the_page_has_every_line_and_every_reason() -> None:
    lines = render.page(DATA).splitlines()
    assert "| Can a VM be paused in memory and resumed? `pause` | \N{CHECK MARK} | \N{CHECK MARK} |" in lines
    assert "| `max_cpus` | 8 | 8 |" in lines
    assert "| `max_nics` | not told | not told |" in lines
    assert "* `real` has no `snapshot_memory`: nobody knows how" in lines
    assert "| A VM floats. | \N{BALLOT X} | \N{EN DASH} |" in lines
    assert "| A VM dives. |  | \N{EN DASH} |" in lines
    assert "* `fake`, `vms.create`: A VM floats. **xfail**: it sinks" in lines
    assert "* `real`, 2 lines: it has no water" in lines


@pytest.mark.parametrize("text", ["", render.BEGIN, render.END + render.BEGIN, (render.BEGIN + render.END) * 2])
def test_a_document_without_the_marks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="matrix: begin"):
        render.put_in(text, "new")


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, document = tmp_path / "found.json", tmp_path / "README.md"
    data.write_text(json.dumps(DATA), encoding="utf-8")
    document.write_text(f"before\n{render.BEGIN}\nold\n{render.END}\nafter\n", encoding="utf-8")
    for _ in range(2):
        assert render.main([str(data), str(document)]) == 0
        expected = f"before\n{render.BEGIN}\n{render.short(DATA)}\n{render.END}\nafter\n"
        assert document.read_text(encoding="utf-8") == expected
        assert (tmp_path / "found.md").read_text(encoding="utf-8") == render.page(DATA)
    assert render.main([str(data)]) == 2
    assert "usage" in capsys.readouterr().err
