"""The fake as a bed. Its back door is the world itself, which none of its ports is needed to read."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import attrs

import hyperkit
from hyperkit import (
    Allocation,
    ContainerSpec,
    DiskBus,
    DiskSpec,
    Host,
    HypervisorType,
    KernelBoot,
    MiB,
    NicSpec,
    PowerState,
    SwitchKind,
)
from hyperkit.backends import fake
from hyperkit.backends.fake.guests import is_frozen
from hyperkit.backends.fake.inside import Agent, Scripted
from hyperkit.backends.fake.profiles import DATASTORE_SIZE, HOST_MEMORY
from hyperkit.backends.fake.world import IMAGES, World
from hyperkit.connection import Wrapper
from hyperkit.guest_records import CommandResult
from hyperkit.png import size_of
from hyperkit.testing.backdoor import Backdoor, Network, Plug, Shape
from hyperkit.testing.beds import Bed, Image, Machine
from hyperkit.testing.inside import Commands
from hyperkit.testing.mishaps import ask, leave_behind

_numbers = itertools.count(1)


class FakeBackdoor:
    """Reads and changes the dictionaries of a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._numbers = itertools.count(1)

    def vm_ids(self) -> set[str]:
        return set(self._world.machines)

    def power_state(self, vm_id: str) -> PowerState | None:
        machine = self._world.machines.get(vm_id)
        return machine.record.state if machine else None

    def shape(self, vm_id: str) -> Shape:
        record = self._world.machines[vm_id].record
        return Shape(
            name=record.name,
            cpus=record.cpus,
            memory=record.memory,
            disks=frozenset(disk.path for disk in record.disks),
            macs=frozenset(nic.mac for nic in record.nics),
        )

    def allocations(self, vm_id: str) -> tuple[Allocation, Allocation]:
        record = self._world.machines[vm_id].record
        return record.cpu_allocation, record.memory_allocation

    def plugs(self, vm_id: str) -> dict[str, Plug]:
        record = self._world.machines[vm_id].record
        return {nic.mac: Plug(nic.switch, nic.vlan, nic.link_up) for nic in record.nics}

    def snapshots(self, vm_id: str) -> dict[str, str | None]:
        records = {saved.record.id: saved.record for saved in self._world.machines[vm_id].snapshots.values()}
        return {r.name: records[r.parent_id].name if r.parent_id else None for r in records.values()}

    def switch_names(self) -> set[str]:
        return {switch.name for switch in self._world.switches.values()}

    def network(self, name: str) -> Network:
        (switch,) = (switch for switch in self._world.switches.values() if switch.name == name)
        return Network(
            uplink=switch.uplink,
            subnet=switch.subnet,
            nat=switch.nat,
            dhcp=switch.dhcp,
            openvswitch=switch.openvswitch,
            vlan=switch.vlan,
            policy=switch.policy,
            active=switch.active,
        )

    def files(self) -> set[str]:
        return set(self._world.volumes)

    def capacity(self, datastore: str) -> int:
        return DATASTORE_SIZE

    def disk_size(self, path: str) -> int:
        return self._world.volumes[path].record.size

    def disk_space(self, path: str) -> int:
        return self._world.volumes[path].record.allocated

    def make_disk(self, size: int) -> str:
        return self._world.add_file(f"{IMAGES}/foreign-{next(self._numbers)}.qcow2", size, format="qcow2").path

    def remove(self, path: str) -> None:
        del self._world.volumes[path]

    def write(self, path: str, offset: int, data: bytes) -> None:
        volume = self._world.volumes[path]
        content = bytearray(volume.data.ljust(offset + len(data), b"\0"))
        content[offset : offset + len(data)] = data
        volume.data = bytes(content)

    def read(self, path: str, offset: int, length: int) -> bytes:
        return self._world.volumes[path].data.ljust(offset + length, b"\0")[offset : offset + length]

    def boot_id(self, vm_id: str) -> str | None:
        machine = self._world.machines[vm_id]
        return f"boot {machine.boot.number}" if self._world.booted(machine) else None

    def is_template(self, vm_id: str) -> bool:
        return self._world.machines[vm_id].record.template

    def ask(self, vm_id: str, text: str, choices: Mapping[str, str]) -> None:
        ask(self._world, self._world.machines[vm_id], text, choices, None)

    def leave_behind(self, vm_id: str) -> None:
        leave_behind(self._world, self._world.machines[vm_id])


