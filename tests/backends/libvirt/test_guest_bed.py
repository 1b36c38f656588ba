"""Guests and consoles on a real libvirtd with QEMU: what the contract's lines do not reach."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_mock import MockerFixture

import hyperkit
from hyperkit import (
    VM,
    Busy,
    CommandFailed,
    DiskSpec,
    Host,
    InvalidRequest,
    InvalidState,
    KernelBoot,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    SwitchKind,
    TaskFailed,
    Timeout,
    Unsupported,
)
from hyperkit.png import as_png, size_of
from hyperkit.testing import Calls
from tests.beds.libvirt_qemu import LibvirtHost, domain_xml, guest_image, missing, processes

libvirt = pytest.importorskip("libvirt")
import libvirt_qemu  # noqa: E402

pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

PATIENCE = 120.0
"""Seconds for a guest on a machine that is busy."""


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture(scope="module")
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        host.switches.create("lan", SwitchKind.INTERNAL, subnet="192.168.150.0/24")
        yield host


@pytest.fixture(scope="module")
def booted(machine: LibvirtHost, host: Host) -> VM:
    """One guest for all that leave it as it was."""
    image = guest_image()
    shutil.copy(image.disk, machine.images / "data.qcow2")
    vm = host.vms.create(
        "web1",
        memory=128 * MiB,
        kernel=KernelBoot(str(image.vmlinux), str(image.initrd), f"{image.cmdline} tb.name=web1"),
        disks=[DiskSpec(base=str(machine.images / "data.qcow2"))],
        nics=[NicSpec("lan")],
    )
    return vm.start()


@pytest.fixture
def vm(booted: VM) -> VM:
    """That guest, which answers."""
    if booted.refresh().state is not PowerState.RUNNING:
        booted.start()
    try:
        booted.guest.wait_until_ready(timeout=PATIENCE)
    except Timeout as error:
        # libvirt 9.0 holds a new agent for broken if the last one's VM stopped in the middle of a question.
        if "due to an error" not in str(error.__cause__):
            raise
        booted.stop().start().guest.wait_until_ready(timeout=PATIENCE)
    return booted


@pytest.fixture
def raw(machine: LibvirtHost, vm: VM) -> Iterator[Any]:
    connection = libvirt.open(machine.uri)
    yield connection.lookupByUUIDString(vm.id)
    connection.close()


def sh(vm: VM, script: str) -> str:
    return vm.guest.run(["sh", "-c", script], timeout=PATIENCE, check=True).text


def qemu_pid(machine: LibvirtHost, name: str) -> int:
    marker = f"guest={name},".encode()
    for pid in processes.children(machine.init_pid):
        if any(part.startswith(marker) for part in processes.read(f"/proc/{pid}/cmdline").split(b"\0")):
            return pid
    raise AssertionError(f"no QEMU of {name}")


def hang_agent(raw: Any) -> None:
    """Stop the agent in the guest, and wait until it has stopped."""
    question = {"execute": "guest-exec", "arguments": {"path": "sh", "arg": ["-c", "kill -STOP $(pidof qemu-ga)"]}}
    libvirt_qemu.qemuAgentCommand(raw, json.dumps(question), 20, 0)
    while True:
        try:
            libvirt_qemu.qemuAgentCommand(raw, '{"execute": "guest-ping"}', 1, 0)
        except libvirt.libvirtError:
            return


# Information and commands


def test_what_the_agent_tells_is_what_the_guest_s_files_say(vm: VM) -> None:
    info = vm.guest.info()
    assert info.hostname == sh(vm, "cat /proc/sys/kernel/hostname").strip() == "web1"
    assert info.kernel == sh(vm, "uname -r").strip()
    assert (info.os_id, info.os_name, info.os_version) == ("hyperkit-guest", "hyperkit test guest", "1")
    assert (info.arch, info.timezone, info.utc_offset, info.users) == ("x86_64", "UTC", 0, ())
    (data,) = info.filesystems
    assert (data.mountpoint, data.type) == ("/data", "ext4")
    assert data.size
    assert data.used is not None
    assert data.used < data.size


def test_a_command_is_no_shell_and_its_failure_carries_its_result(vm: VM) -> None:
    assert vm.guest.run(["echo", "a b", "$HOME", "'\"\\", "é\n"]).stdout == "a b $HOME '\"\\ é\n\n".encode()
    with pytest.raises(CommandFailed, match="'sh' in VM 'web1' ended with exit code 7") as failed:
        vm.guest.run(["sh", "-c", "echo s3cret >&2; exit 7"], check=True)
    assert (failed.value.result.exit_code, failed.value.result.stderr) == (7, b"s3cret\n")
    assert "s3cret" not in str(failed.value)


def test_megabytes_of_output_come_back(vm: VM) -> None:
    result = vm.guest.run(["head", "-c", "2000000", "/dev/zero"], timeout=PATIENCE)
    assert result.stdout == bytes(2_000_000)


def test_more_output_than_libvirt_carries_says_so_and_the_session_lives_on(vm: VM) -> None:
    with pytest.raises(TaskFailed, match="more than libvirt carries"):
        vm.guest.run(["head", "-c", "4000000", "/dev/zero"], timeout=PATIENCE)
    assert vm.guest.run(["true"]).ok


def test_more_input_than_libvirt_carries_is_refused_before_the_guest_is_asked(vm: VM, raw: Any) -> None:
    before = sh(vm, "cat /proc/loadavg").split()[-1]
    with pytest.raises(InvalidRequest, match="about 3 MB") as refused:
        vm.guest.run(["cat"], input=bytes(3_200_000))
    assert refused.value.field == "input"
    assert int(sh(vm, "cat /proc/loadavg").split()[-1]) - int(before) < 10  # no process that reads it


def test_nothing_secret_is_logged_or_recorded(machine: LibvirtHost, vm: VM, caplog: pytest.LogCaptureFixture) -> None:
    calls = Calls()
    caplog.set_level(logging.DEBUG)
    with hyperkit.connect(machine.uri, wrap=[calls]) as host:
        mine = host.vms.get(vm.id)
        mine.guest.run(["sh", "-c", "echo s3cret; cat"], input=b"s3cret", env={"PW": "s3cret", "PATH": "/bin"})
        with pytest.raises(CommandFailed) as failed:
            mine.guest.run(["sh", "-c", "echo s3cret >&2; exit 1"], check=True)
        mine.console.type("s3cret\n")
        with mine.console.serial() as serial:
            serial.write(b"s3cret\n")
            serial.read_until(b"s3cret", timeout=PATIENCE)
    said = caplog.text + repr(calls) + repr(failed.value) + repr(failed.value.result)
    assert "guests.execute" in said
    assert "consoles.send_keys" in said
    assert "s3cret" not in said


def test_a_command_goes_on_while_its_vm_is_paused(vm: VM) -> None:
    task = vm.guest.begin_run(["sh", "-c", "sleep 1; echo done"])
    vm.pause()
    assert not task.done
    with pytest.raises(InvalidState, match="it is paused"):
        vm.guest.ping()
    vm.resume()
    assert task.result(timeout=PATIENCE).text == "done\n"


# Agents that are absent, hang, or are held up


def test_an_agent_that_hangs_is_a_timeout_for_every_verb_and_stalls_nobody_else(vm: VM, raw: Any) -> None:
    """Its addresses are read all the same, from the lease, which ARP's failing does not hinder."""
    address = vm.wait_for_address(timeout=PATIENCE)
    try:
        hang_agent(raw)
        for verb in (vm.guest.ping, vm.guest.info, vm.guest.freeze, vm.guest.thaw):
            with pytest.raises(Timeout):
                verb(timeout=1)
        with pytest.raises(Timeout):
            vm.guest.run(["true"])
        assert [(found.address, found.source) for found in vm.addresses()] == [(address, "lease")]
    finally:
        vm.reset()


