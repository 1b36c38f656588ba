"""Running the state machine for a number of steps."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from hyperkit.testing.beds import Bed
from hyperkit.testing.lockstep.coverage import Coverage
from hyperkit.testing.lockstep.machine import Enough
from hyperkit.testing.lockstep.rules_clones import CloneRules
from hyperkit.testing.lockstep.rules_devices import DeviceRules
from hyperkit.testing.lockstep.rules_snapshots import SnapshotRules
from hyperkit.testing.lockstep.rules_storage import SwitchRules, VolumeRules
from hyperkit.testing.lockstep.rules_vms import VMRules


class Lockstep(VMRules, DeviceRules, SnapshotRules, CloneRules, SwitchRules, VolumeRules):
    """All rules; a class derived from it names the bed. It is an ordinary state machine of Hypothesis."""


def lockstep(
    bed: Bed,
    *,
    steps: int = 1000,
    length: int = 50,
    first_seed: int = 1,
    machine: type[Lockstep] = Lockstep,
    shrink: float = 60,
    until: frozenset[str] = frozenset(),
) -> Coverage:
    """Drive the host of ``bed`` and a fake like it for ``steps`` steps or a few more, in runs of ``length``.

    The same seed gives the same steps. Each run begins with the host as it was, and leaves it so.

    Args:
        bed: whose host; see `hyperkit.testing.Bed`.
        steps: how many at least.
        length: steps of one run.
        first_seed: of the first round; each further round has the next.
        machine: what is asked; a class derived from `Lockstep` says what is special about a host.
        until: operations that must be done at least once: if chance did not bring them, up to as many steps more are.
        shrink: seconds in which to look for a shorter script that shows a difference, by repeating runs; 0 for none.

    Returns:
        What was done, ready to print; ``check()`` it, since refusals alone agree easily.

    Raises:
        Divergence: the two do not agree.
    """
    coverage = Coverage()
    on_bed: type[Lockstep] = type(machine.__name__, (machine,), {"bed": bed, "coverage": coverage, "patience": shrink})
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    number = first_seed
    while coverage.steps < steps or (coverage.lacks(until) and coverage.steps < 2 * steps):
        wanted = settings(
            max_examples=max(1, (steps - coverage.steps) // length),
            stateful_step_count=length,
            database=None,
            deadline=None,
            phases=phases,
            report_multiple_bugs=False,
            print_blob=False,
            verbosity=Verbosity.normal,
            suppress_health_check=list(HealthCheck),
        )
        try:
            run_state_machine_as_test(seed(number)(on_bed), settings=wanted)
        except (Enough, Flaky) as error:
            if on_bed.over and on_bed.shortest is not None:
                # The run that was not begun any more drew nothing, which Hypothesis may find odd: it says no more.
                raise on_bed.shortest from None
            if on_bed.first is None:
                raise
            raise on_bed.first from error
        number += 1
    return coverage
