"""Events of a simulated host: what comes and goes quickly, sessions that end, and hosts that go away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import Host, HyperkitError
from hyperkit.backends.esxi import events as module
from hyperkit.backends.esxi.feed import Note
from hyperkit.driver import Change, Reboot
from hyperkit.errors import InvalidState
from hyperkit.events import VMStateChanged
from hyperkit.states import PowerState
from tests.beds.vcsim import Vcsim

OFF, RUNNING = PowerState.OFF, PowerState.RUNNING


@pytest.fixture
def host(esx: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(esx.hyperkit_url, password=esx.password, verify=str(esx.ca_file)) as host:
        yield host


class Heard(list[Any]):
    """What a sink was told."""

    def wait(self, count: int, seconds: float = 10) -> Heard:
        deadline = time.monotonic() + seconds
        while len(self) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self) >= count, self
        return self

    def states(self) -> list[tuple[PowerState, PowerState]]:
        return [
            (each.before.state, each.after.state)
            for each in self
            if isinstance(each, Change) and each.before and each.after
        ]


def listening(host: Host) -> tuple[Heard, Callable[[], None]]:
    assert host.driver.events is not None
    heard = Heard()
    return heard, host.driver.events.subscribe(heard.append)


def threads() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "hyperkit-events"]


def ended(seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not threads()


def test_who_comes_later_hears_of_what_comes_later(host: Host) -> None:
    vm = host.vms.list()[0]
    first, end_first = listening(host)
    vm.start()
    second, end_second = listening(host)
    vm.stop()
    assert first.wait(2).states() == [(OFF, RUNNING), (RUNNING, OFF)]
    assert second.wait(1).states() == [(RUNNING, OFF)]
    end_first()
    end_second()
    assert ended()


def test_one_thread_listens_and_ends_with_the_last_listener(esx: Vcsim, host: Host) -> None:
    ends = [listening(host)[1] for _ in range(3)]
    assert len(threads()) == 1
    for end in ends:
        end()
    assert ended()
    heard, end = listening(host)
    vm = host.vms.list()[0]
    vm.start()
    vm.stop()
    assert len(heard.wait(2)) == 2
    end()


def test_closing_is_quick_and_told(esx: Vcsim) -> None:
    with hyperkit.connect(esx.hyperkit_url, password=esx.password, verify=str(esx.ca_file)) as host:
        heard, _ = listening(host)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert isinstance(heard.wait(1)[-1], InvalidState)
    assert ended()
    assert esx.control.sessions() == 0


def test_a_session_that_ends_is_begun_anew_and_nothing_is_missed(esx: Vcsim, host: Host) -> None:
    vm = host.vms.list()[0]
    heard, end = listening(host)
    for verb in (vm.start, vm.reset, vm.stop):
        esx.control.expire_sessions()
        verb()
    heard.wait(3)
    assert heard.states() == [(OFF, RUNNING), (RUNNING, OFF)]
    assert [type(each) for each in heard] == [Change, Reboot, Change]
    end()


@pytest.mark.parametrize("fault", ["drop", "lose_answer", "http", "expire"])
def test_a_wait_that_breaks_is_begun_anew(esx: Vcsim, host: Host, fault: str) -> None:
    vm = host.vms.list()[0]
    heard, end = listening(host)
    getattr(esx.faults, fault)("WaitForUpdatesEx", count=2)
    vm.start()
    vm.stop()
    assert heard.wait(2).states() == [(OFF, RUNNING), (RUNNING, OFF)]
    end()


def test_a_host_that_goes_away_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.5)
    monkeypatch.setattr(module, "_RETRY", 0.1)
    with Vcsim("esx", machines=1) as sim:
        host = hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file))
        heard, _ = listening(host)
    assert isinstance(heard.wait(1)[-1], HyperkitError)
    assert ended()
    host.close()


def test_many_changes_at_once_are_read_at_once(esx: Vcsim, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ONE_BY_ONE", 2)
    vms = host.vms.list()
    heard, end = listening(host)
    esx.faults.delay("WaitForUpdatesEx", seconds=0.5)
    for vm in vms:
        vm.start()
    for vm in vms:
        vm.stop()
    assert sorted(heard.wait(2 * len(vms)).states()) == sorted([(OFF, RUNNING), (RUNNING, OFF)] * len(vms))
    end()


def test_what_starts_with_its_host_is_told(host: Host) -> None:
    vm = host.vms.list()[0]
    heard, end = listening(host)
    vm.configure(autostart=True)
    assert [(each.before.autostart, each.after.autostart) for each in heard.wait(1)] == [(False, True)]
    vm.configure(autostart=False)
    heard.wait(2)
    end()


def test_nothing_costs_nothing(esx: Vcsim, host: Host) -> None:
    _, end = listening(host)
    esx.control.reset_calls()
    time.sleep(1)
    assert esx.calls().requests <= 1
    end()


def test_a_host_that_counts_its_events_anew_is_heard_all_the_same() -> None:
    watch = object.__new__(module._Watch)
    watch._read_to = None
    notes = [Note(key=key, vm_id="vm-1", state=RUNNING, rebooted=False) for key in (7, 9, 1, 2)]
    assert watch._new(notes[:2]) == []
    assert watch._new(notes[1:2]) == []
    assert watch._new(notes[2:]) == notes[2:]
    assert watch._new([]) == []


def test_a_stream_sees_a_start_in_a_vcenter(vcenter: Vcsim) -> None:
    with hyperkit.connect(vcenter.hyperkit_url, password=vcenter.password, verify=str(vcenter.ca_file)) as host:
        vm = host.vms.create("web1")
        stream = host.events.stream(timeout=10)
        vm.start()
        assert isinstance(next(stream), VMStateChanged)
        vm.delete(force=True)