def test_a_qemu_that_hangs_does_not_keep_addresses_from_being_read(machine: LibvirtHost, vm: VM) -> None:
    address = vm.wait_for_address(timeout=PATIENCE)
    pid = qemu_pid(machine, "web1")
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert [(found.address, found.source) for found in vm.addresses()] == [(address, "lease")]
        assert time.monotonic() - began < 30
        with pytest.raises(Timeout):
            vm.guest.ping(timeout=1)
    finally:
        os.kill(pid, signal.SIGCONT)


def test_ipv4_and_ipv6_of_the_agent_and_a_frozen_guest_s_lease(vm: VM) -> None:
    address = vm.wait_for_address(timeout=PATIENCE)
    sh(vm, "ip -6 addr add fd00::5/64 dev eth0")
    found = {(each.address, each.prefix, each.source) for each in vm.addresses()}
    assert found == {(address, 24, "agent"), ("fd00::5", 64, "agent")}
    with vm.guest.frozen():  # its agent answers no questions now
        assert [(each.address, each.source) for each in vm.addresses()] == [(address, "lease")]
    sh(vm, "ip -6 addr del fd00::5/64 dev eth0")


def test_a_vm_without_the_agents_channel_or_other_devices_says_so(machine: LibvirtHost, host: Host) -> None:
    text = domain_xml("bare", serial_log=machine.home / "log/bare")
    channel = text[text.index("<channel") : text.index("</channel>") + len("</channel>")]
    serial = text[text.index("<serial") : text.index("</serial>") + len("</serial>")]
    connection = libvirt.open(machine.uri)
    none = text.replace(channel, "").replace(serial, "<serial type='null'/><video><model type='none'/></video>")
    connection.defineXML(none)
    vm = host.vms.one(name="bare").start()
    for verb in (vm.guest.ping, vm.guest.info, vm.guest.freeze, vm.console.serial, vm.console.screenshot):
        with pytest.raises(Unsupported):
            verb()
    assert vm.console.displays() == []
    vm.stop()
    for need in (vm.guest.ping, vm.console.serial, vm.console.screenshot, vm.console.displays):
        with pytest.raises(InvalidState, match="it is off"):
            need()
    vm.delete()
    connection.close()


