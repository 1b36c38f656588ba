"""Packages of others bring tests of their own, which run where the package is installed: `test_toy` does that."""

collect_ignore = ["hyperkit-toy"]
