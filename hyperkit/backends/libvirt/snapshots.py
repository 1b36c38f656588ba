"""Snapshots inside the qcow2 images of a domain ("internal" ones), with memory while it runs.

libvirt's other kind, external snapshots, cannot be reverted to before libvirt 9.9 and loses data when mixed with
this one. Those that others made are listed, and whatever is asked of them is libvirt's to refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import metadata
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.listing import unless_gone
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.reconfigure import set_extra
from hyperkit.backends.libvirt.xml_edit import text_of
from hyperkit.errors import AlreadyExists, InvalidState, NotFound, ResourceExhausted, Unsupported
from hyperkit.jobs import Job, Progress, ThreadJob
from hyperkit.records import SnapshotRecord, VMRecord, changed
from hyperkit.specs import DiskFormat, SnapshotSpec
from hyperkit.states import PowerState

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

T = TypeVar("T")

# virDomainMoment's words; "disk-snapshot" is an external one of a running VM without memory.
_STATES = {
    "running": PowerState.RUNNING,
    "blocked": PowerState.RUNNING,
    "disk-snapshot": PowerState.RUNNING,
    "paused": PowerState.PAUSED,
    "pmsuspended": PowerState.SLEEPING,
    "shutdown": PowerState.RUNNING,
    "shutoff": PowerState.OFF,
    "crashed": PowerState.CRASHED,
}
# QEMU takes a number for the id that another snapshot has in the image, and reverts to that one (seen with 7.2);
# libvirt refuses a dot at the beginning. Such a name gets a mark, and one that has a mark gets one more.
_MARKED = re.compile(r"#*([0-9]+|\..*)", re.DOTALL)
_TOPOLOGICAL = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL


class Snapshots:
    """See `hyperkit.driver.SnapshotPort`. A snapshot's id is the name it has in libvirt.

    libvirt has no progress of internal snapshots, and nothing to abort one with: QEMU does nothing else meanwhile.
    """

    def __init__(self, connection: Connection, read: Callable[[str], VMRecord]) -> None:
        self._connection = connection
        self._images = Images(connection)
        self._read = read

    def list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        """Three calls, and one for each snapshot: libvirt has none for all."""
        return self._connection.repeat(lambda: self._list(vm_id))

    def create(self, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord | Job[SnapshotRecord]:
        """See the contract.

        Raises:
            Unsupported: a disk that cannot hold a snapshot.
        """
        domain = self._connection.domain(vm_id)
        name = _encoded(spec.name)
        if any(each.getName() == name for each in domain.listAllSnapshots(0)):
            raise AlreadyExists(f"VM {domain.name()!r} has a snapshot called {spec.name!r} already")
        if domain.hasManagedSaveImage(0):
            # libvirt would take one, and reverting to it would run the saved memory on other disks.
            raise InvalidState(
                f"cannot take a snapshot of VM {domain.name()!r}: it is suspended, its memory would not fit the disks",
                current=PowerState.SUSPENDED.value,
                wanted="snapshot",
                allowed=("start", "discard_suspended"),
            )
        active = domain.isActive()
        if spec.memory and not active:
            raise InvalidState(
                f"VM {domain.name()!r} has no memory to keep: it is off",
                current=PowerState.OFF.value,
                wanted="snapshot with memory",
                allowed=("start", "snapshot without memory"),
            )
        if self._connection.kind == "QEMU":
            _check_disks(domain, active=bool(active))
        tree = ET.Element("domainsnapshot")
        ET.SubElement(tree, "name").text = name
        ET.SubElement(tree, "description").text = spec.description
        text = text_of(tree)

        def take() -> SnapshotRecord:
            try:
                return _record(domain.snapshotCreateXML(text, 0), vm_id, name)
            except libvirt.libvirtError as error:
                if "writing VM state" in str(error):  # QEMU says "Input/output error" of a full disk here
                    raise ResourceExhausted(
                        f"the memory of VM {domain.name()!r} could not be written into its first disk: "
                        "the datastore is full, or its storage fails"
                    ) from error
                raise

        return _job("snapshot", take, "saving memory" if active else "saving disks")

    def held(self) -> Mapping[str, Collection[str]]:
        """One call, and one for each VM that has snapshots and for each of those."""
        return self._connection.repeat(self._held)

    def _held(self) -> Mapping[str, Collection[str]]:
        held: dict[str, set[str]] = {}
        for domain in self._connection.conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT):
            with unless_gone():
                for snapshot in domain.listAllSnapshots(0):
                    # With memory it describes the VM twice: as it ran, and as it would have started.
                    for source in parse_domain(snapshot.getXMLDesc(0)).iterfind(".//devices/disk/source"):
                        path = source.get("file") or source.get("dev")
                        if path:
                            held.setdefault(path, set()).add(domain.UUIDString())
        return held

    def revert(self, vm_id: str, snapshot_id: str) -> VMRecord | Job[VMRecord]:
        """See the contract.

        Raises:
            NotFound: a disk of the snapshot is gone.
        """
        snapshot = self._snapshot(vm_id, snapshot_id)
        domain = snapshot.getDomain()
        if re.fullmatch("[0-9]+", snapshot_id):
            raise Unsupported(
                f"cannot revert to snapshot {snapshot_id!r}, which hyperkit did not take: QEMU takes its name for "
                "the number of another one; `qemu-img snapshot -l` on the disks shows which",
                capability="snapshots",
            )
        # libvirt reverts one disk after the other, and leaves those it did when it comes to one that is gone.
        if self._connection.kind == "QEMU":
            for path in _disks(parse_domain(snapshot.getXMLDesc(0)).find("domain")):
                self._images.inspect(path, "path", DiskFormat.QCOW2)

        def bring_back() -> VMRecord:
            notes = self._read(vm_id).notes
            try:
                domain.revertToSnapshot(snapshot, 0)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_SNAPSHOT_REVERT_RISKY:
                    raise
                # What is risked is what the caller gives up: saved memory, and the present configuration.
                domain.revertToSnapshot(snapshot, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)
            if domain.hasManagedSaveImage(0):
                # Left by libvirt, and the next start would run it on disks that it does not fit.
                domain.managedSaveRemove(0)
            record = self._read(vm_id)
            if record.notes != notes:
                # They are a label of the VM, but for libvirt a part of the configuration that it brought back.
                _set_notes(domain, notes)
                record = changed(record, notes=notes)
            return record

        return _job("revert", bring_back, "reverting")

    def delete(self, vm_id: str, snapshot_id: str, children: bool) -> Job[None] | None:
        """See the contract."""
        snapshot = self._snapshot(vm_id, snapshot_id)
        flags = libvirt.VIR_DOMAIN_SNAPSHOT_DELETE_CHILDREN if children else 0

        def work() -> None:
            snapshot.delete(flags)

        return _job("delete", work, "deleting")

    def _list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        domain = self._connection.domain(vm_id)
        snapshots = domain.listAllSnapshots(_TOPOLOGICAL)
        if not snapshots:
            return []
        current = None
        with unless_gone():
            current = domain.snapshotCurrent(0).getName()
        found = []
        for snapshot in snapshots:
            with unless_gone():
                found.append(_record(snapshot, vm_id, current))
        return found

    def _snapshot(self, vm_id: str, snapshot_id: str) -> Any:
        domain = self._connection.domain(vm_id)
        try:
            return domain.snapshotLookupByName(snapshot_id, 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
                raise NotFound(f"VM {domain.name()!r} has no snapshot with id {snapshot_id!r}") from error
            raise


def _encoded(name: str) -> str:
    return f"#{name}" if _MARKED.fullmatch(name) else name


def _decoded(libvirt_name: str) -> str:
    return libvirt_name[1:] if libvirt_name.startswith("#") and _MARKED.fullmatch(libvirt_name) else libvirt_name


def _record(snapshot: Any, vm_id: str, current: str | None) -> SnapshotRecord:
    tree = parse_domain(snapshot.getXMLDesc(0))
    name = tree.findtext("name", "")
    memory = tree.find("memory")
    return SnapshotRecord(
        id=name,
        vm_id=vm_id,
        name=_decoded(name),
        description=tree.findtext("description", ""),
        parent_id=tree.findtext("parent/name"),
        created=datetime.fromtimestamp(int(tree.findtext("creationTime", "0")), UTC),
        state=_STATES.get(tree.findtext("state", ""), PowerState.UNKNOWN),
        memory=memory is not None and memory.get("snapshot") in ("internal", "external"),
        current=name == current,
    )


def _writable(domain: ET.Element | None) -> Iterator[ET.Element]:
    """The disks that a snapshot is of; libvirt leaves out what cannot be written."""
    for disk in [] if domain is None else domain.iterfind("devices/disk"):
        if disk.get("device", "disk") in ("disk", "lun") and disk.find("readonly") is None:
            yield disk


def _disks(domain: ET.Element | None) -> Iterator[str]:
    """The files of those disks. Devices are left out: there is no looking at one that is in no pool."""
    for disk in _writable(domain):
        source = disk.find("source")
        path = "" if source is None else source.get("file", "")
        if path and not path.startswith("/dev/"):
            yield path


def _check_disks(domain: Any, *, active: bool) -> None:
    """Refuse disks that cannot hold a snapshot, in words that say what to do about it."""
    tree = parse_domain(domain.XMLDesc(0))
    os = tree.find("os")
    if active and os is not None and (os.get("firmware") == "efi" or os.find("loader[@type='pflash']") is not None):
        raise Unsupported(
            f"cannot take a snapshot of VM {domain.name()!r} while it runs: libvirt cannot keep the memory of a VM "
            "with UEFI; stop it first, a snapshot of the VM while it is off works",
            capability="snapshot_memory",
        )
    disks = list(_writable(tree))
    if not disks:
        raise Unsupported(
            f"cannot take a snapshot of VM {domain.name()!r}: QEMU keeps snapshots in qcow2 disks, it has none",
            capability="snapshots",
        )
    for disk in disks:
        driver, source, target = (disk.find(tag) for tag in ("driver", "source", "target"))
        kind = "raw" if driver is None else driver.get("type", "raw")
        if kind != "qcow2":
            path = "" if source is None else source.get("file") or source.get("dev") or ""
            raise Unsupported(
                f"cannot take a snapshot of VM {domain.name()!r}: disk {'' if target is None else target.get('dev')} "
                f"({path}) is {kind}, and QEMU keeps snapshots in qcow2 disks; make it read-only or convert it",
                capability="snapshots",
            )


def _set_notes(domain: Any, notes: str) -> None:
    scope = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0)
    extra = metadata.read(parse_domain(domain.XMLDesc(0)).find("metadata"))
    if extra.with_notes(notes) != extra:
        set_extra(domain, extra.with_notes(notes), scope)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, notes or None, None, None, scope)


def _job(name: str, call: Callable[[], T], phase: str) -> Job[T]:
    return ThreadJob(name, call, progress=lambda: Progress(phase=phase))
