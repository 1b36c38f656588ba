"""Lockstep: the same random operations on a host and on a fake, which must agree after every step.

The fake takes on the host's capabilities, datastores, switches and VMs, so both can do the same and refuse the same. A
state machine of Hypothesis drives both through the public objects. After each step it compares what came of it (the
result, or the error with all that it tells) and every record of everything. What differs is a defect of one of them::

    from hyperkit.testing.lockstep import lockstep

    def test_lockstep():
        with ToyBed() as bed:        # the hyperkit.testing.Bed of the conformance suite
            print(lockstep(bed, steps=500))

A failing run is made small, and ends with a script of hyperkit calls that shows the difference.

Guests take no part: nothing is booted, and no guest is asked. This package needs Hypothesis.
"""

from hyperkit.testing.lockstep.compare import LEFT_OUT
from hyperkit.testing.lockstep.coverage import Coverage
from hyperkit.testing.lockstep.run import Lockstep, lockstep
from hyperkit.testing.lockstep.sides import Divergence

__all__ = ["LEFT_OUT", "Coverage", "Divergence", "Lockstep", "lockstep"]
