"""Changes of a domain's XML, one function each, used on a new domain and on one that is there.

Each touches only what it is about, so that a domain made by somebody else keeps everything we do not know.
The order of elements means nothing to libvirt.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import attrs

from hyperkit.backends.libvirt import metadata
from hyperkit.backends.libvirt.xml_read import parse, target_size
from hyperkit.checks import refuse
from hyperkit.specs import DEFAULT_ALLOCATION, NORMAL_SHARES, Allocation, BootDevice, CpuTopology
from hyperkit.units import KiB, to_unit

_BOOT = {BootDevice.DISK: "hd", BootDevice.CDROM: "cdrom", BootDevice.NETWORK: "network"}
_SLOTS = "16"
_PERIOD = 100_000
_LEAST_QUOTA = 1000


def parse_whole(text: str) -> ET.Element:
    """XML that is to be written back, with the comments in others' metadata."""
    parse(text)
    return ET.fromstring(text, ET.XMLParser(target=ET.TreeBuilder(insert_comments=True)))  # noqa: S314  parse looked


def text_of(tree: ET.Element) -> str:
    """What libvirt is given. ElementTree writes a carriage return as it is, which XML takes for a line's end."""
    return ET.tostring(tree, "unicode").replace("\r", "&#13;")


def child(parent: ET.Element, tag: str) -> ET.Element:
    """The child with this tag, made if there is none."""
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


def drop(parent: ET.Element | None, *tags: str) -> None:
    """Remove the children with these tags."""
    if parent is not None:
        for tag in tags:
            for found in parent.findall(tag):
                parent.remove(found)


def set_name(domain: ET.Element, name: str) -> None:
    """The label."""
    child(domain, "name").text = name


def set_notes(domain: ET.Element, notes: str) -> None:
    """The ``<description>``, which others show too."""
    drop(domain, "description")
    if notes:
        ET.SubElement(domain, "description").text = notes
    metadata.replace(domain, metadata.read(domain.find("metadata")).with_notes(notes))


def set_tags(domain: ET.Element, tags: tuple[str, ...]) -> None:
    """In our own metadata: libvirt has no word for them."""
    metadata.replace(domain, metadata.read(domain.find("metadata")).with_tags(tags))


def set_cpus(domain: ET.Element, cpus: int, most: int) -> None:
    """Processors at start, and sockets for more."""
    vcpu = child(domain, "vcpu")
    vcpu.text = str(most)
    vcpu.attrib.pop("current", None)
    if cpus != most:
        vcpu.set("current", str(cpus))
    drop(domain, "vcpus")  # says the same one by one, once vCPUs were hot-plugged
    cells = domain.findall("cpu/numa/cell")
    if len(cells) == 1:
        cells[0].set("cpus", _cpus(most))
    elif cells:
        refuse("max_cpus", most, "this VM's CPUs are divided among NUMA cells; change those with libvirt's own tools")
    tune = domain.find("cputune")
    for pin in tune.findall("vcpupin") if tune is not None else []:
        if int(pin.get("vcpu", "0")) >= most:
            tune.remove(pin)  # type: ignore[union-attr]


def set_memory(domain: ET.Element, memory: int, most: int) -> None:
    """Memory at start, all of it in one piece, and room for more in DIMM slots.

    Not by a balloon below ``<memory>``: that starts with all of the memory, and gives some back only once the
    guest has loaded a driver. Nor by DIMMs: of those guests know only when they have booted, and may not use them.
    Slots need a NUMA cell.
    """
    ceiling = domain.find("maxMemory")
    slots = ceiling.get("slots", _SLOTS) if ceiling is not None else _SLOTS
    drop(domain, "maxMemory")
    for tag in ("memory", "currentMemory"):
        _set_size(child(domain, tag), memory, "memory")
    cells = domain.findall("cpu/numa/cell")
    if len(cells) > 1:
        refuse("memory", memory, "this VM's memory is divided among NUMA cells; change those with libvirt's own tools")
    plugged = _fold(domain)
    if plugged >= memory:
        refuse("memory", memory, f"more than the {plugged} bytes in DIMMs that this VM has")
    if most != memory or plugged:
        _set_size(ET.SubElement(domain, "maxMemory", slots=slots), most, "max_memory")
        if not cells:
            numa = child(child(domain, "cpu"), "numa")
            cells = [ET.SubElement(numa, "cell", id="0", cpus=_cpus(int(domain.findtext("vcpu", "1"))))]
    for cell in cells:
        _set_size(cell, memory - plugged, "memory", "memory")


def _fold(domain: ET.Element) -> int:
    """Drop DIMMs that are just memory; returns the bytes in modules that stay, which somebody gave a source."""
    devices = domain.find("devices")
    for module in domain.findall("devices/memory[@model='dimm']"):
        if not {part.tag for part in module} - {"target", "address", "alias"}:
            devices.remove(module)  # type: ignore[union-attr]
    return sum(target_size(module) for module in domain.iterfind("devices/memory"))


