"""How mutants are written: as a port that does something else, or as a patch of the layer above."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate

import attrs
import pytest

from hyperkit.backends.fake.world import Machine, World
from hyperkit.connection import Wrapper
from hyperkit.driver import Driver
from hyperkit.instrument import intercept
from hyperkit.records import VMRecord
from hyperkit.testing import conformance

Call = Callable[..., Any]
"""The method below: calls what the mutant stands in front of."""
PortMutant = Callable[Concatenate[Driver, Call, ...], Any]
LayerMutant = Callable[[pytest.MonkeyPatch], None]


@attrs.frozen
class Mutant:
    """One way to forget one behaviour."""

    test: str
    name: str
    wrap: tuple[Wrapper, ...] = ()
    patch: LayerMutant | None = None


BY_TEST: dict[str, Mutant] = {}
"""The mutants, by the test that finds each."""


def port(test: str, operation: str) -> Callable[[PortMutant], PortMutant]:
    """Put a function in front of one method of a port: ``mutant(driver, call, *args)``."""

    def register(mutant: PortMutant) -> PortMutant:
        def wrap(driver: Driver) -> Driver:
            def around(called: str, method: Call, args: tuple[Any, ...]) -> Any:
                return mutant(driver, method, *args) if called == operation else method(*args)

            return intercept(driver, around)

        _add(Mutant(test, mutant.__name__, wrap=(wrap,)))
        return mutant

    return register


def layer(test: str) -> Callable[[LayerMutant], LayerMutant]:
    """Patch what is above the ports, or several methods of a port that hang together."""

    def register(mutant: LayerMutant) -> LayerMutant:
        _add(Mutant(test, mutant.__name__, patch=mutant))
        return mutant

    return register


def _add(mutant: Mutant) -> None:
    if mutant.test not in conformance.TESTS:
        raise ValueError(f"mutant {mutant.name}: the suite has no test {mutant.test!r}")
    if mutant.test in BY_TEST:
        raise ValueError(f"{mutant.test} has two mutants: {BY_TEST[mutant.test].name} and {mutant.name}")
    BY_TEST[mutant.test] = mutant


# What mutants reach into the fake with


def world(driver: Driver) -> World:
    """The world behind a driver."""
    native = driver.native()
    assert isinstance(native, World)
    return native


def machine(driver: Driver, vm_id: str) -> Machine:
    """A VM in that world."""
    return world(driver).machines[vm_id]


def edit(driver: Driver, vm_id: str, **changes: Any) -> VMRecord:
    """Change a VM's record behind the port's back."""
    return world(driver).update(machine(driver, vm_id), **changes)


def nothing(*_args: object, **_kwargs: object) -> None:
    """What a check does that is not there."""
