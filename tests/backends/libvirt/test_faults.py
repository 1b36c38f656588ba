"""The connection breaks, or libvirtd is killed, at every call of an operation: what then is on the host.

Whatever call it is, the caller is told, and the host is as it was before or as it is after the operation; what stays
in between is named by the error. "As" is what raw libvirt and the directory of images show, not what hyperkit does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import PurePath
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest

import hyperkit
from hyperkit import (
    VM,
    ConnectionFailed,
    ConnectionLost,
    DiskSpec,
    Host,
    HyperkitError,
    IsolationPolicy,
    MiB,
    NicSpec,
    StaticLease,
    SwitchKind,
)
from tests.beds.libvirt_qemu import LibvirtHost, missing
from tests.beds.libvirt_qemu.cutting import CuttingProxy, Fault

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import undo  # noqa: E402

pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

SMALL = 16 * MiB
MANY = 100
"""Calls that no operation here needs."""

GUARDED = IsolationPolicy(spoof_guard=True)
DENYING = IsolationPolicy(dhcp_guard=True)
LEASE = StaticLease("52:54:00:00:00:01", "192.168.77.11")
OTHER = StaticLease("52:54:00:00:00:02", "192.168.77.12")
THIRD = StaticLease("52:54:00:00:00:03", "192.168.77.13")

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=nic-)[0-9a-f]{8}")
"""What another VM of the same kind has other than this one: its UUID, and its cards' ids."""

World = Mapping[str, frozenset[str]]


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture(scope="module")
def proxy(machine: LibvirtHost) -> Iterator[CuttingProxy]:
    with CuttingProxy(machine) as proxy:
        yield proxy


@attrs.frozen
class Operation:
    """Something to do to a host, and what has to be there first."""

    prepare: Callable[[Host], object]
    act: Callable[[Host], object]


def vm_of(host: Host) -> VM:
    return host.vms.one("web1")


def with_vm(host: Host) -> VM:
    return host.vms.create("web1", memory=SMALL, disks=[DiskSpec(size=MiB), DiskSpec(size=MiB)])


def with_paused_vm(host: Host) -> VM:
    return with_vm(host).start().pause()


def with_nic(host: Host) -> VM:
    host.switches.create("lan", SwitchKind.PRIVATE)
    return host.vms.create("web1", memory=SMALL, nics=[NicSpec(switch="lan")])


def with_paused_nic(host: Host) -> VM:
    return with_nic(host).start().pause()


def with_guarded_nic(host: Host) -> VM:
    host.switches.create("lan", SwitchKind.PRIVATE)
    return host.vms.create("web1", memory=SMALL, nics=[NicSpec(switch="lan", policy=GUARDED)])


def with_roomy_vm(host: Host) -> VM:
    return host.vms.create("web1", memory=128 * MiB, max_memory=512 * MiB, max_cpus=2).start()


def with_leases(host: Host) -> object:
    return host.switches.create("lan", SwitchKind.INTERNAL, subnet="192.168.77.0/24", leases=[LEASE, THIRD])