class FakeInside:
    """Reads and changes what is inside a world's machines."""

    def __init__(self, world: World) -> None:
        self._world = world

    def hostname(self, vm_id: str) -> str:
        return self._world.machines[vm_id].record.name

    def hang_agent(self, vm_id: str) -> None:
        self._world.machines[vm_id].inside.agent = Agent.HANGS

    def frozen(self, vm_id: str) -> bool:
        return is_frozen(self._world.machines[vm_id])

    def typed(self, vm_id: str) -> str:
        return self._world.machines[vm_id].inside.typed

    def heard(self, vm_id: str) -> str:
        return self._world.machines[vm_id].inside.heard.decode()

    def say(self, vm_id: str, line: str) -> None:
        self._world.machines[vm_id].inside.say(f"{line}\r\n")

    def screen(self, vm_id: str) -> tuple[int, int]:
        return size_of(self._world.machines[vm_id].inside.screen)

    def displays(self, vm_id: str) -> set[tuple[str, int | None]]:
        return {("vnc", 5900 + list(self._world.machines).index(vm_id))}


class FakeBed(Bed):
    """A fake host of its own."""

    missing_path = f"{IMAGES}/no-such-file.qcow2"
    directory = IMAGES
    uplink = "eth0"
    open_vswitch = "ovs0"
    bus = DiskBus.SCSI
    nic_model = "e1000e"
    content = True
    asks = True
    leaves_behind = True
    boots = True
    machine = Machine(
        product="hyperkit fake",
        version="1",
        hypervisor_type=HypervisorType.HOSTED,
        cpus=64,
        memory=HOST_MEMORY,
    )

    def __init__(
        self, name: str = "fake", *, profile: str = "all", jobs: str = "now", wrap: Iterable[Wrapper] = ()
    ) -> None:
        super().__init__()
        self.name = name
        self._world_name = f"conformance-{next(_numbers)}"
        self._url = f"fake://{self._world_name}?profile={profile}&jobs={jobs}"
        self._wrap = tuple(wrap)
        with hyperkit.connect(self._url) as host:
            world = host.native
            assert isinstance(world, World)
            switch = host.switches.create("guests", SwitchKind.PRIVATE)
        self.world = world
        self._backdoor = FakeBackdoor(world)
        self.base_image = Image(world.add_file(f"{IMAGES}/base.qcow2", 16 * MiB, b"base", "qcow2").path, 16 * MiB)
        self.iso = world.add_file("/fake/isos/one.iso", MiB).path
        self.other_iso = world.add_file("/fake/isos/other.iso", MiB).path
        kernel, initrd = (world.add_file(f"/fake/boot/{name}", MiB).path for name in ("vmlinuz", "initrd"))
        self.kernel = KernelBoot(kernel, initrd, "console=ttyS0 quiet")
        self.container = ContainerSpec("/fake/roots/web", "/sbin/init", ["single"], {"TERM": "linux"})
        self.guest = {"nics": [NicSpec(switch=switch.name)]}
        if world.capabilities.disks:
            self.guest["disks"] = [DiskSpec(size=16 * MiB)]
            self.deaf = {}  # there is nothing to boot in it
        else:
            self.machine = attrs.evolve(self.machine, hypervisor_type=HypervisorType.OS_LEVEL)
            self.vm_fields = {"memory": 64 * MiB, "container": self.container}
        self.freezable = self.guest
        self.inside = FakeInside(world)
        self.commands = Commands(
            copy=("cat",), fail=("fail",), environment=("env",), kill=("kill",), slow=("slow", "2")
        )
        world.commands = {
            "fail": Scripted(CommandResult(3, b"good\n", b"bad\n")),
            "kill": Scripted(CommandResult(None, signal=9)),
            "slow 2": Scripted("done\n", seconds=2),
        }

    @property
    def backdoor(self) -> Backdoor:
        return self._backdoor

    def connect(self) -> Host:
        return hyperkit.connect(self._url, wrap=self._wrap)

    def close(self) -> None:
        super().close()
        fake.forget(self._world_name)
