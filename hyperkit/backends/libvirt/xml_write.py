"""The XML of a new domain and of its devices.

Built as a tree, so that what a caller wrote can never be more than text. User aliases begin with ``ua-``
because libvirt keeps no others in a domain that is off.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Mapping, Sequence
from xml.etree import ElementTree as ET

import attrs

from hyperkit.backends.libvirt import metadata, wiring, xml_edit, xml_read
from hyperkit.backends.libvirt.filters import filter_name
from hyperkit.backends.libvirt.images import Image
from hyperkit.backends.libvirt.nic_policy import KnownNic
from hyperkit.backends.libvirt.wiring import Wire
from hyperkit.checks import refuse
from hyperkit.specs import DiskBus, DiskFormat, DiskSpec, Firmware, NicSpec, VMSpec

AGENT = "org.qemu.guest_agent.0"
_PORTS = 12  # four for the devices that every guest has, eight to grow into
_PREFIX = {DiskBus.VIRTIO: "vd", DiskBus.SCSI: "sd", DiskBus.SATA: "sd", DiskBus.IDE: "hd"}
_FORMATS = {DiskFormat.VHD: "vpc"}


@attrs.frozen
class Platform:
    """What a new domain is on this host.

    Attributes:
        kind: libvirt's driver.
        domain_type: ``kvm``, ``qemu``, ``test`` …
        arch: of the CPUs.
        machine: None lets libvirt choose.
        buses: where disks can be; empty if libvirt does not say.
        shares: libvirt's number for 100 CPU shares: 1024 with control groups v1, 100 with v2.
        privileged: whether the daemon may make network devices.
    """

    kind: str
    domain_type: str
    arch: str
    machine: str | None = None
    buses: Collection[str] = ()
    shares: int = 1024
    privileged: bool = True

    @property
    def qemu(self) -> bool:
        """Whether QEMU's devices are to be had."""
        return self.kind == "QEMU"

    @property
    def x86(self) -> bool:
        """Whether it is a PC."""
        return self.arch in ("x86_64", "i686")


def new_domain(
    spec: VMSpec, images: Sequence[Image], iso: str | None, networks: Mapping[str, Wire], platform: Platform
) -> ET.Element:
    """The domain a spec asks for; ``networks`` are those its cards name, by id, ``images`` the files of its disks.

    Its UUID is chosen here: whoever loses the answer to its definition can still ask whether it is there.
    """
    windows = spec.guest_os.startswith("win")
    domain = ET.Element("domain", type=platform.domain_type)
    xml_edit.set_name(domain, spec.name)
    vm_id = str(uuid.uuid4())
    ET.SubElement(domain, "uuid").text = vm_id
    os = ET.SubElement(domain, "os")
    kind = ET.SubElement(os, "type", arch=platform.arch)
    kind.text = "hvm"
    if platform.machine:
        kind.set("machine", platform.machine)
    if spec.firmware is Firmware.UEFI:
        xml_edit.set_secure_boot(domain, spec.secure_boot)
    if spec.kernel is not None:
        for tag in ("kernel", "initrd", "cmdline"):
            if value := getattr(spec.kernel, tag):
                ET.SubElement(os, tag).text = value
    features = ET.SubElement(domain, "features")
    for feature in ("acpi", "apic") if platform.x86 else ("acpi",) if spec.firmware is Firmware.UEFI else ():
        ET.SubElement(features, feature)
    if platform.domain_type == "kvm":
        ET.SubElement(domain, "cpu", mode="host-model")  # fast, and still migrates
    ET.SubElement(domain, "clock", offset="localtime" if windows else "utc")
    ET.SubElement(domain, "on_crash").text = "destroy"
    xml_edit.set_cpus(domain, spec.cpus, spec.max_cpus)
    xml_edit.set_memory(domain, spec.memory, spec.max_memory)
    if spec.topology is not None:
        xml_edit.set_topology(domain, spec.topology)
    if not xml_edit.is_default(spec.cpu_allocation):
        xml_edit.set_cpu_allocation(domain, spec.cpu_allocation, platform.shares)
    if not xml_edit.is_default(spec.memory_allocation):
        xml_edit.set_memory_allocation(domain, spec.memory_allocation)
    xml_edit.set_boot_order(domain, spec.boot_order)
    extra = metadata.Extra(
        {image.path: metadata.KnownDisk(image.created, image.base) for image in images}, spec.guest_os, tags=spec.tags
    )
    nics = [nic_element(nic, vm_id, networks, platform, windows=windows) for nic in spec.nics]
    for nic, element in zip(spec.nics, nics, strict=True):
        extra = extra.with_nic(xml_read.nic_id(element, []), remembered(nic))
    metadata.replace(domain, extra)
    xml_edit.set_notes(domain, spec.notes)
    devices = ET.SubElement(domain, "devices")
    taken: set[str] = set()
    for index, (disk, image) in enumerate(zip(spec.disks, images, strict=True)):
        element = disk_element(disk, image, taken, platform, windows=windows, field=f"disks[{index}]")
        taken.add(element.find("target").get("dev", ""))  # type: ignore[union-attr]
        devices.append(element)
    if spec.cdrom or iso is not None:
        devices.append(cdrom_element(iso, taken, platform))
    devices.extend(nics)
    if spec.tpm:
        xml_edit.set_tpm(domain, on=True)
    if platform.qemu:
        _qemu_devices(devices, platform)
    return domain


