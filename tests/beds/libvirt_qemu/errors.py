"""What goes wrong in a bed, as opposed to in the code under test."""

from __future__ import annotations


class BedFailure(Exception):  # noqa: N818 - no error of hyperkit, and not to be mistaken for one
    """The bed itself failed: a host did not come up, a guest image could not be built."""
