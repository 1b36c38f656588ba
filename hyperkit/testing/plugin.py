"""The pytest plugin, as ``pytest11`` names it: fixtures for users, and the conformance suite's option and report.

pytest imports this at its start, before coverage measures anything: what it needs of hyperkit is imported
inside the hooks.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

pytest_plugins = ["hyperkit.testing.fixtures"]

pytest.register_assert_rewrite("hyperkit.testing.conformance")


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--hyperkit-matrix=docs/conformance.json``."""
    group = parser.getgroup("hyperkit")
    group.addoption(
        "--hyperkit-matrix",
        metavar="PATH",
        help="write what the conformance suite found, by behaviour and bed, to this JSON file",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect the conformance tests' outcomes in this session."""
    from hyperkit.testing.matrix import MatrixPlugin  # noqa: PLC0415

    config.pluginmanager.register(MatrixPlugin(config.getoption("--hyperkit-matrix")), "hyperkit-matrix")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note that a conformance test is about to run, so that it counts even if its bed breaks down."""
    from hyperkit.testing import running  # noqa: PLC0415

    running.begin(item)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a conformance test on its bed, or say why not."""
    from hyperkit.testing import running  # noqa: PLC0415

    with running.on_bed(pyfuncitem):
        return (yield)
