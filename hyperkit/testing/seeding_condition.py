"""What has become of a seeded VM, apart from its power: a template, one that waits for an answer, one to clear up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperkit import checks
from hyperkit.backends.fake.world import Machine, World
from hyperkit.states import PowerState
from hyperkit.testing.mishaps import ask, leave_behind
from hyperkit.testing.seeding_guest import at, known

CONDITION = {"template": "templates", "question": "questions", "consolidation_needed": "snapshot_consolidation"}
"""What can be said of a VM, and the capability that a host needs for it."""


def put_into(world: World, machine: Machine, data: Mapping[str, Any], url: str) -> None:
    """Let a VM be as ``data`` says; ``url`` is its host's, for messages.

    Raises:
        InvalidRequest: an unacceptable value, or one that does not go with its power state.
        Unsupported: the host knows no such thing.
    """
    for key, capability in CONDITION.items():
        if data.get(key) and not getattr(world.capabilities, capability):
            world.capabilities.refuse(capability, url)
    template, leftovers = data.get("template", False), data.get("consolidation_needed", False)
    checks.flag("template", template)
    checks.flag("consolidation_needed", leftovers)
    if template:
        if machine.record.state is not PowerState.OFF:
            checks.refuse("template", True, f"a template is off, and this VM is {machine.record.state}")
        world.update(machine, template=True)
    question = data.get("question")
    if question is not None:
        with at("question"):
            known(question, ("text", "choices", "default"))
            ask(world, machine, question.get("text"), question.get("choices"), question.get("default"))
    if leftovers:
        leave_behind(world, machine)
