"""The fake, broken on purpose: for each behaviour line one way to forget it, which its test must find."""

from tests.conformance.mutants import (
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
    vms,
    vms_create,
    vms_power,
)
from tests.conformance.mutants.kit import BY_TEST, Mutant

__all__ = [
    "BY_TEST",
    "Mutant",
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
    "vms",
    "vms_create",
    "vms_power",
]
