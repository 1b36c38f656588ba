"""The pytest plugin around the suite: what becomes of a test on a bed, and what is written about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyperkit.testing import conformance
from tests import plugin

MODULE = """
import pytest
from hyperkit.testing.conformance import {tests}
from tests.conformance.fake_bed import FakeBed

class Toy(FakeBed):
{body}

@pytest.fixture
def bed():
    with Toy("toy") as bed:
        yield bed
"""
OFF = "test_a_new_vm_is_off"
TWINS = "test_two_vms_may_have_one_name"


def run(pytester: pytest.Pytester, *tests: str, body: str = "    pass", options: tuple[str, ...] = ()) -> Any:
    """Run some tests of the suite on a fake with a twist."""
    pytester.makepyfile(MODULE.format(tests=", ".join(tests), body=body))
    return run_files(pytester, *options)


def run_files(pytester: pytest.Pytester, *options: str) -> Any:
    """Run what is there, with the plugin by its entry point or, in a checkout, by its name."""
    # Hypothesis takes half a second to import, again for each of these runs.
    plain = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return pytester.runpytest_inprocess(*plugin.OPTIONS, *plain, "-rs", *options)


def test_a_test_that_passes(pytester: pytest.Pytester) -> None:
    result = run(pytester, OFF)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["toy: 1 passed"])


def test_an_unmet_requirement_is_a_skip_that_says_why(pytester: pytest.Pytester) -> None:
    result = run(pytester, OFF, TWINS)
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(
        ["toy: 1 passed, 1 unsupported", "*unsupported on toy: Must VM names differ*Yes (capability 'unique_vm_names')"]
    )


def test_a_false_success_is_named_and_not_run(pytester: pytest.Pytester) -> None:
    result = run(pytester, OFF, body=f"    cannot_verify = {{'{OFF}': 'every VM looks off here'}}")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["toy: 1 cannot-verify", "*cannot verify on toy: every VM looks off here"])


def test_an_expected_failure_is_one(pytester: pytest.Pytester) -> None:
    body = f"    xfail = {{'{OFF}': 'it is on'}}\n    def vm(self, **fields): return super().vm(**fields).start()"
    result = run(pytester, OFF, body=body)
    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(["toy: 1 xfail"])


def test_an_expected_failure_that_passes_is_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, OFF, body=f"    xfail = {{'{OFF}': 'it is on'}}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*{OFF} passes on toy; take it out of xfail, where it says: it is on"])
    result.stdout.fnmatch_lines(["toy: 1 failed"])


def test_a_reason_for_an_unknown_test_ends_the_collection(pytester: pytest.Pytester) -> None:
    result = run(pytester, OFF, body="    xfail = {'test_nonsense': 'why not'}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*Toy.xfail: the suite has no test 'test_nonsense'*"])


def test_a_bed_that_cannot_be_set_up_is_a_failure(pytester: pytest.Pytester) -> None:
    result = run(pytester, OFF, body="    def __enter__(self): raise RuntimeError('no power')")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*: 1 failed"])


def test_a_bed_that_is_not_there_is_no_row(pytester: pytest.Pytester) -> None:
    result = run(pytester, OFF, body="    def __enter__(self): pytest.skip('no such host here')")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no such host here"])
    result.stdout.no_fnmatch_line("*hyperkit conformance*")


LEAKS = """
    def connect(self):
        def around(called, method, args):
            return method(args[0], ()) if called == "vms.delete" else method(*args)
        return hyperkit.connect(self._url, wrap=[lambda driver: intercept(driver, around)])

import hyperkit
from hyperkit.instrument import intercept
"""


def test_what_a_test_leaves_behind_fails_it(pytester: pytest.Pytester) -> None:
    result = run(pytester, "test_a_new_disk_has_the_size_asked_for", body=LEAKS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*these disks are still there after their VMs were deleted*hk-vm-1*"])


def test_what_a_test_destroys_fails_it(pytester: pytest.Pytester) -> None:
    body = """
    def vm(self, **fields):
        self.backdoor.remove(self.base_image.path)
        return super().vm(**fields)
"""
    result = run(pytester, OFF, body=body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the host is not as it was before the test*"])


def test_a_failed_test_leaves_the_host_to_the_next_as_it_was(pytester: pytest.Pytester) -> None:
    body = """
    def seen(self, vm):
        raise AssertionError("blind")

    def close(self):
        assert len(self.host.vms.list()) == 0
        assert len(self.backdoor.files()) == 5  # the bed's own
        super().close()
"""
    result = run(pytester, "test_a_new_disk_has_the_size_asked_for", body=body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError: blind"])


def test_the_matrix_is_written_the_same_for_the_same_outcomes(pytester: pytest.Pytester) -> None:
    first, second = (pytester.path / name for name in ("first.json", "second.json"))
    run(pytester, OFF, TWINS, options=(f"--hyperkit-matrix={first}",))
    result = run(pytester, TWINS, OFF, options=(f"--hyperkit-matrix={second}",))
    assert first.read_bytes() == second.read_bytes()
    result.stdout.fnmatch_lines(["toy", "vms.create", "+     A new VM is off.", f"written to {second}"])
    data = json.loads(first.read_text())
    assert data["beds"]["toy"]["product"] == "hyperkit fake"
    assert data["beds"]["toy"]["capabilities"]["pause"] is True
    assert [(row["test"], row["outcome"], row["bed"]) for row in data["rows"]] == [
        (OFF, "passed", "toy"),
        (TWINS, "unsupported", "toy"),
    ]


def test_a_run_that_has_less_does_not_write_the_matrix(pytester: pytest.Pytester) -> None:
    path = pytester.path / "matrix.json"
    run(pytester, OFF, TWINS, options=(f"--hyperkit-matrix={path}",))
    before = path.read_bytes()
    result = run(pytester, OFF, options=(f"--hyperkit-matrix={path}",))
    result.stdout.fnmatch_lines([f"NOT written to {path}, which has outcomes that this run lacks: 1 of toy"])
    result = run(
        pytester,
        OFF,
        body="    def __enter__(self): pytest.skip('no such host here')",
        options=(f"--hyperkit-matrix={path}",),
    )
    result.stdout.fnmatch_lines(["NOT written to *: 2 of toy"])
    assert path.read_bytes() == before
    # A test that the suite has no more is not missed.
    path.write_text(path.read_text(encoding="utf-8").replace(TWINS, "test_of_old"), encoding="utf-8")
    run(pytester, OFF, options=(f"--hyperkit-matrix={path}",)).stdout.fnmatch_lines([f"written to {path}"])
    assert b"test_of_old" not in path.read_bytes()


def test_the_whole_suite_is_one_import() -> None:
    names: dict[str, object] = {}
    exec("from hyperkit.testing.conformance import *", names)  # as an author writes it
    assert {name for name in names if not name.startswith("_")} == set(conformance.TESTS)
