"""The one choke point: guarded, translated, located, logged; and `intercept`, which the testing kit builds on."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from hyperkit import (
    BackendError,
    Capabilities,
    HyperkitError,
    InvalidState,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unsupported,
    VirtualClock,
    VMSpec,
)
from hyperkit.backends.fake import driver as fake_driver
from hyperkit.backends.fake.world import World
from hyperkit.driver import PORTS, Driver, operations
from hyperkit.instrument import instrument, intercept
from hyperkit.jobs import FINISHED, Job, JobStatus, ThreadJob
from hyperkit.specs import SnapshotSpec
from hyperkit.states import PowerAction

EVERY_OPERATION = [f"{port}.{method}" for port in PORTS for method in operations(port)]


class VendorError(Exception):
    """What a vendor's SDK raises."""


def translate(error: Exception) -> HyperkitError | None:
    if isinstance(error, VendorError) and "quota" in str(error):
        return ResourceExhausted(f"the host says: {error}")
    return None


def driver_that(call: Callable[..., Any], **changes: Any) -> tuple[Driver, list[str]]:
    """An instrumented fake whose every port method is ``call``, and the names of those that were called."""
    called: list[str] = []

    def around(operation: str, _method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        called.append(operation)
        return call(*args)

    below = attrs.evolve(intercept(fake_driver(World()), around), translate=translate, **changes)
    return instrument(below), called


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_args: Any) -> Any:
        raise error

    return call


def port_of(driver: Driver, operation: str) -> Callable[..., Any]:
    port, _, method = operation.partition(".")
    function: Callable[..., Any] = getattr(getattr(driver, port), method)
    return function


# intercept


@pytest.mark.parametrize("operation", EVERY_OPERATION)
def test_every_port_method_goes_through(operation: str) -> None:
    seen: list[Any] = []

    def around(name: str, method: Callable[..., Any], args: tuple[Any, ...]) -> str:
        seen.append((name, method.__name__, args))
        return "made up"

    driver = intercept(fake_driver(World()), around)
    assert port_of(driver, operation)("a", 1) == "made up"
    assert seen == [(operation, operation.partition(".")[2], ("a", 1))]


def test_ports_that_a_host_lacks_stay_none() -> None:
    bare = attrs.evolve(fake_driver(World()), snapshots=None, guests=None, events=None)
    driver = intercept(bare, lambda _name, method, args: method(*args))
    assert (driver.snapshots, driver.guests, driver.events) == (None, None, None)
    assert driver.vms.list() == []


def test_all_but_the_ports_is_as_it_was() -> None:
    inner = fake_driver(World())
    driver = intercept(inner, lambda _name, method, args: method(*args))
    for field in attrs.fields(Driver):
        same = getattr(driver, field.name) is getattr(inner, field.name)
        assert same is (field.name not in PORTS)


def test_the_last_one_around_is_the_outermost() -> None:
    order: list[str] = []

    def noted(label: str) -> Callable[..., Any]:
        def around(_name: str, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
            order.append(label)
            return method(*args)

        return around

    intercept(intercept(fake_driver(World()), noted("inner")), noted("outer")).vms.list()
    assert order == ["outer", "inner"]


# Guard


@pytest.mark.parametrize(
    ("operation", "args"),
    [
        ("vms.create", (VMSpec("web1"),)),
        ("vms.set_power", ("id", PowerAction.PAUSE)),
        ("disks.detach", ("id", "vda")),
        ("snapshots.create", ("id", SnapshotSpec("s"))),
    ],
)
def test_the_vendor_is_not_called_for_what_the_host_cannot_do(operation: str, args: tuple[Any, ...]) -> None:
    driver, called = driver_that(lambda *_: None, capabilities=Capabilities())
    with pytest.raises(Unsupported) as caught:
        port_of(driver, operation)(*args)
    assert called == []
    assert (caught.value.backend, caught.value.operation) == ("fake://", operation)


# Errors


@pytest.mark.parametrize("operation", [name for name in EVERY_OPERATION if name.endswith((".list", ".get", ".info"))])
def test_a_vendor_s_exception_is_translated_with_its_cause(operation: str) -> None:
    cause = VendorError("quota exceeded")
    driver, _ = driver_that(raising(cause))
    with pytest.raises(ResourceExhausted, match="the host says: quota exceeded") as caught:
        port_of(driver, operation)("id")
    error = caught.value
    assert error.__cause__ is cause
    assert (error.backend, error.operation, error.resource) == ("fake://", operation, "")


@pytest.mark.parametrize("cause", [VendorError("code 38"), KeyError("web1"), OSError("disk on fire")])
def test_what_nobody_translates_is_a_backend_error(cause: Exception) -> None:
    driver, _ = driver_that(raising(cause))
    with pytest.raises(BackendError) as caught:
        driver.vms.get("id")
    error = caught.value
    assert type(error) is BackendError
    assert error.__cause__ is cause
    assert error.message == f"vms.get failed: {type(cause).__name__}: {cause}"
    assert (error.backend, error.operation) == ("fake://", "vms.get")


def test_our_own_errors_keep_their_identity_and_learn_the_place() -> None:
    ours = NotFound("no VM with id 'x'")
    driver, _ = driver_that(raising(ours))
    with pytest.raises(NotFound) as caught:
        driver.vms.get("x")
    assert caught.value is ours
    assert ours.__cause__ is None
    assert (ours.backend, ours.operation) == ("fake://", "vms.get")


def test_a_place_that_is_known_is_kept() -> None:
    ours = PermissionDenied("no", backend="esxi://esx1", operation="sessions.login", resource="session")
    driver, _ = driver_that(raising(ours))
    with pytest.raises(PermissionDenied):
        driver.vms.get("x")
    assert (ours.backend, ours.operation, ours.resource) == ("esxi://esx1", "sessions.login", "session")


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), SystemExit(1)])
def test_interruptions_pass_and_are_logged_as_such(
    interruption: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "hyperkit")
    driver, _ = driver_that(raising(interruption))
    with pytest.raises(type(interruption)) as caught:
        driver.vms.list()
    assert caught.value is interruption
    assert ": interrupted in " in caplog.text


