"""Test beds: real hypervisors and simulators that the backends are tried against."""
