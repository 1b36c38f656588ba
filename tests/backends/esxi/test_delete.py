"""Deleting VMs on a simulated host: what goes, what stays, and what is there again if it could not be done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import VM, DiskSpec, Host, MiB
from hyperkit.backends.esxi.connection import Connection
from hyperkit.connection import parse
from hyperkit.errors import Busy, ConnectionLost, HyperkitError
from tests.beds.vcsim import Vcsim, missing

STORE = "LocalDS_0"


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
    for store in sim.datastores.values():
        for left in store.iterdir():
            shutil.rmtree(left)


def files(sim: Vcsim) -> set[str]:
    return {str(path.relative_to(root)) for root in sim.datastores.values() for path in root.rglob("*")}


@pytest.fixture
def image(sim: Vcsim, host: Host) -> str:
    """The path of a disk that hyperkit did not create, as far as the VMs know that have it."""
    maker = host.vms.create("maker", disks=[DiskSpec(size=16 * MiB, name="image")])
    path = maker.disks[0].path
    maker.delete(disks="none")
    assert {"maker/image.vmdk", "maker/image-flat.vmdk"} <= files(sim)
    return path


@pytest.fixture
def vm(host: Host, image: str) -> VM:
    """A VM with a disk of its own and one that is to stay."""
    return host.vms.create("v", disks=[DiskSpec(size=8 * MiB), DiskSpec(path=image)])


def test_only_the_disks_that_are_named_go(sim: Vcsim, host: Host, vm: VM, image: str) -> None:
    vm.delete()
    assert {"maker/image.vmdk", "maker/image-flat.vmdk"} <= files(sim)
    assert not any(name.startswith("v/") for name in files(sim))
    assert not list(host.vms)


def test_no_disk_goes_if_none_is_to(sim: Vcsim, host: Host, vm: VM) -> None:
    vm.delete(disks="none")
    assert {"v/v.vmdk", "v/v-flat.vmdk", "maker/image.vmdk"} <= files(sim)
    assert "v/v.vmx" not in files(sim)
    host.vms.create("again", disks=[DiskSpec(path=f"[{STORE}] v/v.vmdk")]).delete(disks="all")


def test_a_delete_that_fails_gives_the_disks_back(sim: Vcsim, host: Host, vm: VM) -> None:
    before = [(disk.id, disk.path) for disk in vm.disks]
    sim.faults.task_fault("Destroy_Task", "TaskInProgress")
    with pytest.raises(Busy):
        vm.delete()
    assert [(disk.id, disk.path) for disk in vm.refresh().disks] == before
    assert not list(vm.record.disks[1].chain)


def test_disks_that_cannot_be_given_back_are_named(sim: Vcsim, host: Host, vm: VM, image: str) -> None:
    sim.faults.task_fault("Destroy_Task", "TaskInProgress")
    sim.faults.task_fault("ReconfigVM_Task", "TaskInProgress", skip=1)
    with pytest.raises(Busy) as caught:
        vm.delete()
    assert image in " ".join(caught.value.__notes__)


def test_snapshots_are_merged_into_the_disks_that_stay(sim: Vcsim, host: Host, vm: VM, image: str) -> None:
    vm.snapshots.create("one")
    sim.control.reset_calls()
    vm.refresh().delete()
    assert sim.control.calls().methods["RemoveAllSnapshots_Task"] == 1
    assert not list(host.vms)
    assert "maker/image.vmdk" in files(sim)
    assert not any("-00000" in name for name in files(sim))


def test_a_suspended_vm_goes_with_its_memory_and_its_disks_stay(sim: Vcsim, host: Host, vm: VM) -> None:
    vm.start().suspend()
    vm.delete()
    assert not list(host.vms)
    assert "maker/image.vmdk" in files(sim)


def test_a_delete_whose_answer_is_lost_is_done(sim: Vcsim, host: Host, vm: VM) -> None:
    sim.faults.lose_answer("Destroy_Task")
    vm.delete()
    assert not list(host.vms)


def test_a_delete_that_never_arrived_gives_the_disks_back(sim: Vcsim, host: Host, vm: VM, image: str) -> None:
    sim.faults.drop("Destroy_Task")
    with pytest.raises(ConnectionLost):
        vm.delete()
    assert image in [disk.path for disk in vm.refresh().disks]


def test_a_vm_whose_files_cannot_be_read_is_forgotten(sim: Vcsim, host: Host, vm: VM) -> None:
    """The simulator has no such VM: the property that says so is changed on its way to us."""
    from hyperkit.backends.esxi import delete
    from hyperkit.backends.esxi.tasks import finished

    with_files = files(sim)
    connection = Connection(parse(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)))
    try:
        own = connection.properties.one

        def inaccessible(*asked: object) -> object:
            found = own(*asked)  # type: ignore[arg-type]
            if (state := found.values.get("runtime.connectionState")) is not None:
                state.text = "inaccessible"
            return found

        connection.properties.one = inaccessible  # type: ignore[method-assign,assignment]
        finished(connection, delete.delete(connection, vm.id, []))
    finally:
        connection.close()
    assert not list(host.vms)
    assert files(sim) == with_files


def test_a_template_keeps_the_disks_that_are_to_stay(sim: Vcsim, host: Host, vm: VM, image: str) -> None:
    if not host.capabilities.templates:
        pytest.skip("a host by itself has no templates")
    host.driver.clones.set_template(vm.id, True)  # type: ignore[union-attr]
    vm.refresh().delete()
    assert not list(host.vms)
    assert "maker/image.vmdk" in files(sim)


def test_a_template_that_could_not_be_deleted_is_one_again(sim: Vcsim, host: Host, vm: VM, image: str) -> None:
    if not host.capabilities.templates:
        pytest.skip("a host by itself has no templates")
    host.driver.clones.set_template(vm.id, True)  # type: ignore[union-attr]
    sim.faults.task_fault("Destroy_Task", "TaskInProgress")
    with pytest.raises(HyperkitError):
        vm.refresh().delete()
    assert vm.refresh().record.template
    assert image in [disk.path for disk in vm.disks]
    host.driver.clones.set_template(vm.id, False)  # type: ignore[union-attr]
