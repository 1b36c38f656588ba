"""Threads that work one fake host at once, through ten minutes of its time."""

from __future__ import annotations

import hyperkit
from tests.workload import THREADS, work

MINUTES = 10


def test_eight_threads_work_one_host_for_ten_minutes() -> None:
    with hyperkit.connect("fake://?jobs=seconds:1") as host:
        end = host.clock.monotonic() + MINUTES * 60
        steps = work(host, lambda _steps: host.clock.monotonic() < end, power=True, timeout=300)
        assert host.clock.monotonic() >= end
        assert steps > THREADS * 10
