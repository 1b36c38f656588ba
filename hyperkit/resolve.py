"""Before a port is called: names become ids, and what other VMs hold is not taken from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from hyperkit.collection import pick
from hyperkit.errors import AlreadyExists, Busy
from hyperkit.records import changed
from hyperkit.specs import DiskSpec, NicSpec

if TYPE_CHECKING:
    from hyperkit.host import Host

_NEW_SWITCH = "host.switches.create({name!r})"


def resolve_nics(host: Host, nics: Iterable[NicSpec]) -> tuple[NicSpec, ...]:
    """NIC specs with switch ids, read with one call if any NIC has a switch.

    Raises:
        NotFound: no such switch; the error names those there are.
    """
    nics = tuple(nics)
    if not any(nic.switch for nic in nics):
        return nics
    switches = host.driver.switches.list()
    return tuple(
        changed(nic, switch=pick("switch", switches, nic.switch, host.url, _NEW_SWITCH).id) if nic.switch else nic
        for nic in nics
    )


def resolve_disks(host: Host, disks: Iterable[DiskSpec]) -> tuple[DiskSpec, ...]:
    """Disk specs with datastore ids, read with one call if any disk names a datastore.

    Raises:
        NotFound: no such datastore; the error names those there are.
    """
    disks = tuple(disks)
    if not any(disk.datastore for disk in disks):
        return disks
    datastores = host.driver.datastores.list()
    return tuple(
        changed(disk, datastore=pick("datastore", datastores, disk.datastore, host.url).id) if disk.datastore else disk
        for disk in disks
    )


def check_macs_free(host: Host, macs: Iterable[str | None]) -> None:
    """Refuse MAC addresses that a VM of this host already has: no hypervisor does so by itself.

    Raises:
        AlreadyExists: one is taken; the error names the VM.
    """
    wanted = {mac for mac in macs if mac}
    if not wanted:
        return
    for record in host.driver.vms.list():
        for nic in record.nics:
            if nic.mac in wanted:
                raise AlreadyExists(
                    f"MAC address {nic.mac} belongs to VM {record.name!r} on {host.url}", backend=host.url
                )


def check_unused(host: Host, paths: Iterable[str], *, but: str | None = None) -> None:
    """Refuse to delete disk images that a VM other than ``but`` uses, or shares blocks with.

    Raises:
        Busy: one is in use; the error names the VM.
    """
    wanted = set(paths)
    if not wanted:
        return
    for record in host.driver.vms.list():
        if record.id == but:
            continue
        held: dict[str, str] = {disk.path: "used by" for disk in record.disks}
        held.update({disk.base: "the base of a disk of" for disk in record.disks if disk.base})
        held.update({cdrom.iso: "in the drive of" for cdrom in record.cdroms if cdrom.iso})
        for path in wanted & held.keys():
            raise Busy(
                f"{path} is {held[path]} VM {record.name!r} on {host.url}; nothing was deleted", backend=host.url
            )
