"""A backend from outside: installed by pip, found by its entry point, held to the contract by our suite."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugin import OPTIONS
from tests.plugin import installed as hyperkit_installed

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "tests" / "third_party" / "hyperkit-toy"
PUBLIC = {
    "hyperkit",
    "hyperkit.capabilities",
    "hyperkit.driver",
    "hyperkit.errors",
    "hyperkit.jobs",
    "hyperkit.records",
    "hyperkit.specs",
    "hyperkit.states",
    "hyperkit.testing",
    "hyperkit.testing.conformance",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that the toy is installed into, as a wheel with its metadata."""
    pytest.importorskip("hatchling", reason="builds the toy's wheel, and nothing is downloaded for that")
    pytest.importorskip("pip")
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    done = run([sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(TOY)])
    assert done.returncode == 0, done.stderr
    return target


def run(command: list[str], *paths: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    if paths:
        ours = () if hyperkit_installed else (ROOT,)
        environment["PYTHONPATH"] = os.pathsep.join(map(str, (*paths, *ours)))
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=cwd, timeout=300)


def test_its_url_is_found_by_the_entry_point(installed: Path, tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        import hyperkit
        from hyperkit import MiB, registry
        assert "toy" in registry.schemes()
        assert "hyperkit_toy" not in sys.modules
        with hyperkit.connect("toy://{tmp_path}") as host:
            assert host.backend == "toy"
            host.vms.create("web1", memory=64 * MiB).start()
        with hyperkit.connect("toy://{tmp_path}") as host:
            print([(vm.name, vm.state.value) for vm in host.vms])
    """
    done = run([sys.executable, "-c", code], installed)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[('web1', 'running')]"


def test_it_passes_the_conformance_suite_and_its_own_tests(installed: Path, tmp_path: Path) -> None:
    matrix = tmp_path / "matrix.json"
    options = ["-v", "-p", "no:cacheprovider", *OPTIONS, f"--hyperkit-matrix={matrix}"]
    done = run([sys.executable, "-m", "pytest", *options], installed, cwd=TOY)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    counts = re.search(r"^toy: (\d+) passed, (\d+) unsupported$", done.stdout, re.MULTILINE)
    assert counts, done.stdout[-4000:]
    assert "A new VM is off." in done.stdout
    passed, unsupported = map(int, counts.groups())
    assert passed > 70
    assert passed + unsupported == matrix.read_text(encoding="utf-8").count('"operation"')


def imports() -> Iterator[tuple[str, str]]:
    for path in sorted(TOY.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield path.name, node.module
            elif isinstance(node, ast.Import):
                yield from ((path.name, alias.name) for alias in node.names)


def test_it_imports_nothing_but_the_public_face() -> None:
    ours = {(file, module) for file, module in imports() if module.split(".")[0] == "hyperkit"}
    assert len(ours) > 20
    assert {(file, module) for file, module in ours if module not in PUBLIC} == set()
