"""A graceful shutdown: the guest is asked, and asked again, until it is off."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from hyperkit.clock import Clock
from hyperkit.errors import Cancelled, InvalidState
from hyperkit.jobs import FINISHED, Job, JobStatus, Progress
from hyperkit.records import PowerRecord
from hyperkit.states import PowerState


class ShutdownJob(Job[PowerRecord]):
    """Over once the VM is off.

    A request reaches no guest that boots or sleeps, and no host repeats it; so each look that comes ``resend``
    seconds after the last request asks again.
    """

    def __init__(
        self, look: Callable[[], PowerRecord], ask: Callable[[], object], *, clock: Clock, resend: float
    ) -> None:
        self._look = look
        self._ask = ask
        self._clock = clock
        self._resend = resend
        self._next_request = clock.monotonic() + resend
        self._cancelled = False

    def poll(self) -> JobStatus[PowerRecord]:
        power = self._look()
        if power.state is PowerState.OFF:
            return JobStatus(True, FINISHED, power)
        if self._cancelled:
            return JobStatus(True, error=Cancelled("the guest is not asked again; it may still shut down"))
        if power.state is PowerState.RUNNING and self._clock.monotonic() >= self._next_request:
            self._next_request = self._clock.monotonic() + self._resend
            # It may go off between the look and the request: the next look sees it.
            with suppress(InvalidState):
                self._ask()
        return JobStatus(False, Progress(phase="waiting for the guest"))

    def cancel(self) -> None:
        """Ask no more. What the guest began it will finish."""
        self._cancelled = True