def _qemu_devices(devices: ET.Element, platform: Platform) -> None:
    """What every guest has: a console, the agent's channel, entropy, a balloon, a screen, and slots to grow."""
    serial = ET.SubElement(devices, "serial", type="pty")
    ET.SubElement(serial, "target", port="0")
    channel = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(channel, "target", type="virtio", name=AGENT)
    rng = ET.SubElement(devices, "rng", model="virtio")
    ET.SubElement(rng, "backend", model="random").text = "/dev/urandom"
    balloon = ET.SubElement(devices, "memballoon", model="virtio")
    ET.SubElement(balloon, "stats", period="10")  # else no guest tells what it uses
    ET.SubElement(devices, "graphics", type="vnc", port="-1", autoport="yes")
    video = ET.SubElement(devices, "video")
    ET.SubElement(video, "model", type="vga" if platform.x86 else "virtio")
    if platform.x86:
        ET.SubElement(devices, "controller", type="usb", model="none")
    if platform.machine == "q35" or not platform.x86:
        # On PCI Express a device is plugged into a port of its own, and ports cannot be hot-plugged.
        ET.SubElement(devices, "controller", type="pci", model="pcie-root")
        cards = sum(len(devices.findall(tag)) for tag in ("disk", "interface"))
        for _ in range(cards + _PORTS):
            ET.SubElement(devices, "controller", type="pci", model="pcie-root-port")
    if any(target.get("bus") == "scsi" for target in devices.iterfind("disk/target")):
        devices.append(scsi_controller())


def scsi_controller() -> ET.Element:
    """One that guests have a driver for; the model that libvirt adds by itself is not."""
    return ET.Element("controller", type="scsi", model="virtio-scsi")


def disk_element(
    spec: DiskSpec,
    image: Image,
    taken: Collection[str],
    platform: Platform,
    *,
    windows: bool = False,
    field: str = "disk",
) -> ET.Element:
    """A ``<disk>``; ``taken`` are the targets that the domain has."""
    # Windows has no virtio drivers of its own.
    bus = spec.bus or (DiskBus.SATA if windows else DiskBus.VIRTIO)
    buses = disk_buses(platform.buses)
    if bus not in buses:
        refuse(f"{field}.bus", bus.value, f"one of {', '.join(buses)}")
    if image.format is None:
        refuse(f"{field}.format", None, f"say which format {image.path} has")
    disk = _file_disk("disk", image.path)
    driver = ET.SubElement(disk, "driver", type=_FORMATS.get(image.format, image.format.value))
    if platform.qemu:
        driver.set("name", "qemu")
        if spec.thin and not spec.read_only:
            driver.set("discard", "unmap")  # what the guest frees, the file gives back
    ET.SubElement(disk, "target", dev=free_target(_PREFIX[bus], taken), bus=bus.value)
    if spec.read_only:
        ET.SubElement(disk, "readonly")
    return disk


