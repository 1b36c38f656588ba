"""The two sides, and doing one step on both."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from hyperkit.errors import HyperkitError
from hyperkit.host import Host
from hyperkit.snapshot import Snapshot
from hyperkit.switch import Switch
from hyperkit.testing.lockstep.compare import Labels, Outcome, Survey, differences, survey, unsteady
from hyperkit.testing.lockstep.coverage import Coverage
from hyperkit.testing.lockstep.script import Names, Step
from hyperkit.vm import VM

_LONGEST = 300
_FILE = re.compile(r"(file\d+) = ")


class Divergence(AssertionError):  # noqa: N818  # what the two sides have, not a mistake of the caller
    """The two sides do not agree. Its message says where, and ends with a script that shows it."""


class Side:
    """One host, what the script's variables mean on it, and how it was after the last step."""

    def __init__(self, name: str, connect: Callable[[], Host], store: str, asked: Collection[str]) -> None:
        self.name = name
        self.labels = Labels(asked)
        self.names: Names = {}
        self._connect = connect
        self._store = store
        self._open()
        self._known = frozenset(volume.path for store in self.host.datastores for volume in store.volumes)
        self.survey: Survey = survey(self.host, self.labels, self._known)
        self.layered = False

    def _open(self) -> None:
        self.host = self._connect()
        self.names.update(host=self.host, store=self.host.datastores.one(self._store))

    def close(self) -> None:
        """End the connection."""
        self.host.close()

    def do(self, step: Step) -> Outcome:
        """Do it here, and keep its result under the name it is to have."""
        self.layered = step.what in ("snapshots.create", "snapshot.revert")
        try:
            value = step.on(self.names)
        except HyperkitError as error:
            return Outcome(error=error)
        if step.result:
            self.names[step.result] = value
            self.labels.give(value, step.result)
        return Outcome(value)

    def reconnect(self) -> None:
        """End the connection and make another; everything is found again by its id. What is gone stays gone."""
        self.host.close()
        self._open()
        vms = {vm.id: vm for vm in self.host.vms}
        switches = {switch.id: switch for switch in self.host.switches}
        for name, handle in self.names.items():
            if isinstance(handle, VM):
                self.names[name] = vms.get(handle.id, handle)
            elif isinstance(handle, Switch):
                self.names[name] = switches.get(handle.id, handle)
            elif isinstance(handle, Snapshot) and handle.vm.id in vms:
                there = {snapshot.id: snapshot for snapshot in vms[handle.vm.id].snapshots}
                self.names[name] = there.get(handle.id, handle)

    def look(self) -> list[str]:
        """Read everything anew, and tell what should not have changed."""
        before, self.survey = self.survey, survey(self.host, self.labels, self._known, layered=self.layered)
        self.names.update((name, path) for name, path, _origin in self.labels.found)
        return list(unsteady(before, self.survey))


class Pair:
    """The fake and the host in lockstep."""

    def __init__(self, fake: Side, host: Side, coverage: Coverage, head: Iterable[str] = ()) -> None:
        self.fake = fake
        self.host = host
        self._sides = (fake, host)
        self.coverage = coverage
        self.since_reconnect = 0
        self._script = list(head)
        self._compare(fake.survey.tree, host.survey.tree, "at the beginning")

    def do(self, step: Step) -> Outcome:
        """Do a step on both sides, the fake first.

        Returns:
            What came of it on the fake.

        Raises:
            Divergence: they do not agree on the outcome, or on how everything is afterwards.
        """
        self._script.append(str(step))
        outcomes = [self._done(side, step) for side in self._sides]
        self.coverage.count(step.counted, outcomes[1].word)
        self.since_reconnect += 1
        self.look(outcomes)
        return outcomes[0]

    def look(self, outcomes: Sequence[Outcome] = ()) -> None:
        """Compare what came of a step, and everything."""
        unsteady = [f"{side.name}: {change}" for side in self._sides for change in self._read(side)]
        if outcomes:
            self._compare_outcomes(*outcomes)
        if unsteady:
            raise Divergence(self.told("\n".join(unsteady)))
        self._compare(self.fake.survey.tree, self.host.survey.tree, "after the last step")
        self._script += [f"{name} = {origin}" for name, _path, origin in self.host.labels.found]
        for side in self._sides:
            side.labels.found.clear()

    def _read(self, side: Side) -> list[str]:
        try:
            return side.look()
        except HyperkitError as error:
            raise Divergence(self.told(f"{side.name} cannot be read after the last step: {error}")) from error

    def _compare_outcomes(self, fake: Outcome, host: Outcome) -> None:
        """In words that both sides share: what is new has a name only now that everything was read."""
        both = ((self.fake, fake), (self.host, host))
        said = [f"  {side.name} said: {outcome.error}" for side, outcome in both if outcome.error]
        one, other = ({"outcome": outcome.told(side.labels)} for side, outcome in both)
        self._compare(one, other, "in what came of the last step", said, host.error or fake.error)

    def reconnect(self) -> None:
        """A new connection to each."""
        self._script.append("# reconnect")
        for side in self._sides:
            side.reconnect()
        self.coverage.count("reconnect", "done")
        self.since_reconnect = 0
        self.look()

    def _done(self, side: Side, step: Step) -> Outcome:
        try:
            return side.do(step)
        except Exception as error:
            raise Divergence(self.told(f"{side.name} raised {type(error).__name__}: {error}")) from error

    def _compare(
        self, one: Any, other: Any, when: str, said: Iterable[str] = (), cause: Exception | None = None
    ) -> None:
        found = [
            f"  {where}: {self.fake.name} {_short(a)}, {self.host.name} {_short(b)}"
            for where, a, b in differences(one, other)
        ]
        if found:
            raise Divergence(self.told("\n".join([f"they differ {when}:", *found[:20], *said]))) from cause

    def told(self, what: str) -> str:
        """The message, with the script: files that no line uses need no name."""
        text = "\n".join(self._script)
        used = [
            line
            for line in self._script
            if not (file := _FILE.match(line)) or len(re.findall(rf"\b{file[1]}\b", text)) > 1
        ]
        return "\n".join([what, "", "Each side was asked for:", "", *(f"    {line}" for line in used)])


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
