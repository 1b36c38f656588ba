"""Making one image of two, of a VM that runs, where a deleted snapshot left one that only the next one needs.

Always downwards, as libvirt's "block commit": what is in the upper image is written into the lower one, which then
takes its place. Until the very end the upper one still reads as before, so that a merge that breaks off loses nothing;
and the lower one may be changed, since nothing but the upper one is on it. That is made sure of beforehand.

QEMU does it, so that the VM must run. The images of a VM that is off stay as they are until a snapshot of it is
deleted while it runs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import attrs
import libvirt

from hyperkit.backends.libvirt import errors, metadata, snapshot_xml
from hyperkit.backends.libvirt.chains import Chains, extra_of, remember
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.metadata import Extra
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.redefine import SECURE, redefine
from hyperkit.backends.libvirt.snapshot_xml import Frozen
from hyperkit.backends.libvirt.xml_edit import parse_whole
from hyperkit.backends.libvirt.xml_read import source_of, target_of
from hyperkit.errors import HyperkitError, TaskFailed
from hyperkit.jobs import Progress

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

log = logging.getLogger("hyperkit")

_ACTIVE = libvirt.VIR_DOMAIN_BLOCK_COMMIT_ACTIVE
_PIVOT = libvirt.VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT
_LOOK_EVERY = 0.1
"""Seconds: libvirt's calls that begin a merge return at once, and there is none that waits for its end."""


@attrs.frozen
class _Pair:
    """Two images of a disk to make one of: the upper one goes."""

    target: str
    upper: str
    lower: Frozen
    active: bool


class Merging:
    """One merge of one VM's images, which knows how far it is."""

    def __init__(self, connection: Connection, images: Images, chains: Chains) -> None:
        self._connection = connection
        self._images = images
        self._chains = chains
        self._now: tuple[str, _Pair] | None = None

    def progress(self) -> Progress:
        """How far the present one is."""
        if self._now is None:
            return Progress(phase="deleting")
        vm_id, pair = self._now
        info = self._connection.domain(vm_id).blockJobInfo(pair.target, 0)
        end = int(info.get("end", 0))
        return Progress(info["cur"] / end if end else None, "merging", int(info.get("cur", 0)), end or None)

    def merge(self, domain: Any) -> None:
        """Merge what can be. One that fails leaves two images, which are tried again at the next time."""
        end_stale(domain)
        done: set[tuple[str, str]] = set()
        while domain.isActive() and (pair := self._next(domain, done)) is not None:
            done.add((pair.target, pair.upper))
            self._now = (domain.UUIDString(), pair)
            try:
                self._merge(domain, pair)
            except (libvirt.libvirtError, HyperkitError) as error:
                if isinstance(error, libvirt.libvirtError) and errors.is_lost(error):
                    raise
                log.warning(
                    "%s: %s and %s of VM %s stay two images, which a deleted snapshot needed: %s",
                    self._connection.url, pair.upper, pair.lower.path, domain.name(), error,
                )  # fmt: skip
            finally:
                self._now = None

    def _next(self, domain: Any, done: set[tuple[str, str]]) -> _Pair | None:
        tree, extra = parse_domain(domain.XMLDesc(0)), extra_of(domain)
        if not extra.layers:
            return None
        snapshots = [parse_domain(each.getXMLDesc(0)) for each in domain.listAllSnapshots(0)]
        if any(snapshot_xml.is_internal(each) for each in snapshots):
            return None  # what is in the images then is not only what is seen
        held = {source_of(disk) for each in snapshots for disk in each.iterfind(".//devices/disk")}
        held |= {path for path, layer in extra.layers.items() if layer.kept}
        for disk in snapshot_xml.writable(tree):
            for pair in _pairs(disk, extra, held):
                if (pair.target, pair.upper) in done:
                    continue
                if not self._chains.needed_elsewhere(domain, {pair.upper, pair.lower.path}, extra):
                    return pair
        return None

    def _merge(self, domain: Any, pair: _Pair) -> None:
        if pair.active:
            domain.blockCommit(pair.target, pair.lower.path, None, 0, _ACTIVE)
            self._wait(domain, pair)
            domain.blockJobAbort(pair.target, _PIVOT)
        else:
            domain.blockCommit(pair.target, pair.lower.path, pair.upper, 0, 0)
            self._wait(domain, pair)
        disk = _disk(domain, pair.target)
        if disk is None or pair.upper in [image.path for image in _chain(disk)]:
            raise TaskFailed(f"the images of disk {pair.target} were not merged: their storage may be full")
        self._repoint_snapshots(domain, pair)
        extra = extra_of(domain)
        raised = {
            path: attrs.evolve(layer, on=pair.lower.path)
            for path, layer in extra.layers.items()
            if layer.on == pair.upper
        }
        # Still written down while it is deleted: what is left then is known to be of no use.
        remember(domain, extra.with_layers(raised))
        self._images.remove(pair.upper)
        remember(domain, extra.with_layers(raised).without_layer(pair.upper))

    def _wait(self, domain: Any, pair: _Pair) -> None:
        """Until QEMU is done; of the image it runs on, until both are alike and it can go over to the lower one."""
        while True:
            info = domain.blockJobInfo(pair.target, 0)
            if not info:
                if pair.active:
                    raise TaskFailed(f"the merge of disk {pair.target} broke off: its storage may be full")
                return
            disk = _disk(domain, pair.target) if pair.active and info["cur"] == info["end"] else None
            if disk is not None and disk.find("mirror[@ready='yes']") is not None:
                return
            self._connection.clock.sleep(_LOOK_EVERY)

    def _repoint_snapshots(self, domain: Any, pair: _Pair) -> None:
        """Snapshots that held the upper image hold the lower one, which now is the same."""
        for snapshot in domain.listAllSnapshots(0):
            tree = parse_whole(snapshot.getXMLDesc(SECURE))
            changed = False
            for config in (tree.find("domain"), tree.find("inactiveDomain")):
                targets = {target_of(disk) for disk in snapshot_xml.writable(config) if source_of(disk) == pair.upper}
                snapshot_xml.repoint(config, dict.fromkeys(targets, pair.lower))
                changed |= bool(targets)
            if changed:
                redefine(domain, snapshot, tree)


