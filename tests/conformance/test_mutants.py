"""No check is one that cannot fail: each test of the suite finds the fake that forgets its behaviour."""

from __future__ import annotations

import pytest

from hyperkit.errors import HyperkitError
from hyperkit.testing import conformance
from hyperkit.testing.behaviour import claim_of
from tests.conformance.fake_bed import FakeBed
from tests.conformance.mutants import BY_TEST, Mutant

PROFILES = ("all", "libvirt", "hyperv", "esxi", "vcenter", "lxc")

# What a test fails with; anything else is an accident of the mutant.
FOUND = (AssertionError, HyperkitError, pytest.fail.Exception)


def bed_for(mutant: Mutant) -> FakeBed:
    """A fake that has the behaviour, and then forgets it."""
    claim = claim_of(conformance.TESTS[mutant.test])
    assert claim is not None
    for profile in PROFILES:
        with FakeBed(profile=profile) as bed:
            if claim.unmet(bed) is None:
                return FakeBed(profile=profile, wrap=mutant.wrap)
    raise AssertionError(f"no profile of the fake can be asked for: {claim.text}")


@pytest.mark.parametrize("mutant", BY_TEST.values(), ids=lambda mutant: mutant.name)
def test_its_test_finds_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    with bed_for(mutant) as bed:
        if mutant.patch is not None:
            mutant.patch(monkeypatch)
        with pytest.raises(FOUND):
            conformance.TESTS[mutant.test](bed)
