"""What every rule works with: the two sides, what the script has made so far, and how to do one step."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from hyperkit.errors import Busy, HyperkitError
from hyperkit.records import VMRecord
from hyperkit.specs import DiskBus, DiskFormat
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.lockstep.choices import FILE_NAMES, MACS, NAMES, Means
from hyperkit.testing.lockstep.compare import Outcome
from hyperkit.testing.lockstep.coverage import Coverage
from hyperkit.testing.lockstep.script import Ref, Step
from hyperkit.testing.lockstep.sides import Divergence, Pair, Side
from hyperkit.testing.lockstep.twin import twin_of
from hyperkit.vm import VM

HOST, STORE = Ref("host"), Ref("store")
DATA = st.data()
HOLDS_POWER = (PowerState.RUNNING, PowerState.PAUSED)


class Enough(BaseException):  # Hypothesis takes an `Exception` for one more failure
    """The time to look for a shorter script is over."""


class Machine(RuleBasedStateMachine):
    """A bed's host and a fake that began like it; derived classes have the rules, and the last one names the bed.

    Attributes:
        bed: whose host it is.
        coverage: what was done, of all runs.
        buses: what disks may be on, besides the host's choice: by default `Bed.bus`. One that can be attached to a
            running VM comes first.
        models: what NICs may be, besides the host's choice: by default `Bed.nic_model`.
        sector: what the sizes of disks are multiples of, on this host.
        first: the first difference that was found. It is what counts if the host could not be cleaned up after it.
        shortest: the one with the shortest script so far.
        patience: seconds from the first one in which to look for a shorter script.
        over: whether they have passed.
        vms: the variables of the VMs that there are.
        gone: variables of VMs that were deleted.
        switches: variables of switches.
        snapshots: variables of snapshots, each with its VM's.
    """

    bed: ClassVar[Bed]
    coverage: ClassVar[Coverage]
    buses: ClassVar[tuple[DiskBus, ...]] = ()
    models: ClassVar[tuple[str, ...]] = ()
    sector: ClassVar[int] = 512
    first: ClassVar[BaseException | None] = None
    shortest: ClassVar[BaseException | None] = None
    patience: ClassVar[float] = 60
    over: ClassVar[bool] = False
    _deadline: ClassVar[float | None] = None

    def __init__(self) -> None:
        super().__init__()
        if self._deadline is not None and time.monotonic() > self._deadline:
            type(self).over = True
            raise Enough
        self._number = 0
        self._failure: BaseException | None = None
        self.vms: list[str] = []
        self.gone: list[str] = []
        self.switches: list[str] = []
        self.snapshots: list[tuple[str, str]] = []
        self.asked = {*MACS, *FILE_NAMES}
        bed = self.bed
        with ExitStack() as stack:
            stack.enter_context(bed.test())
            host = bed.connect()
            stack.callback(host.close)
            self.able = host.capabilities
            self._store = bed.store.name
            self._fake = stack.enter_context(twin_of(host, uplinks=[bed.uplink] if bed.uplink else []))
            twin = Side("the fake", self._fake.connect, self._store, self.asked)
            stack.callback(twin.close)
            real = Side("the host", bed.connect, self._store, self.asked)
            stack.callback(real.close)
            self.pair = Pair(twin, real, self.coverage, [f"store = host.datastores.one({self._store!r})"])
            stack.callback(self._delete_vms)
            self._found = {kind: frozenset(there) for kind, there in twin.survey.tree.items()}
            self._ended = stack.pop_all()

    def teardown(self) -> None:
        """Leave the host as it was.

        Raises:
            Divergence: it cannot be.
        """
        failure = self._failure
        try:
            self._ended.__exit__(
                type(failure) if failure else None, failure, failure.__traceback__ if failure else None
            )
        except Exception as error:
            unclean = Divergence(self.pair.told(f"the host is not as it was before the script: {error}"))
            type(self).first = type(self).first or unclean
            raise unclean from error

    def _delete_vms(self) -> None:
        """Without their disks, which two may have from one another; the bed removes those."""
        left = [vm for vm in self.pair.host.host.vms if vm.id not in self._found["vms"]]
        while left:
            # A linked clone may need what goes with another's snapshots.
            busy = [vm for vm in left if not self._delete_vm(vm)]
            assert len(busy) < len(left), f"these VMs cannot be deleted, since each needs another's snapshot: {busy}"
            left = busy

    @staticmethod
    def _delete_vm(vm: VM) -> bool:
        try:
            vm.delete(disks="none", force=True)
        except Busy:
            return False
        return True

    def do(self, what: str, target: Ref, method: str, *args: Any, result: str = "", **fields: Any) -> Outcome:
        """Do a step on both sides; it is told what came of it on the fake.

        Raises:
            Divergence: the two sides do not agree.
        """
        hot = target.name in self.vms and self.holds_power(target.name) and not what.startswith("vm.")
        step = Step(what=what, target=target, method=method, args=args, fields=fields, result=result, hot=hot)
        reason = self.spared(step, self.pair.fake.survey.vms.get(target.name))
        if reason:
            self.coverage.spare(what, reason)
            return Outcome(error=HyperkitError(reason))
        try:
            return self.pair.do(step)
        except BaseException as error:
            self._failure = error
            self._found_one(error)
            raise

    def _found_one(self, error: BaseException) -> None:
        """Remember it, and when to stop looking for a shorter one."""
        mine = type(self)
        if mine._deadline is None:
            mine._deadline = time.monotonic() + self.patience
        mine.first = mine.first or error
        if mine.shortest is None or str(error).count("\n") < str(mine.shortest).count("\n"):
            mine.shortest = error

    def spared(self, step: Step, vm: VMRecord | None) -> str:  # noqa: ARG002  # for derived classes
        """Why a step is not done, of the VM it is about: empty for all that are.

        For what a host refuses, or does in its own way, by rules that no capability tells. Such steps are in the
        report, with their reason.
        """
        return ""

    # What there is

    @property
    def formats(self) -> tuple[DiskFormat, ...]:
        """What new images can be."""
        return tuple(DiskFormat(form) for form in self.able.disk_formats)

    def record(self, name: str) -> VMRecord:
        """How a VM is now."""
        return self.pair.fake.survey.vms[name]

    def holds_power(self, name: str) -> bool:
        """Whether a VM is in memory."""
        return self.record(name).state in HOLDS_POWER

    @property
    def running(self) -> int:
        """How many VMs are in memory."""
        return sum(record.state in HOLDS_POWER for record in self.pair.fake.survey.vms.values())

    @property
    def files(self) -> tuple[str, ...]:
        """The variables of the files that were made: what the bed brought is not touched."""
        return tuple(file for file in self.pair.fake.survey.tree["files"] if file not in self._found["files"])

    @property
    def means(self) -> Means:
        """What there is to ask with."""
        there = (
            switch for switch in self.pair.fake.survey.tree["switches"].items() if switch[0] in self._found["switches"]
        )
        return Means(
            able=self.able,
            bed=self.bed,
            buses=self.buses or ((self.bed.bus,) if self.bed.bus else ()),
            models=self.models or ((self.bed.nic_model,) if self.bed.nic_model else ()),
            files=tuple(map(Ref, self.files)),
            sector=self.sector,
            switches=(*map(Ref, self.switches), *(switch["name"] for _id, switch in there)),
        )

    # What is drawn often

    def variable(self, kind: str) -> str:
        """A variable that is not used yet."""
        self._number += 1
        return f"{kind}{self._number}"

    def vm(self, data: st.DataObject, among: list[str] | None = None) -> str:
        """One of the VMs."""
        return str(data.draw(st.sampled_from(self.vms if among is None else among)))

    def name(self, data: st.DataObject, taken: list[str]) -> str:
        """A name that is new, or now and then one that is taken."""
        if taken and data.draw(st.integers(0, 9)) == 9:
            return str(data.draw(st.sampled_from(taken)))
        self._number += 1
        name = f"{data.draw(st.sampled_from(NAMES))}{self._number}"
        self.asked.add(name)
        return name
