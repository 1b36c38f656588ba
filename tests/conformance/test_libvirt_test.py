"""The conformance suite on the test driver of libvirt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("libvirt", reason="no Python module libvirt (libvirt-python)")

from hyperkit.testing.conformance import *  # noqa: F403
from tests.conformance.libvirt_beds import LibvirtTestBed


@pytest.fixture(scope="module")
def bed() -> Iterator[LibvirtTestBed]:
    with LibvirtTestBed() as bed:
        yield bed
