"""Making a VM's record of its properties."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from hyperkit.backends.esxi import addresses, allocation, devices, guest_ids, kept, states
from hyperkit.backends.esxi.elements import Element, child, children, flag, kind, number, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.properties import Found
from hyperkit.records import AgentState, QuestionRecord, VMRecord
from hyperkit.specs import BootDevice, CpuTopology, Firmware
from hyperkit.states import PowerState
from hyperkit.units import MiB

PATHS = (
    "name",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.host",
    "runtime.question",
    "runtime.consolidationNeeded",
    "summary.config.numCpu",
    "summary.config.memorySizeMB",
    "summary.config.template",
    "config.hardware",
    "config.bootOptions",
    "config.cpuAllocation",
    "config.memoryAllocation",
    "config.cpuHotAddEnabled",
    "config.memoryHotAddEnabled",
    "config.hotPlugMemoryLimit",
    "config.firmware",
    "config.guestId",
    "config.annotation",
    "guest.net",
    "guest.toolsRunningStatus",
    "guest.toolsVersionStatus2",
)
"""What is read of each VM. What hyperkit keeps with it comes besides: `KEPT`, or `OPTIONS` of a host that cannot tell
it alone.
"""

OPTIONS = "config.extraConfig"
KEPT = f'{OPTIONS}["{kept.KEY}"]'
"""An item of an array by its key. That hosts serve such paths is seen in what runs against them: CloudStack reads
``config.extraConfig["RemoteDisplay.vnc.port"]`` of all VMs so, and gets an OptionValue of each that has one.
"""

_BOOT = {
    "VirtualMachineBootOptionsBootableDiskDevice": BootDevice.DISK,
    "VirtualMachineBootOptionsBootableCdromDevice": BootDevice.CDROM,
    "VirtualMachineBootOptionsBootableEthernetDevice": BootDevice.NETWORK,
}
_BOOT_WORDS = frozenset(BootDevice)


@attrs.frozen(kw_only=True)
class Host:
    """What of a machine is in the records of its VMs.

    Attributes:
        name: its name.
        mhz: speed of a CPU.
        cpus: the most vCPUs that a VM can have on it; 0 if it does not say.
        autostart: ids of the VMs that start with it.
    """

    name: str
    mhz: int
    cpus: int
    autostart: frozenset[str]


@attrs.frozen(kw_only=True)
class References:
    """What VMs refer to.

    Attributes:
        networks: names by the ids of their Network objects.
        hosts: by the ids of their HostSystems.
        named: whether records name their VM's host, which they do where one connection serves several.
    """

    networks: Mapping[str, str]
    hosts: Mapping[str, Host]
    named: bool


def references(found: Iterable[Found], *, named: bool) -> References:
    """What of this are networks and hosts."""
    networks, hosts, starting = {}, [], {}
    for one in found:
        if one.ref.kind == "HostSystem":
            hosts.append(one)
        elif one.ref.kind == "HostAutoStartManager":
            starting[one.ref.id] = _autostart(one.values.get("config"))
        elif one.ref.kind != "VirtualMachine":
            networks[one.ref.id] = from_vsphere(text(one.values.get("name")))
    return References(
        networks=networks,
        hosts={one.ref.id: _host(one.values, starting) for one in hosts},
        named=named,
    )


def _host(values: Mapping[str, Element], starting: Mapping[str, frozenset[str]]) -> Host:
    hardware = values.get("summary.hardware")
    return Host(
        name=from_vsphere(text(values.get("name"))),
        mhz=number(hardware, "cpuMhz") or NOWHERE.mhz,
        cpus=number(hardware, "numCpuThreads") or 0,
        autostart=starting.get(text(values.get("configManager.autoStartManager")), frozenset()),
    )


def _autostart(config: Element | None) -> frozenset[str]:
    """Ids of the VMs that start with the host, if any do."""
    if not flag(config, "defaults", "enabled"):
        return frozenset()
    return frozenset(
        text(one, "key") for one in children(config, "powerInfo") if text(one, "startAction").lower() == "poweron"
    )


NOWHERE = Host(name="", mhz=1000, cpus=0, autostart=frozenset())
"""What a VM is on that vSphere names no host for."""


def record(found: Found, references: References) -> VMRecord:
    """The whole record; as much of it as there is, for a VM whose configuration the host cannot read now."""
    values = found.values
    host = references.hosts.get(text(values.get("runtime.host")), NOWHERE)
    power = states.power(text(values.get("runtime.powerState")), text(values.get("runtime.connectionState")))
    hardware, boot = values.get("config.hardware"), values.get("config.bootOptions")
    ours = kept.of(values.get(KEPT, values.get(OPTIONS)))
    cpus = number(hardware, "numCPU") or number(values.get("summary.config.numCpu")) or 0
    memory = (number(hardware, "memoryMB") or number(values.get("summary.config.memorySizeMB")) or 0) * MiB
    max_cpus = max(cpus, ours.max_cpus or (host.cpus if flag(values.get("config.cpuHotAddEnabled")) else 0))
    devs = devices.of(
        devices.present(hardware),
        created=ours.created,
        networks=references.networks,
        addresses=_addresses(values.get("guest.net")),
        running=power.state is PowerState.RUNNING,
    )
    return VMRecord(
        id=found.ref.id,
        name=from_vsphere(text(values.get("name"))),
        state=power.state,
        reason=power.reason,
        cpus=cpus,
        memory=memory,
        max_cpus=max_cpus,
        max_memory=max(memory, ours.max_memory or _memory_ceiling(values)),
        topology=_topology(hardware, max_cpus, ours.single_cores),
        cpu_allocation=allocation.cpu_from_vsphere(values.get("config.cpuAllocation"), cpus=cpus, mhz=host.mhz),
        memory_allocation=allocation.memory_from_vsphere(values.get("config.memoryAllocation"), memory=memory),
        disks=devs.disks,
        nics=devs.nics,
        cdroms=devs.cdroms,
        guest_os=guest_ids.hint(text(values.get("config.guestId")), ours.guest_os),
        firmware=Firmware.UEFI if text(values.get("config.firmware")) == "efi" else Firmware.BIOS,
        secure_boot=flag(boot, "efiSecureBootEnabled") or False,
        tpm=devs.tpm,
        boot_order=_boot_order(boot, ours.boot_order),
        notes=text(values.get("config.annotation")),
        tags=ours.tags,
        autostart=found.ref.id in host.autostart,
        host=host.name if references.named else "",
        template=flag(values.get("summary.config.template")) or False,
        agent=_agent(text(values.get("guest.toolsRunningStatus")), text(values.get("guest.toolsVersionStatus2"))),
        question=question(values.get("runtime.question")),
        consolidation_needed=flag(values.get("runtime.consolidationNeeded")) or False,
    )


def option(options: Element | None, key: str) -> str:
    """The value of an option in an array of ``OptionValue``; empty if it is not there."""
    for each in children(options):  # a field is counted off, for there are dozens of options
        if each[0].text == key:
            return text(each, "value")
    return ""


def question(info: Element | None) -> QuestionRecord | None:
    """What a VM waits for an answer to."""
    if info is None or not text(info, "id"):
        return None
    choices = {
        text(one, "key"): text(one, "label") or text(one, "summary")
        for one in children(child(info, "choice"), "choiceInfo")
    }
    default = number(info, "choice", "defaultIndex")
    keys = list(choices)
    return QuestionRecord(
        id=text(info, "id"),
        text=text(info, "text"),
        choices=choices,
        default=keys[default] if default is not None and 0 <= default < len(keys) else None,
    )


def _addresses(net: Element | None) -> dict[str, tuple[str, ...]]:
    """What VMware Tools tell of each card, by its device key."""
    told: dict[str, tuple[str, ...]] = {}
    for key, record in addresses.of(net):
        told[key] = (*told.get(key, ()), record.address)
    return told


def _memory_ceiling(values: Mapping[str, Element]) -> int:
    if not flag(values.get("config.memoryHotAddEnabled")):
        return 0
    return (number(values.get("config.hotPlugMemoryLimit")) or 0) * MiB


def _topology(hardware: Element | None, max_cpus: int, single_cores: bool) -> CpuTopology | None:
    """One core for each socket is vSphere's own choice, and so is what it says that it chose itself (since 8.0)."""
    cores = number(hardware, "numCoresPerSocket") or 1
    if (cores == 1 and not single_cores) or max_cpus % cores or flag(hardware, "autoCoresPerSocket"):
        return None
    return CpuTopology(sockets=max_cpus // cores, cores=cores)


def _boot_order(boot: Element | None, given: Sequence[str]) -> tuple[BootDevice, ...]:
    """By what the host tells; or as it was given, if that is the same but for devices that the VM does not have."""
    entries = (_BOOT.get(kind(one)) for one in children(boot, "bootOrder"))
    told = tuple(dict.fromkeys(entry for entry in entries if entry is not None))
    meant = tuple(BootDevice(word) for word in dict.fromkeys(given) if word in _BOOT_WORDS)
    if meant and told == tuple(device for device in meant if device in told):
        return meant
    return told or (BootDevice.DISK,)


def _agent(running: str, version: str) -> AgentState:
    if running in ("guestToolsRunning", "guestToolsExecutingScripts"):
        return AgentState.RUNNING
    if version == "guestToolsNotInstalled":
        return AgentState.MISSING
    return AgentState.STOPPED if version else AgentState.UNKNOWN
