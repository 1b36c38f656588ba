"""Events of a real libvirtd: what was done by raw libvirt, by a guest or by nobody is told, once and in order."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

import pytest

import hyperkit
from benchmarks.rpc_proxy import RpcProxy
from hyperkit import (
    BackendError,
    DiskSpec,
    Event,
    Host,
    InvalidState,
    KernelBoot,
    MiB,
    NicSpec,
    PowerState,
    StateReason,
    VMChanged,
    VMCreated,
    VMDeleted,
    VMIOError,
    VMJobEnded,
    VMRebooted,
    VMStateChanged,
)
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

import libvirt_qemu  # noqa: E402

from hyperkit.backends.libvirt import events  # noqa: E402
from hyperkit.backends.libvirt.vms import VMs  # noqa: E402

SMALL = 64 * MiB
PATIENCE = 60.0


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host
    with hyperkit.connect(machine.uri) as host:
        for vm in host.vms.list():
            vm.delete(force=True)


@pytest.fixture
def raw(machine: LibvirtHost, host: Host) -> Iterator[Any]:
    raw = libvirt.open(machine.uri)
    yield raw
    raw.close()


def told(stream: Iterator[Event], count: int) -> list[tuple[object, ...]]:
    """The next events, in short."""
    found: list[tuple[object, ...]] = []
    while len(found) < count:
        event = next(stream, None)
        assert event is not None, f"no more than {found}"
        extra: tuple[object, ...] = ()
        if isinstance(event, VMStateChanged):
            extra = (event.old, event.new)
        elif isinstance(event, VMChanged):
            extra = event.fields
        found.append((type(event), *extra))
    return found


def watchers() -> int:
    return sum(thread.name == "hyperkit-events" for thread in threading.enumerate())


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


ON, OFF, PAUSED, SUSPENDED = PowerState.RUNNING, PowerState.OFF, PowerState.PAUSED, PowerState.SUSPENDED


def test_what_raw_libvirt_does_is_told_once_and_in_order(machine: LibvirtHost, host: Host, raw: Any) -> None:
    vm = host.vms.create("vm", memory=SMALL, disks=[DiskSpec(size=8 * MiB)])
    domain = raw.lookupByUUIDString(vm.id)
    stream = host.events.stream(timeout=PATIENCE)
    steps: list[tuple[Callable[[], object], list[tuple[object, ...]]]] = [
        (domain.create, [(VMStateChanged, OFF, ON)]),
        (domain.suspend, [(VMStateChanged, ON, PAUSED)]),
        (domain.resume, [(VMStateChanged, PAUSED, ON)]),
        (lambda: domain.reset(0), [(VMRebooted,)]),
        (lambda: domain.setMetadata(0, "noted", None, None, 3), [(VMChanged, "notes")]),
        (lambda: vm.nics.attach(NicSpec()), [(VMChanged, "nics")]),
        (lambda: domain.snapshotCreateXML("<domainsnapshot/>", 0), []),
        (lambda: domain.managedSave(0), [(VMStateChanged, ON, SUSPENDED), (VMJobEnded,)]),
        (domain.create, [(VMStateChanged, SUSPENDED, ON)]),
        (domain.destroy, [(VMStateChanged, ON, OFF)]),
        (lambda: domain.rename("other", 0), [(VMChanged, "name")]),
        (lambda: domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA), [(VMDeleted,)]),
    ]
    for step, expected in steps:
        step()
        # What libvirt tells and what was read after it come in either order.
        assert sorted(told(stream, len(expected)), key=str) == sorted(expected, key=str)
    assert list(host.events.stream(timeout=1)) == []


def test_a_transient_vm_comes_and_goes(host: Host, raw: Any) -> None:
    stream = host.events.stream(timeout=PATIENCE)
    text = f"<domain type='qemu'><name>t</name><memory>{SMALL // 1024}</memory><os><type>hvm</type></os></domain>"
    domain = raw.createXML(text, 0)
    created = next(stream)
    assert (type(created), created.name, created.vm_id) == (VMCreated, "t", domain.UUIDString())
    domain.destroy()
    gone = list(zip(range(2), stream, strict=False))[-1][1]
    assert (type(gone), gone.vm_id) == (VMDeleted, domain.UUIDString())


def test_events_close_together_cost_one_read_and_never_a_list(machine: LibvirtHost, host: Host, raw: Any) -> None:
    vms = [host.vms.create(f"vm{number}", memory=SMALL) for number in range(12)]
    domain = raw.lookupByUUIDString(vms[0].id)
    with RpcProxy(machine.home / "run/libvirt-sock") as line, hyperkit.connect(line.uri) as far:
        stream = far.events.stream(timeout=PATIENCE)

        def noted() -> None:
            for number in range(10):
                domain.setMetadata(0, f"note {number}", None, None, 2)
            event = next(stream)
            assert event.after is not None
            while event.after.notes != "note 9":
                event = next(stream)
                assert event.after is not None

        assert line.count(noted) < 10
        stream.close()  # type: ignore[attr-defined]


def test_nothing_is_lost_while_the_daemon_is_away(machine: LibvirtHost, host: Host) -> None:
    gone, stays = (host.vms.create(name, memory=SMALL) for name in ("gone", "stays"))
    stays.start().pause()
    stream = host.events.stream(timeout=PATIENCE)
    machine.kill_libvirtd()
    machine.kill_qemu("stays")
    (machine.home / "etc/qemu/gone.xml").unlink()
    machine.restart_libvirtd()
    seen = {(type(event), event.vm_id) for _, event in zip(range(2), stream, strict=False)}
    assert seen == {(VMDeleted, gone.id), (VMStateChanged, stays.id)}
    stays.start()
    assert told(stream, 1) == [(VMStateChanged, OFF, ON)]  # and it listens again


def test_what_libvirt_has_no_event_for_is_found_by_looking(
    host: Host, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_SWEEP", 0.5)
    vm = host.vms.create("vm", memory=SMALL)
    stream = host.events.stream(timeout=PATIENCE)
    raw.lookupByUUIDString(vm.id).setAutostart(1)
    assert told(stream, 1) == [(VMChanged, "autostart")]


def test_the_thread_ends_with_the_last_listener_and_with_the_host(machine: LibvirtHost, host: Host) -> None:
    wait_for(lambda: watchers() == 0)
    streams = [host.events.stream(timeout=PATIENCE) for _ in range(3)]
    assert watchers() == 1
    vm = host.vms.create("vm", memory=SMALL)
    assert [told(stream, 1) for stream in streams] == [[(VMCreated,)]] * 3
    for stream in streams:
        stream.close()  # type: ignore[attr-defined]
    wait_for(lambda: watchers() == 0)
    other = hyperkit.connect(machine.uri)
    open_stream = other.events.stream(timeout=PATIENCE)
    assert watchers() == 1
    other.close()
    wait_for(lambda: watchers() == 0)
    with pytest.raises(InvalidState, match="was closed"):
        next(open_stream)
    late = host.events.stream(timeout=PATIENCE)
    vm.delete()
    assert told(late, 1) == [(VMDeleted,)]


def test_who_comes_later_hears_nothing_of_before(host: Host) -> None:
    first = host.events.stream(timeout=PATIENCE)
    vm = host.vms.create("vm", memory=SMALL)
    second = host.events.stream(timeout=PATIENCE)
    vm.start()
    assert told(first, 2) == [(VMCreated,), (VMStateChanged, OFF, ON)]
    assert told(second, 1) == [(VMStateChanged, OFF, ON)]


def test_a_host_that_cannot_be_listened_to_says_so(machine: LibvirtHost) -> None:
    host = hyperkit.connect(machine.uri, timeout=5)
    machine.kill_libvirtd()
    try:
        with pytest.raises(hyperkit.HyperkitError) as caught:
            host.events.stream(timeout=1)
    finally:
        machine.restart_libvirtd()
    assert isinstance(caught.value, (hyperkit.ConnectionFailed, hyperkit.ConnectionLost))
    assert list(host.events.stream(timeout=0.5)) == []
    host.close()


def test_a_disk_without_room_is_told_and_a_guest_that_reboots(machine: LibvirtHost, host: Host, raw: Any) -> None:
    image = guest_image()
    kernel = KernelBoot(str(image.vmlinux), str(image.initrd), image.cmdline)
    vm = host.vms.create("guest", memory=128 * MiB, kernel=kernel).start()
    domain = raw.lookupByUUIDString(vm.id)

    def agent(command: str, **arguments: Any) -> Any:
        text = json.dumps({"execute": command, "arguments": arguments})
        return json.loads(libvirt_qemu.qemuAgentCommand(domain, text, 10, 0))["return"]

    def answers() -> bool:
        try:
            return bool(agent("guest-ping") == {})
        except libvirt.libvirtError:
            return False

    deadline = time.monotonic() + 2 * PATIENCE
    while not answers():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # A file system of 4 MiB, in which a disk of 64 is promised.
    tiny = str(machine.home / "tiny")
    machine.run("mkdir", tiny)
    machine.run("mount", "-t", "tmpfs", "-o", "size=4m", "tiny", tiny)
    machine.run("qemu-img", "create", "-q", "-f", "raw", f"{tiny}/disk.raw", "64M")
    disk = f"<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{tiny}/disk.raw'/>"
    stream = host.events.stream(timeout=2 * PATIENCE)
    domain.attachDeviceFlags(f"{disk}<target dev='vdb' bus='virtio'/></disk>", libvirt.VIR_DOMAIN_AFFECT_LIVE)
    assert told(stream, 1) == [(VMChanged, "disks")]
    write = "sleep 1; dd if=/dev/zero of=/dev/vda bs=1M count=16 conv=fsync"
    agent("guest-exec", path="/bin/sh", arg=["-c", write])
    failures = [event for _, event in zip(range(2), stream, strict=False)]
    assert isinstance(failures[0], VMStateChanged)
    assert failures[0].after is not None
    assert (failures[0].new, failures[0].after.reason) == (PAUSED, StateReason.IO_ERROR)
    failure = failures[1]
    assert isinstance(failure, VMIOError)
    assert (failure.disk_id, failure.path, failure.paused, failure.full) == ("vdb", f"{tiny}/disk.raw", True, True)
    machine.run("mount", "-o", "remount,size=64m", tiny)
    vm.resume()
    rest: list[Event] = []
    while not any(isinstance(event, VMStateChanged) and event.new is ON for event in rest):
        rest.append(next(stream))
    agent("guest-exec", path="/bin/sh", arg=["-c", "sleep 1; echo b >/proc/sysrq-trigger"])
    rebooted = next(event for event in stream if not isinstance(event, VMIOError))
    assert (type(rebooted), rebooted.vm_id) == (VMRebooted, vm.id)


def broken_once(monkeypatch: pytest.MonkeyPatch, owner: Any, method: str, error: BaseException) -> None:
    """Have the next call of a method fail in a way that nobody foresaw."""
    whole, errors = getattr(owner, method), [error]

    def call(*args: Any) -> Any:
        if errors:
            raise errors.pop()
        return whole(*args)

    monkeypatch.setattr(owner, method, call)


def test_a_reading_that_fails_in_a_way_nobody_foresaw_is_logged_and_made_again(
    host: Host, raw: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    vm = host.vms.create("vm", memory=SMALL)
    stream = host.events.stream(timeout=PATIENCE)
    broken_once(monkeypatch, VMs, "get", ParseError("no such entity"))
    raw.lookupByUUIDString(vm.id).create()
    assert told(stream, 1) == [(VMStateChanged, OFF, ON)]
    (record,) = [each for each in caplog.records if each.exc_info]
    assert (record.name, record.levelname) == ("hyperkit", "ERROR")
    assert "no such entity" in caplog.text
    second = host.events.stream(timeout=PATIENCE)
    vm.stop()
    assert [told(each, 1) for each in (stream, second)] == [[(VMStateChanged, ON, OFF)]] * 2


def test_who_wants_to_listen_hears_of_a_first_reading_that_fails(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_once(monkeypatch, events._Watch, "_sweep", ParseError("no such entity"))
    with pytest.raises(BackendError, match="no such entity"):
        host.events.stream(timeout=PATIENCE)
    assert list(host.events.stream(timeout=0.5)) == []


def test_a_thread_that_ends_all_the_same_keeps_nobody_waiting(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for(lambda: watchers() == 0)
    ends: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", ends.append)
    stream = host.events.stream(timeout=PATIENCE)
    broken_once(monkeypatch, events._Watch, "_sweep", SystemExit("cannot be"))  # no Exception
    with pytest.raises(BackendError, match="nobody listens"):  # who is about to listen
        host.events.stream(timeout=PATIENCE)
    with pytest.raises(BackendError, match="nobody listens"):  # and who does
        next(stream)
    again = host.events.stream(timeout=PATIENCE)
    host.vms.create("vm", memory=SMALL)
    assert told(again, 1) == [(VMCreated,)]
    assert [str(end.exc_value) for end in ends] == ["cannot be"]


def test_a_vm_that_hangs_does_not_stall_the_others_events(
    machine: LibvirtHost, host: Host, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperkit.backends.libvirt.late.PATIENCE", 2.0)
    ill, well = (host.vms.create(name, memory=SMALL).start().pause() for name in ("ill", "well"))
    stream = host.events.stream(timeout=PATIENCE)
    with machine.hung_qemu("ill"):
        # The one that hangs is to be looked at first.
        raw.defineXML(raw.lookupByUUIDString(ill.id).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        time.sleep(0.2)
        well.resume()
        assert told(stream, 1) == [(VMStateChanged, PAUSED, ON)]
