"""What users see: the public names, and that each says what it is."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import hyperkit

ROOT = Path(hyperkit.__file__).parent
PUBLIC_MODULES = sorted(f"hyperkit.{module.name}" for module in pkgutil.iter_modules([str(ROOT)]) if not module.ispkg)


def _sort_key(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, as ruff sorts ``__all__``."""
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def test_all_is_sorted_without_doubles() -> None:
    assert hyperkit.__all__ == sorted(set(hyperkit.__all__), key=_sort_key)


def test_all_is_what_can_be_imported() -> None:
    public = {
        name
        for name, item in vars(import_module("hyperkit.api")).items()
        if not name.startswith("_") and not isinstance(item, ModuleType)
    }
    assert set(hyperkit.__all__) == public


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="'hyperkit' has no attribute 'Vm'"):
        hyperkit.Vm  # type: ignore[attr-defined]  # noqa: B018
    assert set(hyperkit.__all__) <= set(dir(hyperkit))


def test_a_star_brings_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from hyperkit import *", names)
    assert set(hyperkit.__all__) <= set(names)


def test_every_error_event_and_object_is_public() -> None:
    from hyperkit import errors, events, handle, vm_facts
    from hyperkit.errors import HyperkitError

    def below(kind: type) -> set[type]:
        subs: list[type] = type.__subclasses__(kind)
        return {kind}.union(*(below(sub) for sub in subs))

    wanted = {kind for kind in below(HyperkitError) if kind.__module__ == errors.__name__}
    wanted |= {kind for kind in below(events.Event) if kind.__module__ == events.__name__}
    wanted |= {kind for kind in below(handle.Handle) if kind.__module__ in PUBLIC_MODULES}
    wanted -= {handle.Handle, handle.PartOfVM, vm_facts.VMFacts, import_module("hyperkit.devices").Device}
    assert {kind.__name__ for kind in wanted} <= set(hyperkit.__all__)


def test_the_version_is_the_project_s() -> None:
    import tomllib

    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    assert hyperkit.__version__ == project["version"]


def test_types_are_shipped() -> None:
    assert (ROOT / "py.typed").is_file()


def _own(module: ModuleType) -> list[tuple[str, object]]:
    """The public classes and functions a module defines, and the public methods and properties of its classes.

    A method that carries out what its base class documents is documented by that.
    """
    found: list[tuple[str, object]] = []
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(item):
            found.append((name, item))
        elif inspect.isclass(item):
            found.append((name, item))
            found += [
                (f"{name}.{member}", getattr(item, member))
                for member, thing in vars(item).items()
                if not member.startswith("_") and (inspect.isfunction(thing) or isinstance(thing, property))
            ]
    return found


# Protocols of one line each, and the two clocks that carry out what `Clock` documents.
BY_PROTOCOL = {
    *(f"{clock}.{method}" for clock in ("SystemClock", "VirtualClock") for method in ("monotonic", "utcnow", "sleep")),
    *("Record.id", "NamedRecord.name"),
}


@pytest.mark.parametrize("name", ["hyperkit", *PUBLIC_MODULES])
def test_every_module_class_and_function_says_what_it_is(name: str) -> None:
    module = import_module(name)
    assert (module.__doc__ or "").strip()
    silent = {path for path, item in _own(module) if not (inspect.getdoc(item) or "").strip()}
    assert silent - BY_PROTOCOL == set()


@pytest.mark.parametrize("name", hyperkit.__all__)
def test_help_has_something_to_say(name: str) -> None:
    item = getattr(hyperkit, name)
    if not isinstance(item, int):
        assert inspect.getdoc(item)
        assert not (inspect.getdoc(item) or "").startswith(f"{name}(")  # what attrs or dataclasses would make up


def test_what_is_public_names_only_what_is_public_or_hidden_on_purpose() -> None:
    """No public function takes a parameter without a type."""
    for name in PUBLIC_MODULES:
        for path, item in _own(import_module(name)):
            if inspect.isfunction(item):
                untyped = [
                    parameter.name
                    for parameter in inspect.signature(item).parameters.values()
                    if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
                ]
                assert untyped == [], f"{name}.{path}"
