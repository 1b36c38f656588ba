"""Disks of a VM, and images that belong to none."""

from __future__ import annotations

from enum import StrEnum

import attrs

from hyperkit import checks
from hyperkit.checks import meant as _meant
from hyperkit.specs.given import name_of, path_of
from hyperkit.units import MiB


class DiskBus(StrEnum):
    """What the guest sees the disk on; None in a spec lets the host choose what suits the guest."""

    VIRTIO = "virtio"
    SCSI = "scsi"
    SATA = "sata"
    IDE = "ide"
    NVME = "nvme"


class DiskFormat(StrEnum):
    """The file format of a disk image; None in a spec is the host's own default."""

    QCOW2 = "qcow2"
    RAW = "raw"
    VMDK = "vmdk"
    VHDX = "vhdx"
    VHD = "vhd"


def _bus(value: DiskBus | str | None) -> DiskBus | None:
    return None if value is None else _meant(DiskBus, value)


def _format(value: DiskFormat | str | None) -> DiskFormat | None:
    return None if value is None else _meant(DiskFormat, value)


@attrs.frozen(slots=False)
class DiskSpec:
    """One disk, from exactly one of three beginnings.

    * ``DiskSpec(size=20 * GiB)``: a new, empty disk. hyperkit creates it, and `VM.delete` may delete it.
    * ``DiskSpec(base="/images/debian.qcow2")``: a new disk that begins as a copy of an image: copy-on-write
      while ``linked``, which needs the image to stay; else a full copy. ``size`` may enlarge it.
    * ``DiskSpec(path="/images/data.qcow2")``: an existing disk, attached as it is; never deleted unless named.

    Attributes:
        size: bytes the guest sees; a multiple of 512.
        path: an existing disk, in the host's own vocabulary.
        base: an image that a new disk begins from.
        linked: with ``base``: share unchanged blocks with the image instead of copying them.
        name: the new disk's file name without extension; default: the VM's name and a number.
        datastore: name or id of the datastore a new disk is made in; default: the host's default.
        format: file format of a new disk, or of ``path`` where the host cannot tell.
        thin: whether a new disk takes space only as it is written.
        bus: what the guest sees it on.
        read_only: the guest cannot write.
    """

    size: int | None = None
    path: str | None = attrs.field(default=None, converter=path_of)
    base: str | None = attrs.field(default=None, converter=path_of)
    linked: bool = True
    name: str | None = None
    datastore: str | None = attrs.field(default=None, converter=name_of)
    format: DiskFormat | None = attrs.field(default=None, converter=_format)
    thin: bool = True
    bus: DiskBus | None = attrs.field(default=None, converter=_bus)
    read_only: bool = False

    def __attrs_post_init__(self) -> None:
        for field in ("linked", "thin", "read_only"):
            checks.flag(field, getattr(self, field))
        if self.path is not None:
            checks.path("path", self.path)
            for field in ("size", "base", "name", "datastore"):
                if getattr(self, field) is not None:
                    checks.refuse(field, getattr(self, field), "only for a new disk, not together with path")
        elif self.base is not None:
            checks.path("base", self.base)
        elif self.size is None:
            checks.refuse(
                "size", None, "a disk has a size (a new one), a base (copied from an image) or a path (existing)"
            )
        if self.size is not None:
            checks.size("size", self.size, least=MiB, multiple=512)
        if self.name is not None:
            checks.name("name", self.name)
        if self.datastore is not None:
            checks.label("datastore", self.datastore)
        if self.bus is not None:
            checks.one_of("bus", self.bus, DiskBus, DiskBus)
        if self.format is not None:
            checks.one_of("format", self.format, DiskFormat, DiskFormat)

    @property
    def creates(self) -> bool:
        """Whether hyperkit makes a new disk for this."""
        return self.path is None


@attrs.frozen(slots=False)
class VolumeSpec:
    """A disk image to create in a datastore, attached to nothing yet. Fields as in `DiskSpec`."""

    name: str
    size: int
    format: DiskFormat | None = attrs.field(default=None, converter=_format)
    thin: bool = True

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.size("size", self.size, least=MiB, multiple=512)
        checks.flag("thin", self.thin)
        if self.format is not None:
            checks.one_of("format", self.format, DiskFormat, DiskFormat)
