"""A change that needs the VM off says so, and touches nothing: each field and device, in each state, on a real host."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import hyperkit
from hyperkit import (
    VM,
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskSpec,
    Firmware,
    Host,
    InvalidRequest,
    InvalidState,
    MiB,
    NicSpec,
)
from hyperkit.change import allowed_change
from hyperkit.specs import ChangeFields, NicChange
from hyperkit.states import PowerState
from tests.beds.libvirt_qemu import LibvirtHost, missing

libvirt = pytest.importorskip("libvirt")
pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

SMALL, BLOCK = 64 * MiB, 128 * MiB
RUNNING, PAUSED, SUSPENDED = PowerState.RUNNING, PowerState.PAUSED, PowerState.SUSPENDED
ALL_THREE = (RUNNING, PAUSED, SUSPENDED)

FIELDS: dict[str, tuple[Any, tuple[PowerState, ...]]] = {
    "name": ("other", ALL_THREE),
    "cpus": (2, (SUSPENDED,)),
    "memory": (SMALL + BLOCK, (SUSPENDED,)),
    "max_cpus": (8, ALL_THREE),
    "max_memory": (SMALL + 4 * BLOCK, ALL_THREE),
    "topology": (CpuTopology(1, 4, 1), ALL_THREE),
    "cpu_allocation": (Allocation(shares=50), (SUSPENDED,)),
    "memory_allocation": (Allocation(limit=512 * MiB), (SUSPENDED,)),
    "guest_os": ("debian12", ALL_THREE),
    "secure_boot": (True, ALL_THREE),
    "tpm": (True, ALL_THREE),
    "boot_order": ((BootDevice.CDROM,), ALL_THREE),
    "notes": ("n", ()),
    "tags": (("t",), ()),
    "autostart": (True, ()),
}
"""Another value of each field, and the states that refuse it."""

DEVICES: dict[str, tuple[Callable[[VM], object], tuple[PowerState, ...]]] = {
    "attach a disk": (lambda vm: vm.disks.attach(DiskSpec(size=MiB)), (SUSPENDED,)),
    "detach a disk": (lambda vm: vm.disks[0].detach(delete=True), (PAUSED, SUSPENDED)),
    "grow a disk": (lambda vm: vm.disks[0].resize(16 * MiB), (SUSPENDED,)),
    "eject": (lambda vm: vm.cdroms[0].insert(vm.disks[0].path), (SUSPENDED,)),
    "attach a NIC": (lambda vm: vm.nics.attach(NicSpec()), (SUSPENDED,)),
    "detach a NIC": (lambda vm: vm.nics[0].detach(), (PAUSED, SUSPENDED)),
    "move a NIC": (lambda vm: vm.nics[0].connect("blue"), (SUSPENDED,)),
    "unplug a NIC": (lambda vm: vm.nics[0].disconnect(), ALL_THREE),
    "plug a NIC in": (lambda vm: vm.nics[1].connect("red"), ALL_THREE),
    "set a link": (lambda vm: vm.nics[0].set_link(False), (SUSPENDED,)),
    "set an address": (lambda vm: vm.nics[0].set_mac("52:54:00:00:00:01"), ALL_THREE),
}


def test_every_field_is_here() -> None:
    assert set(FIELDS) == set(ChangeFields.__annotations__)
    assert {"switch", "mac", "link_up"} <= set(NicChange.__annotations__)


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture(scope="module")
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        for name in ("red", "blue"):
            host.switches.create(name)
        yield host


@pytest.fixture(scope="module")
def vms(host: Host) -> Mapping[PowerState, VM]:
    """One in each state."""

    def vm(state: PowerState) -> VM:
        return host.vms.create(
            state.value,
            memory=SMALL,
            max_cpus=4,
            max_memory=SMALL + 2 * BLOCK,
            firmware=Firmware.UEFI,
            disks=[DiskSpec(size=8 * MiB)],
            nics=[NicSpec(switch="red"), NicSpec()],
            cdrom=True,
        ).start()

    return {RUNNING: vm(RUNNING), PAUSED: vm(PAUSED).pause(), SUSPENDED: vm(SUSPENDED).suspend()}


def refused(machine: LibvirtHost, vm: VM, change: Callable[[], object]) -> None:
    """Refused as not to be done in this state, without a trace."""
    raw = libvirt.open(machine.uri)
    domain = raw.lookupByUUIDString(vm.id)

    def everything() -> tuple[object, ...]:
        flags = (0, libvirt.VIR_DOMAIN_XML_INACTIVE)
        return (
            [domain.XMLDesc(each) for each in flags],
            domain.autostart(),
            domain.state(),
            set(machine.images.iterdir()),
        )

    before = everything()
    with pytest.raises(InvalidState) as caught:
        change()
    assert caught.value.current == vm.state.value
    assert caught.value.allowed
    assert everything() == before
    raw.close()


@pytest.mark.parametrize("state", ALL_THREE)
@pytest.mark.parametrize("field", FIELDS)
def test_a_field(machine: LibvirtHost, vms: Mapping[PowerState, VM], state: PowerState, field: str) -> None:
    vm, (value, states) = vms[state], FIELDS[field]
    change: Any = {field: value}
    if state in states:
        refused(machine, vm, lambda: vm.configure(**change, notes="not kept"))
    else:  # and done: see test_hot.py, test_cgroups.py and the conformance suite
        assert allowed_change(vm.refresh().record, change, vm.host.capabilities, vm._invalid_state).fields()


@pytest.mark.parametrize(
    ("state", "what"), [(state, what) for what, (_, states) in DEVICES.items() for state in states]
)
def test_a_device(machine: LibvirtHost, vms: Mapping[PowerState, VM], state: PowerState, what: str) -> None:
    refused(machine, vms[state], lambda: DEVICES[what][0](vms[state]))


def test_a_card_that_qemu_does_not_have_is_named(host: Host) -> None:
    """libvirt does not know until QEMU starts, or is given one."""
    vm = host.vms.create("card", memory=SMALL, nics=[NicSpec(model="rtl8140")])
    with pytest.raises(InvalidRequest, match=r"VM 'card': model='rtl8140' is not accepted: .*another model") as refused:
        vm.start()
    assert (refused.value.field, refused.value.value) == ("model", "rtl8140")
    vm.nics[0].detach()
    vm.start()
    with pytest.raises(InvalidRequest, match="model='rtl8140'"):
        vm.nics.attach(NicSpec(model="rtl8140"))
    assert len(vm.refresh().nics) == 0
    vm.delete(force=True)


def test_the_buses_of_disks_are_those_that_this_host_has(host: Host) -> None:
    assert host.capabilities.disk_buses == ("virtio", "scsi", "sata")
    for bus in (DiskBus.NVME, DiskBus.IDE):
        with pytest.raises(InvalidRequest, match=f"bus='{bus}' is not accepted: one of virtio, scsi, sata"):
            host.vms.create("bus", memory=SMALL, disks=[DiskSpec(size=MiB, bus=bus)])
