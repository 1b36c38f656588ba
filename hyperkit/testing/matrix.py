"""What the conformance suite found: behaviours by beds, for the terminal, for JSON and for the documentation."""

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
        if self._path is not None and not hasattr(session.config, "workerinput"):
            Path(self._path).write_text(to_json(self.data()), encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the counts of each bed; with ``-v`` or a file to write, each behaviour too."""
        data = self.data()
        if not data["rows"]:
            return
        terminalreporter.section("hyperkit conformance")
        verbose = self._path is not None or terminalreporter.config.get_verbosity() > 0
        for line in (*(table(data) if verbose else ()), *counts_in_words(data)):
            terminalreporter.line(line)
        if self._path is not None:
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


def beds_of(data: Data) -> list[str]:
    """The beds that have rows, sorted."""
    return sorted({row["bed"] for row in data["rows"]})


def counts(rows: Iterable[Row], bed: str) -> Counter[str]:
    """How often each outcome came on a bed."""
    return Counter(row["outcome"] for row in rows if row["bed"] == bed)


def counts_in_words(data: Data) -> list[str]:
    """One line for each bed: ``fake: 138 passed, 4 unsupported``."""
    return [f"{bed}: {_words(counts(data['rows'], bed))}" for bed in beds_of(data)]


def _words(count: Mapping[str, int]) -> str:
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


def markdown(data: Data) -> str:
    """What each backend can do, and how it stands with the suite, as tables for the documentation."""
    return "\n".join([*_capabilities(data), "", *_conformance(data), "", *_reasons(data)])


def _capabilities(data: Data) -> list[str]:
    from hyperkit.capabilities import names, question  # noqa: PLC0415

    beds = data["beds"]
    lines = _head("Question", [f"{bed}<br>{facts['product']} {facts['version']}" for bed, facts in beds.items()])
    for name in names():
        answers = ["yes" if facts["capabilities"].get(name) else "no" for facts in beds.values()]
        lines.append(_line(f"{question(name)} (`{name}`)", answers))
    return lines


def _conformance(data: Data) -> list[str]:
    beds, rows = beds_of(data), data["rows"]
    lines = _head("Port", beds)
    for port in dict.fromkeys(row["operation"].partition(".")[0] for row in rows):
        of_port = [row for row in rows if row["operation"].partition(".")[0] == port]
        lines.append(_line(f"`{port}`", [_words(counts(of_port, bed)) for bed in beds]))
    lines.append(_line("all", [_words(counts(rows, bed)) for bed in beds]))
    return lines


def _reasons(data: Data) -> list[str]:
    """What a bed cannot verify, or fails at, in full: that is what a reader should not have to look for."""
    doubtful = [row for row in data["rows"] if row["outcome"] in ("cannot-verify", "xfail", "failed")]
    return [
        f"* {row['bed']}, `{row['operation']}`: {row['behaviour']} **{row['outcome']}** {row['reason']}".rstrip()
        for row in doubtful
    ]


def _head(first: str, columns: Iterable[str]) -> list[str]:
    columns = list(columns)
    return [_line(first, columns), _line("---", ["---"] * len(columns))]


def _line(first: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([first, *cells])} |"
