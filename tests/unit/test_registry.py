"""Schemes and the backends that serve them."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from hyperkit import ConnectionFailed, InvalidRequest, registry
from hyperkit.registry import BUILTIN, GROUP
from tests.unit.support import refusal

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
POINTS: dict[str, str] = PROJECT["entry-points"][GROUP]


def test_entry_points_are_the_builtin_schemes() -> None:
    assert {scheme: known.target for scheme, known in BUILTIN.items()} == POINTS


@pytest.mark.parametrize("scheme", BUILTIN)
def test_each_backend_is_there_and_says_how_to_get_what_it_needs(scheme: str) -> None:
    known = BUILTIN[scheme]
    module, _, function = known.target.partition(":")
    assert function == "open"
    path = Path(registry.__file__).parent.joinpath(*module.split(".")[1:])
    assert path.with_suffix(".py").exists() or (path / "__init__.py").exists()
    assert bool(known.needs) is bool(known.hint)
    if known.needs:
        extra = module.rpartition(".")[2]
        assert f"hyperkit[{extra}]" in known.hint
        assert extra in PROJECT["optional-dependencies"]


def test_schemes_are_sorted_and_known_without_importing_anything() -> None:
    found = registry.schemes()
    assert list(found) == sorted(set(found))
    assert set(BUILTIN) <= set(found)


def test_a_transport_is_the_backend_s_own_affair() -> None:
    assert registry.find("fake+anything") is registry.find("fake") is import_module("hyperkit.backends.fake").open


def test_an_unknown_scheme() -> None:
    with pytest.raises(InvalidRequest, match="no backend for gopher"):
        registry.find("gopher")


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        BUILTIN["mine"] = registry.Known("a:b")  # type: ignore[index]


def test_libvirt_says_what_it_needs_or_is_there() -> None:
    error = refusal(ConnectionFailed, lambda: registry.find("qemu"))
    assert "pip install 'hyperkit[libvirt]'" in str(error) if error else callable(registry.find("qemu"))
