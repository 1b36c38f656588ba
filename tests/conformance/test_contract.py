"""The suite itself: one test for each behaviour line, with its words, that asserts something and can fail."""

from __future__ import annotations

import ast
import inspect
from collections import Counter

import pytest

from hyperkit.testing import conformance
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import Behaviour, behaviour, claim_of, contract
from tests.conformance import mutants
from tests.conformance.own_reader import REASONS


def claims() -> list[Behaviour]:
    found = [claim_of(test) for test in conformance.TESTS.values()]
    return [claim for claim in found if claim is not None]


def test_the_contract_has_behaviour_for_every_operation_but_download() -> None:
    # What a download brings is what the upload's lines are about.
    assert [operation for operation, lines in contract().items() if not lines] == ["volumes.download"]


def test_every_behaviour_line_has_exactly_one_test_with_the_same_words() -> None:
    lines = Counter((operation, line) for operation, texts in contract().items() for line in texts)
    tests = Counter((claim.operation, claim.text) for claim in claims())
    assert tests == lines
    assert set(tests.values()) == {1}


def test_every_test_claims_a_behaviour_under_its_own_name() -> None:
    assert [claim.test for claim in claims()] == list(conformance.TESTS)
    assert [test.__name__ for test in conformance.TESTS.values()] == list(conformance.TESTS)


def test_tests_are_in_the_order_of_the_contract_within_a_port() -> None:
    ports = [claim.operation.partition(".")[0] for claim in claims()]
    order = list(dict.fromkeys(ports))
    assert ports == sorted(ports, key=order.index)


READS = {
    "vms.list",
    "vms.get",
    "switches.list",
    "switches.get",
    "snapshots.list",
    "datastores.list",
    "datastores.get",
    "volumes.list",
    "host.info",
    "metrics.read",
    "events.subscribe",
    "guests.addresses",
    "guests.execute",
}
"""Operations that change nothing of the host's: what they answer is the whole point."""
OUTSIDE = {"backdoor", "inside"}
"""Where a test looks that believes nothing that the backend says: not on another connection either."""
OTHERS = {"second", "seen", "connect", "machine", "tree", "current", "measured", "stream", "addresses"}
"""Where it looks when it does not believe the object it called: the bed's words, and helpers made of them."""


@pytest.mark.parametrize("name", conformance.TESTS)
def test_every_test_asserts_something_and_looks_from_outside(name: str) -> None:
    (function,) = ast.parse(inspect.getsource(conformance.TESTS[name])).body
    assert isinstance(function, ast.FunctionDef)
    words = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
    words |= {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    assert "raises" in words or any(isinstance(node, ast.Assert) for node in ast.walk(function))
    assert words & (OUTSIDE | OTHERS | {"raises"})
    claim = claim_of(conformance.TESTS[name])
    assert claim is not None
    # An error needs no second look.
    believes = claim.operation not in READS and not words & (OUTSIDE | {"raises"})
    assert believes == (name in REASONS)
    # A test is read at a glance.
    assert (function.end_lineno or 0) - function.body[0].lineno < 18


def test_every_test_takes_a_bed_and_nothing_else() -> None:
    for test in conformance.TESTS.values():
        assert list(inspect.signature(test).parameters) == ["bed"]


def test_every_behaviour_has_a_mutant_that_its_test_finds() -> None:
    assert set(mutants.BY_TEST) == set(conformance.TESTS)


def test_a_reason_for_a_test_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no test 'test_a_new_vm_is_of'; did you mean test_a_new_vm_is_off"):

        class Wrong(Bed):
            xfail = {"test_a_new_vm_is_of": "a slip of the keyboard"}

    with pytest.raises(ValueError, match="cannot_verify: the suite has no test 'nonsense'"):

        class AlsoWrong(Bed):
            cannot_verify = {"nonsense": "whatever"}


def test_a_behaviour_of_a_capability_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no capability 'levitate'"):
        behaviour("vms.create", "A VM floats.", requires=("pause|!levitate",))
    with pytest.raises(ValueError, match="facts='unicorn'"):
        behaviour("vms.create", "A VM floats.", facts=("unicorn",))
