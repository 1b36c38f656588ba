"""Domain XML as records: of domains that hyperkit made, and of those that anybody else did.

Whatever is missing or strange gives a default, never an error: one odd domain must not hide the others. What
libvirt sends is still text from outside, so that a document type, which could define entities, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

import attrs

from hyperkit.backends.libvirt import metadata, nic_policy
from hyperkit.backends.libvirt.metadata import NO_EXTRA, Extra
from hyperkit.errors import BackendError, InvalidRequest
from hyperkit.records import CdromRecord, DiskRecord, NicRecord, VMRecord, changed
from hyperkit.specs import (
    DEFAULT_ALLOCATION,
    NORMAL_SHARES,
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskFormat,
    Firmware,
    KernelBoot,
)
from hyperkit.specs.container import INIT, ContainerSpec
from hyperkit.states import PowerState, StateReason

# virDomainParseScaledValue's units; what libvirt writes is always KiB.
_UNITS = {
    "b": 1, "bytes": 1,
    "KB": 10**3, "k": 2**10, "KiB": 2**10,
    "MB": 10**6, "M": 2**20, "MiB": 2**20,
    "GB": 10**9, "G": 2**30, "GiB": 2**30,
    "TB": 10**12, "T": 2**40, "TiB": 2**40,
}  # fmt: skip
_BOOT = {"hd": BootDevice.DISK, "cdrom": BootDevice.CDROM, "network": BootDevice.NETWORK}
_FORMATS = {
    "qcow2": DiskFormat.QCOW2,
    "raw": DiskFormat.RAW,
    "vmdk": DiskFormat.VMDK,
    "vhdx": DiskFormat.VHDX,
    "vpc": DiskFormat.VHD,
}
_BUSES = {bus.value: bus for bus in DiskBus}
_MOST_SHARES = 10_000
_NONE = ET.Element("none")
_DEFAULT_BOOT = (BootDevice.DISK,)
_A_CONTAINER = ContainerSpec("/none")


@attrs.frozen
class Facts:
    """What the XML does not tell of a VM.

    Attributes:
        state: what it does.
        reason: why.
        autostart: whether it starts with the host.
        sizes: bytes of its disks, by target.
        networks: the host's network ids, by name.
        shares: libvirt's number for 100 CPU shares on this host; see `tuning`.
    """

    state: PowerState
    reason: StateReason
    autostart: bool
    sizes: Mapping[str, int]
    networks: Mapping[str, str]
    shares: int


def parse(text: str) -> ET.Element:
    """The XML that libvirt sends.

    Raises:
        BackendError: it is not XML, or has a document type.
    """
    if "<!DOCTYPE" in text:
        raise BackendError("the host sent XML with a document type, which libvirt never does")
    try:
        return ET.fromstring(text)  # noqa: S314  without a document type there are no entities to expand
    except ET.ParseError as error:
        raise BackendError(f"the host sent XML that cannot be read: {error}") from error


def vm_record(domain: ET.Element, facts: Facts) -> VMRecord:
    """A whole domain."""
    top = {child.tag: child for child in domain}
    extra = metadata.read(top.get("metadata"))
    os = top.get("os", _NONE)
    vcpu = top.get("vcpu", _NONE)
    most_cpus = _whole(vcpu.text, 1)
    container = _container(os, top.get("devices", _NONE))
    memory = _size(top.get("memory"))
    ceiling = _size(top.get("maxMemory"))
    if container is not None:  # its <memory> is what its limit began with, and no room to grow
        memory = _size(top.get("currentMemory")) or memory
    disks: list[DiskRecord] = []
    cdroms: list[CdromRecord] = []
    nics: list[NicRecord] = []
    dimms: list[int] = []
    tpm = False
    devices = top.get("devices", _NONE)
    for device in devices:
        tag = device.tag
        if tag == "disk":
            kind = device.get("device", "disk")
            if kind == "cdrom":
                cdroms.append(cdrom_record(device))
            elif kind != "floppy":
                disks.append(disk_record(device, extra, facts.sizes))
        elif tag == "interface":
            nics.append(nic_record(device, facts.networks, nics, extra))
        elif tag == "memory" and device.get("model") == "dimm":
            dimms.append(target_size(device))
        elif tag == "tpm":
            tpm = True
    uefi, secure_boot = _firmware(os)
    description = top.get("description", _NONE).text or ""
    return VMRecord(
        id=top.get("uuid", _NONE).text or "",
        name=top.get("name", _NONE).text or "",
        state=facts.state,
        reason=facts.reason,
        cpus=_whole(vcpu.get("current"), most_cpus),
        memory=_size(top.get("currentMemory")) or memory,
        max_cpus=most_cpus,
        max_memory=ceiling or memory,
        dimms=tuple(dimms),
        topology=_topology(top.get("cpu")),
        cpu_allocation=cpu_allocation(top.get("cputune"), 1 if container else most_cpus, facts.shares),
        memory_allocation=_memory_allocation(top.get("memtune")),
        disks=_in_order(disks, extra),
        nics=tuple(nics),
        cdroms=tuple(cdroms),
        guest_os=extra.guest_os,
        firmware=Firmware.UEFI if uefi else Firmware.BIOS,
        secure_boot=secure_boot,
        tpm=tpm,
        boot_order=_boot_order(os, devices),
        kernel=_kernel(os),
        container=container,
        # Somebody who edits the description has the last word.
        notes=extra.notes if extra.notes.replace("\r\n", "\n").replace("\r", "\n") == description else description,
        tags=extra.tags,
        autostart=facts.autostart,
    )


def _in_order(disks: list[DiskRecord], extra: Extra) -> tuple[DiskRecord, ...]:
    """As they were given. libvirt puts disks of one bus together; those we know change places among themselves."""
    if len(disks) > 1 and extra.disks:
        order = {path: index for index, path in enumerate(extra.disks)}
        known = iter(
            sorted((disk for disk in disks if disk.files[-1] in order), key=lambda disk: order[disk.files[-1]])
        )
        disks = [next(known) if disk.files[-1] in order else disk for disk in disks]
    return tuple(disks)


def disk_record(device: ET.Element, extra: Extra, sizes: Mapping[str, int]) -> DiskRecord:
    """A ``<disk>`` that is a disk."""
    target = target_of(device)
    path = source_of(device) or ""
    chain = extra.below(path)
    known = extra.disks.get((path, *chain)[-1])
    # A running VM's XML has the chain as QEMU opened it; one that is off, what was remembered.
    backing = device.find("backingStore")
    for layer in chain:
        backing = None if backing is None or source_of(backing) != layer else backing.find("backingStore")
    base = source_of(backing) if backing is not None else known.base if known else None
    driver = device.find("driver")
    return DiskRecord(
        id=target,
        path=path,
        size=sizes.get(target),
        format=_FORMATS.get(driver.get("type", "")) if driver is not None else None,
        bus=_BUSES.get(device.find("target").get("bus", "")) if target else None,  # type: ignore[union-attr]
        created=known.created if known else False,
        base=base,
        read_only=device.find("readonly") is not None,
        chain=chain,
    )


def cdrom_record(device: ET.Element) -> CdromRecord:
    """A ``<disk>`` that is a CD-ROM drive."""
    return CdromRecord(id=target_of(device), iso=source_of(device))


def nic_record(
    device: ET.Element, networks: Mapping[str, str], before: list[NicRecord], extra: Extra = NO_EXTRA
) -> NicRecord:
    """An ``<interface>``; ``before`` are the VM's earlier ones."""
    mac = _get(device, "mac", "address").lower()
    # Not by its type: while the VM runs, a card in a network that is a bridge is told as one of type "bridge".
    name = _get(device, "source", "network")
    own_id = nic_id(device, before)
    wiring = nic_policy.present(device, extra.nics.get(own_id))
    return NicRecord(
        id=own_id,
        mac=mac,
        switch_id=networks.get(name),
        switch=name if name in networks else None,
        model=_get(device, "model", "type"),
        vlan=wiring.vlan,
        link_up=_get(device, "link", "state") != "down",
        trunk=wiring.trunk,
        policy=wiring.policy,
    )


