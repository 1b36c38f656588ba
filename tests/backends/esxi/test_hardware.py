"""ConfigSpecs of specs: pure, without a host."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from pyVmomi import vim

from hyperkit import Allocation, BootDevice, CpuTopology, DiskSpec, Firmware, GiB, InvalidRequest, MiB, NicSpec, VMSpec
from hyperkit.backends.esxi import hardware, kept


def _new(spec: VMSpec) -> Any:
    return hardware.new(spec, path="[d] v/v.vmx", uuid="u", mhz=2000, api_version="6.5", created=["[d] v/v.vmdk"])


def _kept(config: Any) -> kept.Kept:
    (option,) = config.extraConfig
    assert option.key == kept.KEY
    return kept.parse(option.value)


def test_a_spec_is_written_in_vspheres_words_and_units() -> None:
    spec = VMSpec(
        "50%",
        cpus=4,
        memory=2 * GiB,
        topology=CpuTopology(sockets=2, cores=2),
        cpu_allocation=Allocation(reservation=1500, limit=3000, shares=150),
        memory_allocation=Allocation(reservation=GiB, shares=200),
        firmware=Firmware.UEFI,
        secure_boot=True,
        notes="a\nb",
        tags=("b", "a"),
    )
    config = _new(spec)
    assert (config.name, config.annotation, config.firmware) == ("50%25", "a\nb", "efi")
    assert (config.numCPUs, config.numCoresPerSocket, config.memoryMB) == (4, 2, 2048)
    assert config.bootOptions.efiSecureBootEnabled is True
    cpu, memory = config.cpuAllocation, config.memoryAllocation
    assert (cpu.reservation, cpu.limit, cpu.shares.level, cpu.shares.shares) == (3000, 6000, "custom", 6000)
    assert (memory.reservation, memory.limit, memory.shares.level) == (1024, -1, "high")
    assert _kept(config) == kept.Kept(created=frozenset({"[d] v/v.vmdk"}), tags=("a", "b"))


def test_room_to_grow_is_vspheres_hot_add_and_a_ceiling_that_is_kept() -> None:
    config = _new(VMSpec("v", cpus=2, max_cpus=8, memory=GiB, max_memory=4 * GiB))
    assert (config.cpuHotAddEnabled, config.memoryHotAddEnabled) == (True, True)
    assert (_kept(config).max_cpus, _kept(config).max_memory) == (8, 4 * GiB)
    plain = _new(VMSpec("v"))
    assert (plain.cpuHotAddEnabled, plain.memoryHotAddEnabled) == (False, False)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (VMSpec("v", memory=514 * MiB), "memory"),
        (VMSpec("v", max_memory=514 * MiB), "max_memory"),
        (VMSpec("v", cpus=4, topology=CpuTopology(cores=2, threads=2)), "topology.threads"),
        (VMSpec("v", cpus=2, max_cpus=8, topology=CpuTopology(sockets=2, cores=4)), "topology.cores"),
        (VMSpec("v", tpm=True), "tpm"),
    ],
)
def test_what_vsphere_has_no_word_for_is_refused(spec: VMSpec, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        hardware.check(spec)
    assert caught.value.field == field


def test_a_boot_order_is_one_of_devices() -> None:
    keys = {BootDevice.DISK: [2000, 2001], BootDevice.NETWORK: [4000], BootDevice.CDROM: []}
    entries = hardware.boot_entries((BootDevice.CDROM, BootDevice.NETWORK, BootDevice.DISK), keys)
    assert [getattr(each, "deviceKey", None) for each in entries] == [4000, 2000, 2001]
    (empty,) = hardware.boot_entries((BootDevice.CDROM,), keys)
    assert type(empty) is vim.vm.BootOptions.BootableDevice
    order = (BootDevice.CDROM, BootDevice.DISK)
    assert hardware.order_to_keep(order, [BootDevice.DISK]) == ("cdrom", "disk")
    assert hardware.order_to_keep(order, [BootDevice.DISK, BootDevice.CDROM]) == ()
    assert hardware.order_to_keep((BootDevice.DISK,), []) == ()


def test_an_order_is_kept_that_names_a_kind_of_device_that_the_vm_lacks() -> None:
    order = (BootDevice.NETWORK, BootDevice.DISK)
    assert _kept(_new(VMSpec("v", boot_order=order, disks=[DiskSpec(size=MiB)]))).boot_order == ("network", "disk")
    both = VMSpec("v", boot_order=order, disks=[DiskSpec(size=MiB)], nics=[NicSpec()])
    assert _kept(_new(both)).boot_order == ()
