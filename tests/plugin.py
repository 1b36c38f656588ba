"""For tests that run a pytest of their own."""

from __future__ import annotations

from importlib.metadata import entry_points

installed = any(point.value == "hyperkit.testing.plugin" for point in entry_points(group="pytest11"))
OPTIONS = () if installed else ("-p", "hyperkit.testing.plugin")
"""What brings hyperkit's plugin into it: nothing where hyperkit is installed, as users have it."""