def disk_buses(there: Collection[str]) -> tuple[DiskBus, ...]:
    """Those that a disk can be on, of ``there``, which is empty if libvirt does not say."""
    return tuple(bus for bus in _PREFIX if not there or bus.value in there)


def cdrom_element(iso: str | None, taken: Collection[str], platform: Platform) -> ET.Element:
    """A CD-ROM drive."""
    drive = _file_disk("cdrom", iso)
    driver = ET.SubElement(drive, "driver", type="raw")
    if platform.qemu:
        driver.set("name", "qemu")
    bus = DiskBus.SATA if platform.machine == "q35" or not platform.x86 or not platform.qemu else DiskBus.IDE
    ET.SubElement(drive, "target", dev=free_target(_PREFIX[bus], taken), bus=bus.value)
    ET.SubElement(drive, "readonly")
    return drive


def set_source(device: ET.Element, path: str | None) -> None:
    """The image of a disk or drive."""
    xml_edit.drop(device, "source", "backingStore")
    block = path is not None and path.startswith("/dev/")
    device.set("type", "block" if block else "file")
    if path is not None:
        ET.SubElement(device, "source", {"dev" if block else "file": path})


def nic_element(
    spec: NicSpec, vm_id: str, networks: Mapping[str, Wire], platform: Platform, *, windows: bool = False
) -> ET.Element:
    """An ``<interface>`` of a VM; what its XML cannot hold is in `remembered`."""
    nic = ET.Element("interface")
    ET.SubElement(nic, "mac", address=spec.mac or new_mac())
    wiring.plug(nic, spec.switch, networks, privileged=platform.privileged)
    if platform.kind != "LXC":
        # Windows has no virtio drivers of its own.
        ET.SubElement(nic, "model", type=spec.model or ("e1000e" if windows else "virtio"))
    elif spec.model is not None:
        refuse("model", spec.model, "no model: a container has no card, but one end of a virtual cable")
    if not spec.link_up:
        ET.SubElement(nic, "link", state="down")
    if platform.kind in ("QEMU", "TEST"):
        ET.SubElement(nic, "alias", name=f"ua-nic-{secrets.token_hex(4)}")
    wiring.wire(nic, remembered(spec), filter_name(vm_id, xml_read.nic_id(nic, [])))
    return nic


def remembered(spec: NicSpec) -> KnownNic:
    """What of a card goes into the domain's metadata."""
    return KnownNic(spec.vlan, spec.trunk, spec.policy)


def new_mac() -> str:
    """A locally administered address.

    libvirt's own random ones have 24 bits: among a thousand cards two are alike in 3 of 100 cases.
    """
    return ":".join(f"{byte:02x}" for byte in (0x52, *secrets.token_bytes(5)))


def free_target(prefix: str, taken: Collection[str]) -> str:
    """The first target after all that are taken: a disk that is added comes last."""
    used = [_index(name[2:]) for name in taken if name.startswith(prefix)]
    return prefix + _letters(max(used, default=-1) + 1)


def _letters(index: int) -> str:
    """As the kernel names disks: a … z, aa, ab …"""
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def _index(letters: str) -> int:
    value = 0
    for letter in letters:
        if not "a" <= letter <= "z":
            break
        value = value * 26 + ord(letter) - ord("a") + 1
    return value - 1


def _file_disk(kind: str, path: str | None) -> ET.Element:
    disk = ET.Element("disk", device=kind)
    set_source(disk, path)
    return disk
