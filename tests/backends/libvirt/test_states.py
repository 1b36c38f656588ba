"""Every state and reason that libvirt has, and those it does not have yet."""

from __future__ import annotations

import pytest

from hyperkit.states import PowerState, StateReason

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt.states import power_state  # noqa: E402

S, R = PowerState, StateReason

TABLE = [
    ("RUNNING", "RUNNING_BOOTED", S.RUNNING, R.NORMAL),
    ("RUNNING", "RUNNING_MIGRATED", S.RUNNING, R.NORMAL),
    ("RUNNING", "RUNNING_POSTCOPY", S.RUNNING, R.MIGRATING),
    ("RUNNING", "RUNNING_POSTCOPY_FAILED", S.RUNNING, R.FAILED),
    ("BLOCKED", "BLOCKED_UNKNOWN", S.RUNNING, R.NORMAL),
    ("PAUSED", "PAUSED_USER", S.PAUSED, R.NORMAL),
    ("PAUSED", "PAUSED_MIGRATION", S.PAUSED, R.MIGRATING),
    ("PAUSED", "PAUSED_SAVE", S.RUNNING, R.SAVING),
    ("PAUSED", "PAUSED_DUMP", S.RUNNING, R.SAVING),
    ("PAUSED", "PAUSED_FROM_SNAPSHOT", S.PAUSED, R.NORMAL),
    ("PAUSED", "PAUSED_IOERROR", S.PAUSED, R.IO_ERROR),
    ("PAUSED", "PAUSED_WATCHDOG", S.PAUSED, R.FAILED),
    ("PAUSED", "PAUSED_SHUTTING_DOWN", S.RUNNING, R.SHUTTING_DOWN),
    ("PAUSED", "PAUSED_SNAPSHOT", S.RUNNING, R.SNAPSHOTTING),
    ("PAUSED", "PAUSED_CRASHED", S.CRASHED, R.CRASHED),
    ("PAUSED", "PAUSED_STARTING_UP", S.RUNNING, R.STARTING),
    ("PAUSED", "PAUSED_POSTCOPY_FAILED", S.PAUSED, R.FAILED),
    ("SHUTDOWN", "SHUTDOWN_UNKNOWN", S.RUNNING, R.SHUTTING_DOWN),
    ("SHUTDOWN", "SHUTDOWN_USER", S.RUNNING, R.SHUTTING_DOWN),
    ("SHUTOFF", "SHUTOFF_UNKNOWN", S.OFF, R.NORMAL),
    ("SHUTOFF", "SHUTOFF_DESTROYED", S.OFF, R.NORMAL),
    ("SHUTOFF", "SHUTOFF_CRASHED", S.OFF, R.CRASHED),
    ("SHUTOFF", "SHUTOFF_SAVED", S.OFF, R.NORMAL),
    ("SHUTOFF", "SHUTOFF_FAILED", S.OFF, R.FAILED),
    ("SHUTOFF", "SHUTOFF_FROM_SNAPSHOT", S.OFF, R.NORMAL),
    ("CRASHED", "CRASHED_PANICKED", S.CRASHED, R.CRASHED),
    ("PMSUSPENDED", "PMSUSPENDED_UNKNOWN", S.SLEEPING, R.NORMAL),
    ("NOSTATE", "NOSTATE_UNKNOWN", S.UNKNOWN, R.UNKNOWN),
]


@pytest.mark.parametrize(("state", "reason", "ours", "why"), TABLE)
def test_state_and_reason(state: str, reason: str, ours: PowerState, why: StateReason) -> None:
    number, detail = getattr(libvirt, f"VIR_DOMAIN_{state}"), getattr(libvirt, f"VIR_DOMAIN_{reason}")
    assert power_state(number, detail, saved=False) == (ours, why)


def test_only_a_saved_image_makes_a_vm_suspended() -> None:
    off = libvirt.VIR_DOMAIN_SHUTOFF
    for reason in range(9):
        assert power_state(off, reason, saved=True) == (S.SUSPENDED, R.NORMAL)
        assert power_state(off, reason, saved=False)[0] is S.OFF


def test_a_saved_image_of_a_vm_that_runs_means_nothing() -> None:
    assert power_state(libvirt.VIR_DOMAIN_RUNNING, 1, saved=True) == (S.RUNNING, R.NORMAL)


def test_a_state_of_a_later_libvirt_is_unknown_and_never_off() -> None:
    assert power_state(8, 0, saved=False) == (S.UNKNOWN, R.UNKNOWN)


@pytest.mark.parametrize("state", ["RUNNING", "PAUSED", "SHUTOFF", "CRASHED"])
def test_a_reason_of_a_later_libvirt_keeps_the_state(state: str) -> None:
    ours, why = power_state(getattr(libvirt, f"VIR_DOMAIN_{state}"), 99, saved=False)
    assert ours is not S.UNKNOWN
    assert why is R.UNKNOWN


def test_every_state_that_this_libvirt_names_is_known() -> None:
    names = ("NOSTATE", "RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED", "PMSUSPENDED")
    known = {getattr(libvirt, f"VIR_DOMAIN_{name}") for name in names}
    assert known == set(range(8))
    unknown = {state for state in known if power_state(state, 0, saved=False)[0] is S.UNKNOWN}
    assert unknown == {libvirt.VIR_DOMAIN_NOSTATE}


def test_every_reason_that_this_libvirt_names_is_known() -> None:
    for state in ("RUNNING", "PAUSED", "SHUTOFF", "CRASHED"):
        prefix = f"VIR_DOMAIN_{state}_"
        for name in (name for name in dir(libvirt) if name.startswith(prefix) and not name.endswith("LAST")):
            _, why = power_state(getattr(libvirt, f"VIR_DOMAIN_{state}"), getattr(libvirt, name), saved=False)
            assert why is not R.UNKNOWN, name
