"""What a failed revert to an internal snapshot must leave standing: the configuration of before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import libvirt

from hyperkit.backends.libvirt import errors
from hyperkit.backends.libvirt.reconfigure import KEEP_SECRETS
from hyperkit.backends.libvirt.redefine import make_current
from hyperkit.backends.libvirt.undo import insist

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection


@contextmanager
def configuration_kept(connection: Connection, domain: Any) -> Iterator[None]:
    """Give a VM the configuration it had, if the block fails: libvirt exchanges it before it can know.

    Where the session is lost libvirt may have finished all the same, and then what there is now belongs together.
    """
    vm_id, before, ran = domain.UUIDString(), domain.XMLDesc(KEEP_SECRETS), bool(domain.isActive())
    current = domain.snapshotCurrent(0).getName() if domain.hasCurrentSnapshot(0) else None
    try:
        yield
    except libvirt.libvirtError as error:
        ours = errors.translate(error)
        if ours is None or errors.is_lost(error):
            raise
        failed = insist(connection, lambda: _put_back(connection.domain(vm_id), before, current))
        if failed is not None:
            ours.add_note(f"and the VM's configuration of before could not be put back: {failed}")
        elif ran and not domain.isActive():
            ours.add_note("the VM ran, and is off now, with the configuration it had")
        ours.add_note("QEMU may have brought back some of the disks before it failed: look at what is in them")
        raise ours from error


def _put_back(domain: Any, before: str, current: str | None) -> None:
    """What was defined, and what its disks descend from. One that is still active has lost neither."""
    if domain.isActive():
        return
    domain.connect().defineXML(before)
    if current is not None and not domain.snapshotLookupByName(current, 0).isCurrent(0):
        make_current(domain, domain.snapshotLookupByName(current, 0))
