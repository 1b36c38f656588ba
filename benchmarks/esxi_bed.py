"""The vSphere host that benchmarks run on: a simulated vCenter on loopback, with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.harness import CannotRun, say


@contextmanager
def vcsim_bed(vms: int) -> Iterator[Any]:
    """A vCenter with so many VMs that run, half of them on a host by itself and half in a cluster of three.

    Raises:
        CannotRun: it cannot run here.
    """
    try:
        from tests.beds import vcsim  # noqa: PLC0415 - not installed with hyperkit
    except ModuleNotFoundError as error:
        raise CannotRun(f"no {error.name}: run it in a checkout or an unpacked source distribution") from error
    if reasons := vcsim.missing():
        raise CannotRun("; ".join(reasons))
    say(f"starting a vCenter with {vms} VMs ...")
    try:
        with vcsim.Vcsim("vcenter", machines=vms // 2, autostart=True) as sim:
            yield sim
    except vcsim.BedFailure as error:
        raise CannotRun(f"the simulator did not come up: {error}") from error
