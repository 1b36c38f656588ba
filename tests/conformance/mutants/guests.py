"""Mutants of guests and consoles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import pytest

from hyperkit.backends.fake.consoles import FakeStream
from hyperkit.backends.fake.guests import FakeGuests, is_frozen
from hyperkit.driver import Driver
from hyperkit.errors import AgentUnavailable, BackendError, InvalidState, Timeout
from hyperkit.guest import Guest
from hyperkit.guest_records import CommandResult, DisplayRecord, GuestRecord
from hyperkit.jobs import DoneJob
from hyperkit.png import from_rgb
from hyperkit.records import AddressRecord
from hyperkit.specs import CommandSpec, KeySpec
from hyperkit.vm import VM
from tests.conformance.mutants.kit import Call, layer, machine, nothing, port, world


@port("test_an_agent_that_runs_answers_a_ping", "guests.ping")
def waits_for_an_agent_of_another_kind(driver: Driver, call: Call, vm_id: str, timeout: float) -> None:
    raise Timeout("no answer")


@port("test_a_guest_without_an_agent_is_agent_unavailable", "guests.ping")
def waits_for_an_agent_that_is_not_there(driver: Driver, call: Call, vm_id: str, timeout: float) -> None:
    try:
        call(vm_id, timeout)
    except InvalidState as error:
        raise Timeout("no answer") from error


@port("test_an_agent_that_hangs_is_a_timeout", "guests.addresses")
def asks_for_addresses_the_agent_alone(driver: Driver, call: Call, vm_id: str) -> Sequence[AddressRecord]:
    driver.guests.ping(vm_id, 1)  # type: ignore[union-attr]  # it was called
    return list(call(vm_id))


@layer("test_a_vm_that_is_off_has_no_agent_to_ask")
def asks_the_agent_of_a_vm_that_is_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VM, "_must_run", nothing)


@port("test_a_guest_tells_its_host_name_and_its_system", "guests.info")
def tells_every_guest_the_same(driver: Driver, call: Call, vm_id: str, timeout: float) -> GuestRecord:
    return GuestRecord(hostname="localhost", os_name="Linux")


def ends(test: str, name: str, **changes: Any) -> None:
    """A mutant whose commands end otherwise."""

    def mutant(driver: Driver, call: Call, vm_id: str, command: CommandSpec) -> Any:
        status = call(vm_id, command).poll()
        return DoneJob(attrs.evolve(status.result or CommandResult(0), **changes))

    mutant.__name__ = name
    port(test, "guests.execute")(mutant)


ends("test_a_commands_output_errors_and_exit_code_come_back", "forgets_what_a_command_complained_of", stderr=b"")
ends("test_a_command_that_a_signal_ends", "takes_a_signal_for_an_exit_code", exit_code=137, signal=None)
ends("test_a_command_that_takes_longer_than_one_waits_for", "does_not_wait_for_a_commands_end")


@port("test_what_a_command_reads_and_writes_is_passed_on_byte_for_byte", "guests.execute")
def takes_bytes_for_text(driver: Driver, call: Call, vm_id: str, command: CommandSpec) -> Any:
    text = command.input.decode("latin-1").replace("\r\n", "\n")
    return call(vm_id, attrs.evolve(command, input=text.encode()))


@port("test_a_command_has_the_environment_asked_for", "guests.execute")
def adds_to_the_environment(driver: Driver, call: Call, vm_id: str, command: CommandSpec) -> Any:
    return call(vm_id, attrs.evolve(command, env=(("PATH", "/bin"), *(command.env or ()))))


@port("test_a_program_that_the_guest_does_not_have_is_not_found", "guests.execute")
def runs_everything_by_a_shell(driver: Driver, call: Call, vm_id: str, command: CommandSpec) -> Any:
    return DoneJob(CommandResult(127, stderr=b"not found"))


@layer("test_file_systems_are_frozen_and_thawed_again")
def thaws_only_when_all_went_well(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def frozen(self: Guest, *, timeout: float) -> Iterator[int]:
        yield self.freeze(timeout=timeout)
        self.thaw()

    patch.setattr(Guest, "frozen", frozen)


@layer("test_a_guest_that_is_frozen_is_not_frozen_again")
def thaws_what_somebody_else_froze(patch: pytest.MonkeyPatch) -> None:
    freeze = FakeGuests.freeze

    def freeze_or_thaw(self: FakeGuests, vm_id: str, timeout: float) -> int:
        try:
            return freeze(self, vm_id, timeout)
        except InvalidState:
            self.thaw(vm_id, timeout)
            raise

    patch.setattr(FakeGuests, "freeze", freeze_or_thaw)


@port("test_how_many_file_systems_were_frozen_is_told", "guests.freeze")
def counts_no_file_systems(driver: Driver, call: Call, vm_id: str, timeout: float) -> int:
    call(vm_id, timeout)
    return 0


@port("test_where_nobody_answers_freezing_and_thawing", "guests.thaw")
def waits_for_an_agent_to_thaw(driver: Driver, call: Call, vm_id: str, timeout: float) -> None:
    try:
        call(vm_id, timeout)
    except AgentUnavailable as error:
        raise Timeout("no answer") from error


@port("test_thawing_a_guest_that_is_not_frozen_is_no_error", "guests.thaw")
def complains_that_nothing_is_frozen(driver: Driver, call: Call, vm_id: str, timeout: float) -> None:
    if not is_frozen(machine(driver, vm_id)):
        raise BackendError("not frozen")
    call(vm_id, timeout)


@port("test_a_screenshot_is_a_png", "consoles.screenshot")
def takes_a_picture_of_a_smaller_screen(driver: Driver, call: Call, vm_id: str) -> bytes:
    return from_rgb(1, 1, b"\0\0\0")


@layer("test_a_vm_that_is_off_has_no_screen")
def takes_a_picture_of_a_screen_that_is_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VM, "_must_run", nothing)


@port("test_a_text_that_is_typed_reaches_the_guest", "consoles.send_keys")
def never_presses_shift(driver: Driver, call: Call, vm_id: str, keys: KeySpec) -> None:
    call(vm_id, attrs.evolve(keys, chords=tuple(chord[-1:] for chord in keys.chords)))


@port("test_keys_that_are_pressed_together_act_together", "consoles.send_keys")
def presses_one_key_after_another(driver: Driver, call: Call, vm_id: str, keys: KeySpec) -> None:
    call(vm_id, attrs.evolve(keys, chords=tuple((key,) for chord in keys.chords for key in chord)))


@port("test_a_running_vms_displays_are_told", "consoles.displays")
def takes_the_first_port_for_every_display(driver: Driver, call: Call, vm_id: str) -> Sequence[DisplayRecord]:
    return [attrs.evolve(display, port=5899) for display in call(vm_id)]


@layer("test_what_is_written_to_a_serial_console_reaches_the_guest")
def sends_the_first_byte_alone(patch: pytest.MonkeyPatch) -> None:
    write = FakeStream.write
    patch.setattr(FakeStream, "write", lambda self, data: write(self, data[:1]))


@layer("test_what_the_guest_writes_to_its_serial_console_is_read")
def drops_what_came_after_the_first_read(patch: pytest.MonkeyPatch) -> None:
    read = FakeStream.read
    seen: set[int] = set()

    def once(self: FakeStream, size: int) -> bytes | None:
        data = read(self, size)
        if data and id(self) in seen:
            return None
        seen.add(id(self))
        return data

    patch.setattr(FakeStream, "read", once)


@port("test_a_serial_console_is_one_readers_at_a_time", "consoles.serial")
def takes_the_console_from_whoever_has_it(driver: Driver, call: Call, vm_id: str, take: bool) -> Any:
    return call(vm_id, True)


@port("test_a_serial_console_that_was_closed_can_be_opened_again", "consoles.serial")
def never_lets_go_of_a_console(driver: Driver, call: Call, vm_id: str, take: bool) -> Any:
    stream = call(vm_id, take)
    inside = machine(driver, vm_id).inside
    inside.line = FakeStream(world(driver), machine(driver, vm_id))
    return stream


@layer("test_a_serial_console_ends_when_its_vm_stops")
def waits_for_the_words_of_a_vm_that_is_off(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FakeStream, "end", nothing)
