"""Snapshots outside the images of a domain: what was written stays as it is, and new images are begun on top of it.

Any image can be frozen so, while the VM runs or not, with its memory in a file beside the images or without. libvirt
takes them. Before 9.9 it cannot revert to one, and deletes few of them, so both are done here by other calls of it,
with every version alike: a revert lays new images on the frozen ones, and a delete forgets the snapshot and then what
nothing needs any more. libvirt's own notes of the snapshots are kept true.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import libvirt

from hyperkit.backends.libvirt import metadata, snapshot_xml, xml_edit
from hyperkit.backends.libvirt.chains import Chains, beside, extra_of, held_by, remember, sources
from hyperkit.backends.libvirt.find_image import find
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.merge import Merging
from hyperkit.backends.libvirt.metadata import Extra, KnownSnapshot, Layer
from hyperkit.backends.libvirt.quiesce import check_agent, quiesced
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.reconfigure import KEEP_SECRETS
from hyperkit.backends.libvirt.redefine import METADATA_ONLY, SECURE, forget, make_current
from hyperkit.backends.libvirt.snapshot_xml import Frozen
from hyperkit.backends.libvirt.undo import Made, insist, is_lost, note, uses
from hyperkit.backends.libvirt.xml_edit import parse_whole, text_of
from hyperkit.backends.libvirt.xml_read import source_of, target_of
from hyperkit.errors import HyperkitError, InvalidState, NotFound, Unsupported
from hyperkit.records import VMRecord
from hyperkit.specs import SnapshotSpec

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

_DISK_ONLY = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
_ATOMIC = libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC


class External:
    """Takes, reverts to and deletes them."""

    def __init__(self, connection: Connection, images: Images, read: Callable[[str], VMRecord]) -> None:
        self._connection = connection
        self._images = images
        self._read = read
        self.chains = Chains(connection, images)

    def create(self, domain: Any, snapshot_id: str, spec: SnapshotSpec, known: KnownSnapshot) -> Any:
        """A new one.

        The layers are written down before they are made: whatever happens then, it is known whose they are.

        Raises:
            Unsupported: a disk that is no file.
            InvalidState: the guest is to be quiesced, and its agent does not answer.
        """
        tree, active = parse_domain(domain.XMLDesc(0)), bool(domain.isActive())
        before = metadata.read(tree.find("metadata"))
        below = _files(domain, tree)
        overlays = {target: beside(before.root(path), ".qcow2") for target, path in below.items()}
        first = before.root(next(iter(below.values())))
        known = attrs.evolve(known, memory=beside(first, ".memory") if spec.memory else None)
        layers = {path: Layer(below[target]) for target, path in overlays.items()}
        request = snapshot_xml.external_request(snapshot_id, spec.description, tree, overlays, known.memory)
        flags = 0 if spec.memory else _DISK_ONLY
        if active:
            flags |= _ATOMIC
            if spec.quiesce:
                check_agent(domain)
        made = Made(self._connection, self._images, files=[*overlays.values(), *filter(None, [known.memory])])
        taking = _Taking(made, domain.UUIDString(), snapshot_id, before, active=active)
        made.domain = partial(taking.settle, self._connection)
        with made.undone():
            remember(domain, before.with_layers(layers).with_snapshot(snapshot_id, known))
            with quiesced(self._connection, domain) if spec.quiesce and active else nullcontext():
                try:
                    return domain.snapshotCreateXML(text_of(request), flags)
                except libvirt.libvirtError as error:
                    taking.unsure = is_lost(error)
                    raise

    def check_revert(self, domain: Any, snapshot: Any) -> None:
        """Refuse what would go wrong half-way.

        Raises:
            NotFound: one of its files is gone.
            InvalidState: its memory cannot be restored under the name that the VM has now.
        """
        tree = parse_domain(snapshot.getXMLDesc(0))
        for image in snapshot_xml.frozen(tree).values():
            with find(self._connection.conn, image.path, "path"):
                pass
        memory = _memory_of(tree)
        if memory is None:
            return
        with find(self._connection.conn, memory, "memory"):
            pass
        name = tree.findtext("domain/name", "")
        if name != domain.name():
            raise InvalidState(
                f"cannot revert VM {domain.name()!r} to a snapshot with memory: the memory was saved when the VM was "
                f"called {name!r}, and libvirt restores it under no other name; give it that name back first",
                current=domain.name(),
                wanted="revert",
                allowed=("rename",),
            )

    def revert(self, domain: Any, snapshot: Any) -> VMRecord:
        """Bring it back. If that fails, the VM is as it was, but off."""
        vm_id = domain.UUIDString()
        tree = parse_whole(snapshot.getXMLDesc(SECURE))
        running = tree.find("domain")
        config = tree.find("inactiveDomain")
        if config is None:
            config = running
        if running is None or config is None:
            raise NotFound(f"snapshot {snapshot.getName()!r} has no configuration to go back to")
        config.tag = "domain"
        frozen, memory = snapshot_xml.frozen(tree), _memory_of(tree)
        old = domain.XMLDesc(KEEP_SECRETS)
        now = parse_whole(old)
        extra = metadata.read(now.find("metadata"))
        overlays = {target: beside(extra.root(image.path), ".qcow2") for target, image in frozen.items()}
        layers = {path: Layer(frozen[target].path) for target, path in overlays.items()}
        # A disk that this snapshot does not have is detached by the revert, and what is in it now stays.
        roots = {extra.root(image.path) for image in frozen.values()}
        for path in held_by(domain, ()):
            if extra.root(path) not in roots:
                extra = extra.keeping(path)
        extra = extra.with_layers(layers)
        images = {target: Frozen(path, "qcow2") for target, path in overlays.items()}
        notes = self._read(vm_id).notes
        for each in (running, config):
            snapshot_xml.repoint(each, images)
            xml_edit.set_name(each, domain.name())
            metadata.replace(each, metadata.read(each.find("metadata")).carried(extra))
            xml_edit.set_notes(each, notes)
        made = Made(self._connection, self._images, files=list(overlays.values()))
        made.domain = partial(self._put_back, made, vm_id, old)
        try:
            with made.undone():
                remember(domain, extra)
                for target, path in overlays.items():
                    self._images.overlay(path, frozen[target].path, frozen[target].format)
                if domain.isActive():
                    domain.destroy()
                self._connection.conn.defineXML(text_of(config))
                if memory is not None:
                    paused = tree.findtext("state") == "paused"
                    flag = libvirt.VIR_DOMAIN_SAVE_PAUSED if paused else libvirt.VIR_DOMAIN_SAVE_RUNNING
                    self._connection.conn.restoreFlags(memory, text_of(running), flag)
                if domain.hasManagedSaveImage(0):
                    domain.managedSaveRemove(0)  # it fits the disks of before
            make_current(domain, snapshot)
            self.chains.tidy(domain)
            return self._read(vm_id)
        except (libvirt.libvirtError, HyperkitError) as error:
            if is_lost(error):
                self._after_revert(vm_id, snapshot.getName(), list(overlays.values()), error)
            raise

    def _after_revert(self, vm_id: str, snapshot_id: str, overlays: Sequence[str], error: Exception) -> None:
        """Of one whose session broke: bring what was reverted to its end, and say how the VM is now."""
        said = ["nobody knows whether the VM was reverted"]

        def look() -> None:
            domain = self._connection.domain(vm_id)
            reverted = any(uses(domain, path) for path in overlays)
            if reverted:
                make_current(domain, domain.snapshotLookupByName(snapshot_id, 0))
                self.chains.tidy(domain)
            now = "is on" if domain.isActive() else "is off"
            said[:] = [f"VM {domain.name()!r} was {'' if reverted else 'not '}reverted, and {now} now"]

        insist(self._connection, look)
        note(self._connection, error, said[0])

    def delete(self, domain: Any, snapshot: Any, children: bool, merging: Merging) -> None:
        """Forget it, then its files that nothing needs any more."""
        below = _below(snapshot)
        try:
            forget(domain, snapshot, METADATA_ONLY, children=children)
            self.chains.tidy(domain)
            merging.merge(domain)
        except (libvirt.libvirtError, HyperkitError) as error:
            if is_lost(error):
                self._after_delete(domain.UUIDString(), snapshot.getName(), below, children, error)
            raise

    def _after_delete(
        self, vm_id: str, snapshot_id: str, below: Collection[str], children: bool, error: Exception
    ) -> None:
        """Of one whose session broke: if it had begun, bring it to its end but for merges, and say what is left."""
        said = [f"nobody knows whether snapshot {snapshot_id!r} is gone"]

        def look() -> None:
            domain = self._connection.domain(vm_id)
            found = [each for each in domain.listAllSnapshots(0) if each.getName() == snapshot_id]
            if found and _below(found[0]) == below:
                said.clear()
                return
            for each in found:
                forget(domain, each, METADATA_ONLY, children=children)
            self.chains.tidy(domain)
            extra = extra_of(domain)
            held = {path for each in domain.listAllSnapshots(0) for path in sources(parse_domain(each.getXMLDesc(0)))}
            left = [path for path, layer in extra.layers.items() if not layer.kept and path not in held]
            more = f", and {', '.join(left)}, which it divided a disk into, may remain for the next deletion"
            said[:] = [f"snapshot {snapshot_id!r} is gone{more if left else ''}"]

        insist(self._connection, look)
        for message in said:
            note(self._connection, error, message)

    def _put_back(self, made: Made, vm_id: str, old: str) -> None:
        """The configuration of before, unless the VM runs in the new one, of which only the answer is lost."""
        domain = self._connection.domain(vm_id)
        if domain.isActive() and any(uses(domain, path) for path in made.files):
            made.files = []
            return
        self._connection.conn.defineXML(old)
        if domain.isActive():
            remember(domain, metadata.read(parse_whole(old).find("metadata")))


@attrs.define
class _Taking:
    """A snapshot that is being taken, to be settled if that fails.

    Attributes:
        unsure: whether nobody knows how far it came.
    """

    made: Made
    vm_id: str
    snapshot_id: str
    before: Extra
    active: bool
    unsure: bool = False

    def settle(self, connection: Connection) -> None:
        """Say which of its files are in use, so that only the others are deleted."""
        domain = connection.domain(self.vm_id)
        made, extra = self.made, self.before
        if self.snapshot_id in {each.getName() for each in domain.listAllSnapshots(0)}:
            made.files = []  # it was taken, and only the answer is lost
            return
        used = [path for path in made.files if uses(domain, path)]
        if self.unsure and self.active:
            # QEMU may write into them by now, although libvirt, which ended meanwhile, knows nothing of it.
            made.unproven += made.files
            used = made.files
        now = extra_of(domain)
        layers = {path: attrs.evolve(now.layers[path], kept=True) for path in used if path in now.layers}
        made.files = [path for path in made.files if path not in used]
        remember(domain, extra.with_layers(layers))


def _files(domain: Any, tree: Any) -> dict[str, str]:
    """The image of each disk that is to be frozen, by its target."""
    found = {}
    for disk in snapshot_xml.writable(tree):
        target, path = target_of(disk), source_of(disk) or ""
        if disk.get("snapshot") in ("no", "manual"):
            continue  # whoever configured that wants it left alone
        if disk.get("type") != "file" or path.startswith("/dev/"):
            raise Unsupported(
                f"cannot take a snapshot of VM {domain.name()!r}: disk {target} ({path}) is no file, beside which "
                "a new image could be begun; make it read-only, or detach it",
                capability="snapshots",
            )
        found[target] = path
    if not found:
        raise Unsupported(
            f"cannot take a snapshot of VM {domain.name()!r}: it has no disk that could be written to",
            capability="snapshots",
        )
    return found


def _below(snapshot: Any) -> Collection[str]:
    return {each.getName() for each in snapshot.listAllChildren(libvirt.VIR_DOMAIN_SNAPSHOT_LIST_DESCENDANTS)}


def _memory_of(tree: Any) -> str | None:
    memory = tree.find("memory[@snapshot='external']")
    return None if memory is None else memory.get("file")
