"""The fake, broken on purpose: for each behaviour line one way to forget it, which its test must find."""

from tests.conformance.mutants import (
    clones,
    containers,
    devices,
    events,
    guests,
    host,
    hot,
    metrics,
    snapshots,
    storage,
    switches,
    upkeep,
    vms,
    vms_create,
    vms_power,
)
from tests.conformance.mutants.kit import BY_TEST, Mutant

__all__ = [
    "BY_TEST",
    "Mutant",
    "clones",
    "containers",
    "devices",
    "events",
    "guests",
    "host",
    "hot",
    "metrics",
    "snapshots",
    "storage",
    "switches",
    "upkeep",
    "vms",
    "vms_create",
    "vms_power",
]
