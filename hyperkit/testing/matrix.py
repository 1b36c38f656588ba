"""What the conformance suite found: behaviours by beds, for the terminal and as JSON.

The file is of one run. A run that has less than the file, because a bed was not there or only some tests ran, does not
write it, and says so: nobody is to lose by running on another machine what this one found. To begin afresh, delete it.
`hyperkit.testing.render` makes documentation of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, str]
Data = Mapping[str, Any]

OUTCOMES = {"passed": "+", "unsupported": "-", "cannot-verify": "?", "xfail": "x", "failed": "FAIL"}
"""What can become of a test on a bed, and its sign in the table."""

_ROW, _BED = "hyperkit-conformance", "hyperkit-bed"  # as in `running`, which is not to be imported by every session


class MatrixPlugin:
    """Collects the outcomes of one pytest session, wherever its tests ran."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._rows: dict[str, Row] = {}
        self._beds: dict[str, dict[str, Any]] = {}
        self._lost: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the row that the report carries. A bed that is not there at all has none: pytest prints why."""
        if report.when != "call" and not report.failed:
            return
        for name, value in report.user_properties:
            if name == _ROW and isinstance(value, dict):
                self._rows[report.nodeid] = {**value, "outcome": "failed"} if report.failed else value
            elif name == _BED and isinstance(value, dict):
                self._beds[value["bed"]] = {key: fact for key, fact in value.items() if key != "bed"}

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the file that was asked for; in a worker process of pytest-xdist there is nothing to write."""
        if self._path is None or hasattr(session.config, "workerinput"):
            return
        path, data = Path(self._path), self.data()
        self._lost = lost(json.loads(path.read_text(encoding="utf-8")), data) if path.exists() else Counter()
        if not self._lost:
            path.write_text(to_json(data), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the counts of each bed; with ``-v`` or a file to write, each behaviour too."""
        data = self.data()
        if not data["rows"] and not self._lost:
            return
        terminalreporter.section("hyperkit conformance")
        verbose = self._path is not None or terminalreporter.config.get_verbosity() > 0
        for line in (*(table(data) if verbose else ()), *counts_in_words(data)):
            terminalreporter.line(line)
        if self._lost:
            what = ", ".join(f"{number} of {bed}" for bed, number in sorted(self._lost.items()))
            terminalreporter.line(f"NOT written to {self._path}, which has outcomes that this run lacks: {what}")
        elif self._path is not None:
            terminalreporter.line(f"written to {self._path}")

    def data(self) -> dict[str, Any]:
        """The beds and the rows, in an order that does not depend on that of the tests."""
        from hyperkit.testing.behaviour import contract  # noqa: PLC0415

        lines = [(operation, line) for operation, texts in contract().items() for line in texts]
        place = {line: index for index, line in enumerate(lines)}

        def key(row: Row) -> tuple[int, str]:
            return place.get((row["operation"], row["behaviour"]), len(place)), row["bed"]

        rows = sorted(self._rows.values(), key=key)
        return {"beds": dict(sorted(self._beds.items())), "rows": rows}


def to_json(data: Data) -> str:
    """The file's text, a row to a line: the same for the same outcomes, so that a difference is one of facts."""
    beds = json.dumps(data["beds"], indent=1, sort_keys=True, ensure_ascii=False)
    rows = ",\n".join(json.dumps(row, sort_keys=True, ensure_ascii=False) for row in data["rows"])
    return f'{{"beds": {beds},\n"rows": [\n{rows}\n]}}\n'


def lost(before: Data, now: Data) -> Counter[str]:
    """How many outcomes of tests that the suite still has would be gone, by bed."""
    from hyperkit.testing.conformance import TESTS  # noqa: PLC0415

    found = {(row["bed"], row["test"]) for row in now["rows"]}
    kept = {(row["bed"], row["test"]) for row in before["rows"] if row["test"] in TESTS}
    return Counter(bed for bed, _ in kept - found)


def beds_of(data: Data) -> list[str]:
    """The beds that have rows, sorted."""
    return sorted({row["bed"] for row in data["rows"]})


def counts(rows: Iterable[Row], bed: str) -> Counter[str]:
    """How often each outcome came on a bed."""
    return Counter(row["outcome"] for row in rows if row["bed"] == bed)


def counts_in_words(data: Data) -> list[str]:
    """One line for each bed: ``fake: 138 passed, 4 unsupported``."""
    return [f"{bed}: {in_words(counts(data['rows'], bed))}" for bed in beds_of(data)]


def in_words(count: Mapping[str, int]) -> str:
    """``138 passed, 4 unsupported``."""
    return ", ".join(f"{count[outcome]} {outcome}" for outcome in OUTCOMES if count.get(outcome))


def table(data: Data) -> list[str]:
    """One line for each behaviour, with a column for each bed."""
    beds = beds_of(data)
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for row in data["rows"]:
        cells.setdefault((row["operation"], row["behaviour"]), {})[row["bed"]] = OUTCOMES[row["outcome"]]
    widths = [max(len(bed), 4) for bed in beds]
    lines = ["  ".join(bed.ljust(width) for bed, width in zip(beds, widths, strict=True)).rstrip()]
    operation = ""
    for (called, behaviour), signs in cells.items():
        if called != operation:
            operation = called
            lines.append(operation)
        columns = "  ".join(signs.get(bed, "").ljust(width) for bed, width in zip(beds, widths, strict=True))
        lines.append(f"{columns}  {behaviour}")
    return [*lines, " ".join(f"{sign} {outcome}" for outcome, sign in OUTCOMES.items()), ""]
