"""Snapshots of a domain: listed, called something, and taken in the one kind that its snapshots have.

libvirt has two kinds, and mixing them on one domain has lost people's data (virt-manager issue 811). So the first
snapshot decides: `internal` where that can hold it, else `external`, and those after it are of the same kind. Where
somebody else mixed them, they are listed and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import internal, snapshot_xml
from hyperkit.backends.libvirt.chains import extra_of, remember, sources
from hyperkit.backends.libvirt.external import External
from hyperkit.backends.libvirt.filters import Filters
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.internal import Internal
from hyperkit.backends.libvirt.listing import unless_gone
from hyperkit.backends.libvirt.merge import Merging, end_stale
from hyperkit.backends.libvirt.metadata import KnownSnapshot
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.redefine import SECURE, redefine
from hyperkit.backends.libvirt.xml_edit import child, parse_whole
from hyperkit.errors import AlreadyExists, InvalidState, NotFound
from hyperkit.jobs import Job, Progress, ThreadJob
from hyperkit.records import SnapshotRecord, VMRecord
from hyperkit.specs import SnapshotChange, SnapshotSpec
from hyperkit.states import PowerState

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

T = TypeVar("T")

_TOPOLOGICAL = libvirt.VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL


class Snapshots:
    """See `hyperkit.driver.SnapshotPort`. A snapshot's id is the name it has in libvirt."""

    def __init__(self, connection: Connection, read: Callable[[str], VMRecord], filters: Filters) -> None:
        self._connection = connection
        self._filters = filters
        images = Images(connection)
        self._images = images
        self._internal = Internal(connection, images, read)
        self._external = External(connection, images, read)

    def list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        """Four calls, and one for each snapshot: libvirt has none for all."""
        return self._connection.repeat(lambda: self._list(vm_id))

    def create(self, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord | Job[SnapshotRecord]:
        """See the contract.

        Raises:
            Unsupported: a disk that cannot be in a snapshot.
            InvalidState: the VM has snapshots of the kind that this one could not be; or nobody could be asked to
                quiesce it.
        """
        domain = self._connection.domain(vm_id)
        self._check(domain, spec)

        def take() -> SnapshotRecord:
            with self._connection.editing(vm_id):
                self._check(domain, spec)  # who was here before may have changed it
                return self._take(domain, vm_id, spec)

        return _job("snapshot", take, "saving memory" if spec.memory else "saving disks")

    def update(self, vm_id: str, snapshot_id: str, change: SnapshotChange) -> SnapshotRecord:
        """A few calls; the name is written into the VM's metadata, since its name in libvirt is its id."""
        with self._connection.editing(vm_id):
            domain = self._connection.domain(vm_id)
            snapshot = self._snapshot(domain, snapshot_id)
            before = extra_of(domain)
            extra = before
            if change.name is not None and change.name != snapshot_xml.label(snapshot_id, before):
                self._check_name(domain, change.name)
                known = before.snapshots.get(snapshot_id, KnownSnapshot())
                own = "" if snapshot_xml.decoded(snapshot_id) == change.name else change.name
                extra = before.with_snapshot(snapshot_id, known.called(own))
            current = bool(snapshot.isCurrent(0))
            if change.description is not None:
                tree = parse_whole(snapshot.getXMLDesc(SECURE))
                child(tree, "description").text = change.description
                snapshot = redefine(domain, snapshot, tree)
            if extra != before:
                remember(domain, extra)
            tree = parse_domain(snapshot.getXMLDesc(0))
            return snapshot_xml.record(tree, vm_id, snapshot_id if current else None, extra)

    def held(self) -> Mapping[str, Collection[str]]:
        """One call, and for each VM that has snapshots two and one for each of those."""
        return self._connection.repeat(self._held)

    def revert(self, vm_id: str, snapshot_id: str) -> VMRecord | Job[VMRecord]:
        """See the contract.

        Raises:
            NotFound: a file of the snapshot is gone.
            Busy: another image lies on a disk of the VM that a revert would change.
            InvalidState: it holds memory that was saved while the VM had another name.
        """
        domain = self._connection.domain(vm_id)
        snapshot = self._snapshot(domain, snapshot_id)
        if _kind(_trees(domain)) == "external":
            self._external.check_revert(domain, snapshot)
            return _job("revert", lambda: self._back(vm_id, snapshot, self._external.revert, domain), "reverting")
        self._internal.check_revert(domain, snapshot)
        return _job("revert", lambda: self._back(vm_id, snapshot, self._internal.revert, domain, vm_id), "reverting")

    def delete(self, vm_id: str, snapshot_id: str, children: bool) -> Job[None] | None:
        """See the contract."""
        domain = self._connection.domain(vm_id)
        snapshot = self._snapshot(domain, snapshot_id)
        merging = Merging(self._connection, self._images, self._external.chains)
        external = _kind(_trees(domain)) == "external"

        def work() -> None:
            if external:
                self._external.delete(domain, snapshot, children, merging)
            else:
                self._internal.delete(domain, snapshot, children)
                self._external.chains.tidy(domain)  # labels of what is gone

        return ThreadJob(
            "delete", lambda: self._edited(vm_id, work), progress=self._connection.beside(merging.progress)
        )

    def _edited(self, vm_id: str, work: Callable[..., T], *args: Any) -> T:
        with self._connection.editing(vm_id):
            return work(*args)

    def _back(self, vm_id: str, snapshot: Any, revert: Callable[..., VMRecord], domain: Any, *args: Any) -> VMRecord:
        with (
            self._connection.editing(vm_id),
            self._filters.brought_back(
                vm_id, parse_domain(snapshot.getXMLDesc(0)), lambda: parse_domain(domain.XMLDesc(0))
            ),
        ):
            return revert(domain, *args, snapshot)

    def _take(self, domain: Any, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord:
        trees = _trees(domain)
        tree, active = parse_domain(domain.XMLDesc(0)), bool(domain.isActive())
        snapshot_id, known = snapshot_xml.new_id(spec.name), KnownSnapshot()
        if self._connection.kind == "QEMU":
            kind = _kind(trees)
            if kind == "internal":
                internal.check(domain, tree, spec, active=active)
            elif kind is None:
                fits = internal.possible(tree, active=active) and (bool(spec.memory) or not active)
                kind = "internal" if fits else "external"
        else:
            kind = "internal"
        if kind == "external":
            end_stale(domain)
            self._external.chains.tidy(domain)  # what a deletion that broke off left
            known = known.of_paused(domain.state(0)[0] == libvirt.VIR_DOMAIN_PAUSED and not spec.memory)
            snapshot = self._external.create(domain, snapshot_id, spec, known)
        else:
            snapshot = self._internal.create(domain, snapshot_id, spec)
        return snapshot_xml.record(parse_domain(snapshot.getXMLDesc(0)), vm_id, snapshot_id, extra_of(domain))

    def _list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        domain = self._connection.domain(vm_id)
        snapshots = domain.listAllSnapshots(_TOPOLOGICAL)
        if not snapshots:
            return []
        extra, current = extra_of(domain), None
        with unless_gone():
            current = domain.snapshotCurrent(0).getName()
        found = []
        for snapshot in snapshots:
            with unless_gone():
                found.append(snapshot_xml.record(parse_domain(snapshot.getXMLDesc(0)), vm_id, current, extra))
        return found

    def _held(self) -> Mapping[str, Collection[str]]:
        held: dict[str, set[str]] = {}
        for domain in self._connection.conn.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT):
            with unless_gone():
                # With memory a snapshot describes the VM twice: as it ran, and as it would have started.
                paths = {path for tree in _trees(domain) for path in sources(tree)}
                for path in paths | extra_of(domain).layers.keys():
                    held.setdefault(path, set()).add(domain.UUIDString())
        return held

    def _check(self, domain: Any, spec: SnapshotSpec) -> None:
        """Refuse one that the VM, as it is now, cannot have."""
        self._check_name(domain, spec.name)
        if domain.hasManagedSaveImage(0):
            # libvirt would take one, and reverting to it would run the saved memory on other disks.
            raise InvalidState(
                f"cannot take a snapshot of VM {domain.name()!r}: it is suspended, its memory would not fit the disks",
                current=PowerState.SUSPENDED.value,
                wanted="snapshot",
                allowed=("start", "discard_suspended"),
            )
        if spec.memory and not domain.isActive():
            raise internal.no_memory(domain)

    def _check_name(self, domain: Any, name: str) -> None:
        extra = extra_of(domain)
        if any(snapshot_xml.label(each.getName(), extra) == name for each in domain.listAllSnapshots(0)):
            raise AlreadyExists(f"VM {domain.name()!r} has a snapshot called {name!r} already")

    def _snapshot(self, domain: Any, snapshot_id: str) -> Any:
        try:
            return domain.snapshotLookupByName(snapshot_id, 0)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
                raise NotFound(f"VM {domain.name()!r} has no snapshot with id {snapshot_id!r}") from error
            raise


def _trees(domain: Any) -> Sequence[ET.Element]:
    """All its snapshots."""
    found = []
    for snapshot in domain.listAllSnapshots(0):
        with unless_gone():
            found.append(parse_domain(snapshot.getXMLDesc(0)))
    return found


def _kind(trees: Sequence[ET.Element]) -> str | None:
    """Which kind a VM's snapshots are of; None while it has none.

    Raises:
        InvalidState: of both.
    """
    external = [snapshot_xml.name_of(tree) for tree in trees if snapshot_xml.is_external(tree)]
    others = [snapshot_xml.name_of(tree) for tree in trees if snapshot_xml.is_internal(tree)]
    if external and others:
        raise InvalidState(
            f"this VM has internal snapshots ({', '.join(others)}) and external ones ({', '.join(external)}), which "
            "hyperkit does not make together: what is done to one kind can destroy the other. Copy what you need, and "
            "delete those of one kind with the tool that made them",
            current="snapshots of both kinds",
        )
    return None if not trees else "external" if external else "internal"


def _job(name: str, call: Callable[[], T], phase: str) -> Job[T]:
    return ThreadJob(name, call, progress=lambda: Progress(phase=phase))
