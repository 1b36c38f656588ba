"""What libvirt has no element for, in the ``<metadata>`` of the domain: it goes where the domain goes.

::

    <hk:vm xmlns:hk="urn:hyperkit:vm:1">
      <hk:disk path="/images/web1-0.qcow2" created="yes" base="/images/debian.qcow2"/>
      <hk:nic id="ua-nic-1a2b3c4d" guards="spoof"/>
      <hk:guest-os>debian12</hk:guest-os>
      <hk:tags>db web</hk:tags>
      <hk:layer path="/images/web1-0.5c1d0b8e.qcow2" on="/images/web1-0.qcow2"/>
      <hk:snapshot id="nightly" name="before 1.0" memory="/images/web1-0.77ab10c2.memory"/>
    </hk:vm>

Of cards, see `nic_policy`. Entries of disks that the VM no longer has mean nothing. Tags, layers and snapshots are
of the VM's present, not of the configuration that a snapshot brings back: they are carried over a revert. Elements and
attributes that are not known here are of a later version; they go when the element is written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

import attrs

from hyperkit.backends.libvirt import nic_policy
from hyperkit.backends.libvirt.nic_policy import KnownNic

URI = "urn:hyperkit:vm:1"
KEY = "hyperkit"
"""The prefix libvirt declares when it is given our element by itself; it fails if that declares the same one."""
_VM, _DISK, _GUEST_OS, _NOTES, _TAGS, _LAYER, _SNAPSHOT = (
    f"{{{URI}}}{tag}" for tag in ("vm", "disk", "guest-os", "notes", "tags", "layer", "snapshot")
)
# virt-manager and virt-install keep the guest's OS here, as a URL whose last two parts make libosinfo's short id.
_OSINFO = "{http://libosinfo.org/xmlns/libvirt/domain/1.0}"

ET.register_namespace("hk", URI)
ET.register_namespace("libosinfo", _OSINFO[1:-1])


@attrs.frozen
class KnownDisk:
    """What is remembered of a disk image. libvirt tells the base only while the VM runs."""

    created: bool = False
    base: str | None = None


@attrs.frozen
class Layer:
    """An image that was made for a snapshot or a revert.

    Attributes:
        on: the image it lies on.
        kept: it stays though neither VM nor snapshot has it: it was detached, or nobody knows who has it.
    """

    on: str
    kept: bool = False


@attrs.frozen
class KnownSnapshot:
    """What libvirt does not keep of a snapshot.

    Attributes:
        name: its label, where that differs from the name it has in libvirt.
        paused: whether the VM was paused: of disks alone, libvirt says "disk-snapshot" for any state.
        memory: the file of its memory, if we made one.
    """

    name: str = ""
    paused: bool = False
    memory: str | None = None

    def called(self, name: str) -> KnownSnapshot:
        """The same, with another label."""
        return attrs.evolve(self, name=name)

    def of_paused(self, paused: bool) -> KnownSnapshot:
        """The same, of a VM that was paused or not."""
        return attrs.evolve(self, paused=paused)


@attrs.frozen
class Extra:
    """The content of our element.

    Attributes:
        disks: by the path they began with, in the order they were given: libvirt sorts disks by bus.
        guest_os: the hint.
        nics: by id; cards of which nothing needs to be remembered have no entry.
        notes: only where libvirt's own ``<description>`` loses something: it keeps no carriage return.
        layers: by path; what the VM, its snapshots or nobody any more has.
        snapshots: by id; those of which there is something to say.
        tags: in ascending order.
    """

    disks: Mapping[str, KnownDisk] = attrs.field(factory=dict)
    guest_os: str = ""
    notes: str = ""
    nics: Mapping[str, KnownNic] = attrs.field(factory=dict)
    layers: Mapping[str, Layer] = attrs.field(factory=dict)
    snapshots: Mapping[str, KnownSnapshot] = attrs.field(factory=dict)
    tags: tuple[str, ...] = ()

    def below(self, path: str) -> tuple[str, ...]:
        """The images that one lies on, down to the one its disk began with."""
        found: list[str] = []
        while (layer := self.layers.get(path)) is not None and layer.on not in found:
            path = layer.on
            found.append(path)
        return tuple(found)

    def root(self, path: str) -> str:
        """The image that a disk began with, which now has this one."""
        return (path, *self.below(path))[-1]

    def with_disk(self, path: str, known: KnownDisk) -> Extra:
        """One more disk, after the others."""
        return attrs.evolve(self, disks={**self.without_disk(path).disks, path: known})

    def without_disk(self, path: str) -> Extra:
        """One disk less."""
        return attrs.evolve(self, disks={other: known for other, known in self.disks.items() if other != path})

    def with_nic(self, nic_id: str, known: KnownNic) -> Extra:
        """A card as it is now."""
        return self.without_nic(nic_id)._with_nics({nic_id: known} if known != nic_policy.NOTHING else {})

    def without_nic(self, nic_id: str) -> Extra:
        """One card less."""
        return attrs.evolve(self, nics={other: known for other, known in self.nics.items() if other != nic_id})

    def _with_nics(self, nics: Mapping[str, KnownNic]) -> Extra:
        return attrs.evolve(self, nics={**self.nics, **nics})

    def carried(self, now: Extra) -> Extra:
        """This one, of a configuration that is brought back, with what is of the VM's present."""
        return attrs.evolve(self, layers=now.layers, snapshots=now.snapshots, tags=now.tags)

    def with_layers(self, layers: Mapping[str, Layer]) -> Extra:
        """More layers, or others in the place of those of the same paths."""
        return attrs.evolve(self, layers={**self.layers, **layers})

    def without_layer(self, path: str) -> Extra:
        """One layer less."""
        return attrs.evolve(self, layers={other: layer for other, layer in self.layers.items() if other != path})

    def keeping(self, path: str, *, kept: bool = True) -> Extra:
        """A layer stays, or not any more, whoever needs it; what is no layer stays anyway."""
        layer = self.layers.get(path)
        return self if layer is None else self.with_layers({path: attrs.evolve(layer, kept=kept)})

    def with_snapshot(self, snapshot_id: str, known: KnownSnapshot | None) -> Extra:
        """Something, or nothing, to say of a snapshot."""
        others = {each: value for each, value in self.snapshots.items() if each != snapshot_id}
        said = {} if known is None or known == KnownSnapshot() else {snapshot_id: known}
        return attrs.evolve(self, snapshots={**others, **said})

    def with_tags(self, tags: tuple[str, ...]) -> Extra:
        """Other tags."""
        return attrs.evolve(self, tags=tags)

    def with_notes(self, notes: str) -> Extra:
        """Other notes, written down only where ``<description>`` is not enough."""
        return attrs.evolve(self, notes=notes if "\r" in notes else "")


