"""What lockstep tests share: the host of the conformance suite, and a report that is seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conformance.conftest import esx_sim, qemu_host, vcenter_sim

__all__ = ["esx_sim", "qemu_host", "vcenter_sim"]

Report = Callable[[object], None]


@pytest.fixture
def report(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Report:
    """Write to the terminal, also of a test that passes: what a run did is its result."""
    writer = request.config.get_terminal_writer()

    def write(said: object) -> None:
        with capsys.disabled():
            writer.line()
            writer.line(str(said))

    return write
