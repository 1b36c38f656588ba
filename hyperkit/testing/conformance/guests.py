"""What the host learns from guests."""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address

import pytest

from hyperkit.errors import AgentUnavailable, InvalidState, NotFound, Timeout
from hyperkit.specs import NicSpec
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour


@behaviour("guests.addresses", "A VM that is off has no addresses.", requires=("guest_addresses",))
def test_a_vm_that_is_off_has_no_addresses(bed: Bed) -> None:
    vm = bed.vm(**bed.guest or {"nics": [NicSpec()]})
    assert vm.addresses() == []


@behaviour(
    "guests.addresses",
    "A running guest's address belongs to one of its NICs.",
    requires=("guest_addresses",),
    facts=("guest",),
)
def test_a_running_guests_address_belongs_to_one_of_its_nics(bed: Bed) -> None:
    vm = bed.running(**bed.guest or {})
    address = vm.wait_for_address(timeout=bed.timeout)
    found = bed.seen(vm).addresses()
    assert address in [record.address for record in found]
    assert {record.mac for record in found} <= {nic.mac for nic in vm.nics}


@behaviour(
    "guests.addresses",
    "Loopback and link-local addresses are left out.",
    requires=("guest_addresses",),
    facts=("guest",),
)
def test_loopback_and_link_local_addresses_are_left_out(bed: Bed) -> None:
    vm = bed.booted()
    vm.wait_for_address(timeout=bed.timeout)
    found = [ip_address(record.address) for record in bed.seen(vm).addresses()]
    assert found
    assert not any(address.is_loopback or address.is_link_local for address in found)


@behaviour("guests.ping", "An agent that runs answers a ping.", requires=("guest_agent",), facts=("guest",))
def test_an_agent_that_runs_answers_a_ping(bed: Bed) -> None:
    vm = bed.ready()
    bed.seen(vm).guest.ping()
    vm.stop()
    with pytest.raises(InvalidState):
        vm.guest.ping()


@behaviour(
    "guests.ping",
    "A guest without an agent is AgentUnavailable, which is an InvalidState.",
    requires=("guest_agent",),
    facts=("deaf",),
)
def test_a_guest_without_an_agent_is_agent_unavailable(bed: Bed) -> None:
    vm = bed.running(**bed.deaf or {})
    for verb in (vm.guest.ping, vm.guest.info):
        with pytest.raises(AgentUnavailable) as refused:
            verb()
        assert isinstance(refused.value, InvalidState)


@behaviour(
    "guests.ping",
    "An agent that hangs is a Timeout, and does not keep its VM's addresses from being read.",
    requires=("guest_agent", "guest_addresses"),
    facts=("guest", "inside"),
)
def test_an_agent_that_hangs_is_a_timeout(bed: Bed) -> None:
    assert bed.inside
    vm = bed.ready()
    address = vm.wait_for_address(timeout=bed.timeout)
    bed.inside.hang_agent(vm.id)
    with pytest.raises(Timeout):
        vm.guest.ping(timeout=1)
    assert address in [record.address for record in vm.addresses()]


@behaviour(
    "guests.ping",
    "A VM that is off has no agent to ask: InvalidState, which says that it is off.",
    requires=("guest_agent",),
)
def test_a_vm_that_is_off_has_no_agent_to_ask(bed: Bed) -> None:
    vm = bed.vm()
    for verb in (vm.guest.ping, vm.guest.wait_until_ready, vm.guest.info):
        with pytest.raises(InvalidState, match="it is off") as refused:
            verb()
        assert refused.value.current == "off"


@behaviour(
    "guests.info",
    "A guest tells its host name and its system.",
    requires=("guest_agent",),
    facts=("guest", "inside"),
)
def test_a_guest_tells_its_host_name_and_its_system(bed: Bed) -> None:
    assert bed.inside
    vm = bed.ready()
    info = vm.guest.info()
    assert info.hostname == bed.inside.hostname(vm.id)
    assert info.os_name


@behaviour(
    "guests.execute",
    "A command's output, errors and exit code come back.",
    requires=("guest_exec",),
    facts=("guest", "commands"),
)
def test_a_commands_output_errors_and_exit_code_come_back(bed: Bed) -> None:
    assert bed.commands
    result = bed.seen(bed.ready()).guest.run(bed.commands.fail, timeout=bed.timeout)
    assert result.exit_code == 3
    assert (result.stdout.split(), result.stderr.split()) == ([b"good"], [b"bad"])
    assert (result.ok, result.signal, result.truncated) == (False, None, False)


@behaviour(
    "guests.execute",
    "What a command reads and writes is passed on byte for byte.",
    requires=("guest_exec",),
    facts=("guest", "commands"),
)
def test_what_a_command_reads_and_writes_is_passed_on_byte_for_byte(bed: Bed) -> None:
    assert bed.commands
    vm = bed.seen(bed.ready())
    for data in (bytes(range(256)) * 40, b"", b"\r\n\n"):
        assert vm.guest.run(bed.commands.copy, input=data, timeout=bed.timeout).stdout == data


