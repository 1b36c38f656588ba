"""What a host leaves to somebody else: what `VM.answer` and `VM.begin_consolidate` ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from hyperkit import checks
from hyperkit.driver import UpkeepPort
from hyperkit.errors import InvalidState
from hyperkit.tasks import Task

if TYPE_CHECKING:
    from hyperkit.vm import VM

V = TypeVar("V", bound="VM")


def answer(vm: V, choice: str) -> V:
    """See `VM.answer`."""
    port = _port(vm, "questions")
    question = vm.refresh().question
    if question is None:
        raise InvalidState(
            f"{vm.label} on {vm.host.url} waits for no answer",
            current="no question",
            wanted="answer",
            backend=vm.host.url,
            resource=vm.label,
        )
    vm._call(port.answer, vm.id, question.id, _meant(question.choices, choice))
    return vm.refresh()


def _meant(choices: Mapping[str, str], choice: str) -> str:
    """The choice that is called so, else the only one that people call so."""
    if choice in choices:
        return choice
    labelled = [key for key, label in choices.items() if label == choice]
    if len(labelled) != 1:
        checks.refuse("choice", choice, f"one of {', '.join(f'{key!r} ({label})' for key, label in choices.items())}")
    return labelled[0]


def begin_consolidate(vm: V) -> Task[V]:
    """See `VM.begin_consolidate`."""
    port = _port(vm, "snapshot_consolidation")
    return vm._task("consolidate", vm._call(port.consolidate, vm.id), lambda _: vm.refresh())


def _port(vm: VM, capability: str) -> UpkeepPort:
    host = vm.host
    port = host.driver.upkeep
    if port is None or not getattr(host.capabilities, capability):
        host.capabilities.refuse(capability, host.url)
    return port
