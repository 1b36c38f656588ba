"""What libvirt has no element for, in the ``<metadata>`` of the domain: it goes where the domain goes.

::

    <hk:vm xmlns:hk="urn:hyperkit:vm:1">
      <hk:disk path="/images/web1-0.qcow2" created="yes" base="/images/debian.qcow2"/>
      <hk:guest-os>debian12</hk:guest-os>
    </hk:vm>

Entries of disks that the VM no longer has mean nothing. Elements and attributes that are not known here are
of a later version; they go when the element is written again.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

import attrs

URI = "urn:hyperkit:vm:1"
KEY = "hyperkit"
"""The prefix libvirt declares when it is given our element by itself; it fails if that declares the same one."""
_VM, _DISK, _GUEST_OS, _NOTES = (f"{{{URI}}}{tag}" for tag in ("vm", "disk", "guest-os", "notes"))
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
class Extra:
    """The content of our element.

    Attributes:
        disks: by path, in the order they were given: libvirt sorts disks by bus.
        guest_os: the hint.
        notes: only where libvirt's own ``<description>`` loses something: it keeps no carriage return.
    """

    disks: Mapping[str, KnownDisk] = attrs.field(factory=dict)
    guest_os: str = ""
    notes: str = ""

    def with_disk(self, path: str, known: KnownDisk) -> Extra:
        """One more disk, after the others."""
        return attrs.evolve(self, disks={**self.without_disk(path).disks, path: known})

    def without_disk(self, path: str) -> Extra:
        """One disk less."""
        return attrs.evolve(self, disks={other: known for other, known in self.disks.items() if other != path})

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
    return Extra(disks, ours.findtext(_GUEST_OS) or "", ours.findtext(_NOTES) or "")


def element(extra: Extra) -> ET.Element:
    """Our element, to be put into a domain."""
    ours = ET.Element(_VM)
    for path, known in extra.disks.items():
        disk = ET.SubElement(ours, _DISK, path=path)
        if known.created:
            disk.set("created", "yes")
        if known.base is not None:
            disk.set("base", known.base)
    for tag, value in ((_GUEST_OS, extra.guest_os), (_NOTES, extra.notes)):
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
