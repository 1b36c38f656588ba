"""A back door to a vSphere simulator: pyVmomi without hyperkit, in a session of its own, and the datastores' files."""

from __future__ import annotations

import itertools
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim

from hyperkit import Allocation, KiB, MiB, PowerState
from hyperkit.specs.isolation import OPEN, IsolationPolicy
from hyperkit.testing.backdoor import Backdoor, Network, Plug, Shape
from tests.beds.vcsim import Vcsim

_STATES = {
    "poweredOn": PowerState.RUNNING,
    "poweredOff": PowerState.OFF,
    "suspended": PowerState.SUSPENDED,
}
_OWN_FILES = {".vmx", ".vmxf", ".vmsd", ".vmsn", ".vmss", ".vmem", ".nvram", ".log", ".vswp"}
"""What a VM has beside its .vmx file, and takes with it."""


class VsphereBackdoor(Backdoor):
    """One simulator, an ESXi host or a vCenter."""

    def __init__(self, sim: Vcsim) -> None:
        self._sim = sim
        self._numbers = itertools.count(1)
        self.instance = SmartConnect(
            host=sim.host,
            port=sim.port,
            user=sim.user,
            pwd=sim.password,
            sslContext=ssl.create_default_context(cafile=str(sim.ca_file)),
        )
        self.content = self.instance.RetrieveContent()

    def close(self) -> None:
        Disconnect(self.instance)

    def vm_ids(self) -> set[str]:
        return {vm._GetMoId() for vm in self._all(vim.VirtualMachine)}

    def power_state(self, vm_id: str) -> PowerState | None:
        if vm_id not in self.vm_ids():
            return None
        return _STATES[self._vm(vm_id).runtime.powerState]

    def shape(self, vm_id: str) -> Shape:
        vm = self._vm(vm_id)
        config = vm.config
        return Shape(
            name=_plain(vm.name),
            cpus=config.hardware.numCPU,
            memory=config.hardware.memoryMB * MiB,
            disks=frozenset(disk.backing.fileName for disk in _devices(config, vim.vm.device.VirtualDisk)),
            macs=frozenset(card.macAddress for card in _devices(config, vim.vm.device.VirtualEthernetCard)),
        )

    def allocations(self, vm_id: str) -> tuple[Allocation, Allocation]:
        vm = self._vm(vm_id)
        config, mhz = vm.config, vm.runtime.host.summary.hardware.cpuMhz
        cpu, memory = config.cpuAllocation, config.memoryAllocation
        # The normal shares are 1000 of each CPU and 10 of each MiB.
        cpus, mib = config.hardware.numCPU, config.hardware.memoryMB
        return (
            Allocation(
                reservation=round(cpu.reservation * 1000 / mhz),
                limit=None if cpu.limit == -1 else round(cpu.limit * 1000 / mhz),
                shares=_shares(cpu.shares, cpus * 1000),
            ),
            Allocation(
                reservation=memory.reservation * MiB,
                limit=None if memory.limit == -1 else memory.limit * MiB,
                shares=_shares(memory.shares, mib * 10),
            ),
        )

    def plugs(self, vm_id: str) -> dict[str, Plug]:
        vm = self._vm(vm_id)
        config, running = vm.config, vm.runtime.powerState == "poweredOn"
        found = {}
        for card in _devices(config, vim.vm.device.VirtualEthernetCard):
            link = card.connectable.connected if running else card.connectable.startConnected
            found[card.macAddress] = self._plug(card, link)
        return found

    def _plug(self, card: Any, link: bool) -> Plug:
        mark = re.fullmatch("hyperkit/unplugged(/down)?", card.externalId or "")
        if mark is not None:
            # Every card is on some network; one that hyperkit calls unplugged must have no link to it, now or later.
            assert not card.connectable.connected
            assert not card.connectable.startConnected
            return Plug(None, link_up=mark[1] is None)
        if isinstance(card.backing, vim.vm.device.VirtualEthernetCard.NetworkBackingInfo):
            return Plug(_plain(card.backing.deviceName), link_up=link)
        groups = {group._GetMoId(): name for group, name in self._networks()}
        return Plug(groups[card.backing.port.portgroupKey], link_up=link)

    def snapshots(self, vm_id: str) -> dict[str, str | None]:
        info = self._vm(vm_id).snapshot
        return dict(_tree(info.rootSnapshotList, None)) if info else {}

    def switch_names(self) -> set[str]:
        return {name for _, name in self._networks()}

    def network(self, name: str) -> Network:
        (group,) = (network for network, called in self._networks() if called == name)
        if isinstance(group, vim.dvs.DistributedVirtualPortgroup):
            return _distributed(group.config)
        host = group.host[0]
        info = host.configManager.networkSystem.networkInfo
        (port_group,) = (each for each in info.portgroup if _plain(each.spec.name) == name)
        switch = next(each for each in info.vswitch if each.key == port_group.vswitch)
        cards = {card.key: card.device for card in info.pnic}
        security = port_group.computedPolicy.security
        return Network(
            uplink=cards[switch.pnic[0]] if switch.pnic else None,
            vlan=port_group.spec.vlanId or None,
            policy=_policy(
                promiscuous=security.allowPromiscuous, forged=security.forgedTransmits, changes=security.macChanges
            ),
        )

    def files(self) -> set[str]:
        """Those of no VM, and the disks of all: a descriptor stands for the file of its data. Empty directories too."""
        found: set[str] = set()
        homes = {self._vm(vm_id).config.files.vmPathName.rpartition("/")[0] for vm_id in self.vm_ids()}
        for name, root in self._sim.datastores.items():
            data = {path.parent / extent for path in root.rglob("*.vmdk") for _, extent in _extents(path)}
            for path in root.rglob("*"):
                called = f"[{name}] {path.relative_to(root)}"
                own = called.rpartition("/")[0] in homes and path.suffix in _OWN_FILES
                if not own and path not in data and (path.is_file() or not any(path.iterdir())):
                    found.add(called)
        return found

    def capacity(self, datastore: str) -> int:
        (found,) = (each for each in self._all(vim.Datastore) if each.name == datastore)
        return int(found.summary.capacity)

    def disk_size(self, path: str) -> int:
        ((sectors, _),) = _extents(self._real(path))
        return sectors * 512

    def disk_space(self, path: str) -> int:
        real = self._real(path)
        # The simulator keeps what is thick in sparse files too; its datastore has that much less room.
        if 'ddb.thinProvisioned = "1"' not in real.read_text():
            return self.disk_size(path)
        return sum((real.parent / extent).stat().st_blocks * 512 for _, extent in _extents(real))

    def make_disk(self, size: int) -> str:
        path = f"[{self.datastore}] foreign-{next(self._numbers)}.vmdk"
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin", adapterType="lsiLogic", capacityKb=size // KiB
        )
        WaitForTask(self.content.virtualDiskManager.CreateVirtualDisk_Task(path, self.datacenter, spec))
        return path

    def remove(self, path: str) -> None:
        real = self._real(path)
        if real.is_dir():
            real.rmdir()
            return
        for _, extent in _extents(real):
            (real.parent / extent).unlink()
        real.unlink()
        if real.parent not in self._sim.datastores.values() and not any(real.parent.iterdir()):
            real.parent.rmdir()

    def write(self, path: str, offset: int, data: bytes) -> None:
        raise AssertionError("what a simulated host does with content says nothing: the bed does not have that fact")

    def read(self, path: str, offset: int, length: int) -> bytes:
        raise AssertionError("what a simulated host does with content says nothing: the bed does not have that fact")

    def boot_id(self, vm_id: str) -> str | None:
        # Only the simulator knows: what vSphere calls the time of the boot is that of switching on.
        running = self._vm(vm_id).runtime.powerState == "poweredOn"
        return f"boot {self._sim.control.boot(vm_id)}" if running else None

    def is_template(self, vm_id: str) -> bool:
        return bool(self._vm(vm_id).config.template)

    def ask(self, vm_id: str, text: str, choices: Mapping[str, str]) -> None:
        assert list(choices) == [str(number) for number in range(len(choices))]
        self._sim.control.ask(vm_id, text, list(choices.values()))

    def leave_behind(self, vm_id: str) -> None:
        vm = self._vm(vm_id)
        self._sim.control.fail_consolidation(vm_id)
        WaitForTask(vm.CreateSnapshot_Task("left", "", memory=False, quiesce=False))
        WaitForTask(vm.snapshot.currentSnapshot.RemoveSnapshot_Task(removeChildren=False))

    @property
    def datastore(self) -> str:
        """The name of the first datastore."""
        return min(self._sim.datastores)

    @property
    def datacenter(self) -> Any:
        """The only one."""
        (found,) = self._all(vim.Datacenter)
        return found

    def hosts(self) -> list[Any]:
        """The machines."""
        return self._all(vim.HostSystem)

    def _real(self, path: str) -> Path:
        name, relative = re.fullmatch(r"\[(.+?)\] (.+)", path).groups()  # type: ignore[union-attr]  # else a mistake
        return self._sim.datastores[name] / PurePosixPath(relative)

    def _vm(self, vm_id: str) -> Any:
        return vim.VirtualMachine(vm_id, self.instance._GetStub())

    def _all(self, kind: Any) -> list[Any]:
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], recursive=True)
        try:
            return list(view.view)
        finally:
            view.DestroyView()

    def _networks(self) -> Iterator[tuple[Any, str]]:
        """Those that VMs can be plugged into."""
        for network in self._all(vim.Network):
            # The group of a distributed switch's uplinks is no place for VMs.
            if "SYSTEM/DVS.UPLINKPG" not in {tag.key for tag in network.tag}:
                yield network, _plain(network.name)