OPERATIONS = {
    "list": Operation(with_vm, lambda host: [vm.record.disks for vm in host.vms.list()]),
    "create": Operation(
        lambda host: host.switches.create("lan", SwitchKind.PRIVATE),
        lambda host: host.vms.create(
            "web1", memory=SMALL, autostart=True, disks=[DiskSpec(size=MiB)] * 2, nics=[NicSpec(switch="lan")]
        ),
    ),
    "create, all space taken": Operation(
        lambda host: None, lambda host: host.vms.create("web1", memory=SMALL, disks=[DiskSpec(size=MiB, thin=False)])
    ),
    "configure": Operation(with_vm, lambda host: vm_of(host).configure(cpus=2, notes="new", name="web2")),
    "attach": Operation(with_vm, lambda host: vm_of(host).disks.attach(DiskSpec(size=MiB, name="more"))),
    "hot-plug": Operation(with_paused_vm, lambda host: vm_of(host).disks.attach(DiskSpec(size=MiB, name="more"))),
    "hot-plug a NIC": Operation(with_paused_vm, lambda host: vm_of(host).nics.attach(NicSpec())),
    "snapshot": Operation(with_vm, lambda host: vm_of(host).snapshots.create("clean")),
    "hot-plug a NIC with a policy": Operation(
        with_paused_nic, lambda host: vm_of(host).nics.attach(NicSpec(switch="lan", policy=GUARDED))
    ),
    "attach a NIC with a policy": Operation(
        with_nic, lambda host: vm_of(host).nics.attach(NicSpec(switch="lan", policy=GUARDED))
    ),
    "set a policy": Operation(with_nic, lambda host: vm_of(host).nics[0].set_policy(GUARDED)),
    "set another policy": Operation(with_guarded_nic, lambda host: vm_of(host).nics[0].set_policy(DENYING)),
    "set a policy, hot": Operation(with_paused_nic, lambda host: vm_of(host).nics[0].set_policy(GUARDED)),
    "detach a NIC": Operation(with_guarded_nic, lambda host: vm_of(host).nics[0].detach()),
    "detach a disk": Operation(with_vm, lambda host: vm_of(host).disks[1].detach()),
    "configure, hot: CPUs": Operation(with_roomy_vm, lambda host: vm_of(host).configure(cpus=2, notes="new")),
    "configure, hot: memory": Operation(with_roomy_vm, lambda host: vm_of(host).configure(memory=256 * MiB)),
    "configure, hot: notes": Operation(with_paused_vm, lambda host: vm_of(host).configure(notes="new\r")),
    "suspend": Operation(with_paused_vm, lambda host: vm_of(host).suspend()),
    "lease": Operation(with_leases, lambda host: host.switches.one("lan").configure(leases=[OTHER, LEASE])),
    "start": Operation(with_vm, lambda host: vm_of(host).start()),
    "delete": Operation(with_vm, lambda host: vm_of(host).delete()),
    "create a switch": Operation(lambda host: None, lambda host: host.switches.create("lan", SwitchKind.PRIVATE)),
    "upload": Operation(
        lambda host: None,
        lambda host: host.datastores.one("default").volumes.upload(__file__, name="file.iso"),
    ),
}


def world(machine: LibvirtHost) -> World:
    """What is on the host, each thing in the words an error would name it by."""
    with closing(libvirt.open(machine.uri)) as conn:
        domains = conn.listAllDomains(0)
        return {
            "domains": frozenset(told for domain in domains for told in facts(domain)),
            "snapshots": frozenset(s.getName().split("~")[0] for domain in domains for s in domain.listAllSnapshots(0)),
            "files": frozenset(str(path) for path in machine.images.iterdir()),
            "pools": frozenset(pool.name() for pool in conn.listAllStoragePools(0)),
            "networks": frozenset(net.name() for net in conn.listAllNetworks(0) if net.isActive() and net.autostart()),
            "other networks": frozenset(
                net.name() for net in conn.listAllNetworks(0) if not (net.isActive() and net.autostart())
            ),
            "nwfilters": frozenset(f"web1 {rules(each)}" for each in conn.listAllNWFilters(0)),  # the VM's name
            "leases": frozenset(f"{net.name()} {leases(net)}" for net in conn.listAllNetworks(0)),
            "secrets": frozenset(secret.UUIDString() for secret in conn.listAllSecrets(0)),
        }


def facts(domain: Any) -> Iterator[str]:
    """A domain by its name, and what of it an operation changes."""
    for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE):
        tree = ET.fromstring(domain.XMLDesc(flags))
        vcpu, ceiling = tree.find("vcpu"), tree.findtext("maxMemory")
        cpus = "none" if vcpu is None else f"{vcpu.get('current')} of {vcpu.text}"
        known = [
            ID.sub("ID", ET.canonicalize(ET.tostring(each), strip_text=True)) for each in tree.iterfind("metadata/*")
        ]
        filters = [ID.sub("ID", each.get("filter", "")) for each in tree.iterfind("devices/interface/filterref")]
        disks = ",".join(sorted(source.get("file", "") for source in tree.iterfind("devices/disk/source")))
        nics = len(tree.findall("devices/interface"))
        notes = tree.findtext("description", "")
        yield (
            f"{domain.name()} active={domain.isActive()} autostart={domain.autostart()} {flags}: "
            f"saved={domain.hasManagedSaveImage()} {cpus} CPUs, {tree.findtext('memory')} of {ceiling} KiB, "
            f"{nics} NICs, filters {filters}, {notes!r}, {disks}, {known}"
        )


