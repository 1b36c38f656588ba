"""Power states: the tables are complete, and say what docs/concepts.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hyperkit import PowerState
from hyperkit.states import ALLOWED, GOAL, PowerAction, allowed_in, already_there

S, A = PowerState, PowerAction

LEGAL = {
    S.OFF: {A.START},
    S.RUNNING: {A.STOP, A.SHUTDOWN, A.REBOOT, A.RESET, A.PAUSE, A.SUSPEND},
    S.PAUSED: {A.STOP, A.RESUME, A.SUSPEND},
    S.SUSPENDED: {A.START, A.DISCARD},
    S.SLEEPING: {A.STOP, A.RESUME},
    S.CRASHED: {A.START, A.STOP},
    S.UNKNOWN: set(PowerAction),
}


def test_every_state_and_action_has_its_line() -> None:
    assert set(ALLOWED) == set(PowerState)
    assert set(GOAL) == set(PowerAction)


@pytest.mark.parametrize("state", PowerState)
def test_legal_transitions(state: PowerState) -> None:
    assert ALLOWED[state] == LEGAL[state]


@pytest.mark.parametrize("state", PowerState)
def test_allowed_in_names_them_in_one_order(state: PowerState) -> None:
    assert allowed_in(state) == tuple(action.value for action in PowerAction if action in LEGAL[state])


@pytest.mark.parametrize("state", PowerState)
@pytest.mark.parametrize("action", PowerAction)
def test_already_there(state: PowerState, action: PowerAction) -> None:
    wanted = {
        A.START: S.RUNNING,
        A.RESUME: S.RUNNING,
        A.STOP: S.OFF,
        A.SHUTDOWN: S.OFF,
        A.PAUSE: S.PAUSED,
        A.SUSPEND: S.SUSPENDED,
    }
    assert already_there(state, action) is (wanted.get(action) is state)


@pytest.mark.parametrize("action", PowerAction)
def test_every_action_leads_on_from_some_known_state(action: PowerAction) -> None:
    assert any(action in actions for state, actions in ALLOWED.items() if state is not S.UNKNOWN)


@pytest.mark.parametrize("state", set(PowerState) - {S.UNKNOWN})
def test_no_state_is_a_dead_end(state: PowerState) -> None:
    seen = {state}
    while True:
        more = seen | {GOAL[action] for known in seen for action in ALLOWED[known]}
        if more == seen:
            break
        seen = more
    assert {S.OFF, S.RUNNING} <= seen


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ALLOWED[S.OFF] = frozenset()  # type: ignore[index]
    with pytest.raises(TypeError):
        GOAL[A.START] = S.OFF  # type: ignore[index]


def test_concepts_say_the_same() -> None:
    text = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text()
    rows = re.findall(r"^\| `([A-Z]+)` \|[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    documented = {PowerState[name]: set(re.findall(r"`(\w+)`", verbs)) for name, verbs in rows}
    assert documented == {state: set(allowed_in(state)) for state in PowerState if state is not S.UNKNOWN}
