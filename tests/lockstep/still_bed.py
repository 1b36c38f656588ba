"""A fake on which no guest hears anything, as on every host of a lockstep."""

from __future__ import annotations

from typing import Any

from tests.conformance.fake_bed import FakeBed


class StillBed(FakeBed):
    """`FakeBed`, without guests."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.world.deaf = True
