"""What the documents show works: every Python block runs, every link leads somewhere.

The blocks of a document run in order, in one namespace and one fresh directory. A block that defines tests is run by
pytest; one that begins with ``# name.py`` is that file, which later blocks can import. A block that cannot be run is
fenced as ``python no-run`` and begins with ``# not run: `` and why.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.plugin import OPTIONS

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("README.md")])
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([a-z_]+\.py)\n")
_TESTS = re.compile(r"^(async )?def test_|^class Test", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@attrs.frozen
class Block:
    """A fenced block of a document."""

    info: str
    code: str
    line: int
    """The document's line that its first line is."""


def blocks(text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        yield Block(match["info"].strip(), match["code"], text[: match.start("code")].count("\n") + 1)


def python_blocks(text: str) -> list[Block]:
    found = [block for block in blocks(text) if block.info.split(" ")[0] in ("python", "py", "python3", "pycon")]
    for block in found:
        if block.info == "python no-run":
            assert re.match(r"# not run: \w", block.code), f"line {block.line} does not say why it is not run"
        else:
            assert block.info == "python", f"line {block.line}: {block.info!r} is neither 'python' nor 'python no-run'"
    return [block for block in found if block.info == "python"]


def documents(*, with_code: bool = False) -> list[Any]:
    chosen = [path for path in DOCUMENTS if not with_code or "```py" in path.read_text(encoding="utf-8")]
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in chosen]


def run(text: str, name: str, pytester: pytest.Pytester) -> int:
    """Run a document's Python blocks; return how many tests there were among them."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    tests = 0
    for block in python_blocks(text):
        file = _FILE.match(block.code)
        if _TESTS.search(block.code):
            path = pytester.path / (file[1] if file else f"test_line_{block.line}.py")
            path.write_text(block.code, encoding="utf-8")
            result = pytester.runpytest_inprocess(*OPTIONS, "-W", "error", "--strict-markers", path)
            passed = result.parseoutcomes().get("passed", 0)
            assert passed > 0, f"{name}:{block.line} has no test that passes"
            result.assert_outcomes(passed=passed)
            tests += passed
        elif file:
            (pytester.path / file[1]).write_text(block.code, encoding="utf-8")
        else:
            # So many empty lines before it that a traceback tells the document's line.
            exec(compile("\n" * (block.line - 1) + block.code, name, "exec"), namespace)
    return tests


@pytest.fixture
def importing_from_here(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(pytester.path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(pytester.path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("document", documents(with_code=True))
@pytest.mark.usefixtures("importing_from_here")
def test_python_blocks_run(document: Path, pytester: pytest.Pytester) -> None:
    run(document.read_text(encoding="utf-8"), str(document), pytester)


def anchors(text: str) -> set[str]:
    """The names that a forge gives to headings."""
    headings = re.findall(r"^#+ +(.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in _LINK.findall(_FENCE.sub("", document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue  # the web is not ours to test
        place, _, anchor = link.partition("#")
        target = document.parent / place if place else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    return broken


@pytest.mark.parametrize("document", documents())
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


def test_the_documents_that_must_be_there_are() -> None:
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert {"README.md", "docs/testing-with-hyperkit.md", "docs/writing-a-backend.md"} <= names


# The runner itself


@pytest.mark.usefixtures("importing_from_here")
def test_blocks_share_a_namespace_files_and_a_directory(pytester: pytest.Pytester) -> None:
    text = """
```python
one = 1
open("here", "w").close()
```
```python
# helper.py
def two():
    return 2
```
```python
from helper import two
assert one + two() == 3
```
```python
from helper import two
def test_it(hyperkit_host):
    assert two() == 2 + len(hyperkit_host.vms.list())
```
```sh
exit 1
```
```python no-run
# not run: the moon is not there
raise SystemExit
```
"""
    assert run(text, "text", pytester) == 1
    assert (pytester.path / "here").exists()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("```python\nassert 1 == 2\n```\n", "assert"),
        ("```python\ndef test_it():\n    assert 1 == 2\n```\n", "has no test that passes"),
        ("```python\ndef test_a(): pass\ndef test_b(): assert 0\n```\n", "passed"),
        ("```python no-run\nprint()\n```\n", "does not say why"),
        ("```python skip\nprint()\n```\n", "neither"),
        ("```pycon\n>>> 1\n```\n", "neither"),
    ],
)
def test_a_block_that_does_not_work_fails(pytester: pytest.Pytester, text: str, error: str) -> None:
    with pytest.raises(AssertionError) as caught:
        run(text, "text", pytester)
    assert error in str(caught.value) or error == "assert"


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# A heading, here\n[x](a.md) [x](#a-heading-here) [x](https://example.org)\n[x](b.md) [x](#nowhere)\n"
        "```text\n[x](c.md)\n```\n",
        encoding="utf-8",
    )
    assert broken_links(document) == ["b.md", "#nowhere"]


def test_a_traceback_tells_the_documents_line(pytester: pytest.Pytester) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("text\n\n```python\nx = 1\nx / 0\n```\n", "some.md", pytester)
    assert (Path(caught.traceback[-1].path).name, caught.traceback[-1].lineno + 1) == ("some.md", 5)
