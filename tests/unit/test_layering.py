"""Who may import whom, and how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hyperkit

ROOT = Path(hyperkit.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
CORE = sorted(ROOT.glob("*.py"))
BACKENDS = sorted((ROOT / "backends").glob("*/**/*.py"))
NOT_TESTING = [path for path in FILES if "testing" not in path.relative_to(ROOT).parts]
SDKS = {
    "libvirt": "libvirt",
    "libvirt_qemu": "libvirt",
    "libvirtmod": "libvirt",
    "pyVmomi": "esxi",
    "pyVim": "esxi",
    "vmware": "esxi",
    "winrm": "hyperv",
    "requests": "hyperv",
}
"""Vendors' modules, and the one backend that may import each."""

ABOVE = {
    *("connection", "host", "vm", "vms", "disk", "nic", "switch", "snapshot", "datastore", "collection", "handle"),
    *("devices", "guard", "change", "resolve", "events", "tasks", "testing"),
}
"""What stands above the contract."""

MAX_LINES = 400
LONGER = {
    "driver.py": "the contract, of which three quarters are docstrings: one place to read it in one go",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if module.startswith("hyperkit"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_a_backend_imports_its_vendor_s_sdk(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    backend = parts[1] if parts[0] == "backends" and len(parts) > 2 else ""
    for module in imports(path):
        owner = SDKS.get(module.partition(".")[0])
        assert owner in (None, backend), f"{module} belongs to the backend {owner}"


@pytest.mark.parametrize("path", BACKENDS, ids=name_of)
def test_no_backend_imports_another(path: Path) -> None:
    own = path.relative_to(ROOT).parts[1]
    others = {module.split(".")[2] for module in imports(path) if module.startswith("hyperkit.backends.")}
    assert others <= {own}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_imports_attrs_and_the_standard_library(path: Path) -> None:
    for module in imports(path):
        top = module.partition(".")[0]
        assert top in sys.stdlib_module_names or top in ("attrs", "hyperkit"), module
        assert not module.startswith(("hyperkit.backends", "hyperkit.testing")), module


@pytest.mark.parametrize("path", BACKENDS, ids=name_of)
def test_backends_know_the_contract_and_not_the_objects_above(path: Path) -> None:
    used = {module.split(".")[1] for module in imports(path) if module.startswith("hyperkit.")}
    assert not used & ABOVE


@pytest.mark.parametrize("path", NOT_TESTING, ids=name_of)
def test_pytest_is_imported_only_by_the_testing_kit(path: Path) -> None:
    assert not {module.partition(".")[0] for module in imports(path)} & {"pytest", "_pytest", "hypothesis"}


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has loaded after this code, beyond the standard library."""
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=60
    )
    return {name for name in run.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}


def test_import_hyperkit_loads_no_vendor_and_no_testing_kit() -> None:
    assert modules_after("import hyperkit") - modules_after("pass") == {"hyperkit"}
    before, after = modules_after("import attrs"), modules_after("from hyperkit import *")
    loaded = after - before
    assert "hyperkit.vm" in loaded
    assert {name for name in loaded if not name.startswith("hyperkit")} == set()
    assert {name for name in loaded if name.startswith(("hyperkit.backends", "hyperkit.testing"))} == set()


def test_a_backend_is_loaded_when_its_scheme_is_used_and_no_other() -> None:
    loaded = modules_after("import hyperkit; hyperkit.connect('fake://')")
    backends = {name.split(".")[2] for name in loaded if name.startswith("hyperkit.backends.")}
    assert backends == {"fake"}
    assert not loaded & set(SDKS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_short_enough_to_read(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    if name_of(path) in LONGER:
        assert lines > MAX_LINES, "short again: take it from the list"
    else:
        assert lines <= MAX_LINES