def end_stale(domain: Any) -> None:
    """Give up a merge that is done but for its last step: whoever began it ended in the middle, and it is in the way.

    The VM goes on with the upper image, which still has all that it had.
    """
    tree = parse_domain(domain.XMLDesc(0))
    extra = metadata.read(tree.find("metadata"))
    for disk in snapshot_xml.writable(tree):
        mirror = disk.find("mirror[@job='active-commit'][@ready='yes']")
        if mirror is not None and source_of(mirror) in extra.below(source_of(disk) or ""):
            domain.blockJobAbort(target_of(disk), 0)


def _pairs(disk: ET.Element, extra: Extra, held: set[str | None]) -> list[_Pair]:
    """The images of a disk that could be merged, as far as this VM needs them."""
    chain = _chain(disk)
    ours = (chain[0].path, *extra.below(chain[0].path)) if chain else ()
    if [image.path for image in chain[: len(ours)]] != list(ours):
        return []  # somebody else changed the chain
    on = [layer.on for layer in extra.layers.values()]
    found = []
    for index in range(1, len(ours)):
        upper, lower = chain[index - 1], chain[index]
        active = index == 1
        alone = on.count(lower.path) == 1 and (active or on.count(upper.path) == 1)
        kept = extra.layers[upper.path].kept
        if alone and not kept and lower.path not in held and not (active and upper.path in held):
            found.append(_Pair(target_of(disk), upper.path, lower, active))
    return found


def _chain(disk: ET.Element) -> list[Frozen]:
    """The images of a disk of a running VM, from the one it writes to down."""
    path = source_of(disk)
    found = [Frozen(path, snapshot_xml.format_of(disk))] if path else []
    backing = disk.find("backingStore")
    while backing is not None and (path := source_of(backing)):
        form = backing.find("format")
        found.append(Frozen(path, "raw" if form is None else form.get("type", "raw")))
        backing = backing.find("backingStore")
    return found


def _disk(domain: Any, target: str) -> ET.Element | None:
    disks = parse_domain(domain.XMLDesc(0)).iterfind("devices/disk")
    return next((disk for disk in disks if target_of(disk) == target), None)
