"""The hosts that conformance beds run on, once for the whole session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.beds import libvirt_qemu


@pytest.fixture(scope="session")
def qemu_host() -> Iterator[libvirt_qemu.LibvirtHost]:
    """A real libvirtd with QEMU, in namespaces of its own."""
    reasons = libvirt_qemu.missing()
    if reasons:
        pytest.skip(f"no real libvirtd here: {'; '.join(reasons)}")
    with libvirt_qemu.LibvirtHost() as host:
        yield host
