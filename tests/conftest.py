"""What all tests share: hyperkit's own pytest plugin, also from a checkout that is not installed."""

from __future__ import annotations

from importlib.metadata import entry_points

from hypothesis import HealthCheck, settings

pytest_plugins = ["pytester"]

# Installed, it is loaded already, under the entry point's name; pytest refuses it under another one.
if not any(point.value == "hyperkit.testing.plugin" for point in entry_points(group="pytest11")):
    pytest_plugins.append("hyperkit.testing.plugin")

# How long an example takes says nothing of the code on a machine that does other things as well.
settings.register_profile("hyperkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hyperkit")
