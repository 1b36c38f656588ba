"""What a run did: how often each operation was done, and how often it was refused, and why."""

from __future__ import annotations

from collections import Counter, defaultdict

LEAST_DONE = 0.4
"""The share of steps that must have changed something or told something: refusals alone agree too easily."""
OFTEN = 25
"""An operation that was tried so often must have been done at least once; what a host is not able to is not tried."""


class Coverage:
    """Counts of steps, by operation and outcome."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._spared: Counter[str] = Counter()

    def count(self, operation: str, outcome: str) -> None:
        """One more step."""
        self._counts[operation][outcome] += 1

    def spare(self, operation: str, reason: str) -> None:
        """One step that was drawn and not done."""
        self._spared[f"{operation}: {reason}"] += 1

    @property
    def steps(self) -> int:
        """How many in all."""
        return sum(counts.total() for counts in self._counts.values())

    @property
    def done(self) -> int:
        """How many that were not refused."""
        return sum(counts["done"] for counts in self._counts.values())

    def lacks(self, operations: frozenset[str]) -> frozenset[str]:
        """Those of them that were never done."""
        return frozenset(name for name in operations if name not in self._counts or not self._counts[name]["done"])

    def check(self, operations: frozenset[str] = frozenset()) -> None:
        """Fail a run that says little.

        Args:
            operations: those that must have been done at least once.

        Raises:
            AssertionError: too many refusals, or an operation that was never done.
        """
        share = self.done / max(self.steps, 1)
        assert share >= LEAST_DONE, f"only {share:.0%} of the steps did anything\n{self}"
        # What is asked of a VM that is gone is asked to be refused.
        possible = {name: counts for name, counts in self._counts.items() if not name.endswith("(gone)")}
        tried = {name for name, counts in possible.items() if counts.total() - counts["Unsupported"] >= OFTEN}
        never = sorted(name for name in tried | operations if not self._counts[name]["done"])
        assert not never, f"never done: {', '.join(never)}\n{self}"

    def __str__(self) -> str:
        lines = [f"{self.steps} steps, {self.done} done"]
        for name in sorted(self._counts):
            counts = self._counts[name]
            refused = ", ".join(f"{word} {counts[word]}" for word in sorted(counts) if word != "done")
            lines.append(f"  {name:<24} {counts['done']:>5} done{'; ' if refused else ''}{refused}")
        lines += [f"  not done {count:>5} x {reason}" for reason, count in sorted(self._spared.items())]
        return "\n".join(lines)
