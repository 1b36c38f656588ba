"""The conformance suite on the containers of a real libvirtd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("libvirt", reason="no Python module libvirt (libvirt-python)")

from hyperkit.testing.conformance import *  # noqa: F403
from tests.beds.libvirt_qemu import LibvirtHost, missing_for_containers
from tests.conformance.libvirt_beds import LibvirtLxcBed


@pytest.fixture(scope="module")
def bed(qemu_host: LibvirtHost) -> Iterator[LibvirtLxcBed]:
    reasons = missing_for_containers()
    if reasons:
        pytest.skip(f"no containers of libvirt here: {'; '.join(reasons)}")
    with LibvirtLxcBed(qemu_host) as bed:
        yield bed
