"""What all benchmarks share: samples in turns, medians, and the row that comes out."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import attrs

Sample = Callable[[], float]
"""Does the work once and returns what it took, in seconds; what it sets up before and tears down after is free."""


class CannotRun(Exception):  # noqa: N818 - it reads as what it says
    """This machine lacks something the benchmark needs; nothing was measured."""


class BenchmarkFailed(Exception):  # noqa: N818 - it reads as what it says
    """The work was not what it should have been, so that its time means nothing."""


@attrs.frozen
class Row:
    """One benchmark's outcome.

    Attributes:
        name: the benchmark's.
        unit: what `hyperkit` and `other` are in; less is better.
        hyperkit: the median of hyperkit's samples.
        other: the median of the alternative's.
        other_name: what the alternative is.
        ratio: hyperkit's median by the other's.
        trips: round trips to the hypervisor that one sample takes, ``{"hyperkit": n, "other": m}``; None where there
            is no hypervisor to make them to.
        target: what was set out for; None if nothing was.
        met: whether it was reached, at whatever scale it ran.
    """

    name: str
    unit: str
    hyperkit: float
    other: float
    other_name: str
    ratio: float
    trips: dict[str, int] | None = None
    target: str | None = None
    met: bool | None = None

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        hyperkit: float,
        other: float,
        other_name: str,
        trips: dict[str, int] | None = None,
    ) -> Row:
        """A row from two medians, rounded to what they are worth.

        Raises:
            BenchmarkFailed: there is no ratio to a time that is not above zero.
        """
        if hyperkit <= 0 or other <= 0:
            raise BenchmarkFailed(f"{name}: {hyperkit} and {other} {unit} are no times; too little work was measured")
        return cls(
            name, unit, significant(hyperkit), significant(other), other_name, significant(hyperkit / other), trips
        )

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data, in the order of its fields."""
        return attrs.asdict(self)


@attrs.frozen
class Benchmark:
    """One comparison.

    Attributes:
        name: what it is called on the command line.
        summary: what it measures, in a line.
        measure: does so; its argument scales the amount of work, 1.0 being what is published.
        most: what the ratio is to be at most; None if no target was set.
        most_of: the column that is meant, ``hyperkit`` being in the row's unit.
    """

    name: str
    summary: str
    measure: Callable[[float], Row]
    most: float | None = None
    most_of: str = "ratio"

    def run(self, scale: float) -> Row:
        """Measure, and hold the row against the target."""
        row = self.measure(scale)
        if self.most is None:
            return row
        return attrs.evolve(row, target=f"{self.most_of} <= {self.most}", met=getattr(row, self.most_of) <= self.most)


def alternate(*samples: Sample, rounds: int, warm_up: int = 1) -> list[list[float]]:
    """Take samples in turns, A B A B and so on, so that a machine that slows down slows all of them.

    Args:
        samples: what is compared.
        rounds: how many of each are kept.
        warm_up: rounds before that whose times are thrown away.

    Returns:
        The times of each, in the order of the samples.
    """
    times: list[list[float]] = [[] for _ in samples]
    for turn in range(warm_up + rounds):
        for taken, sample in zip(times, samples, strict=True):
            gc.collect()  # nobody pays for another's garbage
            spent = sample()
            if turn >= warm_up:
                taken.append(spent)
    return times


def timed(work: Callable[[], object]) -> Sample:
    """A sample that is nothing but work."""

    def sample() -> float:
        started = time.perf_counter()
        result = work()
        spent = time.perf_counter() - started
        del result  # freed after the clock has stopped
        return spent

    return sample


def median(times: list[float]) -> float:
    """The middle one."""
    return statistics.median(times)


def scaled(count: int, scale: float, least: int = 1) -> int:
    """That much of a count, but no less than makes sense."""
    return max(least, round(count * scale))


def significant(value: float, digits: int = 4) -> float:
    """A number without the digits that only look exact."""
    return float(f"{value:.{digits}g}")


def say(text: str) -> None:
    """Tell the person at the terminal; standard output is for rows."""
    print(text, file=sys.stderr, flush=True)
