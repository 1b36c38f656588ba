"""What happens to a fake's VM without anybody's verb: its guest reboots, a disk fails, long work ends."""

from __future__ import annotations

from collections.abc import Mapping

from hyperkit import checks
from hyperkit.backends.fake.activity import drives
from hyperkit.backends.fake.vms import reboot
from hyperkit.backends.fake.world import Machine, World
from hyperkit.driver import IOFailure, JobEnd
from hyperkit.records import QuestionRecord
from hyperkit.states import PowerState, StateReason


def guest_reboots(world: World, machine: Machine) -> None:
    """The guest reboots by itself.

    Raises:
        InvalidRequest: the VM does not run.
    """
    _check_runs(machine)
    reboot(world, machine)


def disk_fails(world: World, machine: Machine, disk: str, *, paused: bool, full: bool) -> None:
    """The host cannot read or write a disk or drive, and pauses the VM for it or lets its guest see to that.

    Raises:
        InvalidRequest: the VM does not run, or has no such disk.
    """
    _check_runs(machine)
    record = machine.record
    if disk not in drives(record):
        checks.refuse("disk", disk, f"the id of a disk of VM {record.name!r}: {', '.join(drives(record)) or 'none'}")
    paths = {each.id: each.path for each in record.disks} | {each.id: each.iso or "" for each in record.cdroms}
    if paused:
        record = world.update(machine, state=PowerState.PAUSED, reason=StateReason.IO_ERROR)
    world.tell(IOFailure(vm=record, disk_id=disk, path=paths[disk], paused=paused, full=full))


def job_ends(world: World, machine: Machine, job: str, error: str | None) -> None:
    """Work that somebody had the host do has ended."""
    world.tell(JobEnd(vm=machine.record, job=job, error=error))


def ask(world: World, machine: Machine, text: str, choices: Mapping[str, str], default: str | None) -> None:
    """The host asks something of a VM, which stands still until it is answered.

    Raises:
        InvalidRequest: the VM does not run, there are no choices, or the default is none of them.
    """
    _check_runs(machine)
    checks.text("text", text)
    if not isinstance(choices, Mapping) or not choices:
        checks.refuse("choices", choices, "a dict of the answers there are, each with what people call it")
    for choice in (text for pair in choices.items() for text in pair):
        checks.label("choices", choice)
    if default is not None and default not in choices:
        checks.refuse("default", default, f"one of {', '.join(choices)}")
    # A copy: the record does not change when the caller's dict does.
    world.update(machine, question=QuestionRecord(id=world.new_id(), text=text, choices=dict(choices), default=default))


def leave_behind(world: World, machine: Machine) -> None:
    """A snapshot that was deleted has left files behind."""
    world.update(machine, consolidation_needed=True)


def _check_runs(machine: Machine) -> None:
    record = machine.record
    if record.state is not PowerState.RUNNING:
        checks.refuse("state", record.state.value, f"VM {record.name!r} does not run")
