"""Capabilities: each asks a question, has its words for no, and is asked somewhere."""

from __future__ import annotations

import ast
import copy
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import hyperkit
from hyperkit import Capabilities, Unsupported
from hyperkit.backends.fake.profiles import ALL, PROFILES
from hyperkit.capabilities import names, question

CORE = Path(hyperkit.__file__).parent
LIMITS = {
    "max_cpus",
    "max_memory",
    "max_disks",
    "max_nics",
    "disk_formats",
    "disk_buses",
    "memory_unit",
    "hot_memory_unit",
    "why",
}


def test_every_boolean_is_a_question_and_the_rest_are_limits() -> None:
    booleans = {field.name for field in attrs.fields(Capabilities) if field.type in (bool, "bool")}
    assert set(names()) == booleans
    assert {field.name for field in attrs.fields(Capabilities)} - booleans == LIMITS


@pytest.mark.parametrize("name", names())
def test_each_has_question_and_words(name: str) -> None:
    meta = getattr(attrs.fields(Capabilities), name).metadata
    assert question(name) == meta["question"]
    assert re.fullmatch(r"(Can|Must|Does|Is) .+\?", question(name))
    assert meta["cannot"]
    assert not meta["cannot"].endswith((".", "?"))


@pytest.mark.parametrize("name", names())
def test_the_answer_is_no_unless_the_backend_says_yes(name: str) -> None:
    assert getattr(Capabilities(), name) is False


@pytest.mark.parametrize("name", names())
def test_refusing_names_host_capability_and_way_out(name: str) -> None:
    meta = getattr(attrs.fields(Capabilities), name).metadata
    with pytest.raises(Unsupported) as caught:
        Capabilities().refuse(name, "esxi://esx1")
    error = caught.value
    assert (error.capability, error.backend, error.retryable) == (name, "esxi://esx1", False)
    assert str(error).startswith(f"esxi://esx1 cannot {meta['cannot']} (capability '{name}')")
    # What is advised instead needs no capability that is lacking too.
    assert str(error).endswith("" if meta["by"] else meta["instead"])
    assert not (meta["by"] and meta["instead"] in str(error))
    able = Capabilities()
    if meta["by"]:
        able = attrs.evolve(able, **{meta["by"]: True})  # type: ignore[arg-type]
    with pytest.raises(Unsupported) as caught:
        able.refuse(name, "esxi://esx1")
    assert str(caught.value).endswith(meta["instead"])


def test_refusing_says_why_where_the_host_told() -> None:
    able = Capabilities(why={"snapshots": "the free licence is read-only"})
    with pytest.raises(Unsupported, match=r"\(capability 'snapshots'\): the free licence is read-only$"):
        able.refuse("snapshots", "esxi://esx1")
    with pytest.raises(Unsupported) as caught:
        able.refuse("pause", "esxi://esx1")
    assert "licence" not in str(caught.value)


def test_a_question_nobody_asks_is_an_error() -> None:
    with pytest.raises(AttributeError):
        question("levitate")


def test_capabilities_are_a_value() -> None:
    able = Capabilities(pause=True, why={"reset": "x"})
    assert copy.deepcopy(able) == able
    assert pickle.loads(pickle.dumps(able)) == able
    assert hash(able) == hash(Capabilities(pause=True, why={}))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        able.pause = False  # type: ignore[misc]


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_are_whole(profile: str) -> None:
    able = PROFILES[profile]
    assert able.disk_formats
    assert able.bios or able.uefi or able.containers
    assert able.why == {}


def test_the_fake_can_everything_there_is_a_word_for() -> None:
    assert [name for name in names() if not getattr(ALL, name)] == ["unique_snapshot_names"]


# No capability is dead


def _texts(tree: ast.AST) -> Iterator[str]:
    """Names of attributes, and strings that are code and no prose: what a capability is asked by."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value


COMPUTED = {
    # guard: f"{resource}_reservation", change: f"hot_{kind}_add", guard: f"switch_{spec.kind.value}", action.value
    *(f"{resource}_{what}" for resource in ("cpu", "memory") for what in ("reservation", "limit", "shares")),
    *(f"hot_{kind}_{what}" for kind in ("cpu", "memory") for what in ("add", "remove")),
    *(f"switch_{kind.value}" for kind in hyperkit.SwitchKind),
    *("shutdown", "reboot", "reset", "pause", "suspend"),
}


@pytest.mark.parametrize("name", sorted({*names(), *LIMITS} - {"why"}))
def test_each_is_asked_somewhere(name: str) -> None:
    if name in COMPUTED:
        assert name in names()
        return
    files = [path for path in CORE.glob("*.py") if path.name != "capabilities.py"]
    # Whether names are unique is the host's own affair: the reference asks it.
    files += [path for path in (CORE / "backends" / "fake").glob("*.py") if path.name != "profiles.py"]
    used = {text for path in files for text in _texts(ast.parse(path.read_text()))}
    assert name in used
