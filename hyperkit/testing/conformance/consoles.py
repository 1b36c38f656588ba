"""Screen, keyboard and serial port."""

from __future__ import annotations

import pytest

from hyperkit.errors import Busy, InvalidState
from hyperkit.png import size_of
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour


@behaviour(
    "consoles.screenshot",
    "A screenshot is a PNG, as large as the guest's screen.",
    requires=("screenshot",),
    facts=("guest", "inside"),
)
def test_a_screenshot_is_a_png(bed: Bed) -> None:
    assert bed.inside
    vm = bed.booted()
    assert size_of(bed.seen(vm).console.screenshot()) == bed.inside.screen(vm.id)


@behaviour(
    "consoles.screenshot",
    "A VM that is off has no screen: InvalidState, which says that it is off.",
    requires=("screenshot",),
)
def test_a_vm_that_is_off_has_no_screen(bed: Bed) -> None:
    vm = bed.vm()
    with pytest.raises(InvalidState, match="it is off") as refused:
        vm.console.screenshot()
    assert refused.value.current == "off"


@behaviour(
    "consoles.send_keys",
    "A text that is typed reaches the guest character by character.",
    requires=("send_keys",),
    facts=("guest", "inside"),
)
def test_a_text_that_is_typed_reaches_the_guest(bed: Bed) -> None:
    inside = bed.inside
    assert inside
    vm = bed.booted()
    text = "The quick brown fox, 1+2=3: ~!@#$%^&*()_{}|<>?[];'`./-\""
    bed.seen(vm).console.type(f"{text}\n")
    bed.until(lambda: "\n" in inside.typed(vm.id), "the line to be typed")
    assert inside.typed(vm.id) == f"{text}\n"


@behaviour(
    "consoles.send_keys",
    "Keys that are pressed together act together.",
    requires=("send_keys",),
    facts=("guest", "inside"),
)
def test_keys_that_are_pressed_together_act_together(bed: Bed) -> None:
    inside = bed.inside
    assert inside
    vm = bed.booted()
    for keys in (("shift", "a"), ("a",), ("Enter",)):
        vm.console.press(*keys)
    bed.until(lambda: "\n" in inside.typed(vm.id), "the line to be typed")
    assert inside.typed(vm.id) == "Aa\n"


@behaviour(
    "consoles.displays",
    "A running VM's displays are told as they listen.",
    requires=("display",),
    facts=("inside",),
)
def test_a_running_vms_displays_are_told(bed: Bed) -> None:
    assert bed.inside
    vm = bed.running()
    told = {(display.kind, display.port) for display in bed.seen(vm).console.displays()}
    assert told == bed.inside.displays(vm.id)
    assert told


@behaviour(
    "consoles.serial",
    "What is written to a serial console reaches the guest.",
    requires=("serial_console",),
    facts=("guest", "inside"),
)
def test_what_is_written_to_a_serial_console_reaches_the_guest(bed: Bed) -> None:
    inside = bed.inside
    assert inside
    vm = bed.booted()
    with bed.seen(vm).console.serial() as serial:
        serial.write(b"hello there\n")
        bed.until(lambda: inside.heard(vm.id) == "hello there\n", "the guest to hear")
        assert inside.heard(vm.id) == "hello there\n"


@behaviour(
    "consoles.serial",
    "What the guest writes to its serial console is read.",
    requires=("serial_console",),
    facts=("guest", "inside"),
)
def test_what_the_guest_writes_to_its_serial_console_is_read(bed: Bed) -> None:
    assert bed.inside
    vm = bed.booted()
    with vm.console.serial() as serial:
        for line in ("first words", "last words"):
            bed.inside.say(vm.id, line)
            assert serial.read_until(line.encode(), timeout=bed.timeout).endswith(line.encode())


@behaviour(
    "consoles.serial",
    "A serial console is one reader's at a time: Busy for others, unless they take it.",
    requires=("serial_console",),
    facts=("guest", "inside"),
)
def test_a_serial_console_is_one_readers_at_a_time(bed: Bed) -> None:
    assert bed.inside
    vm = bed.booted()
    with vm.console.serial() as first:
        with pytest.raises(Busy):
            bed.seen(vm).console.serial()
        with bed.seen(vm).console.serial(take=True) as second:
            bed.inside.say(vm.id, "for the second")
            assert second.read_until(b"for the second", timeout=bed.timeout)
            with pytest.raises(Busy):
                first.read_until(b"for the second", timeout=bed.timeout)


@behaviour(
    "consoles.serial",
    "A serial console that was closed can be opened again.",
    requires=("serial_console",),
    facts=("guest", "inside"),
)
def test_a_serial_console_that_was_closed_can_be_opened_again(bed: Bed) -> None:
    assert bed.inside
    vm = bed.booted()
    for line in ("once", "again"):
        with bed.seen(vm).console.serial() as serial:
            bed.inside.say(vm.id, line)
            assert serial.read_until(line.encode(), timeout=bed.timeout)
    with pytest.raises(InvalidState, match="closed"):
        serial.read(timeout=0)


@behaviour(
    "consoles.serial",
    "A serial console ends when its VM stops.",
    requires=("serial_console",),
    facts=("guest",),
)
def test_a_serial_console_ends_when_its_vm_stops(bed: Bed) -> None:
    vm = bed.booted()
    with vm.console.serial() as serial:
        bed.seen(vm).stop()
        bed.until(lambda: serial.read(timeout=bed.timeout) == b"", "the end of what it said")
    with pytest.raises(InvalidState, match="it is off"):
        vm.console.serial()
