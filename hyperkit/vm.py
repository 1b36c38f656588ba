"""VM: a virtual machine and everything that can be asked of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, Unpack

from hyperkit import checks, clone, guard, states, upkeep
from hyperkit.change import allowed_change
from hyperkit.console import Console
from hyperkit.deleting import begin_delete
from hyperkit.disk import Cdroms, Disks, DisksToDelete
from hyperkit.errors import InvalidState, NotFound, Timeout
from hyperkit.guest import Guest
from hyperkit.metrics import MetricsRecord
from hyperkit.nic import Nics
from hyperkit.records import AddressRecord, PowerRecord, VMRecord, changed, has_guest
from hyperkit.shutdown import ShutdownJob
from hyperkit.snapshot import Snapshot, SnapshotCollection
from hyperkit.specs import ChangeFields, Identified
from hyperkit.states import ALLOWED, HOLD_POWER, PowerAction, PowerState, StateReason, allowed_in, already_there
from hyperkit.tasks import Task, wait_until, waited
from hyperkit.vm_facts import VMFacts


class VM(VMFacts):
    """A virtual machine.

    Attributes are those of the last record (`record` has them all) and never do I/O. Power verbs read the
    state first, so that a verb which is not possible says why; one whose goal is reached already does nothing.
    They bring `state` and `reason` up to date, and `refresh` the rest.

    Every power verb raises:
        InvalidState: the state forbids it; the error names the verbs it allows.
        Unsupported: the host lacks the capability of that name.
        NotFound: the VM is gone.
    """

    __slots__ = ()

    # What belongs to it

    @property
    def disks(self) -> Disks:
        """Its disks, in the guest's order; ``vm.disks.attach(DiskSpec(...))`` adds one."""
        return Disks(self)

    @property
    def nics(self) -> Nics:
        """Its network cards, in the guest's order; ``vm.nics.attach(NicSpec(...))`` adds one."""
        return Nics(self)

    @property
    def cdroms(self) -> Cdroms:
        """Its CD-ROM drives."""
        return Cdroms(self)

    @property
    def snapshots(self) -> SnapshotCollection:
        """Its snapshots."""
        return SnapshotCollection(self)

    @property
    def guest(self) -> Guest:
        """What runs in it, if an agent inside answers: ``vm.guest.run(["uname", "-r"])``."""
        return Guest(self)

    @property
    def console(self) -> Console:
        """Its screen, keyboard and serial port: ``vm.console.screenshot()``."""
        return Console(self)

    # Power

    def start(self, *, timeout: float | None = None) -> Self:
        """Run it: from off, from a crash, or from where `suspend` left it.

        Raises:
            ResourceExhausted: the host has no room for it.
            InvalidState: it is a template, which is cloned and not started; see `make_vm`.
        """
        return waited(self.begin_start, timeout)

    def begin_start(self) -> Task[Self]:
        """`start`, without waiting for its end."""
        return self._power(PowerAction.START)

    def stop(self) -> Self:
        """Cut its power. The guest is not asked; see `shutdown`."""
        return self._power(PowerAction.STOP).result()

    def reset(self) -> Self:
        """Press its reset button. The guest is not asked; see `reboot`."""
        return self._power(PowerAction.RESET).result()

    def reboot(self) -> Self:
        """Ask the guest to reboot, and return at once."""
        return self._power(PowerAction.REBOOT).result()

    def pause(self) -> Self:
        """Stop its CPUs; memory stays in RAM."""
        return self._power(PowerAction.PAUSE).result()

    def resume(self) -> Self:
        """Let it run on after `pause`, or wake it when the guest put itself to sleep."""
        return self._power(PowerAction.RESUME).result()

    def suspend(self, *, timeout: float | None = None) -> Self:
        """Save its memory to disk and switch it off; `start` runs it on from there."""
        return waited(self.begin_suspend, timeout)

    def begin_suspend(self) -> Task[Self]:
        """`suspend`, without waiting for its end."""
        return self._power(PowerAction.SUSPEND)

    def discard_suspended(self) -> Self:
        """Throw away the memory that `suspend` saved: the VM is off then, as after a power cut."""
        return self._power(PowerAction.DISCARD).result()

    def shutdown(self, *, timeout: float = 120, force: bool = False, resend: float = 10) -> Self:
        """Ask the guest to shut down, ask again every ``resend`` seconds, and wait until the VM is off.

        Args:
            timeout: seconds to wait for the guest.
            force: cut the power when the time is up.
            resend: guests that boot or sleep miss a request.

        Raises:
            Timeout: the guest did not shut down, and ``force`` is false: the VM runs on.
        """
        checks.flag("force", force)
        checks.timeout(timeout)
        task = self.begin_shutdown(resend=resend)
        try:
            return task.result(timeout)
        except Timeout:
            if force:
                return self.stop()
            guest = "its guest may have no ACPI or agent, or be booting"
            if not has_guest(self._record):
                guest = "it has no disk, ISO or kernel, so that there is no guest to ask"
            raise Timeout(
                f"{self.label} did not shut down within {timeout:g} s and runs on: {guest}; stop() cuts the power, as"
                " does shutdown(force=True)",
                backend=self._host.url,
                operation="vms.set_power",
                resource=self.label,
            ) from None

    def begin_shutdown(self, *, resend: float = 10) -> Task[Self]:
        """Ask the guest to shut down, without waiting. Looks at the task ask again every ``resend`` seconds.

        Cancelling the task ends the asking; what the guest began it will finish.
        """
        asked = self._power(PowerAction.SHUTDOWN)
        if asked.done and asked.result().state is PowerState.OFF:
            return asked
        vms = self._host.driver.vms
        job = ShutdownJob(
            lambda: self._call(vms.power, self.id),
            lambda: self._call(vms.set_power, self.id, PowerAction.SHUTDOWN),
            clock=self._host.clock,
            resend=resend,
        )
        return self._task("shut down", job, self._powered)

    def _power(self, action: PowerAction) -> Task[Self]:
        vms = self._host.driver.vms
        self._call(guard.check, "vms.set_power", (self.id, action), self._host.capabilities, self._host.url)
        state = self._look()
        if action is PowerAction.START:
            clone.check_no_template(self)
        if already_there(state, action):
            return self._task(states.in_words(action), self, lambda vm: vm)
        if action not in ALLOWED[state]:
            raise self._invalid_state(action.value, f"cannot {states.in_words(action)}")
        return self._task(states.in_words(action), self._call(vms.set_power, self.id, action), self._powered)

    def _look(self) -> PowerState:
        """Read the power state alone: cheaper than `refresh`."""
        return self._powered(self._call(self._host.driver.vms.power, self.id)).state

    def _powered(self, power: PowerRecord) -> Self:
        if (power.state, power.reason) != (self._record.state, self._record.reason):
            self._record = changed(self._record, state=power.state, reason=power.reason)
        return self

    def _must_run(self, wanted: str, *states: PowerState) -> None:
        """Refuse what needs a VM that runs, or is in one of ``states``, of one that is not."""
        if self._look() not in (states or (PowerState.RUNNING,)) and self.state is not PowerState.UNKNOWN:
            raise self._invalid_state(wanted, f"cannot {wanted}")

    def _invalid_state(self, wanted: str, what: str, allowed: tuple[str, ...] = (), hint: str = "") -> InvalidState:
        state, reason = self._record.state, self._record.reason
        why = "" if reason is StateReason.NORMAL else f" ({reason.value})"
        aside = ", not paused" if wanted == "resume" and state is PowerState.SUSPENDED else ""
        allowed = allowed or (*allowed_in(state), *(() if state in HOLD_POWER else ("delete",)))
        return InvalidState(
            f"{what} {self.label} on {self._host.url}: it is {state.value}{why}{aside}{hint}",
            current=state.value,
            wanted=wanted,
            allowed=allowed,
            backend=self._host.url,
            resource=self.label,
        )

    def _read(self) -> VMRecord:
        return self._host.driver.vms.get(self.id)

    def _update(self, record: VMRecord) -> Self:
        self._record = record
        return self

    # Waiting

    def wait_for(self, condition: Callable[[VM], bool], *, timeout: float | None = None, what: str = "") -> Self:
        """Refresh until ``condition(vm)`` is true.

        Raises:
            Timeout: it did not become true within ``timeout`` seconds.
        """
        wait_until(
            lambda: True if condition(self.refresh()) else None,
            clock=self._host.clock,
            timeout=timeout,
            what=f"{self.label} {what or 'to meet the condition'}",
        )
        return self

    def wait_for_state(self, state: PowerState | str, *, timeout: float | None = None) -> Self:
        """Wait until it is in a state, however it comes there.

        Raises:
            Timeout: it is not within ``timeout`` seconds.
        """
        state = checks.member("state", state, PowerState)
        wait_until(
            lambda: True if self._look() is state else None,
            clock=self._host.clock,
            timeout=timeout,
            what=f"{self.label} to be {state.value}",
        )
        return self

    def metrics(self) -> MetricsRecord:
        """Read what it has used since it was started; ``vm.metrics().since(before)`` makes rates of two readings.

        Raises:
            NotFound: it is gone.
            Unsupported: the host counts nothing.
        """
        found = self._call(self._host.metrics.read, [self])
        if not found:
            raise NotFound(
                f"{self.label} is gone", backend=self._host.url, operation="metrics.read", resource=self.label
            )
        return found[0]

    def addresses(self) -> list[AddressRecord]:
        """The guest's addresses, as its host learns them from leases, ARP or an agent; may be empty.

        Raises:
            Unsupported: the host has no way to know.
        """
        guests = self._host.driver.guests
        if guests is None:
            self._host.capabilities.refuse("guest_addresses", self._host.url)
        return list(self._call(guests.addresses, self.id))

    def wait_for_address(self, *, timeout: float | None = 120) -> str:
        """The guest's first address, IPv4 before IPv6, once it has one.

        Raises:
            Timeout: it has none within ``timeout`` seconds.
            InvalidState: the VM does not run, or stopped meanwhile, so that none can come.
        """

        def first() -> str | None:
            found = sorted((":" in record.address, record.address) for record in self.addresses())
            if not found and self._look() is not PowerState.RUNNING:
                raise self._invalid_state("wait_for_address", "no address can come to")
            return found[0][1] if found else None

        return wait_until(first, clock=self._host.clock, timeout=timeout, what=f"an address of {self.label}")

    # Changing, cloning

    def configure(self, **fields: Unpack[ChangeFields]) -> Self:
        """Change it: at once, and for every later start. Fields mean what they mean in `VMSpec`.

        Notes, tags and autostart change in any state. The others change while the VM is off, or while it runs where
        the host has the hot capability for them. When one of them cannot change now, none is.

        Raises:
            InvalidRequest: a value is not acceptable.
            InvalidState: the change needs the VM off, or it is a template; nothing was changed.
            AlreadyExists: the new name is taken, where names must be unique.
        """
        clone.check_is_vm(self.refresh(), "configure", "change")
        change = allowed_change(self._record, fields, self._host.capabilities, self._invalid_state)
        if change.fields():
            self._record = self._call(self._host.driver.vms.configure, self.id, change)
        return self

    def rename(self, name: str) -> Self:
        """Give it another name; its id stays."""
        return self.configure(name=name)

    def clone(
        self,
        name: str,
        *,
        linked: bool = False,
        snapshot: Snapshot | str | None = None,
        datastore: str | Identified | None = None,
        timeout: float | None = None,
    ) -> VM:
        """Make a VM of it, or of a template: switched off, with disks and MAC addresses of its own.

        Args:
            name: the clone's.
            linked: share blocks with a snapshot of this VM, which has to stay, instead of copying them.
            snapshot: begin from this one; None is the VM as it is, and the current one for a linked clone.
            datastore: where its disks are made, by name, id or object; default: where this VM's are.
            timeout: seconds to wait.

        Raises:
            AlreadyExists: the name is taken, where names must be unique.
            InvalidState: ``linked``, and the VM has no snapshot.
            NotFound: no such snapshot or datastore.
            Unsupported: the host cannot clone, or not so: a VM that runs needs `Capabilities.running_clones`, or a
                snapshot.
        """
        checks.timeout(timeout)
        return self.begin_clone(name, linked=linked, snapshot=snapshot, datastore=datastore).result(timeout)

    def begin_clone(
        self,
        name: str,
        *,
        linked: bool = False,
        snapshot: Snapshot | str | None = None,
        datastore: str | Identified | None = None,
    ) -> Task[VM]:
        """`clone`, without waiting for its end."""
        return clone.begin_clone(self, name, linked, snapshot, datastore)

    def make_template(self) -> Self:
        """Make it a template, which is cloned and never started; one that is a template already stays one.

        Raises:
            InvalidState: it is not off.
        """
        return clone.set_template(self, True)

    def make_vm(self) -> Self:
        """Make it a VM again that can be started, if it is a template."""
        return clone.set_template(self, False)

    # Upkeep

    def answer(self, choice: str) -> Self:
        """Answer what it waits for (`question`): with one of the choices, or what people call it.

        Raises:
            InvalidState: it waits for no answer.
            InvalidRequest: the question has no such choice; the error names those it has.
        """
        return upkeep.answer(self, choice)

    def consolidate(self, *, timeout: float | None = None) -> Self:
        """Merge what deleted snapshots left behind; see `VMRecord.consolidation_needed`."""
        return waited(self.begin_consolidate, timeout)

    def begin_consolidate(self) -> Task[Self]:
        """`consolidate`, without waiting for its end."""
        return upkeep.begin_consolidate(self)

    # Deleting

    def delete(self, *, disks: DisksToDelete = "created", force: bool = False, timeout: float | None = None) -> None:
        """Delete it, with its snapshots and saved memory.

        Args:
            disks: which disk files go with it: those that hyperkit ``"created"`` for it, ``"all"``, ``"none"``, or
                the named ones (paths or `Disk` objects).
            force: cut its power first if it runs.
            timeout: seconds to wait.

        Raises:
            InvalidState: it runs, and ``force`` is false.
            Busy: another VM, an image that begins from it or another VM's snapshot needs a disk that was to go;
                nothing was deleted.
            InvalidRequest: a named disk is not this VM's.
        """
        waited(lambda: self.begin_delete(disks=disks, force=force), timeout)

    def begin_delete(self, *, disks: DisksToDelete = "created", force: bool = False) -> Task[None]:
        """`delete`, without waiting for its end."""
        return begin_delete(self, disks, force)
