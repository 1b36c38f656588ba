"""What Hyper-V says, in our words."""

from __future__ import annotations

from typing import Any

import pytest

from hyperkit import errors as ours
from hyperkit.backends.hyperv.errors import MethodFailed, translate
from hyperkit.backends.hyperv.wsman import WSManFault
from tests.beds.hyperv_sim.schema import load


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ({"codes": (0x80338000, 0x80041002)}, ours.NotFound, "0x80041002"),
        ({"codes": (0x80338000, 0x80041003)}, ours.PermissionDenied, "Hyper-V Administrators"),
        ({"codes": (5,), "subcode": "AccessDenied"}, ours.PermissionDenied, "Hyper-V Administrators"),
        ({"codes": (0x8033801A,)}, ours.ConnectionFailed, "no Hyper-V"),
        ({"codes": (0x80041010,)}, ours.Unsupported, "version of Windows"),
        ({"codes": (0x80338029,), "subcode": "TimedOut"}, ours.ConnectionLost, "unknown"),
        ({"codes": (2150859174,), "subcode": "QuotaLimit"}, ours.ResourceExhausted, "quota"),
        ({"codes": (0x80338041,)}, ours.BackendError, "0x80338041"),
        ({}, ours.BackendError, "no code"),
    ],
)
def test_faults(fault: dict[str, Any], kind: type[Exception], words: str) -> None:
    found = translate(WSManFault("It failed.", **fault))
    assert type(found) is kind
    assert words in str(found)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, ours.Unsupported),
        (2, ours.TaskFailed),
        (4, ours.InvalidRequest),
        (32768, ours.TaskFailed),
        (32769, ours.PermissionDenied),
        (32773, ours.InvalidRequest),
        (32774, ours.Busy),
        (32775, ours.InvalidState),
        (32778, ours.ResourceExhausted),
        (32788, ours.AlreadyExists),
        (32789, ours.NotFound),
        (54321, ours.TaskFailed),
    ],
)
def test_return_values(code: int, kind: type[Exception]) -> None:
    found = translate(MethodFailed("Msvm_X.Do", code))
    assert type(found) is kind
    assert f"({code}" in str(found)


@pytest.mark.parametrize(("code", "kind"), [(2, ours.PermissionDenied), (10, ours.AlreadyExists), (15, ours.Busy)])
def test_files_count_otherwise(code: int, kind: type[Exception]) -> None:
    assert type(translate(MethodFailed("CIM_DataFile.Delete", code))) is kind


def test_the_hosts_words_come_before_ours() -> None:
    found = str(translate(MethodFailed("Starting", 32778, "Nicht genügend Arbeitsspeicher. ")))
    assert found == "Starting failed: Nicht genügend Arbeitsspeicher (32778, out of memory)"


def test_what_is_not_hyper_vs_is_left() -> None:
    assert translate(ValueError("x")) is None
    assert translate(ours.NotFound("x")) is None


def test_the_methods_that_jobs_have_are_there() -> None:
    kind = load().find("Msvm_ConcreteJob")
    assert kind is not None
    assert {"RequestedState"} <= set(kind.methods["RequestStateChange"].takes)
