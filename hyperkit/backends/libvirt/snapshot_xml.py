"""Snapshots in libvirt's XML: what there is, and what is asked for.

A snapshot is *internal* if its disks' qcow2 images hold it, and *external* if the disks were frozen as they were and
new images begun on top of them. libvirt's name of it is its id here: its label and a random part, since by that name
QEMU finds it in the images, which may hold one of another VM with that label. Another label is in our metadata.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import attrs

from hyperkit.backends.libvirt.metadata import Extra, KnownSnapshot
from hyperkit.backends.libvirt.xml_edit import child, drop
from hyperkit.backends.libvirt.xml_read import source_of, target_of
from hyperkit.records import SnapshotRecord
from hyperkit.states import PowerState

# virDomainMoment's words; "disk-snapshot" is an external one of a VM that is not off, without memory.
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
# libvirt refuses a dot at the beginning. Such a label gets a mark, and one that has a mark gets one more.
_MARKED = re.compile(r"#*\..*", re.DOTALL)
_RANDOM = re.compile(r"~[0-9a-f]{8}\Z")


@attrs.frozen
class Frozen:
    """The image of a disk as an external snapshot found it.

    Attributes:
        path: its file.
        format: libvirt's word for it, as the VM had it configured: content can lie.
    """

    path: str
    format: str


def record(tree: ET.Element, vm_id: str, current: str | None, extra: Extra) -> SnapshotRecord:
    """A ``<domainsnapshot>``; ``extra`` is what we keep with its VM."""
    name = tree.findtext("name", "")
    known = extra.snapshots.get(name, KnownSnapshot())
    memory = tree.find("memory")
    state = _STATES.get(tree.findtext("state", ""), PowerState.UNKNOWN)
    return SnapshotRecord(
        id=name,
        vm_id=vm_id,
        name=label(name, extra),
        description=tree.findtext("description", ""),
        parent_id=tree.findtext("parent/name"),
        created=datetime.fromtimestamp(int(tree.findtext("creationTime", "0")), UTC),
        state=PowerState.PAUSED if known.paused else state,
        memory=memory is not None and memory.get("snapshot") in ("internal", "external"),
        current=name == current,
    )


def new_id(name: str) -> str:
    """A name in libvirt for a new snapshot, which no image has, wherever that image was before."""
    return f"{'#' if _MARKED.fullmatch(name) else ''}{name}~{secrets.token_hex(4)}"


def decoded(libvirt_name: str) -> str:
    """The label that a name in libvirt was made from; of a snapshot of others, that name."""
    name, ours = _RANDOM.subn("", libvirt_name)
    return name[1:] if ours and name.startswith("#") and _MARKED.fullmatch(name) else name


def name_of(tree: ET.Element) -> str:
    """The label that a ``<domainsnapshot>`` was made with."""
    return decoded(tree.findtext("name", ""))


def label(snapshot_id: str, extra: Extra) -> str:
    """What a snapshot is called."""
    known = extra.snapshots.get(snapshot_id)
    return (known.name if known else "") or decoded(snapshot_id)


def is_external(tree: ET.Element) -> bool:
    """Whether it is, in any of its parts."""
    return any(part.get("snapshot") == "external" for part in _parts(tree))


def is_internal(tree: ET.Element) -> bool:
    """Whether it is, in any of its parts. The test driver's have none of which anybody could tell."""
    return any(part.get("snapshot") == "internal" for part in _parts(tree))


def _parts(tree: ET.Element) -> Iterator[ET.Element]:
    yield from tree.iterfind("memory")
    yield from tree.iterfind("disks/disk")


def writable(domain: ET.Element | None) -> Iterator[ET.Element]:
    """The disks that a snapshot is of; libvirt leaves out what cannot be written."""
    for disk in [] if domain is None else domain.iterfind("devices/disk"):
        if disk.get("device", "disk") in ("disk", "lun") and disk.find("readonly") is None:
            yield disk


def files(domain: ET.Element | None) -> Iterator[str]:
    """The files of those disks. Devices are left out: there is no looking at one that is in no pool."""
    for disk in writable(domain):
        source = disk.find("source")
        path = "" if source is None else source.get("file", "")
        if path and not path.startswith("/dev/"):
            yield path


def format_of(disk: ET.Element) -> str:
    """The format that a disk's image is opened with."""
    driver = disk.find("driver")
    return "raw" if driver is None else driver.get("type", "raw")


def frozen(tree: ET.Element) -> dict[str, Frozen]:
    """The images that an external snapshot holds, by the target of their disks."""
    external = {disk.get("name") for disk in tree.iterfind("disks/disk[@snapshot='external']")}
    found = {}
    for disk in writable(tree.find("domain")):
        path, target = source_of(disk), target_of(disk)
        # libvirt takes a disk's path for its name too.
        if path and external & {target, path}:
            found[target] = Frozen(path, format_of(disk))
    return found


def repoint(domain: ET.Element | None, images: Mapping[str, Frozen]) -> None:
    """Give disks, by their targets, other images."""
    for disk in writable(domain):
        image = images.get(target_of(disk))
        if image is not None:
            # What is below an image libvirt reads from the image itself.
            drop(disk, "source", "backingStore", "mirror")
            disk.set("type", "file")
            ET.SubElement(disk, "source", file=image.path)
            child(disk, "driver").set("type", image.format)


def request(name: str, description: str) -> ET.Element:
    """A snapshot to take, of the kind that libvirt takes by itself."""
    tree = ET.Element("domainsnapshot")
    ET.SubElement(tree, "name").text = name
    ET.SubElement(tree, "description").text = description
    return tree


def external_request(
    name: str, description: str, domain: ET.Element, overlays: Mapping[str, str], memory: str | None
) -> ET.Element:
    """An external snapshot to take: which new image each disk gets, by its target, and a file for the memory."""
    tree = request(name, description)
    if memory is None:
        ET.SubElement(tree, "memory", snapshot="no")
    else:
        ET.SubElement(tree, "memory", snapshot="external", file=memory)
    disks = ET.SubElement(tree, "disks")
    for device in domain.iterfind("devices/disk"):
        target = target_of(device)
        if target in overlays:
            disk = ET.SubElement(disks, "disk", name=target, snapshot="external", type="file")
            ET.SubElement(disk, "driver", type="qcow2")
            ET.SubElement(disk, "source", file=overlays[target])
        else:
            ET.SubElement(disks, "disk", name=target, snapshot="no")
    return tree
