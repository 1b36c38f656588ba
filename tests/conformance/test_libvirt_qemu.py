"""The conformance suite on a real libvirtd with QEMU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("libvirt", reason="no Python module libvirt (libvirt-python)")

from hyperkit.testing.conformance import *  # noqa: F403
from tests.beds.libvirt_qemu import LibvirtHost
from tests.conformance.libvirt_beds import LibvirtQemuBed


@pytest.fixture(scope="module")
def bed(qemu_host: LibvirtHost) -> Iterator[LibvirtQemuBed]:
    with LibvirtQemuBed(qemu_host) as bed:
        yield bed
