"""The images that external snapshots divide a disk into, and which of them are still needed.

Each external snapshot, and each revert to one, lays a new image (a *layer*) on what was there, which then stays as it
is. Layers that hyperkit made are in the VM's metadata, and nothing else is ever deleted here. A layer goes when
neither the VM nor a snapshot needs it. That is looked up three times, since a wrong answer loses data: in our
metadata; in the images themselves, which name what they lie on; and in whatever else is on the host.
"""

from __future__ import annotations

import logging
import posixpath
import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import libvirt

from hyperkit.backends.libvirt import errors, metadata
from hyperkit.backends.libvirt.datastores import DIRECTORIES, LOOK, refresh
from hyperkit.backends.libvirt.find_image import find
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.listing import unless_gone
from hyperkit.backends.libvirt.metadata import Extra
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.reconfigure import set_extra
from hyperkit.backends.libvirt.xml_read import parse, source_of
from hyperkit.errors import Busy, HyperkitError, NotFound

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

log = logging.getLogger("hyperkit")


def extra_of(domain: Any) -> Extra:
    """What we keep with a domain."""
    return metadata.read(parse_domain(domain.XMLDesc(0)).find("metadata"))


def remember(domain: Any, extra: Extra) -> None:
    """Keep something else with it, now and for later."""
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
    set_extra(domain, extra, libvirt.VIR_DOMAIN_AFFECT_CONFIG | live)


def beside(root: str, suffix: str) -> str:
    """A path for a new file beside the image that a disk began with, which nobody else chose."""
    directory, name = posixpath.split(root)
    stem = re.sub(r"\.(qcow2|raw|img)$", "", name).encode()[:200].decode(errors="ignore")
    return posixpath.join(directory, f"{stem}.{secrets.token_hex(4)}{suffix}")


def sources(tree: ET.Element, *elements: str) -> Iterator[str]:
    """Every file that a domain's or a snapshot's disks name, with what they lie on as far as it is told."""
    for element in elements or ("source", "backingStore//source"):
        for source in tree.iterfind(f".//devices/disk/{element}"):
            path = source.get("file") or source.get("dev")
            if path:
                yield path