def dimm(size: int) -> ET.Element:
    """Memory to be plugged into a slot of the one NUMA cell."""
    module = ET.Element("memory", model="dimm")
    target = ET.SubElement(module, "target")
    _set_size(ET.SubElement(target, "size"), size, "memory")
    ET.SubElement(target, "node").text = "0"
    return module


def set_topology(domain: ET.Element, topology: CpuTopology) -> None:
    """How the guest sees its CPUs."""
    cpu = child(domain, "cpu")
    drop(cpu, "topology")
    counts = {name: str(getattr(topology, name)) for name in ("sockets", "cores", "threads")}
    ET.SubElement(cpu, "topology", counts)


def set_cpu_allocation(domain: ET.Element, allocation: Allocation, normal: int) -> None:
    """Limit and weight by control groups; ``normal`` is the host's number for 100 shares.

    The limit is a quota of the whole VM: QEMU's own threads are used for it too. Every thousandth of a CPU is
    a whole number of microseconds, in a longer period where the quota would be below the kernel's least.
    A container's only quota is one of all of it, whose name says nothing of that.
    """
    scope = "" if domain.findtext("os/type") == "exe" else "global_"
    tune = child(domain, "cputune")
    drop(tune, "shares", "quota", "period", "global_quota", "global_period")
    wanted = scheduler_parameters(allocation, normal)
    if allocation.shares != NORMAL_SHARES:
        ET.SubElement(tune, "shares").text = str(wanted["cpu_shares"])
    if allocation.limit is not None:
        for what in ("period", "quota"):
            ET.SubElement(tune, scope + what).text = str(wanted[f"global_{what}"])
    _drop_if_empty(domain, tune)


def scheduler_parameters(allocation: Allocation, normal: int) -> dict[str, int]:
    """The same for virDomainSetSchedulerParameters, where no limit is a quota of -1."""
    limit, period, quota = allocation.limit, _PERIOD, -1
    if limit is not None:
        period = _PERIOD if limit * _PERIOD >= _LEAST_QUOTA * 1000 else _PERIOD * 10
        quota = limit * period // 1000
    # Rounding is undone when it is read: there are more than a hundred of libvirt's to a hundred of ours.
    shares = round(allocation.shares * normal / NORMAL_SHARES)
    return {"cpu_shares": shares, "global_period": period, "global_quota": quota}


def set_memory_allocation(domain: ET.Element, allocation: Allocation) -> None:
    """A limit by control groups. It counts what QEMU needs for itself, and the kernel ends what passes it."""
    tune = child(domain, "memtune")
    drop(tune, "hard_limit")
    if allocation.limit is not None:
        _set_size(ET.SubElement(tune, "hard_limit"), allocation.limit, "memory_allocation.limit")
    _drop_if_empty(domain, tune)


def set_boot_order(domain: ET.Element, order: tuple[BootDevice, ...]) -> None:
    """By kind; the numbers that others give single devices cannot stand beside it."""
    os = child(domain, "os")
    drop(os, "boot")
    for device in domain.iterfind("devices/*"):
        drop(device, "boot")
    for kind in order:
        ET.SubElement(os, "boot", dev=_BOOT[kind])


def set_secure_boot(domain: ET.Element, on: bool) -> None:
    """Have libvirt choose the firmware image; left to itself it takes one with secure boot."""
    os = child(domain, "os")
    os.set("firmware", "efi")
    drop(os, "firmware", "loader", "nvram")
    firmware = ET.SubElement(os, "firmware")
    for feature in ("secure-boot", "enrolled-keys"):
        ET.SubElement(firmware, "feature", enabled="yes" if on else "no", name=feature)


def set_uefi_variables(domain: ET.Element, path: str) -> None:
    """The file of UEFI variables, such as what the guest's installer told the firmware to boot."""
    child(child(domain, "os"), "nvram").text = path


def set_tpm(domain: ET.Element, on: bool) -> None:
    """A TPM 2.0 by swtpm, or none."""
    devices = child(domain, "devices")
    if on and devices.find("tpm") is not None:
        return
    drop(devices, "tpm")
    if on:
        tpm = ET.SubElement(devices, "tpm", model="tpm-crb")
        ET.SubElement(tpm, "backend", type="emulator", version="2.0")


def set_guest_os(domain: ET.Element, guest_os: str) -> None:
    """The hint; devices stay as they are."""
    metadata.replace(domain, evolved(domain, guest_os=guest_os))


def evolved(domain: ET.Element, **fields: Any) -> metadata.Extra:
    """Our metadata of this domain with some fields different."""
    return attrs.evolve(metadata.read(domain.find("metadata")), **fields)


def is_default(allocation: Allocation) -> bool:
    """Whether nothing needs to be written for it."""
    return allocation == DEFAULT_ALLOCATION


def _set_size(element: ET.Element, size: int, field: str, attribute: str | None = None) -> None:
    count = str(to_unit(size, KiB, field=field))
    element.set("unit", "KiB")
    if attribute:
        element.set(attribute, count)
    else:
        element.text = count


def _drop_if_empty(parent: ET.Element, element: ET.Element) -> None:
    if not len(element):
        parent.remove(element)


def _cpus(count: int) -> str:
    return "0" if count == 1 else f"0-{count - 1}"
