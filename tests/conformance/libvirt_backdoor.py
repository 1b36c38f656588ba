"""Back doors to libvirt hosts: libvirt-python without hyperkit, and QEMU's own tools for disk images."""

from __future__ import annotations

import base64
import ipaddress
import itertools
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import libvirt
import libvirt_qemu

from hyperkit import Allocation, KiB, PowerState
from hyperkit.testing.backdoor import Network, PlainBackdoor, Plug, Shape
from tests.beds.libvirt_qemu import ContainerRoot

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.OFF,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
}


class LibvirtBackdoor(PlainBackdoor):
    """What every libvirt driver tells; where the files are is for the derived classes to say."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def vm_ids(self) -> set[str]:
        return {domain.UUIDString() for domain in self.connection.listAllDomains()}

    def power_state(self, vm_id: str) -> PowerState | None:
        domain = next((d for d in self.connection.listAllDomains() if d.UUIDString() == vm_id), None)
        if domain is None:
            return None
        state = _STATES[domain.state()[0]]
        return PowerState.SUSPENDED if state is PowerState.OFF and domain.hasManagedSaveImage() else state

    def shape(self, vm_id: str) -> Shape:
        domain = self.connection.lookupByUUIDString(vm_id)
        _state, _most, kib, cpus, _time = domain.info()
        devices = ElementTree.fromstring(domain.XMLDesc()).find("devices")
        assert devices is not None
        return Shape(
            name=domain.name(),
            cpus=cpus,
            memory=kib * KiB,
            disks=frozenset(source.get("file", "") for source in devices.iterfind("disk[@device='disk']/source")),
            macs=frozenset(mac.get("address", "") for mac in devices.iterfind("interface/mac")),
        )

    def allocations(self, vm_id: str) -> tuple[Allocation, Allocation]:
        domain = self.connection.lookupByUUIDString(vm_id)
        cpu = domain.schedulerParametersFlags(libvirt.VIR_DOMAIN_AFFECT_CURRENT)
        scope = "global" if "global_quota" in cpu else "vcpu"  # of a container, whose only quota is of all of it
        period, quota = cpu[f"{scope}_period"], cpu[f"{scope}_quota"]
        kib = domain.memoryParameters(libvirt.VIR_DOMAIN_AFFECT_CURRENT)["hard_limit"]
        return (
            # 1024 is the normal weight of control groups version 1, which the bed has; 2**53 - 1 KiB is no limit
            # (VIR_DOMAIN_MEMORY_PARAM_UNLIMITED).
            Allocation(limit=quota * 1000 // period if quota > 0 else None, shares=cpu["cpu_shares"] * 100 // 1024),
            Allocation(limit=kib * KiB if kib < 2**53 - 1 else None),
        )

    def plugs(self, vm_id: str) -> dict[str, Plug]:
        found = {}
        for nic in ElementTree.fromstring(self.connection.lookupByUUIDString(vm_id).XMLDesc()).iterfind(
            "devices/interface"
        ):
            network, link = _attribute(nic, "source", "network"), _attribute(nic, "link", "state")
            found[_attribute(nic, "mac", "address") or ""] = Plug(network, _vlan(nic), link != "down")
        return found

    def snapshots(self, vm_id: str) -> dict[str, str | None]:
        found = self.connection.lookupByUUIDString(vm_id).listAllSnapshots()
        trees = [ElementTree.fromstring(snapshot.getXMLDesc()) for snapshot in found]
        parents = {tree.findtext("name", ""): tree.findtext("parent/name") for tree in trees}
        # Without the random part, which images tell them apart by.
        return {name.split("~")[0]: parent and parent.split("~")[0] for name, parent in parents.items()}

    def switch_names(self) -> set[str]:
        return {network.name() for network in self.connection.listAllNetworks()}

    def network(self, name: str) -> Network:
        network = self.connection.networkLookupByName(name)
        tree = ElementTree.fromstring(network.XMLDesc())
        mode, address = _attribute(tree, "forward", "mode"), tree.find("ip")
        uplink = _attribute(tree, "bridge", "name") or _attribute(tree, "forward/interface", "dev")
        subnet = None
        if address is not None:
            length = address.get("prefix") or address.get("netmask")
            subnet = str(ipaddress.ip_interface(f"{address.get('address')}/{length}").network)
        return Network(
            uplink=uplink if mode == "bridge" else None,
            subnet=subnet,
            nat=mode == "nat",
            dhcp=tree.find("ip/dhcp") is not None,
            openvswitch=_attribute(tree, "virtualport", "type") == "openvswitch",
            vlan=_vlan(tree),
            active=bool(network.isActive()),
        )


def _attribute(tree: ElementTree.Element, path: str, name: str) -> str | None:
    found = tree.find(path)
    return None if found is None else found.get(name)


def _vlan(tree: ElementTree.Element) -> int | None:
    """Of a NIC or network; Open vSwitch's 0 is none."""
    return int(_attribute(tree, "vlan/tag", "id") or 0) or None


