"""One conformance test on one bed: run it or say why not, and note what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from hyperkit.capabilities import Capabilities
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import Behaviour, claim_of

ROW = "hyperkit-conformance"
BED = "hyperkit-bed"
"""Names of the user properties that carry a row and a bed's facts, also out of another process."""


def begin(item: pytest.Item) -> None:
    """Note a failure, which the test may still turn into something better."""
    claim = claim_of(getattr(item, "obj", None))
    if claim is not None and isinstance(item, pytest.Function):
        row = {
            "bed": item.module.__name__,
            "behaviour": claim.text,
            "operation": claim.operation,
            "outcome": "failed",
            "reason": "the bed could not be set up",
            "test": claim.test,
        }
        item.user_properties.append((ROW, row))


@contextmanager
def on_bed(item: pytest.Function) -> Iterator[None]:
    """Run the test, unless its success would say nothing; any other test just runs."""
    claim = claim_of(item.obj)
    if claim is None:
        yield
        return
    bed = item.funcargs["bed"]
    assert isinstance(bed, Bed), f"the fixture 'bed' of {item.module.__name__} is no hyperkit.testing.Bed"
    row = next(value for name, value in item.user_properties if name == ROW)
    assert isinstance(row, dict)
    row.update(bed=bed.name, reason="")
    item.user_properties.append((BED, facts(bed)))
    _skip_what_cannot_be_told(claim, bed, row)
    expected = bed.xfail.get(claim.test)
    try:
        with bed.test():
            yield
    except (Exception, pytest.fail.Exception):
        if expected is None:
            raise
        row.update(outcome="xfail", reason=expected)
        pytest.xfail(expected)
    if expected is not None:
        row.update(reason=f"it was expected to fail: {expected}")
        pytest.fail(f"{claim.test} passes on {bed.name}; take it out of xfail, where it says: {expected}")
    row.update(outcome="passed")


def _skip_what_cannot_be_told(claim: Behaviour, bed: Bed, row: dict[str, Any]) -> None:
    unmet = claim.unmet(bed)
    if unmet is not None:
        row.update(outcome="unsupported", reason=unmet)
        pytest.skip(f"unsupported on {bed.name}: {unmet}")
    doubt = bed.cannot_verify.get(claim.test)
    if doubt is not None:
        row.update(outcome="cannot-verify", reason=doubt)
        pytest.skip(f"cannot verify on {bed.name}: {doubt}")


def facts(bed: Bed) -> dict[str, Any]:
    """What a bed's host is and can do, ready for JSON."""
    info = bed.host.info
    able = attrs.asdict(bed.host.capabilities)
    why = able.pop("why")
    questions = [field.name for field in attrs.fields(Capabilities) if "question" in field.metadata]
    return {
        "backend": bed.host.backend,
        "bed": bed.name,
        "capabilities": {name: able.pop(name) for name in questions},
        "hypervisor_type": info.hypervisor_type.value,
        "limits": able,
        "product": info.product,
        "version": info.version,
        "why": dict(why),
    }