def nics_by_id(devices: ET.Element | None) -> dict[str, ET.Element]:
    """A domain's cards by their ids, in their order."""
    found: dict[str, ET.Element] = {}
    before: list[NicRecord] = []
    for nic in [] if devices is None else devices.iterfind("interface"):
        record = nic_record(nic, {}, before)
        before.append(record)
        found[record.id] = nic
    return found


def nic_id(device: ET.Element, before: list[NicRecord]) -> str:
    """Our own alias, which outlives a change of address; else the address, numbered if it comes twice."""
    alias = _get(device, "alias", "name")
    if alias.startswith("ua-"):
        return alias
    mac = _get(device, "mac", "address").lower()
    same = sum(nic.mac == mac for nic in before)
    return f"{mac}#{same + 1}" if same else mac


def interface_of(device: ET.Element) -> str:
    """The host's name of a running VM's ``<interface>``: its tap device, such as ``vnet3``."""
    return _get(device, "target", "dev")


def target_of(device: ET.Element) -> str:
    """What libvirt calls a disk by: ``vda``."""
    return _get(device, "target", "dev")


def target_size(module: ET.Element) -> int:
    """Bytes of a memory module."""
    return _size(module.find("target/size"))


def source_of(device: ET.Element) -> str | None:
    """The path of a disk's image; for what has no path, libvirt's own words for it. None while there is none."""
    source = device.find("source")
    if source is None:
        return None
    for attribute in ("file", "dev", "dir"):
        if path := source.get(attribute):
            return path
    first, second = source.get("protocol") or source.get("pool"), source.get("name") or source.get("volume")
    return ":".join(filter(None, (first, second))) or None