# Jobs


class Failing(Job[Any]):
    """A job that fails in one way or the other."""

    def __init__(self, *, poll: Exception | None = None, status: Exception | None = None) -> None:
        self.raises = poll
        self.status = status
        self.waits: list[float] = []

    def poll(self) -> JobStatus[Any]:
        if self.raises is not None:
            raise self.raises
        return JobStatus(self.status is not None, FINISHED, None, self.status)

    def wait(self, seconds: float, clock: Any) -> None:
        self.waits.append(seconds)
        if self.raises is not None:
            raise self.raises

    def cancel(self) -> None:
        if self.raises is not None:
            raise self.raises
        self.waits.append(-1)


def job_of(inner: Job[Any]) -> Job[Any]:
    driver, _ = driver_that(lambda *_: inner)
    job = driver.vms.create(VMSpec("web1"))
    assert isinstance(job, Job)
    assert job is not inner
    return job


@pytest.mark.parametrize("how", ["poll", "status"])
def test_a_job_s_vendor_exception_is_translated(how: str) -> None:
    cause = VendorError("quota exceeded")
    status = job_of(Failing(**{how: cause})).poll()
    assert status.done
    error = status.error
    assert isinstance(error, ResourceExhausted)
    assert error.__cause__ is cause
    assert (error.backend, error.operation) == ("fake://", "vms.create")


@pytest.mark.parametrize("how", ["poll", "status"])
def test_a_job_s_own_error_keeps_its_identity(how: str) -> None:
    ours = NotFound("gone")
    assert job_of(Failing(**{how: ours})).poll().error is ours
    assert ours.operation == "vms.create"


@pytest.mark.parametrize("act", [lambda job: job.cancel(), lambda job: job.wait(1, VirtualClock())])
def test_waiting_and_cancelling_are_translated_too(act: Callable[[Job[Any]], None]) -> None:
    cause = VendorError("code 38")
    with pytest.raises(BackendError) as caught:
        act(job_of(Failing(poll=cause)))
    assert caught.value.__cause__ is cause


def test_a_job_that_goes_well_is_passed_on() -> None:
    inner = Failing()
    job = job_of(inner)
    assert job.poll() == JobStatus(False, FINISHED)
    job.wait(0.5, VirtualClock())
    job.cancel()
    assert inner.waits == [0.5, -1]


def test_what_is_no_job_is_returned_as_it_is() -> None:
    record = object()
    driver, _ = driver_that(lambda *_: record)
    assert driver.vms.create(VMSpec("web1")) is record


# Closing


def test_a_closed_connection_refuses_every_call_and_closes_twice() -> None:
    closes: list[int] = []
    driver, called = driver_that(lambda *_: None, close=lambda: closes.append(1))
    driver.close()
    driver.close()
    assert closes == [1, 1]
    with pytest.raises(InvalidState, match=r"the connection to fake:// was closed; connect again") as caught:
        driver.vms.list()
    assert caught.value.operation == "vms.list"
    assert called == []


# Log


@pytest.mark.parametrize(
    ("operation", "args", "target"),
    [
        ("vms.list", (), ""),
        ("vms.get", ("some-id",), "some-id"),
        ("vms.create", (VMSpec("web1"),), "web1"),
        ("volumes.download", ("/images/a.qcow2", object()), "/images/a.qcow2"),
    ],
)
def test_one_debug_line_for_each_call(
    operation: str, args: tuple[Any, ...], target: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "hyperkit")
    driver, _ = driver_that(lambda *_: "record")
    port_of(driver, operation)(*args)
    (line,) = caplog.records
    assert (line.name, line.levelno) == ("hyperkit", logging.DEBUG)
    assert re.fullmatch(rf"fake:// {operation} {target}: ok in \d+\.\d ms", line.getMessage())


@pytest.mark.parametrize(("error", "outcome"), [(VendorError("quota"), "VendorError"), (NotFound("gone"), "NotFound")])
def test_a_failure_is_one_line_too(error: Exception, outcome: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hyperkit")
    driver, _ = driver_that(raising(error))
    with pytest.raises(HyperkitError):
        driver.vms.get("some-id")
    (line,) = caplog.records
    assert re.fullmatch(rf"fake:// vms\.get some-id: {outcome} in \d+\.\d ms", line.getMessage())


def test_a_refused_call_is_one_line_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hyperkit")
    driver, _ = driver_that(lambda *_: None, capabilities=Capabilities())
    with pytest.raises(Unsupported):
        driver.vms.create(VMSpec("web1"))
    assert [record.getMessage().split(" in ")[0] for record in caplog.records] == [
        "fake:// vms.create web1: Unsupported"
    ]


def test_nothing_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hyperkit")
    driver, _ = driver_that(lambda *_: None)
    driver.vms.list()
    assert caplog.records == []


# Closing


def test_closing_waits_for_the_calls_that_run() -> None:
    begun, go_on, order = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go_on.wait(10)
        order.append("the call ended")

    driver, _ = driver_that(lambda *_: ThreadJob("slow", work), close=lambda: order.append("closed"))
    job = driver.vms.create(VMSpec("a"))
    assert isinstance(job, Job)
    assert begun.wait(10)
    closing = threading.Thread(target=driver.close)
    closing.start()
    assert not order
    go_on.set()
    closing.join(10)
    assert order == ["the call ended", "closed"]
    assert job.poll().done
