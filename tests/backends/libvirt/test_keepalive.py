"""Daemons that hang, die and come back, and those that are merely busy; on a real libvirtd with QEMU."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

import hyperkit
from hyperkit import ConnectionFailed, ConnectionLost, DiskSpec, Host, MiB, PowerState
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt.opening import pings  # noqa: E402

needs_bed = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

BOUND = 2
"""The least silence after which a peer can be taken for dead, in seconds."""
PATIENCE = 60
"""Seconds for what must not hang, on a machine that has other things to do."""
BUSY = 6


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri, timeout=BOUND) as host:
        yield host
    with hyperkit.connect(machine.uri) as host:
        for vm in host.vms.list():
            vm.delete(force=True)


def in_threads(work: list[Callable[[], object]]) -> list[BaseException | None]:
    """What each call raised; none may hang."""
    with ThreadPoolExecutor(len(work)) as pool:
        return [each.exception(timeout=PATIENCE) for each in [pool.submit(one) for one in work]]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (30, (5, 5)),
        (10, (1, 9)),
        (5, (1, 4)),
        (2, (1, 1)),
        (0.5, (1, 1)),
        (7.9, (1, 6)),
        (60, (10, 5)),
        (3600, (600, 5)),
    ],
)
def test_a_peer_is_given_up_after_the_time_asked_for(seconds: float, expected: tuple[int, int]) -> None:
    interval, count = pings(seconds)
    assert (interval, count) == expected
    assert interval * (count + 1) <= max(seconds, 2)


@needs_bed
def test_a_daemon_that_hangs_ends_every_call_that_waits(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("one", memory=64 * MiB)
    with machine.hung_libvirtd():
        assert [type(error) for error in in_threads([lambda: vm.configure(notes="new")])] == [ConnectionLost]
    assert host.vms.one("one").refresh() == vm  # with a new session


@needs_bed
def test_in_several_threads_too(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("one", memory=64 * MiB)
    calls = [host.vms.list, lambda: vm.configure(notes="new"), host.datastores.list, host.refresh] * 2
    with machine.hung_libvirtd():
        # Who needs a session more than there are finds out earlier.
        assert {type(error) for error in in_threads(calls)} == {ConnectionLost, ConnectionFailed}
    assert in_threads(calls) == [None] * len(calls)


@needs_bed
def test_a_list_of_many_vms_ends_too(machine: LibvirtHost, host: Host) -> None:
    """It is read by several threads."""
    for number in range(12):
        host.vms.create(f"vm{number}", memory=64 * MiB)
    host.vms.list()
    with machine.hung_libvirtd():
        (error,) = in_threads([host.vms.list])
        assert isinstance(error, ConnectionLost)
    assert len(host.vms.list()) == 12


@needs_bed
def test_a_daemon_that_hangs_cannot_be_connected_to(machine: LibvirtHost) -> None:
    before = threading.active_count()
    with machine.hung_libvirtd():
        with pytest.raises(ConnectionFailed, match="no answer within 2 seconds") as caught:
            hyperkit.connect(machine.uri, timeout=BOUND)
        assert machine.uri in str(caught.value)
    end = time.monotonic() + PATIENCE
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before  # whoever waited for it has closed what it got


@needs_bed
def test_an_idle_session_lives(machine: LibvirtHost, host: Host) -> None:
    """The pings are answered while nothing calls, by the loop: cloudstack#8437."""
    session = host.native
    time.sleep(3 * BOUND)  # the subject is time that passes
    assert session.isAlive()  # type: ignore[attr-defined]
    assert host.vms.list() == []
    assert host.native is session


@needs_bed
def test_an_idle_session_whose_daemon_hangs_is_found_dead(machine: LibvirtHost, host: Host) -> None:
    session = host.native
    with machine.hung_libvirtd():
        end = time.monotonic() + PATIENCE
        while session.isAlive():  # type: ignore[attr-defined]
            assert time.monotonic() < end
            time.sleep(0.05)
    assert host.vms.list() == []
    assert host.native is not session


@needs_bed
def test_calls_may_take_longer_than_a_peer_may_be_silent(machine: LibvirtHost, host: Host) -> None:
    """More calls than a daemon serves in one session, and it pings, and is pinged, all the while: virt-manager#623."""
    vms = [host.vms.create(f"busy{number}", memory=16 * MiB) for number in range(BUSY)]
    for vm in vms:
        vm.start().pause()
    with ExitStack() as hung:
        for vm in vms:
            hung.enter_context(machine.hung_qemu(vm.name))
        with ThreadPoolExecutor(BUSY) as pool:
            resumed = [pool.submit(vm.resume) for vm in vms]
            time.sleep(3 * BOUND)  # the subject is time that passes
            assert not any(each.done() for each in resumed)
            assert len(host.vms.list()) == BUSY  # and others do not wait for them
            hung.close()
            assert [each.exception(PATIENCE) for each in resumed] == [None] * BUSY
    assert [vm.refresh().state for vm in vms] == [PowerState.RUNNING] * BUSY


@needs_bed
def test_a_restarted_daemon_is_connected_to_by_the_next_call(machine: LibvirtHost, host: Host) -> None:
    session, vm = host.native, host.vms.create("one", memory=64 * MiB)
    machine.restart_libvirtd()
    assert vm.refresh().name == "one"
    assert host.native is not session
    assert host.native.lookupByUUIDString(vm.id).name() == "one"  # type: ignore[attr-defined]


@needs_bed
def test_a_daemon_that_is_gone_is_connection_failed_until_it_is_back(machine: LibvirtHost, host: Host) -> None:
    machine.kill_libvirtd()
    try:
        for _ in range(2):
            with pytest.raises((ConnectionFailed, ConnectionLost)):
                host.vms.list()
        with pytest.raises(ConnectionFailed):
            host.vms.create("none", memory=64 * MiB, disks=[DiskSpec(size=MiB)])
    finally:
        machine.restart_libvirtd()
    assert host.vms.list() == []


@needs_bed
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_sessions_of_its_own(machine: LibvirtHost, host: Host) -> None:
    vm = host.vms.create("one", memory=64 * MiB)
    session = host.native
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            vm.configure(notes="the child's")
            with hyperkit.connect(machine.uri) as another:
                status = 0 if another.vms.one("one").notes == "the child's" else 2
            host.close()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert vm.refresh().notes == "the child's"
    assert host.native is session
