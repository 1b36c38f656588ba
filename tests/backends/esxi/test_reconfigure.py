"""Changing VMs on a simulated host: in one task, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from pyVmomi import vim

import hyperkit
from hyperkit import Allocation, BootDevice, DiskSpec, Firmware, GiB, Host, InvalidRequest, InvalidState, MiB
from hyperkit.backends.esxi import kept
from hyperkit.errors import AlreadyExists, Busy, HyperkitError, ResourceExhausted
from tests.beds.vcsim import Vcsim, missing


@pytest.fixture(scope="module", params=["esx", "vcenter"])
def a_sim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(request.param) as sim:
        yield sim


@pytest.fixture
def sim(a_sim: Vcsim) -> Iterator[Vcsim]:
    yield a_sim
    a_sim.faults.clear()


@pytest.fixture
def host(sim: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as host:
        yield host
        sim.faults.clear()
        for vm in host.vms:
            vm.delete(disks="all", force=True)


def stub_of(host: Host) -> Any:
    native: Any = host.native
    return native._stub


def native(host: Host, vm: hyperkit.VM) -> Any:
    """The VM as pyVmomi has it: read where the reader of records is not to be trusted with its own test."""
    return vim.VirtualMachine(vm.id, stub_of(host))


def test_everything_at_once_is_one_task(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v", disks=[DiskSpec(size=8 * MiB)])
    sim.control.reset_calls()
    vm.configure(
        name="50% w",
        cpus=4,
        max_cpus=8,
        memory=GiB,
        cpu_allocation=Allocation(reservation=500, shares=300),
        memory_allocation=Allocation(limit=GiB),
        guest_os="win2k22",
        boot_order=["network", "disk"],
        notes="new",
        tags=["x"],
    )
    assert sim.control.calls().methods["ReconfigVM_Task"] == 1
    record = host.vms.get(vm.id).record
    assert (record.name, record.cpus, record.max_cpus, record.memory, record.max_memory) == ("50% w", 4, 8, GiB, GiB)
    assert record.cpu_allocation == Allocation(reservation=500, shares=300)
    assert record.memory_allocation == Allocation(limit=GiB)
    assert record.boot_order == (BootDevice.NETWORK, BootDevice.DISK)
    assert (record.guest_os, record.notes, record.tags) == ("win2k22", "new", ("x",))
    assert record.disks[0].created


def test_a_change_costs_two_reads_besides_its_task(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v")
    sim.control.reset_calls()
    vm.configure(notes="x")
    # What it is like, what is kept with it; the task; what it is like now.
    assert sim.control.calls().methods == {"RetrievePropertiesEx": 4, "ReconfigVM_Task": 1}


def test_a_change_of_what_somebody_else_changed_meanwhile_is_busy(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v", tags=["theirs"])
    sim.faults.task_fault("ReconfigVM_Task", "ConcurrentAccess")
    with pytest.raises(Busy) as caught:
        vm.configure(tags=["ours"])
    assert caught.value.retryable
    assert vm.refresh().record.tags == ("theirs",)


def test_a_change_names_the_version_that_it_is_made_for(
    sim: Vcsim, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = host.vms.create("v")
    version = native(host, vm).config.changeVersion
    specs: list[Any] = []
    own = stub_of(host).InvokeMethod

    def spied(mo: Any, info: Any, args: Any, *rest: Any) -> Any:
        if info.wsdlName == "ReconfigVM_Task":
            specs.append(args[0])
        return own(mo, info, args, *rest)

    monkeypatch.setattr(stub_of(host), "InvokeMethod", spied)
    vm.configure(notes="x")
    assert [spec.changeVersion for spec in specs] == [version or None]


@pytest.mark.parametrize(
    ("fields", "names"),
    [({"cpus": 4}, "max_cpus=4"), ({"memory": GiB}, f"max_memory={GiB}")],
)
def test_a_running_vm_without_room_says_how_to_make_some(
    sim: Vcsim, host: Host, fields: dict[str, Any], names: str
) -> None:
    vm = host.vms.create("v", max_cpus=8, max_memory=4 * GiB)
    flags = vim.vm.ConfigSpec(cpuHotAddEnabled=False, memoryHotAddEnabled=False)
    hyperkit_task(native(host, vm).ReconfigVM_Task(flags))
    vm.start()
    with pytest.raises(InvalidState, match=names):
        vm.configure(**fields)
    assert (vm.refresh().cpus, vm.memory) == (1, 512 * MiB)


def hyperkit_task(task: Any) -> None:
    from pyVim.task import WaitForTask

    WaitForTask(task)


def test_a_running_vm_grows_up_to_its_ceiling(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v", cpus=2, max_cpus=4, memory=GiB, max_memory=4 * GiB).start()
    vm.configure(cpus=4, memory=2 * GiB)
    assert (vm.cpus, vm.memory, vm.record.max_cpus, vm.record.max_memory) == (4, 2 * GiB, 4, 4 * GiB)
    with pytest.raises(InvalidRequest):
        vm.configure(cpus=5)
    with pytest.raises(InvalidState):
        vm.configure(cpus=2)
    vm.stop().configure(cpus=1, max_cpus=1)
    assert (vm.cpus, vm.record.max_cpus) == (1, 1)


def test_custom_shares_keep_their_meaning_as_the_vm_grows(sim: Vcsim, host: Host) -> None:
    control = Allocation(reservation=500, limit=1000, shares=150)
    vm = host.vms.create("v", cpus=2, memory=GiB, cpu_allocation=control, memory_allocation=Allocation(shares=30))
    vm.configure(cpus=4, memory=2 * GiB)
    assert (vm.record.cpu_allocation, vm.record.memory_allocation) == (control, Allocation(shares=30))
    assert native(host, vm).config.cpuAllocation.shares.shares == 6000


def test_a_name_that_is_taken_changes_nothing(sim: Vcsim, host: Host) -> None:
    host.vms.create("taken")
    vm = host.vms.create("v")
    with pytest.raises(AlreadyExists):
        vm.configure(name="taken", notes="x")
    assert (vm.refresh().name, vm.notes) == ("v", "")


def test_what_hyperkit_keeps_survives_changes_of_other_things(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v", tags=["a"], guest_os="debian99", disks=[DiskSpec(size=8 * MiB)], max_cpus=2)
    vm.configure(tags=["b"])
    vm.configure(max_cpus=4)
    vm.configure(notes="x")
    record = vm.refresh().record
    assert (record.tags, record.guest_os, record.max_cpus) == (("b",), "debian99", 4)
    assert record.disks[0].created
    told = {each.key: each.value for each in native(host, vm).config.extraConfig}
    assert kept.parse(told[kept.KEY]).max_cpus == 4


def test_secure_boot_needs_uefi(sim: Vcsim, host: Host) -> None:
    uefi = host.vms.create("u", firmware=Firmware.UEFI)
    assert uefi.configure(secure_boot=True).record.secure_boot
    assert not uefi.configure(secure_boot=False).record.secure_boot
    with pytest.raises(InvalidRequest):
        host.vms.create("b").configure(secure_boot=True)


@pytest.mark.parametrize("fault", ["NoDiskSpace", "InvalidVmConfig", "TaskInProgress"])
def test_a_change_that_fails_changes_nothing(sim: Vcsim, host: Host, fault: str) -> None:
    vm = host.vms.create("v")
    before = vm.record
    sim.faults.task_fault("ReconfigVM_Task", fault)
    with pytest.raises(HyperkitError):
        vm.configure(cpus=2, notes="x", autostart=True)
    assert vm.refresh().record == before


def test_autostart_is_the_hosts_list(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("v", autostart=True)
    assert vm.record.autostart
    assert not vm.configure(autostart=False).record.autostart
    assert vm.start().configure(autostart=True).record.autostart
    sim.faults.task_fault("ReconfigVM_Task", "NoDiskSpace")
    with pytest.raises(ResourceExhausted):
        vm.configure(autostart=False, notes="x")
    assert vm.refresh().record.autostart
