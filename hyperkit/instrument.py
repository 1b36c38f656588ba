"""The one choke point between the objects and a backend's ports.

Every call passes here once: guarded by the capabilities, its errors translated and located, one line
logged. `intercept` is also how the testing kit injects faults and counts calls; a port is never
subclassed for that.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from hyperkit import guard
from hyperkit.clock import Clock
from hyperkit.driver import PORTS, Driver, operations
from hyperkit.errors import BackendError, HyperkitError, InvalidState
from hyperkit.jobs import Job, JobStatus
from hyperkit.streams import ByteStream

T = TypeVar("T")

log = logging.getLogger("hyperkit")

Around = Callable[[str, Callable[..., Any], tuple[Any, ...]], Any]
"""Makes a call: gets its name (``vms.create``), the method below and its arguments."""


class _Intercepted:
    """A port whose methods go through an `Around`. Ports are called by position only."""

    def __init__(self, port: str, inner: object, around: Around) -> None:
        for name in operations(port):
            setattr(self, name, self._through(f"{port}.{name}", getattr(inner, name), around))

    @staticmethod
    def _through(operation: str, method: Callable[..., Any], around: Around) -> Callable[..., Any]:
        return lambda *args: around(operation, method, args)


def intercept(driver: Driver, around: Around) -> Driver:
    """The same driver with every port call going through ``around``."""
    ports: dict[str, Any] = {
        name: _Intercepted(name, inner, around) for name in PORTS if (inner := getattr(driver, name)) is not None
    }
    return attrs.evolve(driver, **ports)


def instrument(driver: Driver) -> Driver:
    """Guard, translate and log every call; refuse them all once the connection was closed."""
    errors = _Errors(driver)
    closed = False
    running: weakref.WeakSet[Job[Any]] = weakref.WeakSet()
    lines: weakref.WeakSet[ByteStream] = weakref.WeakSet()

    def close() -> None:
        nonlocal closed
        closed = True
        for line in tuple(lines):
            line.close()
        for job in tuple(running):
            job.join()
        driver.close()

    def around(operation: str, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        logged = log.isEnabledFor(logging.DEBUG)
        started = time.perf_counter() if logged else 0.0
        outcome = "interrupted"
        try:
            if closed:
                raise InvalidState(f"{operation}: the connection to {driver.url} was closed; connect again")
            guard.check(operation, args, driver.capabilities, driver.url)
            result = method(*args)
            outcome = "ok"
        except Exception as error:
            outcome = type(error).__name__
            errors.rethrow(error, operation)
        finally:
            if logged:
                target = args[0] if args and isinstance(args[0], str) else getattr(args[0], "name", "") if args else ""
                spent = (time.perf_counter() - started) * 1000
                log.debug("%s %s %s: %s in %.1f ms", driver.url, operation, target, outcome, spent)
        if isinstance(result, ByteStream):
            lines.add(result)
            return _TranslatedStream(result, errors, operation)
        if not isinstance(result, Job):
            return result
        running.add(result)
        return _TranslatedJob(result, errors, operation)

    return attrs.evolve(intercept(driver, around), close=close)


class _Errors:
    """Turns whatever a backend raises into our tree, located, with its cause."""

    def __init__(self, driver: Driver) -> None:
        self._translate = driver.translate
        self._url = driver.url

    def ours(self, error: Exception, operation: str) -> HyperkitError:
        if isinstance(error, HyperkitError):
            return error.located(backend=self._url, operation=operation)
        translated = self._translate(error)
        if translated is None:
            translated = BackendError(f"{operation} failed: {type(error).__name__}: {error}")
        translated.__cause__ = error
        for note in getattr(error, "__notes__", ()):
            translated.add_note(note)
        return translated.located(backend=self._url, operation=operation)

    def rethrow(self, error: Exception, operation: str) -> None:
        ours = self.ours(error, operation)
        if ours is error:
            raise error
        raise ours from error


class _TranslatedJob(Job[Any]):
    """A backend's job whose errors are ours."""

    def __init__(self, inner: Job[Any], errors: _Errors, operation: str) -> None:
        self._inner = inner
        self._errors = errors
        self._operation = operation

    def poll(self) -> JobStatus[Any]:
        try:
            status = self._inner.poll()
        except Exception as error:
            return JobStatus(True, error=self._errors.ours(error, self._operation))
        if status.error is None:
            return status
        return attrs.evolve(status, error=self._errors.ours(status.error, self._operation))

    def wait(self, seconds: float, clock: Clock) -> None:
        try:
            self._inner.wait(seconds, clock)
        except Exception as error:
            self._errors.rethrow(error, self._operation)

    def cancel(self) -> None:
        try:
            self._inner.cancel()
        except Exception as error:
            self._errors.rethrow(error, self._operation)


class _TranslatedStream(ByteStream):
    """A backend's stream whose errors are ours. What goes through it is nobody's business here."""

    def __init__(self, inner: ByteStream, errors: _Errors, operation: str) -> None:
        self._inner = inner
        self._errors = errors
        self._operation = operation

    def read(self, size: int) -> bytes | None:
        return self._through(lambda: self._inner.read(size))

    def write(self, data: bytes) -> None:
        self._through(lambda: self._inner.write(data))

    def wait(self, seconds: float, clock: Clock) -> None:
        self._through(lambda: self._inner.wait(seconds, clock))

    def close(self) -> None:
        self._through(self._inner.close)

    def _through(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except Exception as error:
            ours = self._errors.ours(error, self._operation)
            if ours is error:
                raise
            raise ours from error
