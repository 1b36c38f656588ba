"""The harness: samples in turns, medians, rows, and what the command prints. No test asserts on a time that passed.

This directory is no package, so that it is never taken for the `benchmarks` that it tests.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.harness import Benchmark, BenchmarkFailed, CannotRun, Row, alternate, median, scaled, significant, timed

REPOSITORY = Path(__file__).parents[2]
FIELDS = ["name", "unit", "hyperkit", "other", "other_name", "ratio", "trips", "target", "met"]


def benchmark(name: str, run: Callable[[float], Row] | None = None) -> Benchmark:
    return Benchmark(name, f"measures {name}", run or (lambda scale: Row.of(name, "ms", 2 * scale, 4.0, "the other")))


def unable(_scale: float) -> Row:
    raise CannotRun("no hypervisor near")


def broken(_scale: float) -> Row:
    raise BenchmarkFailed("it counted wrong")


def command(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *argv], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("most", "most_of", "met"),
    [(0.5, "ratio", True), (0.49, "ratio", False), (2, "hyperkit", True), (1.9, "hyperkit", False)],
)
def test_a_row_is_held_against_its_target(most: float, most_of: str, met: bool, capsys: Any) -> None:
    aimed = attrs.evolve(benchmark("a"), most=most, most_of=most_of)
    row = aimed.run(1.0)
    assert (row.met, row.target) == (met, f"{most_of} <= {most}")
    assert main(["a"], [aimed]) == (0 if met else 1)
    assert ("missed its target" in capsys.readouterr().err) is not met
    assert main(["a", "--scale", "0.999"], [aimed]) == 0  # a part of the work says nothing of the whole


def test_samples_are_taken_in_turns_and_the_warm_up_is_thrown_away() -> None:
    order: list[str] = []

    def sample(name: str, times: Iterator[float]) -> Callable[[], float]:
        def take() -> float:
            order.append(name)
            return next(times)

        return take

    kept = alternate(sample("A", iter([9.0, 1.0, 2.0])), sample("B", iter([8.0, 3.0, 4.0])), rounds=2, warm_up=1)
    assert "".join(order) == "ABABAB"
    assert kept == [[1.0, 2.0], [3.0, 4.0]]


def test_a_timed_sample_does_the_work_once() -> None:
    done: list[int] = []
    assert timed(lambda: done.append(1))() >= 0
    assert done == [1]


def test_one_slow_sample_does_not_move_the_median() -> None:
    assert median([1.0, 2.0, 900.0]) == 2.0


@pytest.mark.parametrize(
    ("count", "scale", "least", "expected"), [(500, 1.0, 1, 500), (500, 0.01, 1, 5), (15, 0.01, 3, 3)]
)
def test_a_scale_keeps_what_makes_sense(count: int, scale: float, least: int, expected: int) -> None:
    assert scaled(count, scale, least) == expected


@pytest.mark.parametrize(("value", "expected"), [(123.456789, 123.5), (0.00123456, 0.001235), (98765.4, 98770.0)])
def test_digits_that_only_look_exact_are_cut(value: float, expected: float) -> None:
    assert significant(value) == expected


def test_a_row_has_exactly_these_fields_and_the_ratio_of_the_medians() -> None:
    row = Row.of("x", "ms", 1.0, 3.0, "the other", {"hyperkit": 2, "other": 5}).to_dict()
    assert list(row) == FIELDS
    assert row["ratio"] == 0.3333
    assert row["trips"] == {"hyperkit": 2, "other": 5}


@pytest.mark.parametrize(("ours", "other"), [(0.0, 1.0), (1.0, 0.0), (-0.1, 1.0)])
def test_no_row_is_made_of_times_that_are_none(ours: float, other: float) -> None:
    with pytest.raises(BenchmarkFailed):
        Row.of("x", "ms", ours, other, "the other")


def test_rows_are_printed_one_to_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [benchmark("a"), benchmark("b")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in rows] == ["a", "b"]


def test_json_is_one_array(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--scale", "0.5", "b"], [benchmark("a"), benchmark("b")]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["hyperkit"], row["ratio"]) == ("b", 1.0, 0.25)


def test_one_that_was_named_and_cannot_run_fails_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    benchmarks = [benchmark("a"), benchmark("b", unable)]
    assert main(["--json", "a", "b"], benchmarks) == 1
    out, err = capsys.readouterr()
    assert [row["name"] for row in json.loads(out)] == ["a"]
    assert "b: cannot run here: no hypervisor near" in err


def test_one_that_was_not_named_and_cannot_run_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [benchmark("a"), benchmark("b", unable)]) == 0
    assert "no hypervisor near" in capsys.readouterr().err


def test_one_that_measured_the_wrong_thing_fails_even_if_it_was_not_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], [benchmark("a"), benchmark("b", broken)]) == 1
    assert "b: failed: it counted wrong" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["nonesuch"], ["--scale", "0"], ["--scale", "nan"], ["--scale", "x"], ["--json", "--list"]]
)
def test_a_wrong_command_line_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        main(argv, [benchmark("a")])
    assert refusal.value.code == 2
    assert capsys.readouterr().out == ""


def test_the_command_lists_what_there_is() -> None:
    done = command("--list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [each.name for each in BENCHMARKS]


@pytest.mark.parametrize(("name", "needs"), [("import", "libcloud"), ("fake-throughput", "libvirt")])
def test_the_quick_ones_measure_and_print_nothing_but_json(name: str, needs: str) -> None:
    done = command("--json", "--scale", "0.01", name)
    if importlib.util.find_spec(needs) is None:
        assert done.returncode == 1
        assert json.loads(done.stdout) == []
        assert f"no Python module {needs}" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert list(row) == FIELDS
    assert row["name"] == name
    assert row["hyperkit"] > 0
    assert row["other"] > 0
    assert row["trips"] is None
