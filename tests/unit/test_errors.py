"""The tree of errors: its shape, what an error prints, and that it survives a trip to another process."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import hyperkit
from hyperkit import errors
from hyperkit.errors import (
    AgentUnavailable,
    AlreadyExists,
    Ambiguous,
    AuthenticationFailed,
    BackendError,
    Busy,
    Cancelled,
    CommandFailed,
    ConnectionFailed,
    ConnectionLost,
    HyperkitError,
    InvalidRequest,
    InvalidState,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TaskFailed,
    Timeout,
    Unsupported,
)

TREE: dict[type[HyperkitError], type[Exception]] = {
    HyperkitError: Exception,
    ConnectionFailed: HyperkitError,
    AuthenticationFailed: ConnectionFailed,
    ConnectionLost: HyperkitError,
    NotFound: HyperkitError,
    AlreadyExists: HyperkitError,
    Ambiguous: HyperkitError,
    InvalidState: HyperkitError,
    AgentUnavailable: InvalidState,
    InvalidRequest: HyperkitError,
    Unsupported: HyperkitError,
    ResourceExhausted: HyperkitError,
    Busy: HyperkitError,
    PermissionDenied: HyperkitError,
    TaskFailed: HyperkitError,
    CommandFailed: TaskFailed,
    Timeout: HyperkitError,
    Cancelled: HyperkitError,
    BackendError: HyperkitError,
}

ALL = sorted(TREE, key=lambda kind: kind.__name__)


def full(kind: type[HyperkitError]) -> HyperkitError:
    """One with every attribute set."""
    where = {"backend": "qemu:///system", "operation": "vms.create", "resource": "VM 'web1'"}
    if issubclass(kind, InvalidState):
        return kind("no", current="off", wanted="pause", allowed=["start", "delete"], **where)
    if kind is InvalidRequest:
        return InvalidRequest("no", field="memory", value=4096, **where)
    if kind is Unsupported:
        return Unsupported("no", capability="pause", **where)
    return kind("no", **where)


def test_the_tree_is_complete() -> None:
    defined = {item for _, item in inspect.getmembers(errors, inspect.isclass) if item.__module__ == errors.__name__}
    assert defined == set(TREE)


@pytest.mark.parametrize("kind", ALL)
def test_each_has_its_parent_and_is_public(kind: type[HyperkitError]) -> None:
    assert kind.__bases__[0] is TREE[kind]
    assert getattr(hyperkit, kind.__name__) is kind
    assert kind.__name__ in hyperkit.__all__


def test_the_module_draws_the_tree_as_it_is() -> None:
    drawn = re.findall(r"^( +)([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE)
    depths = {name: len(indent) // 2 - len(drawn[0][0]) // 2 for indent, name in drawn}
    assert depths == {kind.__name__: len([k for k in kind.__mro__ if k in TREE]) - 1 for kind in ALL}


@pytest.mark.parametrize("kind", ALL)
def test_only_these_are_worth_repeating(kind: type[HyperkitError]) -> None:
    assert kind.retryable is (kind in (ConnectionLost, Busy))


def test_callers_who_know_only_python_catch_them_too() -> None:
    assert issubclass(InvalidRequest, ValueError)
    assert issubclass(Timeout, TimeoutError)


@pytest.mark.parametrize("kind", ALL)
def test_defaults(kind: type[HyperkitError]) -> None:
    bare = kind()
    assert (str(bare), bare.message, bare.backend, bare.operation, bare.resource) == ("", "", "", "", "")
    assert bare.__cause__ is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound("no VM 'a'"), "no VM 'a'"),
        (NotFound("no VM 'a'", backend="fake://"), "no VM 'a' on fake://"),
        (NotFound("no VM 'a' on fake://", backend="fake://"), "no VM 'a' on fake://"),
        (NotFound("no such file", resource="VM 'a'"), "VM 'a': no such file"),
        (NotFound("VM 'a' has no such file", resource="VM 'a'"), "VM 'a' has no such file"),
        (NotFound("no file", resource="VM 'a'", backend="fake://"), "VM 'a': no file on fake://"),
        (InvalidState("it is off"), "it is off"),
        (InvalidState("it is off", allowed=("start", "delete")), "it is off (allowed: start, delete)"),
        (
            InvalidState("it is off", allowed=["start"], backend="fake://", resource="VM 'a'"),
            "VM 'a': it is off on fake:// (allowed: start)",
        ),
        (Timeout("waited 3 s"), "waited 3 s"),
        (InvalidRequest("cpus=0"), "cpus=0"),
    ],
)
def test_what_an_error_prints(error: HyperkitError, text: str) -> None:
    assert str(error) == text


def test_the_message_is_without_the_place() -> None:
    error = NotFound("no file", resource="VM 'a'", backend="fake://")
    assert error.message == "no file"


def test_invalid_state_keeps_its_fields() -> None:
    verbs = ["start"]
    error = InvalidState("no", current="off", wanted="pause", allowed=verbs)
    verbs.append("pause")
    assert (error.current, error.wanted, error.allowed) == ("off", "pause", ("start",))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "travel",
    [
        *(pytest.param(lambda e, p=p: pickle.loads(pickle.dumps(e, p)), id=f"pickle{p}") for p in range(6)),
        pytest.param(copy.copy, id="copy"),
        pytest.param(copy.deepcopy, id="deepcopy"),
    ],
)
def test_errors_travel_whole(kind: type[HyperkitError], travel: object) -> None:
    error = full(kind)
    assert callable(travel)
    arrived = travel(error)
    assert arrived is not error
    assert type(arrived) is kind
    assert arrived.args == error.args
    assert vars(arrived) == vars(error)
    assert str(arrived) == str(error)
    assert arrived.retryable is error.retryable


def test_an_error_travels_though_the_value_in_it_cannot() -> None:
    with pytest.raises(InvalidRequest) as caught:
        hyperkit.VMSpec("web1", disks=[lambda: None])
    arrived = pickle.loads(pickle.dumps(caught.value))
    assert str(arrived) == str(caught.value)
    assert arrived.field == "disks[0]"
    assert "lambda" in arrived.value


def test_located_fills_in_what_is_not_known_and_returns_the_same() -> None:
    error = NotFound("gone")
    assert error.located(backend="fake://", operation="vms.get", resource="VM 'a'") is error
    assert (error.backend, error.operation, error.resource) == ("fake://", "vms.get", "VM 'a'")


@pytest.mark.parametrize("kind", ALL)
def test_located_changes_nothing_that_is_known(kind: type[HyperkitError]) -> None:
    error = full(kind)
    before, printed = dict(vars(error)), str(error)
    error.located(backend="other://", operation="x.y", resource="VM 'b'").located(backend="third://")
    assert vars(error) == before
    assert str(error) == printed


def test_located_with_nothing_is_nothing() -> None:
    error = NotFound("gone").located()
    assert (error.backend, error.operation, error.resource) == ("", "", "")