# Freezing


def test_a_frozen_guest_writes_nothing_until_it_is_thawed(vm: VM, raw: Any) -> None:
    task = None
    with vm.guest.frozen():
        with pytest.raises(InvalidState, match="frozen"):
            vm.guest.run(["true"])
        with pytest.raises(InvalidState, match="frozen"):
            vm.guest.freeze()
        vm.guest.ping()
        assert status(raw) == "frozen"
    assert status(raw) == "thawed"
    task = vm.guest.begin_run(["sh", "-c", "echo x >/data/x && sync"])
    assert task.result(timeout=PATIENCE).ok


def test_a_frozen_guest_is_thawed_although_the_daemon_was_restarted_meanwhile(machine: LibvirtHost, vm: VM) -> None:
    with vm.guest.frozen():
        machine.restart_libvirtd()
    connection = libvirt.open(machine.uri)
    assert status(connection.lookupByUUIDString(vm.id)) == "thawed"
    connection.close()


def test_a_guest_that_has_no_file_system_to_freeze_says_0_and_is_not_frozen(vm: VM, raw: Any) -> None:
    with vm.guest.frozen() as count:
        assert count == 1
    sh(vm, "umount -l /data")
    try:
        with vm.guest.frozen() as count:
            assert (count, status(raw)) == (0, "thawed")
        assert vm.guest.freeze() == vm.guest.freeze() == 0
    finally:
        vm.reset()


def test_an_agent_that_ends_while_it_freezes_may_have_frozen(vm: VM, raw: Any, mocker: MockerFixture) -> None:
    """It cannot be killed at the right moment: libvirt's words are put in its place, and the guest is asked to thaw."""
    real = libvirt_qemu.qemuAgentCommand

    def ends(domain: Any, question: str, *rest: Any) -> Any:
        answer = real(domain, question, *rest)
        if "fsfreeze-freeze" in question:
            raise libvirt.libvirtError("Guest agent disappeared while executing command")
        return answer

    mocker.patch.object(libvirt_qemu, "qemuAgentCommand", ends)
    with pytest.raises(Timeout, match="ended while it froze"):
        vm.guest.freeze()
    assert status(raw) == "thawed"


