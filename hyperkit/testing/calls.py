"""Calls: what a piece of code asked of a host, on record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hyperkit.driver import Driver
from hyperkit.instrument import intercept
from hyperkit.testing.operations import matching


class Call(NamedTuple):
    """One call of a port."""

    operation: str
    """Such as ``vms.create``."""
    args: tuple[Any, ...]
    """Ids and specs, by position."""
    error: Exception | None
    """What it raised; a job that fails later is no error of the call."""

    def __str__(self) -> str:
        outcome = f" -> {type(self.error).__name__}" if self.error is not None else ""
        return f"{self.operation}({', '.join(map(repr, self.args))}){outcome}"


class Calls:
    """Records the calls that reach a backend's ports, of any backend and from any number of threads.

    ::

        calls = Calls()
        with hyperkit.connect("qemu:///system", wrap=[calls]) as host:
            take_inventory(host)
        assert calls.count() < 10  # however many VMs there are

    A call that `hyperkit` refuses by itself, for lack of a capability say, does not get here. Name `Calls` after
    `Faults` in ``wrap``, so that calls which a fault ended are on record too.
    """

    def __init__(self) -> None:
        self._calls: list[Call] = []

    def __call__(self, driver: Driver) -> Driver:
        """Put this around a backend; `hyperkit.connect` calls it."""
        return intercept(driver, self._around)

    def _around(self, operation: str, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        error: Exception | None = None
        try:
            return method(*args)
        except Exception as raised:
            error = raised
            raise
        finally:
            # One append is atomic, and this is all that threads share. By position: this runs for every call.
            self._calls.append(Call(operation, args, error))

    def of(self, operation: str) -> list[Call]:
        """The calls of an operation (``vms.create``, ``vms.*``), in the order in which they ended.

        Raises:
            InvalidRequest: there is no such operation.
        """
        wanted = matching(operation)
        return [call for call in tuple(self._calls) if call.operation in wanted]

    def count(self, operation: str = "*") -> int:
        """How many calls of an operation there were.

        Raises:
            InvalidRequest: there is no such operation.
        """
        return len(self.of(operation))

    def clear(self) -> None:
        """Forget them all."""
        self._calls.clear()

    def __iter__(self) -> Iterator[Call]:
        return iter(tuple(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    def __bool__(self) -> bool:
        """Always true: ``if calls`` asks whether there is a record, not whether it is empty."""
        return True

    def __repr__(self) -> str:
        """All of them, one to a line: what an assertion that fails should show."""
        lines = "".join(f"\n  {call}" for call in tuple(self._calls))
        return f"<{len(self)} calls{':' if lines else ''}{lines}>"