@behaviour(
    "guests.execute",
    "A command has the environment asked for, and no more.",
    requires=("guest_exec",),
    facts=("guest", "commands"),
)
def test_a_command_has_the_environment_asked_for(bed: Bed) -> None:
    assert bed.commands
    vm = bed.seen(bed.ready())
    asked = {"GREETING": "a = b c"}
    assert vm.guest.run(bed.commands.environment, env=asked, timeout=bed.timeout).text == "GREETING=a = b c\n"
    assert "GREETING" not in vm.guest.run(bed.commands.environment, timeout=bed.timeout).text


@behaviour(
    "guests.execute",
    "A command that a signal ends has that signal and no exit code.",
    requires=("guest_exec",),
    facts=("guest", "commands"),
)
def test_a_command_that_a_signal_ends(bed: Bed) -> None:
    assert bed.commands
    result = bed.seen(bed.ready()).guest.run(bed.commands.kill, timeout=bed.timeout)
    assert (result.signal, result.exit_code, result.ok) == (9, None, False)


@behaviour(
    "guests.execute",
    "A program that the guest does not have is NotFound.",
    requires=("guest_exec",),
    facts=("guest",),
)
def test_a_program_that_the_guest_does_not_have_is_not_found(bed: Bed) -> None:
    vm = bed.ready()
    with pytest.raises(NotFound, match="the guest has no program 'no-such-program'"):
        vm.guest.run(["no-such-program"], timeout=bed.timeout)


@behaviour(
    "guests.execute",
    "A command that takes longer than one waits for is a Timeout, and comes to its end all the same.",
    requires=("guest_exec",),
    facts=("guest", "commands"),
)
def test_a_command_that_takes_longer_than_one_waits_for(bed: Bed) -> None:
    assert bed.commands
    task = bed.seen(bed.ready()).guest.begin_run(bed.commands.slow)
    with pytest.raises(Timeout):
        task.result(timeout=0.5)
    assert not task.done
    assert task.result(timeout=bed.timeout).stdout.strip() == b"done"


@behaviour(
    "guests.freeze",
    "File systems are frozen, and thawed again at the end, whatever goes wrong in between.",
    requires=("guest_freeze",),
    facts=("freezable", "inside"),
)
def test_file_systems_are_frozen_and_thawed_again(bed: Bed) -> None:
    assert bed.inside
    vm = bed.ready(bed.freezable)
    assert not bed.inside.frozen(vm.id)
    with suppress(ZeroDivisionError), vm.guest.frozen(timeout=bed.timeout):
        assert bed.inside.frozen(vm.id)
        raise ZeroDivisionError
    assert not bed.inside.frozen(vm.id)


@behaviour(
    "guests.freeze",
    "A guest that is frozen is not frozen again: InvalidState, and it stays as it is.",
    requires=("guest_freeze",),
    facts=("freezable", "inside"),
)
def test_a_guest_that_is_frozen_is_not_frozen_again(bed: Bed) -> None:
    assert bed.inside
    vm = bed.ready(bed.freezable)
    vm.guest.freeze(timeout=bed.timeout)
    with pytest.raises(InvalidState, match="frozen"), vm.guest.frozen():
        pass
    assert bed.inside.frozen(vm.id)
    vm.guest.thaw()
    assert not bed.inside.frozen(vm.id)


@behaviour(
    "guests.freeze",
    "How many file systems were frozen is told.",
    requires=("guest_freeze",),
    facts=("freezable", "inside"),
)
def test_how_many_file_systems_were_frozen_is_told(bed: Bed) -> None:
    assert bed.inside
    vm = bed.ready(bed.freezable)
    with vm.guest.frozen(timeout=bed.timeout) as count:
        assert bed.inside.frozen(vm.id)
    assert count == len(vm.disks)


@behaviour(
    "guests.thaw",
    "Thawing a guest that is not frozen is no error.",
    requires=("guest_freeze",),
    facts=("freezable", "inside"),
)
def test_thawing_a_guest_that_is_not_frozen_is_no_error(bed: Bed) -> None:
    assert bed.inside
    vm = bed.ready(bed.freezable)
    vm.guest.thaw()
    assert not bed.inside.frozen(vm.id)


@behaviour(
    "guests.thaw",
    "Where nobody answers, freezing and thawing are AgentUnavailable, at once.",
    requires=("guest_freeze",),
    facts=("deaf",),
)
def test_where_nobody_answers_freezing_and_thawing(bed: Bed) -> None:
    vm = bed.running(**bed.deaf or {})
    for verb in (vm.guest.thaw, vm.guest.freeze):
        with pytest.raises(AgentUnavailable) as refused:
            verb(timeout=bed.timeout)
        assert not hasattr(refused.value, "__notes__")
