"""What goes wrong in this bed, as opposed to in the code under test."""

from __future__ import annotations


class BedFailure(Exception):  # noqa: N818 - no error of hyperkit, and not to be mistaken for one
    """The bed itself failed: the simulator did not build or start, or refused to be controlled so."""
