"""What VMs of the fake wait for, and what their deleted snapshots left behind."""

from __future__ import annotations

from hyperkit.backends.fake.world import World
from hyperkit.errors import InvalidRequest, InvalidState
from hyperkit.jobs import Job


class FakeUpkeep:
    """See `hyperkit.driver.UpkeepPort`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def answer(self, vm_id: str, question_id: str, choice: str) -> None:
        world = self._world
        with world.lock:
            machine = world.machine(vm_id)
            question = machine.record.question
            if question is None or question.id != question_id:
                raise InvalidState(
                    f"VM {machine.record.name!r} waits for no answer to question {question_id!r}",
                    current="no question",
                    wanted="answer",
                )
            if choice not in question.choices:
                raise InvalidRequest(
                    f"choice={choice!r}: the question has {', '.join(question.choices)}", field="choice", value=choice
                )
            world.update(machine, question=None)

    def consolidate(self, vm_id: str) -> Job[None] | None:
        world = self._world

        def work() -> None:
            world.update(world.machine(vm_id), consolidation_needed=False)

        with world.lock:
            world.machine(vm_id)
            return world.job("consolidating", work)