def test_a_program_that_is_not_there_is_named(vm: VM) -> None:
    with pytest.raises(NotFound, match=r"VM 'web1': the guest has no program '/no/such' \(libvirt: "):
        vm.guest.run(["/no/such"])


def status(domain: Any) -> str:
    answer = libvirt_qemu.qemuAgentCommand(domain, '{"execute": "guest-fsfreeze-status"}', 5, 0)
    return str(json.loads(answer)["return"])


# Consoles


def test_a_screenshot_is_as_large_as_the_ppm_that_older_qemus_write(machine: LibvirtHost, vm: VM, raw: Any) -> None:
    path = machine.home / "run/screen.ppm"
    libvirt_qemu.qemuMonitorCommand(raw, f"screendump {path}", libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    ppm = path.read_bytes()
    assert ppm.startswith(b"P6")
    assert size_of(as_png(ppm)) == size_of(vm.console.screenshot())
    assert len(set(ppm[64:])) > 1  # something is on it


def test_a_long_text_arrives_whole(vm: VM) -> None:
    """QEMU's own queue of keys holds two hundred."""
    sh(vm, "rm -f /run/typed")
    text = "All work and no play makes Jack a dull boy. " * 6
    vm.console.type(f"{text.strip()}\n")
    assert until_typed(vm) == f"{text.strip()}\n"


def until_typed(vm: VM) -> str:
    """A line that was typed, once it was."""
    deadline = time.monotonic() + PATIENCE
    while not (typed := sh(vm, "cat /run/typed 2>/dev/null || true")).endswith("\n"):
        assert time.monotonic() < deadline, typed
    return typed


def test_keys_that_are_held_down_together_have_their_meaning_to_the_terminal(vm: VM) -> None:
    sh(vm, "rm -f /run/typed")
    vm.console.type("wrong")
    vm.console.press("Ctrl", "U")  # forget the line
    vm.console.type("Right.\n")
    assert until_typed(vm) == "Right.\n"


def test_a_display_listens_where_it_says(machine: LibvirtHost, vm: VM) -> None:
    (display,) = vm.console.displays()
    assert (display.kind, display.host) == ("vnc", "127.0.0.1")
    greeting = machine.run("bash", "-c", f"exec 3<>/dev/tcp/{display.host}/{display.port}; head -c 4 <&3")
    assert greeting == "RFB "
    assert display.url == f"vnc://127.0.0.1:{display.port}"


def test_displays_of_every_kind_and_their_password_is_nowhere(machine: LibvirtHost, host: Host) -> None:
    path = machine.home / "run/vnc.sock"
    graphics = (
        "<graphics type='vnc' port='5931' passwd='s3cret' websocket='5731' listen='0.0.0.0'/>",
        f"<graphics type='vnc'><listen type='socket' socket='{path}'/></graphics>",
        "<graphics type='vnc'><listen type='none'/></graphics>",
        "<graphics type='vnc' port='5932' listen='::1'/>",
    )
    connection = libvirt.open(machine.uri)
    told = []
    for number, each in enumerate(graphics):
        name = f"shown{number}"
        text = domain_xml(name, serial_log=machine.home / f"log/{name}").replace("<rng", f"{each}<video/><rng", 1)
        connection.defineXML(text)
        vm = host.vms.one(name=name).start()
        told += vm.console.displays()
        vm.delete(force=True)
    connection.close()
    assert [display.url for display in told] == [
        "vnc://0.0.0.0:5931",
        f"vnc+unix://{path}",
        None,
        "vnc://[::1]:5932",
    ]
    assert told[0].websocket == 5731
    assert "s3cret" not in repr(told)


def test_bytes_go_both_ways_while_another_thread_reads(vm: VM) -> None:
    came: list[bytes] = []
    with vm.console.serial() as serial:

        def read() -> None:
            while data := serial.read(timeout=PATIENCE):
                came.append(data)
                if b"TB heard line 9\r" in b"".join(came):
                    return

        thread = threading.Thread(target=read)
        thread.start()
        for number in range(10):
            serial.write(f"line {number}\n".encode())
        thread.join(PATIENCE)
        assert not thread.is_alive()
    said = b"".join(came)
    assert [f"TB heard line {number}".encode() in said for number in range(10)] == [True] * 10


def test_closing_ends_a_read_of_another_thread(vm: VM) -> None:
    serial = vm.console.serial()
    ended = threading.Event()

    def read() -> None:
        try:
            while serial.read(timeout=PATIENCE):
                pass
        except InvalidState:
            pass
        ended.set()

    threading.Thread(target=read).start()
    serial.close()
    assert ended.wait(PATIENCE)
    assert not [thread for thread in threading.enumerate() if thread.name == "hyperkit-serial"]
    vm.console.serial().close()  # free for the next


def test_closing_the_host_closes_its_serial_consoles(machine: LibvirtHost, vm: VM) -> None:
    with hyperkit.connect(machine.uri) as host:
        serial = host.vms.get(vm.id).console.serial()
    assert not [thread for thread in threading.enumerate() if thread.name == "hyperkit-serial"]
    assert serial.read(timeout=PATIENCE) is not None  # what came before, or the end
    vm.console.serial().close()


def test_a_console_whose_daemon_dies_is_lost(machine: LibvirtHost, vm: VM) -> None:
    with vm.console.serial() as serial:
        machine.restart_libvirtd()
        with pytest.raises(hyperkit.ConnectionLost):
            serial.read_until(b"never", timeout=PATIENCE)
    vm.console.serial().close()


def test_a_console_that_was_taken_says_so_to_its_writer(machine: LibvirtHost, vm: VM) -> None:
    with hyperkit.connect(machine.uri) as other, vm.console.serial() as first:
        with pytest.raises(Busy, match=r"serial\(take=True\)"):
            vm.console.serial()
        with other.vms.get(vm.id).console.serial(take=True) as second:
            second.write(b"mine\n")
            second.read_until(b"TB heard mine", timeout=PATIENCE)
            with pytest.raises(Busy, match="somebody else took"):
                first.read_until(b"never", timeout=PATIENCE)


# Shutting down


def test_a_guest_that_boots_misses_the_first_request_and_hears_a_later_one(vm: VM) -> None:
    vm.stop().start()
    assert vm.shutdown(timeout=PATIENCE, resend=1).state is PowerState.OFF


def test_the_power_button_is_used_where_the_agent_is_deaf(vm: VM) -> None:
    """Its agent calls a program that does nothing; the guest's listener to the button calls another."""
    script = "#!/bin/sh\\n[ $# = 1 ] || exit 0\\nexec /sbin/real -h\\n"
    sh(vm, f"mv /sbin/shutdown /sbin/real; printf '{script}' >/sbin/shutdown; chmod 755 /sbin/shutdown")
    with pytest.raises(Timeout):
        vm.shutdown(timeout=3, resend=60)  # one request: to the agent
    assert vm.shutdown(timeout=PATIENCE, resend=2).state is PowerState.OFF


def test_the_agent_is_used_where_the_power_button_is_deaf(vm: VM) -> None:
    silence(vm)
    assert vm.shutdown(timeout=PATIENCE, resend=2).state is PowerState.OFF


def test_a_guest_that_ignores_both_runs_on_or_is_forced(vm: VM) -> None:
    sh(vm, "printf '#!/bin/sh\\n' >/sbin/shutdown")
    with pytest.raises(Timeout, match="runs on"):
        vm.shutdown(timeout=4, resend=1)
    assert vm.refresh().state is PowerState.RUNNING
    assert vm.shutdown(timeout=4, resend=1, force=True).state is PowerState.OFF


def test_an_agent_that_hangs_does_not_hold_up_the_power_button(vm: VM, raw: Any) -> None:
    hang_agent(raw)
    began = time.monotonic()
    assert vm.shutdown(timeout=PATIENCE, resend=60).state is PowerState.OFF
    assert time.monotonic() - began < 45  # libvirt's own would wait a minute for the agent


def silence(vm: VM) -> None:
    """Let nobody listen to the power button."""
    found = "for fd in /proc/[0-9]*/fd/0; do case $(readlink $fd) in /dev/input/*) echo $fd | cut -d/ -f3;; esac; done"
    sh(vm, f"kill -9 $({found})")
    assert sh(vm, found) == ""
