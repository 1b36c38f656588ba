"""The conformance suite: one test for each behaviour line of `hyperkit.driver`, with the same words.

A backend's author writes a test module of a few lines, and the whole suite runs::

    from hyperkit.testing.conformance import *

    @pytest.fixture(scope="module")
    def bed():
        with ToyBed() as bed:      # a hyperkit.testing.beds.Bed
            yield bed

A test is chosen by the host's capabilities and the bed's facts, never by catching `Unsupported`. What it
does is looked at through the bed's back door or a second connection.
"""

from types import ModuleType

from hyperkit.testing.conformance import (
    clones,
    consoles,
    containers,
    datastores,
    disks,
    events,
    guests,
    host,
    metrics,
    nics,
    snapshots,
    snapshots_revert,
    switches,
    upkeep,
    vms_configure,
    vms_create,
    vms_delete,
    vms_devices,
    vms_hot,
    vms_power,
    vms_read,
)

MODULES: tuple[ModuleType, ...] = (
    host,
    vms_read,
    vms_create,
    vms_devices,
    vms_configure,
    vms_hot,
    vms_power,
    vms_delete,
    containers,
    disks,
    nics,
    switches,
    datastores,
    snapshots,
    snapshots_revert,
    clones,
    guests,
    consoles,
    upkeep,
    events,
    metrics,
)
"""In the order of the contract."""

TESTS = {name: test for module in MODULES for name, test in vars(module).items() if name.startswith("test_")}
"""The tests by name."""

globals().update(TESTS)
__all__ = list(TESTS)  # a list of what the modules hold is not literal
