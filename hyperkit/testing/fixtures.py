"""The pytest fixtures for tests of code that uses hyperkit, and the marker that chooses their host.

What they need is imported when a fixture is used: pytest loads this in every run of everybody who has hyperkit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hyperkit.host import Host
    from hyperkit.testing.fake import Fake

MARKER = "hyperkit(profile='all', jobs='now', without=()): what the fake host of this test is like"
_ARGUMENTS = ("profile", "jobs", "without")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, also under ``--strict-markers``."""
    config.addinivalue_line("markers", MARKER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse markers with wrong arguments before any test runs, whether or not the test uses the fixtures."""
    for item in items:
        for mark in item.iter_markers("hyperkit"):
            wrong = [*map(repr, mark.args), *(name for name in mark.kwargs if name not in _ARGUMENTS)]
            if wrong:
                raise pytest.UsageError(
                    f"{item.nodeid}: @pytest.mark.hyperkit does not take {', '.join(wrong)}; it is {MARKER}"
                )


def options_of(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the markers of a test say; the closest to the test wins."""
    options: dict[str, Any] = {}
    for mark in request.node.iter_markers("hyperkit"):
        options = {**mark.kwargs, **options}
    return options


@pytest.fixture
def hyperkit_fake(request: pytest.FixtureRequest) -> Iterator[Fake]:
    """A fake host from the back: ``seed``, ``faults``, ``calls``, ``clock``, ``guest``, ``connect``."""
    from hyperkit.errors import InvalidRequest  # noqa: PLC0415  # see above
    from hyperkit.testing.fake import fake_host  # noqa: PLC0415

    try:
        context = fake_host(**options_of(request))
        fake = context.__enter__()
    except InvalidRequest as error:
        pytest.fail(f"@pytest.mark.hyperkit: {error.message}", pytrace=False)
    yield fake
    context.__exit__(None, None, None)


@pytest.fixture
def hyperkit_host(hyperkit_fake: Fake) -> Host:
    """A fake host from the front: an ordinary `Host`, empty."""
    return hyperkit_fake.host
