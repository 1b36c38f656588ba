"""The hosts that conformance beds run on, once for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from tests.beds import libvirt_qemu, vcsim


@pytest.fixture(scope="session")
def qemu_host() -> Iterator[libvirt_qemu.LibvirtHost]:
    """A real libvirtd with QEMU, in namespaces of its own."""
    reasons = libvirt_qemu.missing()
    if reasons:
        pytest.skip(f"no real libvirtd here: {'; '.join(reasons)}")
    with libvirt_qemu.LibvirtHost() as host:
        yield host


def _simulator(model: Literal["esx", "vcenter"]) -> Iterator[vcsim.Vcsim]:
    reasons = vcsim.missing()
    if reasons:
        pytest.skip(f"no vSphere simulator here: {'; '.join(reasons)}")
    with vcsim.Vcsim(model) as sim:
        yield sim


@pytest.fixture(scope="session")
def esx_sim() -> Iterator[vcsim.Vcsim]:
    """A simulated ESXi host without VMs."""
    yield from _simulator("esx")


@pytest.fixture(scope="session")
def vcenter_sim() -> Iterator[vcsim.Vcsim]:
    """A simulated vCenter without VMs: one datacenter, a host by itself and a cluster."""
    yield from _simulator("vcenter")
