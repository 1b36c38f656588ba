"""Snapshots inside the qcow2 images of a domain, with its memory while it runs: QEMU's own way, and libvirt's.

libvirt has no progress of these, and nothing to abort one with: QEMU does nothing else meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import snapshot_xml
from hyperkit.backends.libvirt.chains import Chains, extra_of, remember
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.redefine import forget
from hyperkit.backends.libvirt.standing import configuration_kept
from hyperkit.backends.libvirt.xml_edit import text_of
from hyperkit.backends.libvirt.xml_read import source_of, target_of
from hyperkit.errors import Busy, InvalidState, ResourceExhausted, Unsupported
from hyperkit.records import VMRecord, changed
from hyperkit.specs import DiskFormat, SnapshotSpec
from hyperkit.states import PowerState

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection


class Internal:
    """Takes, reverts to and deletes them."""

    def __init__(self, connection: Connection, images: Images, read: Callable[[str], VMRecord]) -> None:
        self._connection = connection
        self._images = images
        self._read = read
        self._chains = Chains(connection, images)

    def create(self, domain: Any, snapshot_id: str, spec: SnapshotSpec) -> Any:
        """A new one.

        Raises:
            ResourceExhausted: the memory does not fit into the first disk.
        """
        try:
            return domain.snapshotCreateXML(text_of(snapshot_xml.request(snapshot_id, spec.description)), 0)
        except libvirt.libvirtError as error:
            if "writing VM state" in str(error):  # QEMU says "Input/output error" of a full disk here
                raise ResourceExhausted(
                    f"the memory of VM {domain.name()!r} could not be written into its first disk: "
                    "the datastore is full, or its storage fails"
                ) from error
            raise

    def check_revert(self, domain: Any, snapshot: Any) -> None:
        """Refuse what would go wrong half-way, or go wrong for others.

        Raises:
            Unsupported: QEMU would take its name for another one's number, or cannot load its memory.
            NotFound: a disk of the snapshot is gone.
            Busy: another image begins from a disk of it, and its content would change below it.
        """
        name = snapshot.getName()
        if re.fullmatch("[0-9]+", name):
            raise Unsupported(
                f"cannot revert to snapshot {name!r}, which hyperkit did not take: QEMU takes its name for "
                "the number of another one; `qemu-img snapshot -l` on the disks shows which",
                capability="snapshots",
            )
        _check_cpus(domain, snapshot)
        # libvirt reverts one disk after the other, and leaves those it did when it comes to one that is gone.
        if self._connection.kind == "QEMU":
            paths = list(snapshot_xml.files(parse_domain(snapshot.getXMLDesc(0)).find("domain")))
            for path in paths:
                self._images.inspect(path, "path", DiskFormat.QCOW2)
            for path, holder in self._chains.lain_on(domain, paths).items():
                raise Busy(
                    f"cannot revert VM {domain.name()!r}: {path} is {holder}, whose content would change with it; "
                    "nothing was changed"
                )

    def revert(self, domain: Any, vm_id: str, snapshot: Any) -> VMRecord:
        """Bring it back. If that fails, the VM has the configuration of before, but is off."""
        notes, before = self._read(vm_id).notes, extra_of(domain)
        with configuration_kept(self._connection, domain):
            _revert(domain, snapshot)
        if domain.hasManagedSaveImage(0):
            # Left by libvirt, and the next start would run it on disks that it does not fit.
            domain.managedSaveRemove(0)
        record = self._read(vm_id)
        # Notes, tags and labels are the VM's, but for libvirt a part of the configuration that it brought back.
        now = extra_of(domain)
        carried = now.carried(before).with_notes(notes)
        if carried != now:
            remember(domain, carried)
        if record.notes != notes:
            scope = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0)
            domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, notes or None, None, None, scope)
        return changed(record, notes=notes, tags=carried.tags)

    def delete(self, domain: Any, snapshot: Any, children: bool) -> None:
        """Delete it. The test driver is as good as libvirt's word.

        Raises:
            InvalidState: the VM runs without a disk that the snapshot is in.
        """
        if self._connection.kind == "QEMU":
            if domain.isActive():
                below = snapshot.listAllChildren(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS) if children else []
                _check_has_disks(domain, [snapshot, *below])
            forget(domain, snapshot, 0, children=children)
        else:
            snapshot.delete(libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN if children else 0)


def _revert(domain: Any, snapshot: Any) -> None:
    try:
        domain.revertToSnapshot(snapshot, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY:
            raise
        # What is risked is what the caller gives up: saved memory, and the present configuration.
        domain.revertToSnapshot(snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)


def _check_cpus(domain: Any, snapshot: Any) -> None:
    """Refuse memory that QEMU could not load, which it finds out when it has brought back the disks.

    It loads it as it starts (``-loadvm``), and libvirt plugs such CPUs after that. Seen with libvirt 9.0.
    """
    tree = parse_domain(snapshot.getXMLDesc(0))
    if tree.find("memory[@snapshot='internal']") is not None and _has_added_cpus(tree.find("domain")):
        raise Unsupported(
            f"cannot revert VM {domain.name()!r} to snapshot {snapshot.getName()!r}, which hyperkit did not take: it "
            "holds the memory of a VM with CPUs that were added while it ran, into which libvirt cannot load it; "
            "nothing was changed. `qemu-img snapshot -a` brings back the disks of a VM that is off",
            capability="snapshot_memory",
        )


def _check_has_disks(domain: Any, doomed: list[Any]) -> None:
    """QEMU deletes them from the disks that it has, and libvirtd 9.0 dies of one that the running VM does not have."""
    there = {target_of(disk): source_of(disk) for disk in snapshot_xml.writable(parse_domain(domain.XMLDesc(0)))}
    for snapshot in doomed:
        for disk in snapshot_xml.writable(parse_domain(snapshot.getXMLDesc(0)).find("domain")):
            if there.get(target_of(disk)) != source_of(disk):
                name = domain.name()
                raise InvalidState(
                    f"cannot delete snapshot {snapshot_xml.decoded(snapshot.getName())!r} of VM {name!r} while it runs:"
                    f" it is in the disk {source_of(disk)} too, which the VM does not have any more; stop the VM first",
                    current=PowerState.RUNNING.value,
                    wanted="delete snapshot",
                    allowed=("stop",),
                )


def possible(tree: ET.Element, *, active: bool) -> bool:
    """Whether the disks can hold one, and the memory that goes with it, so that it can be loaded again."""
    disks = list(snapshot_xml.writable(tree))
    fits = bool(disks) and all(snapshot_xml.format_of(disk) == "qcow2" for disk in disks)
    return fits and not (active and (_has_flash(tree) or _has_added_cpus(tree)))


def check(domain: Any, tree: ET.Element, spec: SnapshotSpec, *, active: bool) -> None:
    """Refuse, for a VM that has internal snapshots, what only an external one could be.

    Raises:
        InvalidState: it is another kind; the error says what to do.
    """
    if active and not spec.memory:
        why = "QEMU's internal ones of a running VM always hold its memory; keep the memory, or stop the VM first"
    elif active and _has_flash(tree):
        why = "libvirt cannot keep the memory of a VM with UEFI in them; stop the VM first"
    elif active and _has_added_cpus(tree):
        why = "libvirt cannot load memory into CPUs that were added while it ran; stop and start it first"
    elif not possible(tree, active=active):
        raw = next((disk for disk in snapshot_xml.writable(tree) if snapshot_xml.format_of(disk) != "qcow2"), None)
        disk = "it has no disk" if raw is None else f"disk {target_of(raw)} ({source_of(raw)}) is no qcow2"
        why = f"they are kept in qcow2 disks, and {disk}; detach it, or make it read-only"
    else:
        return
    raise InvalidState(
        f"cannot take this snapshot of VM {domain.name()!r}: it has internal ones, and {why}; "
        "or delete its snapshots, then it can have external ones, which have no such limit",
        current="internal snapshots",
        wanted="external snapshot",
        allowed=("delete the snapshots",),
    )


def _has_flash(tree: ET.Element) -> bool:
    os = tree.find("os")
    return os is not None and (os.get("firmware") == "efi" or os.find("loader[@type='pflash']") is not None)


def _has_added_cpus(domain: ET.Element | None) -> bool:
    """Whether it has CPUs that it did not begin with."""
    return domain is not None and domain.find("vcpus/vcpu[@enabled='yes'][@hotpluggable='yes']") is not None


def no_memory(domain: Any) -> InvalidState:
    """There is none to keep."""
    return InvalidState(
        f"VM {domain.name()!r} has no memory to keep: it is off",
        current=PowerState.OFF.value,
        wanted="snapshot with memory",
        allowed=("start", "snapshot without memory"),
    )