NO_EXTRA = Extra()


def read(metadata: ET.Element | None) -> Extra:
    """Our element out of a domain's ``<metadata>``; empty if there is none."""
    if metadata is None:
        return NO_EXTRA
    ours = metadata.find(_VM)
    if ours is None:
        os = metadata.find(f"{_OSINFO}libosinfo/{_OSINFO}os")
        return NO_EXTRA if os is None else Extra(guest_os=_short_id(os.get("id", "")))
    disks = {
        disk.get("path", ""): KnownDisk(disk.get("created") == "yes", disk.get("base")) for disk in ours.iter(_DISK)
    }
    layers = {each.get("path", ""): Layer(each.get("on", ""), each.get("kept") == "yes") for each in ours.iter(_LAYER)}
    snapshots = {
        each.get("id", ""): KnownSnapshot(each.get("name", ""), each.get("paused") == "yes", each.get("memory"))
        for each in ours.iter(_SNAPSHOT)
    }
    nics = {entry.get("id", ""): known for entry in ours.iter(nic_policy.NIC) if (known := nic_policy.read(entry))}
    guest_os, notes, tags = (ours.findtext(tag) or "" for tag in (_GUEST_OS, _NOTES, _TAGS))
    return Extra(disks, guest_os, notes, nics, layers, snapshots, tuple(sorted(set(tags.split()))))


def element(extra: Extra) -> ET.Element:
    """Our element, to be put into a domain."""
    ours = ET.Element(_VM)
    for path, known in extra.disks.items():
        disk = ET.SubElement(ours, _DISK, path=path)
        if known.created:
            disk.set("created", "yes")
        if known.base is not None:
            disk.set("base", known.base)
    for path, layer in extra.layers.items():
        entry = ET.SubElement(ours, _LAYER, path=path, on=layer.on)
        if layer.kept:
            entry.set("kept", "yes")
    for snapshot_id, snapshot in extra.snapshots.items():
        entry = ET.SubElement(ours, _SNAPSHOT, id=snapshot_id)
        for attribute, text in (
            ("name", snapshot.name),
            ("paused", "yes" if snapshot.paused else ""),
            ("memory", snapshot.memory),
        ):
            if text:
                entry.set(attribute, text)
    for nic_id, known_nic in extra.nics.items():
        ours.append(nic_policy.element(nic_id, known_nic))
    for tag, value in ((_GUEST_OS, extra.guest_os), (_NOTES, extra.notes), (_TAGS, " ".join(extra.tags))):
        if value:
            ET.SubElement(ours, tag).text = value
    return ours


def replace(domain: ET.Element, extra: Extra) -> None:
    """Put our element into a domain's XML, in place of the one that is there; others' metadata stays."""
    metadata = domain.find("metadata")
    if metadata is None:
        if extra == NO_EXTRA:
            return
        metadata = ET.SubElement(domain, "metadata")
    for old in metadata.findall(_VM):
        metadata.remove(old)
    if extra != NO_EXTRA:
        metadata.append(element(extra))


def _short_id(url: str) -> str:
    """``debian12`` of ``http://debian.org/debian/12``."""
    return "".join(url.rstrip("/").split("/")[-2:]) if url.count("/") > 3 else ""