def rules(nwfilter: Any) -> str:
    return ID.sub("ID", ET.canonicalize(nwfilter.XMLDesc(0), strip_text=True))


def leases(network: Any) -> list[tuple[str, str | None]]:
    """Those of now and those of the next start."""
    flags = [libvirt.VIR_NETWORK_XML_INACTIVE, *([0] if network.isActive() else [])]
    return [
        (f"{flag}: {host.get('mac')}", host.get("ip"))
        for flag in flags
        for host in ET.fromstring(network.XMLDesc(flag)).iterfind("ip/dhcp/host")
    ]


def clean(machine: LibvirtHost) -> None:
    """As it was in the beginning, by raw libvirt."""
    with closing(libvirt.open(machine.uri)) as conn:
        for domain in conn.listAllDomains(0):
            if domain.isActive():
                with suppress(libvirt.libvirtError):  # the daemon that came back has just found its QEMU dead
                    domain.destroy()
            domain.undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
                | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            )
        for nwfilter in conn.listAllNWFilters(0):
            if nwfilter.name().startswith("hyperkit-"):
                nwfilter.undefine()
        for network in conn.listAllNetworks(0):
            if network.isActive():
                network.destroy()
            network.undefine()
        for pool in conn.listAllStoragePools(0):
            if pool.name() != "default":
                pool.destroy()
        for path in machine.images.iterdir():
            path.unlink()
        conn.storagePoolLookupByName("default").refresh(0)


def name_of(thing: str) -> str:
    return PurePath(thing.split(" ", maxsplit=1)[0]).name


def told_by(error: BaseException) -> str:
    """What it says stays: not its own words, which name the object that it is about."""
    return "\n".join(getattr(error, "__notes__", []))


ANSWER_LOST = {
    *("hot-plug a NIC with a policy", "attach a NIC with a policy", "set a policy", "set another policy"),
    *("set a policy, hot", "detach a NIC", "detach a disk", "suspend", "lease"),
    *("configure, hot: CPUs", "configure, hot: memory", "configure, hot: notes"),
}
"""Of these only the hardest fault is tried, lest the tests take an hour: done, and nobody was told."""
CASES = [
    (name, fault) for name in OPERATIONS for fault in Fault if fault is Fault.UNANSWERED or name not in ANSWER_LOST
]


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_every_call_may_be_the_last(
    machine: LibvirtHost, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch, name: str, fault: Fault
) -> None:
    monkeypatch.setattr(undo, "_STEP", 0.05)
    operation = OPERATIONS[name]

    def prepared() -> World:
        clean(machine)
        with hyperkit.connect(machine.uri) as host:
            operation.prepare(host)
        return world(machine)

    before = prepared()
    with hyperkit.connect(machine.uri) as host:
        operation.act(host)
    after = done = world(machine)

    wrong: list[str] = []
    for number in range(1, MANY):
        if after != before:
            assert prepared() == before
        error: HyperkitError | None = None
        with hyperkit.connect(proxy.uri) as host:
            proxy.break_at(number, fault)
            try:
                operation.act(host)
            except HyperkitError as caught:
                error = caught
            came = proxy.rest()
            host.vms.list()  # whatever comes next finds a session that works
        after = world(machine)
        if not came:
            assert (error, after) == (None, done)
            break
        if error is not None and not isinstance(error, ConnectionLost | ConnectionFailed):
            wrong.append(f"call {number}: {type(error).__name__}: {error}")
        if after == done or (error is not None and after == before):
            continue
        told = told_by(error) if error is not None else ""
        left = [thing for kind in after for thing in after[kind] - before[kind]]
        changed = {name_of(thing) for thing in left}  # is there still, and has to be told as what is left
        lost = [thing for kind in after for thing in before[kind] - after[kind] if name_of(thing) not in changed]
        unnamed = [thing for thing in left if name_of(thing) not in told]
        if unnamed or lost or error is None:
            wrong.append(f"call {number}: left {left}, lost {lost}, told: {told or 'nothing'}")
    else:
        pytest.fail(f"the fault still came at call {MANY}")
    assert number > 1
    assert not wrong, "\n".join([f"of {number - 1} calls:", *wrong])
