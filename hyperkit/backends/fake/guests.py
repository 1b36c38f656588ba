"""Guests of the fake: an address for each NIC on a switch, once the guest has booted, and an agent."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from ipaddress import IPv4Network

from hyperkit.backends.fake.inside import Agent, result_of
from hyperkit.backends.fake.jobs import FakeJob, JobMode
from hyperkit.backends.fake.world import Machine, World
from hyperkit.clock import Clock
from hyperkit.errors import AgentUnavailable, InvalidState, TaskFailed, Timeout
from hyperkit.guest_records import CommandResult, GuestRecord
from hyperkit.jobs import DoneJob, Job, JobStatus
from hyperkit.records import AddressRecord, AgentState, has_guest
from hyperkit.specs import CommandSpec

_UNMANAGED = IPv4Network("10.0.0.0/8")
"""Where guests on a switch without a subnet of its own get their addresses, from somebody else's DHCP."""


def hears(world: World, machine: Machine) -> bool:
    """Whether there is a guest that does as it is asked."""
    waits = machine.record.question is not None
    return has_guest(machine.record) and not machine.deaf and not world.deaf and not waits


def agent_state(world: World, machine: Machine) -> AgentState:
    """What the host knows of its agent unasked."""
    if not world.capabilities.guest_agent:
        return AgentState.UNKNOWN
    agent = machine.inside.agent
    if agent is Agent.ABSENT or not has_guest(machine.record):
        return AgentState.MISSING
    answers = agent is Agent.ANSWERS and world.booted(machine)
    return AgentState.RUNNING if answers else AgentState.STOPPED


class FakeGuests:
    """See `hyperkit.driver.GuestPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            if not world.booted(machine):
                return []
            found = []
            for nic in machine.record.nics:
                if nic.switch_id is None or not nic.link_up:
                    continue
                switch = world.switches[nic.switch_id]
                network = IPv4Network(switch.subnet) if switch.subnet else _UNMANAGED
                leased = {lease.mac: lease.address for lease in switch.leases}
                address = leased.get(nic.mac) or _address(nic.mac, network, leased.values())
                if address is None:
                    continue
                found.append(AddressRecord(mac=nic.mac, address=address, prefix=network.prefixlen, source="lease"))
            return found

    def ping(self, vm_id: str, timeout: float) -> None:
        with self._world.lock:
            self._asked(vm_id, timeout)

    def info(self, vm_id: str, timeout: float) -> GuestRecord:
        with self._world.lock:
            machine = self._thawed(vm_id, timeout)
            return machine.inside.info or GuestRecord(
                hostname=machine.record.name,
                os_id="fake",
                os_name="hyperkit fake guest",
                os_version="1",
                kernel="1.0",
                arch=self._world.host.arch,
                timezone="UTC",
                utc_offset=0,
            )

    def execute(self, vm_id: str, command: CommandSpec) -> Job[CommandResult]:
        world = self._world
        with world.lock:
            machine = self._thawed(vm_id, 0)
            scripted = machine.inside.command(command, world.commands)
            result = result_of(scripted.answer, command)
            mode = JobMode(seconds=scripted.seconds) if scripted.seconds else world.jobs
            if not mode.polls and not mode.seconds:
                return DoneJob(result)
            boot = machine.boot.number

            def look() -> None:
                if self._asked(vm_id, 0).boot.number != boot:
                    raise TaskFailed("the guest booted anew, and does not know the command any more")

            return _Command(look, lambda: result, mode, world.clock, world.lock)

    def freeze(self, vm_id: str, timeout: float) -> int:
        """A file system on each disk that can be written to; who has none is not frozen."""
        with self._world.lock:
            machine = self._thawed(vm_id, timeout)
            count = sum(not disk.read_only for disk in machine.record.disks)
            if count:
                machine.inside.frozen_in = machine.boot.number
            return count

    def thaw(self, vm_id: str, timeout: float) -> None:
        with self._world.lock:
            self._asked(vm_id, timeout).inside.frozen_in = None

    def _asked(self, vm_id: str, timeout: float) -> Machine:
        """The machine, if its agent answers."""
        world = self._world
        machine = world.machine(vm_id)
        agent = machine.inside.agent
        if not world.booted(machine) or agent is Agent.ABSENT:
            raise AgentUnavailable("no agent answers in the guest: it is booting, or has none installed")
        if agent is Agent.HANGS:
            world.clock.sleep(timeout)
            raise Timeout(f"the guest's agent did not answer within {timeout:g} s")
        return machine

    def _thawed(self, vm_id: str, timeout: float) -> Machine:
        machine = self._asked(vm_id, timeout)
        if is_frozen(machine):
            raise InvalidState("the guest's file systems are frozen", current="frozen", allowed=("guest.thaw",))
        return machine


def is_frozen(machine: Machine) -> bool:
    """Whether the machine's guest holds every write: until it is thawed, or boots anew."""
    return machine.inside.frozen_in == machine.boot.number


class _Command(FakeJob[CommandResult]):
    """A command that takes a while. Agents have no word for ending it."""

    def __init__(
        self,
        look: Callable[[], None],
        work: Callable[[], CommandResult],
        mode: JobMode,
        clock: Clock,
        lock: AbstractContextManager[object],
    ) -> None:
        super().__init__("running", work, mode, clock, lock)
        self._look = look

    def poll(self) -> JobStatus[CommandResult]:
        with self._lock:
            self._look()
            return super().poll()

    def cancel(self) -> None:
        Job.cancel(self)


def _address(mac: str, network: IPv4Network, taken: Collection[str]) -> str | None:
    """Made of the MAC, so that it is the same whenever it is asked for; neither the host's (.1) nor kept for others."""
    room = network.num_addresses - 3
    number = int(mac.replace(":", "")[-6:], 16)
    addresses = (str(network[(number + step) % room + 2]) for step in range(room))
    return next((address for address in addresses if address not in taken), None)