class Chains:
    """Finds out which layers of a VM are needed, and deletes the others."""

    def __init__(self, connection: Connection, images: Images) -> None:
        self._connection = connection
        self._images = images

    def tidy(self, domain: Any) -> None:
        """Delete the layers and memory files that nothing needs any more.

        What cannot be deleted, or is not surely of no use, stays and is looked at again the next time.

        Three calls and one for each snapshot; if a layer is to go, one or two for each image of the VM's disks and
        snapshots, and one for each VM and each volume of the host.
        """
        extra = extra_of(domain)
        if not extra.layers and not extra.snapshots:
            return
        snapshots = {each.getName(): parse_domain(each.getXMLDesc(0)) for each in domain.listAllSnapshots(0)}
        left = extra
        for name, known in extra.snapshots.items():
            if name not in snapshots and (known.memory is None or self._removed(known.memory)):
                left = left.with_snapshot(name, None)
        for path in self.unneeded(domain, extra, snapshots.values()):
            if self._removed(path):
                left = left.without_layer(path)
        if left != extra:
            remember(domain, left)

    def unneeded(self, domain: Any, extra: Extra, snapshots: Iterable[ET.Element]) -> Sequence[str]:
        """The layers that surely nothing needs, each before what it lies on."""
        tops = held_by(domain, snapshots) | {path for path, layer in extra.layers.items() if layer.kept}
        doomed = extra.layers.keys() - {path for top in tops for path in (top, *extra.below(top))}
        if not doomed:
            return []
        try:
            doomed -= {path for top in tops for path in self._beneath(top, kept=top in extra.layers)}
        except HyperkitError as error:
            log.warning(
                "%s: images of VM %s that may be of no more use stay, since one of its images cannot be read (%s): %s",
                self._connection.url, domain.name(), error, ", ".join(sorted(doomed)),
            )  # fmt: skip
            return []
        doomed -= self.needed_elsewhere(domain, doomed, extra).keys()
        return sorted(doomed, key=lambda path: len(extra.below(path)), reverse=True)

    def doomed_with(self, domain: Any, volumes: Collection[str]) -> Sequence[str]:
        """Which files go when a VM is deleted, and of its disks the images in ``volumes``.

        Those, the layers that only its snapshots need, and the memory of its snapshots.

        Raises:
            Busy: another VM, or an image, needs a layer.
        """
        extra = extra_of(domain)
        if not extra.layers and not extra.snapshots:
            return list(volumes)
        stay = {path for path in held_by(domain, ()) if path not in volumes}
        stay |= {path for path, layer in extra.layers.items() if layer.kept and path not in volumes}
        needed = {path for top in stay for path in (top, *extra.below(top))}
        if extra.layers:
            needed |= {path for top in stay for path in self._beneath(top, kept=True)}
        layers = extra.layers.keys() - needed - set(volumes)
        for path, holder in self.needed_elsewhere(domain, layers, extra).items() if layers else ():
            raise Busy(f"{path}, which a snapshot of VM {domain.name()!r} began, is {holder}; nothing was deleted")
        images = sorted({*volumes, *layers}, key=lambda path: len(extra.below(path)), reverse=True)
        return [*images, *(known.memory for known in extra.snapshots.values() if known.memory)]

    def needed_elsewhere(self, domain: Any, paths: Collection[str], extra: Extra) -> dict[str, str]:
        """Which of these files another VM, its snapshots or an image that is no layer of this VM needs, and who."""
        conn, own = self._connection.conn, domain.UUIDString()
        found: dict[str, str] = {}
        for other in conn.listAllDomains(0):
            if other.UUIDString() == own:
                continue
            with unless_gone():
                trees = [parse_domain(other.XMLDesc(flags)) for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE)]
                trees += [parse_domain(each.getXMLDesc(0)) for each in other.listAllSnapshots(0)]
                named = {path for tree in trees for path in sources(tree)}
                found.update({path: f"needed by VM {other.name()!r}" for path in named.intersection(paths)})
        found.update(self._bases(paths, extra.layers))
        return found

    def lain_on(self, domain: Any, paths: Collection[str]) -> dict[str, str]:
        """Which of these files other images begin from, so that they must stay as they are, and whose base each is.

        Two calls and one for each VM, each pool and each volume of the host.
        """
        found: dict[str, str] = {}
        for other in self._connection.conn.listAllDomains(0):
            if other.UUIDString() == domain.UUIDString():
                continue
            with unless_gone():
                tree = parse_domain(other.XMLDesc(0))
                known = metadata.read(tree.find("metadata"))
                below = {each.base for each in known.disks.values()} | {each.on for each in known.layers.values()}
                below |= set(sources(tree, "backingStore//source"))
                found.update({path: f"the base of a disk of VM {other.name()!r}" for path in paths if path in below})
        found.update(self._bases(paths, ()))
        return found

    def _bases(self, paths: Collection[str], but: Collection[str]) -> dict[str, str]:
        """Which of these files images in the host's pools begin from, other than ``but``."""
        conn, found = self._connection.conn, {}
        for pool in conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            with unless_gone():
                if pool.name().startswith(LOOK) or parse(pool.XMLDesc(0)).get("type") not in DIRECTORIES:
                    continue
                refresh(conn, pool)
                for volume in pool.listAllVolumes(0):
                    with unless_gone():
                        tree = parse(volume.XMLDesc(0))
                        base, path = tree.findtext("backingStore/path", ""), tree.findtext("target/path", "")
                        if base in paths and path not in but:
                            found[base] = f"the base of {path}"
        return found

    def _beneath(self, path: str, *, kept: bool) -> Iterator[str]:
        """A file and what it lies on, as the files themselves say.

        Raises:
            HyperkitError: one cannot be read. A layer that is gone is no matter: what it lay on was written down.
        """
        seen: set[str] = set()
        found: str | None = path
        while found is not None and found not in seen and not found.startswith("/dev/"):
            seen.add(found)
            yield found
            try:
                with find(self._connection.conn, found, "path") as image:
                    found = image.base
            except NotFound:
                if not kept:
                    raise
                return

    def _removed(self, path: str) -> bool:
        """Whether it is gone now."""
        try:
            self._images.remove(path)
        except NotFound:
            return True
        except (libvirt.libvirtError, HyperkitError) as error:
            if isinstance(error, libvirt.libvirtError) and errors.is_lost(error):
                raise
            log.warning("%s: %s is of no more use and could not be deleted: %s", self._connection.url, path, error)
            return False
        return True


def held_by(domain: Any, snapshots: Iterable[ET.Element]) -> set[str]:
    """The images that a VM, now or from its next start on, and its snapshots have."""
    flags = (0, libvirt.VIR_DOMAIN_XML_INACTIVE) if domain.isActive() else (0,)
    trees = [parse_domain(domain.XMLDesc(each)) for each in flags]
    disks = [disk for tree in trees for disk in tree.iterfind("devices/disk")]
    for tree in snapshots:
        disks += tree.iterfind(".//devices/disk")
    return {path for disk in disks if (path := source_of(disk)) and path.startswith("/")}
