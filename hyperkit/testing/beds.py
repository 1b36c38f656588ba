"""What the conformance suite runs on: a host to wreck, and a way to look at it that is not hyperkit."""

from __future__ import annotations

import difflib
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import ClassVar, Self, Unpack, cast

import attrs

from hyperkit.datastore import Datastore
from hyperkit.errors import Busy, HyperkitError, NotFound
from hyperkit.host import Host
from hyperkit.records import HypervisorType
from hyperkit.specs import DiskBus, DiskSpec, KernelBoot, SwitchKind, VMFields
from hyperkit.specs.container import ContainerSpec
from hyperkit.switch import Switch
from hyperkit.tasks import wait_until
from hyperkit.testing.backdoor import Backdoor
from hyperkit.testing.inside import Commands, Inside
from hyperkit.units import MiB
from hyperkit.vm import VM


@attrs.frozen(kw_only=True)
class Machine:
    """What the host really is, however one knows."""

    product: str
    version: str
    hypervisor_type: HypervisorType
    cpus: int
    memory: int


@attrs.frozen
class Image:
    """A disk image that is there already."""

    path: str
    size: int


@attrs.frozen
class _Inventory:
    vms: frozenset[str]
    switches: frozenset[str]
    files: frozenset[str]


class Bed(ABC):
    """A host for the conformance suite, and the facts about it. A backend's author derives one class from it.

    The suite deletes everything that was not there before a test, and nothing else; still, give it a host that
    nobody would miss. A test that cannot run for lack of a capability, or of a fact that is None here, is
    *unsupported*.
    """

    name: str = ""
    """What the bed is called in the matrix: ``libvirt-qemu``."""
    machine: Machine
    """What `Host.info` must say."""
    missing_path: str
    """A path that leads nowhere, in a directory that there is."""
    vm_fields: VMFields = cast(VMFields, {"memory": 64 * MiB})
    """What every VM is created with, unless a test says otherwise: small, with few devices. On a host that makes
    containers alone it has one."""
    unattachable: DiskSpec | None = None
    """A new disk that the host can make, and then cannot attach to a VM, which runs if `hot_disk` is there. None: one
    whose base image is missing."""
    subnets: tuple[str, str] = ("192.168.231.0/24", "10.231.0.0/24")
    """Two networks that nobody on the host uses."""
    timeout: float = 60
    """Seconds that a guest may take to boot, to shut down or to get an address."""

    base_image: Image | None = None
    kernel: KernelBoot | None = None
    iso: str | None = None
    other_iso: str | None = None
    directory: str | None = None
    uplink: str | None = None
    open_vswitch: str | None = None
    bus: DiskBus | None = None
    nic_model: str | None = None
    container: ContainerSpec | None = None
    guest: VMFields | None = None
    """A VM that boots a guest which shuts down when asked, and gets an address."""
    deaf: VMFields | None = None
    """A VM that runs and ignores being asked to shut down."""
    content: bool = False
    """Whether the back door reads and writes the content of disks."""
    boots: bool = False
    """Whether the back door tells the boots of `guest` apart. Else tests believe the power state alone."""
    asks: bool = False
    """Whether the back door can let a VM wait for an answer."""
    leaves_behind: bool = False
    """Whether the back door can leave behind what deleted snapshots may leave."""
    inside: Inside | None = None
    """A way into `guest`."""
    commands: Commands | None = None
    """What `guest` can run."""
    freezable: VMFields | None = None
    """A VM like `guest` with a file system that can be frozen."""

    cannot_verify: ClassVar[Mapping[str, str]] = {}
    """By test, why its success on this bed would say nothing. Such a test is not run."""
    xfail: ClassVar[Mapping[str, str]] = {}
    """By test, why it fails on this bed. One that passes after all is an error."""

    def __init_subclass__(cls) -> None:
        """Refuse reasons for tests that do not exist, when the author's test module is collected."""
        from hyperkit.testing import conformance  # noqa: PLC0415  # its tests are written in terms of this class

        for field in ("cannot_verify", "xfail"):
            for test in getattr(cls, field):
                if test not in conformance.__all__:
                    near = difflib.get_close_matches(test, conformance.__all__, n=1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise ValueError(f"{cls.__name__}.{field}: the suite has no test {test!r}{hint}")

    def __init__(self) -> None:
        self._connections: dict[str, Host] = {}
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    @abstractmethod
    def backdoor(self) -> Backdoor:
        """The way to the host that is not hyperkit."""

    @abstractmethod
    def connect(self) -> Host:
        """A new connection to the host, the same one each time."""

    def close(self) -> None:
        """End what the bed began."""
        for host in self._connections.values():
            host.close()
        self._connections.clear()

    # What tests are written with

    @property
    def host(self) -> Host:
        """The connection that a test does its work by."""
        return self._connection("first")

    @property
    def second(self) -> Host:
        """A second connection, for somebody else's work."""
        return self._connection("second")

    def _connection(self, which: str) -> Host:
        if which not in self._connections:
            self._connections[which] = self.connect()
        return self._connections[which]

    def seen(self, vm: VM) -> VM:
        """The VM as the second connection sees it now."""
        return self.second.vms.get(vm.id)

    def name_for(self, kind: str) -> str:
        """A name that nothing has."""
        return f"hk-{kind}-{next(self._numbers)}"

    def fields(self, **fields: Unpack[VMFields]) -> VMFields:
        """The fields of a VM to create: those given, and the bed's own."""
        return {**self.vm_fields, **fields}

    def vm(self, **fields: Unpack[VMFields]) -> VM:
        """A new VM."""
        return self.host.vms.create(self.name_for("vm"), **self.fields(**fields))

    def running(self, **fields: Unpack[VMFields]) -> VM:
        """A new VM that runs."""
        return self.vm(**fields).start()

    def booted(self, **fields: Unpack[VMFields]) -> VM:
        """A new VM that runs: `guest`, which has booted, where the bed has it; disks and NICs come after its own."""
        own = self.fields(**(self.guest or {}))
        fields["disks"] = [*own.get("disks", ()), *fields.get("disks", ())]
        fields["nics"] = [*own.get("nics", ()), *fields.get("nics", ())]
        whole: VMFields = {**own, **fields}
        vm = self.running(**whole)
        if self.boots:
            self.boot_of(vm)
        elif self.guest is not None and self.host.capabilities.guest_addresses:
            vm.wait_for_address(timeout=self.timeout)
        return vm

    def ready(self, fields: VMFields | None = None) -> VM:
        """A new VM that runs, `guest` unless it is another, whose agent answers."""
        vm = self.running(**(fields or self.guest or {}))
        vm.guest.wait_until_ready(timeout=self.timeout)
        return vm

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that a guest does in its own time.

        Raises:
            Timeout: it does not do it.
        """
        wait_until(lambda: condition() or None, clock=self.host.clock, timeout=self.timeout, what=what)

    def boot_of(self, vm: VM, but: str | None = None) -> str | None:
        """What tells this boot of its guest from every other; None where the bed has no such fact.

        It is waited until the guest answers, and is in another boot than ``but``.

        Raises:
            Timeout: it is not.
        """
        if not self.boots:
            return None

        def told() -> str | None:
            boot = self.backdoor.boot_id(vm.id)
            return None if boot == but else boot

        clock, what = self.host.clock, f"the guest of {vm.label} to be in {'another' if but else 'a'} boot"
        return wait_until(
            told, clock=clock, timeout=self.timeout, what=what, pause=lambda seconds: clock.sleep(min(seconds, 0.1))
        )

    def switch(self) -> Switch:
        """A new switch, of the first kind that the host can make."""
        able = self.host.capabilities
        if able.switch_private or able.switch_internal:
            kind = SwitchKind.PRIVATE if able.switch_private else SwitchKind.INTERNAL
            return self.host.switches.create(self.name_for("switch"), kind)
        return self.host.switches.create(self.name_for("switch"), SwitchKind.EXTERNAL, uplink=self.uplink)

    def vlan_switch(self) -> Switch:
        """A new switch that carries VLANs: of Open vSwitch where the host has it, since its others carry none there."""
        if not self.host.capabilities.switch_openvswitch:
            return self.switch()
        name = self.name_for("vlans")
        return self.host.switches.create(name, SwitchKind.EXTERNAL, uplink=self.open_vswitch, openvswitch=True)

    def image(self, size: int = 8 * MiB) -> str:
        """The path of a disk image that somebody made without hyperkit."""
        return self.backdoor.make_disk(size)

    def doomed_disk(self) -> DiskSpec:
        """A new disk that cannot be attached."""
        linked = self.host.capabilities.linked_disks
        return self.unattachable or DiskSpec(base=self.missing_path, linked=linked)

    @property
    def store(self) -> Datastore:
        """The datastore to work in: by default the first that is accessible."""
        return next(store for store in self.host.datastores if store.record.accessible)

    # Between tests

    @contextmanager
    def test(self) -> Iterator[None]:
        """Leave the host, after one test, as it was before.

        Raises:
            AssertionError: what the test created is not gone when it is deleted, or what it found is.
        """
        before = self._inventory()
        try:
            yield
            created = self._delete(before)
        except BaseException:
            # The test has failed: that is the news, not what it leaves behind.
            with suppress(HyperkitError):
                self._delete(before)
            self._remove_files(before)
            raise
        leaked = sorted(created & self.backdoor.files())
        self._remove_files(before)
        after = self._inventory()
        assert not leaked, f"these disks are still there after their VMs were deleted: {leaked}"
        assert after == before, f"the host is not as it was before the test: {after} instead of {before}"

    def _inventory(self) -> _Inventory:
        door = self.backdoor
        return _Inventory(frozenset(door.vm_ids()), frozenset(door.switch_names()), frozenset(door.files()))

    def _delete(self, before: _Inventory) -> set[str]:
        """Delete new VMs with their disks, and new switches; return the paths that must be gone now."""
        left = [vm for vm in self.host.vms if vm.id not in before.vms]
        created = {disk.path for vm in left for disk in vm.record.disks if disk.created}
        while left:
            # A disk is deleted after the one that is based on it, and no record says which VM was first.
            busy = [vm for vm in left if not self._delete_vm(vm)]
            assert len(busy) < len(left), f"these VMs cannot be deleted, since each needs another's disk: {busy}"
            left = busy
        for switch in self.host.switches:
            if switch.name not in before.switches:
                switch.delete()
        return created

    @staticmethod
    def _delete_vm(vm: VM) -> bool:
        with suppress(NotFound):
            try:
                vm.delete(force=True)
            except Busy:
                return False
        return True

    def _remove_files(self, before: _Inventory) -> None:
        """What tests detached, kept or made by the back door belongs to no VM."""
        for path in self.backdoor.files() - before.files:
            self.backdoor.remove(path)
