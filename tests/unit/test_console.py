"""`vm.console`: pictures, keys and the serial port, on the fake."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from hyperkit import VM, Busy, ConnectionLost, InvalidRequest, InvalidState, Timeout, Unsupported
from hyperkit.guest_records import DisplayRecord
from hyperkit.png import size_of
from hyperkit.testing import Fake, fake_host


def running(fake: Fake, **guest: Any) -> VM:
    fake.seed(vms=[{"name": "web1", "state": "running", "disks": [{"size": "1 GiB"}], "guest": guest}])
    vm = fake.host.vms.one(name="web1")
    fake.calls.clear()
    return vm


def test_a_screenshot_is_a_png_whatever_the_host_makes() -> None:
    with fake_host() as fake:
        vm = running(fake, screen=b"P6\n2 1\n255\n" + bytes(6))
        assert size_of(vm.console.screenshot()) == (2, 1)
        with pytest.raises(InvalidRequest, match="screen: a picture that begins with"):
            fake.guest("web1", screen="GIF89a")


def test_a_paused_vm_has_a_screen_and_no_keyboard() -> None:
    with fake_host() as fake:
        vm = running(fake).pause()
        assert size_of(vm.console.screenshot())
        assert vm.console.displays() == [DisplayRecord(kind="vnc", host="127.0.0.1", port=5900)]
        with pytest.raises(InvalidState, match=r"cannot press keys of VM 'web1' .*it is paused"):
            vm.console.press("enter")


def test_every_verb_needs_power_and_says_so() -> None:
    with fake_host() as fake:
        vm = running(fake).stop()
        console = vm.console
        for verb in (console.screenshot, console.displays, console.serial, lambda: console.type("a")):
            with pytest.raises(InvalidState, match="it is off") as refused:
                verb()
            assert "start" in refused.value.allowed


def test_what_a_host_lacks_is_refused_before_it_is_asked() -> None:
    with fake_host(profile="hyperv") as fake:
        vm = running(fake)
        for verb, name in ((vm.console.displays, "display"), (vm.console.serial, "serial_console")):
            with pytest.raises(Unsupported) as refused:
                verb()
            assert refused.value.capability == name
        assert fake.calls.count() == 0


def test_keys_are_on_record_and_take_the_time_they_take() -> None:
    with fake_host() as fake:
        vm = running(fake)
        vm.console.press("ctrl", "alt", "del")
        vm.console.type("Hi!\n" * 50)
        inside = fake.inside("web1")
        assert inside.pressed[0] == ("ctrl", "alt", "delete")
        assert inside.typed == "Hi!\n" * 50
        # No more at once than QEMU's queue holds, and time for it to run dry.
        sizes = [len(call.args[1].chords) for call in fake.calls.of("consoles.send_keys")]
        assert sizes == [1, 64, 64, 64, 8]
        assert fake.clock.monotonic() == pytest.approx(0.04 * (3 + 200 + 100))


def test_keys_that_there_are_not_are_refused_before_any_is_pressed() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with pytest.raises(InvalidRequest):
            vm.console.press("enter", "cntrl")
        with pytest.raises(InvalidRequest):
            vm.console.press()
        with pytest.raises(InvalidRequest):
            vm.console.type("a\u00e9")
        assert fake.calls.count() == 0
        vm.console.type("")
        assert fake.inside(vm).pressed == []


def test_a_dialogue_on_the_serial_port() -> None:
    with fake_host() as fake:
        vm = running(fake, replies={"root": "Password: ", "s3cret": "\n# "})
        with vm.console.serial() as serial:
            fake.inside(vm).say("web1 login: ")
            assert serial.read_until(b"login: ", timeout=10) == b"web1 login: "
            serial.write(b"root\n")
            assert serial.read_until(b"Password: ", timeout=10) == b"root\r\nPassword: "
            serial.write(b"s3")
            serial.write(b"cret\n")
            assert serial.read_until(b"# ", timeout=10).endswith(b"\r\n# ")
        assert fake.inside(vm).heard == b"root\ns3cret\n"


def test_what_was_read_too_far_stays() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with vm.console.serial() as serial:
            fake.inside(vm).say("one two three")
            assert serial.read_until(b"one ") == b"one "
            assert serial.read(3) == b"two"
            with pytest.raises(Timeout, match=r"waited 5 s for VM 'web1': b'four' from its guest"):
                serial.read_until(b"four", timeout=5)
            assert serial.read() == b" three"
            with pytest.raises(Timeout, match="waited 2 s"):
                serial.read(timeout=2)
            assert fake.clock.monotonic() == pytest.approx(7)


def test_a_serial_port_ends_and_is_closed() -> None:
    with fake_host() as fake:
        vm = running(fake)
        serial = vm.console.serial()
        assert "closed" not in repr(serial)
        fake.inside(vm).say("last")
        vm.stop()
        vm.start()  # which is another one
        with pytest.raises(InvalidState, match="ended before b'words' came"):
            serial.read_until(b"words", timeout=5)
        assert (serial.read(), serial.read()) == (b"last", b"")
        serial.write(b"nobody hears")
        assert fake.inside(vm).heard == b""
        serial.close()
        serial.close()
        assert "closed" in repr(serial)
        for use in (serial.read, lambda: serial.write(b"a"), lambda: serial.read_until(b"a")):
            with pytest.raises(InvalidState, match="was closed"):
                use()


def test_a_reset_keeps_the_line() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with vm.console.serial() as serial:
            vm.reset()
            fake.inside(vm).say("booting")
            assert serial.read(timeout=1) == b"booting"


def test_one_reader_at_a_time() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with vm.console.serial() as first:
            with pytest.raises(Busy, match=r"VM 'web1': .*serial\(take=True\)"):
                vm.console.serial()
            with vm.console.serial(take=True) as second, pytest.raises(Busy, match="somebody else took"):
                first.write(b"a")
            first.close()  # takes nothing from nobody
            second.close()
        vm.console.serial().close()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda serial: serial.read(0),
        lambda serial: serial.read(timeout=-1),
        lambda serial: serial.read_until("text"),
        lambda serial: serial.read_until(b""),
        lambda serial: serial.write("text"),
    ],
)
def test_what_is_no_request_is_refused(wrong: Any) -> None:
    with fake_host() as fake, running(fake).console.serial() as serial, pytest.raises(InvalidRequest):
        wrong(serial)


def test_closing_the_host_ends_its_serial_consoles() -> None:
    with fake_host() as fake:
        vm = running(fake)
        other = fake.connect()
        serial = other.vms.get(vm.id).console.serial()
        other.close()
        assert serial.read(timeout=0) == b""
        vm.console.serial().close()


def test_a_streams_errors_are_ours_and_say_where() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with vm.console.serial() as serial:
            fake.inside(vm).line.read = _broken  # type: ignore[union-attr,method-assign]
            with pytest.raises(ConnectionLost, match="VM 'web1': gone on fake://") as lost:
                serial.read()
            assert lost.value.operation == "consoles.serial"


def _broken(_size: int) -> bytes:
    raise ConnectionLost("gone")


def test_threads_may_read_and_write() -> None:
    with fake_host() as fake:
        vm = running(fake)
        with vm.console.serial() as serial:
            threads = [threading.Thread(target=serial.write, args=(b"x" * 100,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            came = b""
            while len(came) < 800:
                came += serial.read(timeout=1)
        assert came == fake.inside(vm).heard == b"x" * 800


@pytest.mark.parametrize(
    ("display", "url"),
    [
        (DisplayRecord(kind="vnc", host="0.0.0.0", port=5901), "vnc://0.0.0.0:5901"),
        (DisplayRecord(kind="vnc", host="::1", port=5901), "vnc://[::1]:5901"),
        (DisplayRecord(kind="vnc", socket="/run/vnc"), "vnc+unix:///run/vnc"),
        (DisplayRecord(kind="spice", host="h", port=1, tls_port=2), "spice://h:1?tls-port=2"),
        (DisplayRecord(kind="spice", host="h", tls_port=2), "spice://h?tls-port=2"),
        (DisplayRecord(kind="vnc"), None),
    ],
)
def test_a_displays_url(display: DisplayRecord, url: str | None) -> None:
    assert display.url == url