def cpu_allocation(cputune: ET.Element | None, cpus: int, normal: int) -> Allocation:
    """Limit and weight. A quota per vCPU counts for as many vCPUs as the VM can have."""
    if cputune is None:
        return DEFAULT_ALLOCATION
    values = {child.tag: _whole(child.text, 0) for child in cputune if not len(child)}
    limit = None
    for scope, times in (("global_", 1), ("", cpus)):
        quota, period = values.get(f"{scope}quota", 0), values.get(f"{scope}period", 0) or 100_000
        if quota > 0:
            limit = max(1, quota * 1000 * times // period)
            break
    shares = values.get("shares", 0)
    weight = round(shares * NORMAL_SHARES / normal) if shares else NORMAL_SHARES
    return Allocation(limit=limit, shares=min(max(weight, 1), _MOST_SHARES))


def _memory_allocation(memtune: ET.Element | None) -> Allocation:
    limit = _size(memtune.find("hard_limit")) if memtune is not None else 0
    # Limits of exabytes are how older libvirts wrote "none".
    return Allocation(limit=limit) if 0 < limit < 2**60 else DEFAULT_ALLOCATION


def _firmware(os: ET.Element) -> tuple[bool, bool]:
    """Whether it is UEFI, and whether with secure boot: asked for as a feature, or by the loader itself."""
    loader = os.find("loader")
    if os.get("firmware") != "efi" and (loader is None or loader.get("type") != "pflash"):
        return False, False
    for feature in os.iterfind("firmware/feature"):
        if feature.get("name") == "secure-boot":
            return True, feature.get("enabled") == "yes"
    return True, loader is not None and loader.get("secure") == "yes"


def _boot_order(os: ET.Element, devices: ET.Element) -> tuple[BootDevice, ...]:
    """By kind, as ``<os>`` says it; others number their devices instead."""
    kinds = [_BOOT.get(boot.get("dev", "")) for boot in os.iterfind("boot")]
    if not kinds:
        numbered = [device for device in devices if device.find("boot") is not None]
        kinds = [_kind_of(device) for device in sorted(numbered, key=lambda one: _whole(_get(one, "boot", "order"), 0))]
    return tuple(dict.fromkeys(kind for kind in kinds if kind)) or _DEFAULT_BOOT


def _kind_of(device: ET.Element) -> BootDevice | None:
    if device.tag == "interface":
        return BootDevice.NETWORK
    if device.tag != "disk" or device.get("device") == "floppy":
        return None
    return BootDevice.CDROM if device.get("device") == "cdrom" else BootDevice.DISK


def _kernel(os: ET.Element) -> KernelBoot | None:
    kernel = os.findtext("kernel")
    if not kernel:
        return None
    try:
        return KernelBoot(kernel, os.findtext("initrd") or None, os.findtext("cmdline") or "")
    except InvalidRequest:  # a path that we would not take from a caller
        return None


def _container(os: ET.Element, devices: ET.Element) -> ContainerSpec | None:
    """What a container is made of, as it is, whether or not we would take it from a caller."""
    if os.findtext("type") != "exe":
        return None
    root = None
    for filesystem in devices.iterfind("filesystem"):
        if _get(filesystem, "target", "dir") == "/":
            places = (_get(filesystem, "source", name) for name in ("dir", "file", "dev", "name"))
            root = next(filter(None, places), None)
    if root == "/":  # libvirt's words, while it runs, for one that shares the host's
        root = None
    return changed(
        _A_CONTAINER,
        root=root,
        init=os.findtext("init") or INIT,
        arguments=tuple(word.text or "" for word in os.iterfind("initarg")),
        environment=tuple((value.get("name", ""), value.text or "") for value in os.iterfind("initenv")),
    )


def _topology(cpu: ET.Element | None) -> CpuTopology | None:
    """Dies and clusters are parts of a socket that our model does not have: each counts as a socket."""
    topology = cpu.find("topology") if cpu is not None else None
    if topology is None:
        return None
    sockets, dies, clusters, cores, threads = (
        max(1, _whole(topology.get(name), 1)) for name in ("sockets", "dies", "clusters", "cores", "threads")
    )
    return CpuTopology(sockets * dies * clusters, cores, threads)


def _get(element: ET.Element, child: str, attribute: str) -> str:
    found = element.find(child)
    return found.get(attribute, "") if found is not None else ""


def _whole(text: str | None, default: int) -> int:
    try:
        return int(text) if text else default
    except ValueError:
        return default


def _size(element: ET.Element | None) -> int:
    """Bytes; libvirt's default unit is the KiB."""
    return _whole(element.text, 0) * _UNITS.get(element.get("unit", "KiB"), 1024) if element is not None else 0