def _plain(name: str) -> str:
    """As people write it: vSphere escapes what would be a path's."""
    return re.sub("%(2f|5c|25)", lambda found: chr(int(found[1], 16)), name, flags=re.IGNORECASE)


def _devices(config: Any, kind: Any) -> list[Any]:
    return [device for device in config.hardware.device if isinstance(device, kind)]


def _shares(info: Any, normal: int) -> int:
    level = {"low": 50, "normal": 100, "high": 200}.get(info.level)
    return round(info.shares * 100 / normal) if level is None else level


def _tree(snapshots: Any, parent: str | None) -> Iterator[tuple[str, str | None]]:
    for snapshot in snapshots:
        yield snapshot.name, parent
        yield from _tree(snapshot.childSnapshotList, snapshot.name)


def _extents(path: Path) -> list[tuple[int, str]]:
    """Of a disk's descriptor, the files of its data, each with its sectors; none of any other file."""
    with open(path, "rb") as file:
        text = file.read(64 * KiB)
    if not text.startswith(b"# Disk DescriptorFile"):
        return []
    return [(int(size), name) for size, name in re.findall(r'(?m)^RW (\d+) VMFS "(.+)"$', text.decode())]


def _distributed(config: Any) -> Network:
    default = config.defaultPortConfig
    vlan, security = default.vlan, default.securityPolicy
    return Network(
        vlan=(vlan.vlanId or None) if isinstance(vlan, vim.dvs.VmwareDistributedVirtualSwitch.VlanIdSpec) else None,
        policy=_policy(
            promiscuous=security.allowPromiscuous.value,
            forged=security.forgedTransmits.value,
            changes=security.macChanges.value,
        )
        if security
        else OPEN,
    )


def _policy(*, promiscuous: bool, forged: bool, changes: bool) -> IsolationPolicy:
    # Who may change his card's address need not forge it.
    return IsolationPolicy(spoof_guard=not (forged or changes), promiscuous=promiscuous)
