"""Mutants of containers."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hyperkit import guard
from hyperkit.backends.fake.world import World
from hyperkit.specs import VMSpec
from tests.conformance.mutants.kit import layer, nothing
from tests.conformance.mutants.vms_create import asks_for


def forgets_the_environment(spec: VMSpec) -> dict[str, Any]:
    return {"container": spec.container and attrs.evolve(spec.container, environment=())}


def _asks_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(guard.NEEDS, "vms.create", lambda spec: iter(()))


@layer("test_a_container_is_refused_where_none_can_be_made")
def makes_a_container_anywhere(patch: pytest.MonkeyPatch) -> None:
    _asks_nobody(patch)


@layer("test_a_machine_is_refused_where_only_containers_can_be_made")
def makes_a_machine_anywhere(patch: pytest.MonkeyPatch) -> None:
    _asks_nobody(patch)


@layer("test_a_containers_root_that_leads_nowhere_is_not_found")
def makes_a_container_without_a_root(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "check_root", nothing)


asks_for("test_a_containers_root_init_arguments_and_environment_are_those_asked_for", forgets_the_environment)