class QemuBackdoor(LibvirtBackdoor):
    """A host whose one pool is a directory that can be looked into."""

    def __init__(self, connection: Any, images: Path) -> None:
        super().__init__(connection)
        self._images = images
        self._numbers = itertools.count(1)

    def files(self) -> set[str]:
        return {str(path) for path in self._images.iterdir()}

    def capacity(self, datastore: str) -> int:
        space = os.statvfs(self._images)
        return space.f_frsize * space.f_blocks

    def disk_size(self, path: str) -> int:
        told = json.loads(_run("qemu-img", "info", "-U", "--output=json", path))
        return int(told["virtual-size"])

    def disk_space(self, path: str) -> int:
        return os.stat(path).st_blocks * 512

    def make_disk(self, size: int) -> str:
        path = str(self._images / f"foreign-{next(self._numbers)}.qcow2")
        _run("qemu-img", "create", "-q", "-f", "qcow2", path, str(size))
        return path

    def remove(self, path: str) -> None:
        Path(path).unlink()

    def write(self, path: str, offset: int, data: bytes) -> None:
        with tempfile.NamedTemporaryFile() as source:
            source.write(data)
            source.flush()
            _run("qemu-io", "-c", f"write -s {source.name} {offset} {len(data)}", path)

    def read(self, path: str, offset: int, length: int) -> bytes:
        with tempfile.TemporaryDirectory() as directory:
            copy = Path(directory) / "copy"
            _run("qemu-img", "convert", "-O", "raw", path, str(copy))
            return copy.read_bytes()[offset : offset + length]

    def boot_id(self, vm_id: str) -> str | None:
        try:
            return guest_file(self.connection.lookupByUUIDString(vm_id), "/proc/sys/kernel/random/boot_id").strip()
        except libvirt.libvirtError:
            return None


def guest_file(domain: Any, path: str) -> str:
    """What is in a file of the guest."""
    handle = ask_agent(domain, "guest-file-open", path=path)
    told = ask_agent(domain, "guest-file-read", handle=handle)
    ask_agent(domain, "guest-file-close", handle=handle)
    return base64.b64decode(told["buf-b64"]).decode()


class LxcBackdoor(QemuBackdoor):
    """Containers, whose root tells their boots."""

    def __init__(self, connection: Any, images: Path, root: ContainerRoot) -> None:
        super().__init__(connection, images)
        self._root = root

    def shape(self, vm_id: str) -> Shape:
        # Of a container that runs, libvirt tells how much of its memory it uses, as if that were its size.
        most = self.connection.lookupByUUIDString(vm_id).info()[1]
        return attrs.evolve(super().shape(vm_id), memory=most * KiB)

    def boot_id(self, vm_id: str) -> str | None:
        return self._root.boot_of(vm_id)


def ask_agent(domain: Any, command: str, **arguments: Any) -> Any:
    """What the guest's agent answers, within two seconds."""
    asked = json.dumps({"execute": command, "arguments": arguments})
    return json.loads(libvirt_qemu.qemuAgentCommand(domain, asked, 2, 0))["return"]


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class TestDriverBackdoor(LibvirtBackdoor):
    """libvirt's test driver: its pools and volumes are names in its memory, without any content."""

    __test__ = False  # pytest takes it for tests, by its name

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._numbers = itertools.count(1)

    def files(self) -> set[str]:
        return {volume.path() for pool in self.connection.listAllStoragePools() for volume in pool.listAllVolumes()}

    def capacity(self, datastore: str) -> int:
        return int(self.connection.storagePoolLookupByName(datastore).info()[1])

    def disk_size(self, path: str) -> int:
        return int(self.connection.storageVolLookupByPath(path).info()[1])

    def disk_space(self, path: str) -> int:
        return int(self.connection.storageVolLookupByPath(path).info()[2])

    def make_disk(self, size: int) -> str:
        pool = self.connection.listAllStoragePools()[0]
        name = f"foreign-{next(self._numbers)}.qcow2"
        volume = pool.createXML(
            f"<volume><name>{name}</name><capacity>{size}</capacity><target><format type='qcow2'/></target></volume>"
        )
        return str(volume.path())

    def remove(self, path: str) -> None:
        self.connection.storageVolLookupByPath(path).delete(0)

    def write(self, path: str, offset: int, data: bytes) -> None:
        raise AssertionError("there is no content: the bed does not have that fact")

    def read(self, path: str, offset: int, length: int) -> bytes:
        raise AssertionError("there is no content: the bed does not have that fact")

    def boot_id(self, vm_id: str) -> str | None:
        raise AssertionError("there is no guest: the bed does not have that fact")
