"""Clones and templates of a simulated vCenter: what is a clone's own, where it goes, and what stays of what fails."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import VM, DiskSpec, Host, HyperkitError, InvalidRequest, MiB, NicSpec
from hyperkit.backends.esxi.clones import place_of
from hyperkit.errors import Cancelled, ConnectionLost
from tests.beds.vcsim import Vcsim, missing

STORE = "LocalDS_0"


@pytest.fixture(scope="module")
def a_vcenter() -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim("vcenter") as sim:
        yield sim


@pytest.fixture
def host(vcenter: Vcsim) -> Iterator[Host]:
    yield from connected(vcenter)


def connected(sim: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file)) as host:
        yield host
        sim.faults.clear()
        for vm in reversed(host.vms.list()):  # clones before what they share blocks with
            vm.delete(disks="all", force=True)


def golden(host: Host) -> VM:
    return host.vms.create("golden", disks=[DiskSpec(size=8 * MiB)], notes="as <delivered>", tags=["web"])


def files(sim: Vcsim) -> set[str]:
    return {str(path.relative_to(root)) for root in sim.datastores.values() for path in root.rglob("*")}


def test_a_mac_that_somebody_chose_is_the_sources_alone(host: Host) -> None:
    # vCenter copies these; those that it gave itself it gives anew.
    vm = host.vms.create("golden", nics=[NicSpec(mac="52:54:00:12:34:56"), NicSpec()])
    clone = vm.clone("copy")
    assert vm.nics[0].mac == "52:54:00:12:34:56"
    assert len({nic.mac for each in (vm, clone) for nic in each.nics}) == 4
    assert [nic.record.model for nic in clone.nics] == [nic.record.model for nic in vm.nics]


def test_a_mac_that_a_snapshot_has_is_not_its_clones_either(host: Host) -> None:
    vm = host.vms.create("golden", nics=[NicSpec(mac="52:54:00:12:34:56")])
    then = vm.snapshots.create("then")
    vm.nics[0].set_mac("52:54:00:12:34:57")
    clone = vm.clone("copy", snapshot=then)
    then.revert()
    assert vm.refresh().nics[0].mac == "52:54:00:12:34:56" != clone.nics[0].mac


def test_what_a_linked_clones_disk_lies_on_is_no_disk_of_it(host: Host) -> None:
    vm = golden(host)
    path = vm.disks[0].path
    vm.snapshots.create("one")
    vm.snapshots.create("two")
    clone = vm.clone("copy", linked=True)
    for below in (path, str(clone.disks[0].record.base)):
        with pytest.raises(InvalidRequest, match="shares blocks") as caught:
            clone.disks.attach(DiskSpec(path=below))
        assert caught.value.field == "path"


def test_a_clone_of_a_snapshot_is_called_as_its_source_is_now(host: Host) -> None:
    vm = golden(host)
    then = vm.snapshots.create("then")
    vm.configure(notes="as patched", tags=["db"])
    clone = vm.clone("copy", snapshot=then)
    assert (clone.notes, clone.tags) == ("as patched", ("db",))
    assert host.vms.get(vm.id).notes == "as patched"


def test_a_full_clone_of_a_vm_with_snapshots_has_none_of_their_files(host: Host) -> None:
    vm = golden(host)
    vm.snapshots.create("one")
    vm.snapshots.create("two")
    (disk,) = vm.clone("copy").disks
    assert (disk.path, disk.record.base, disk.record.chain) == (f"[{STORE}] copy/copy.vmdk", None, ())


def test_a_linked_clone_that_is_deleted_leaves_its_source_as_it_was(vcenter: Vcsim, host: Host) -> None:
    vm = golden(host)
    vm.snapshots.create("base")
    before = files(vcenter)
    clone = vm.clone("copy", linked=True)
    (disk,) = clone.disks
    assert (disk.created, disk.record.base) == (True, f"[{STORE}] golden/golden.vmdk")
    clone.delete()
    assert files(vcenter) == before
    assert vm.clone("another", linked=True).disks[0].record.base == disk.record.base


def test_a_clone_goes_to_the_datastore_asked_for(host: Host) -> None:
    vm = golden(host)
    (disk,) = vm.clone("copy", datastore=STORE).disks
    assert disk.path.startswith(f"[{STORE}] copy/")
    with pytest.raises(hyperkit.NotFound, match=STORE):
        vm.clone("other", datastore="nowhere")


def test_a_template_is_cloned_onto_its_own_machine(host: Host) -> None:
    template = golden(host).make_template()
    clone = template.clone("copy")
    assert clone.record.host == template.record.host != ""
    assert template.make_vm().record.host == clone.record.host


def test_a_template_on_a_machine_out_of_scope_comes_into_scope(session: Any, vcenter: Vcsim) -> None:
    connection = session(vcenter, f"{vcenter.hyperkit_url}/DC0_C0")
    cluster = connection.scope.computes[0]
    pool, host = place_of(connection, "host-of-another-cluster")
    assert (pool._moId, host._moId) == (cluster.pool, cluster.hosts[0])
    pool, host = place_of(connection, cluster.hosts[-1])
    assert (pool._moId, host._moId) == (cluster.pool, cluster.hosts[-1])


@pytest.mark.parametrize("method", ["CloneVM_Task", "ReconfigVM_Task"])
def test_a_clone_that_fails_leaves_nothing(vcenter: Vcsim, host: Host, method: str) -> None:
    vm = golden(host)
    before = files(vcenter)
    vcenter.faults.task_fault(method, "NoDiskSpace")
    with pytest.raises(hyperkit.ResourceExhausted):
        vm.clone("copy")
    assert host.vms.list() == [vm]
    assert files(vcenter) == before


@pytest.mark.parametrize("method", ["CloneVM_Task", "ReconfigVM_Task"])
def test_a_clone_whose_answer_is_lost_leaves_nothing(vcenter: Vcsim, host: Host, method: str) -> None:
    vm = golden(host)
    before = files(vcenter)
    vcenter.faults.slow_task(method, seconds=0.3)
    vcenter.faults.lose_answer(method)
    with pytest.raises(ConnectionLost):
        vm.clone("copy")
    assert host.vms.list() == [vm]
    assert files(vcenter) == before


def test_a_clone_that_cannot_be_deleted_is_named(vcenter: Vcsim, host: Host) -> None:
    vm = golden(host)
    vcenter.faults.task_fault("ReconfigVM_Task", "NoDiskSpace")
    vcenter.faults.task_fault("Destroy_Task", "FileLocked")
    with pytest.raises(HyperkitError) as failed:
        vm.clone("copy")
    assert "VM 'copy' may be left" in "".join(failed.value.__notes__)
    assert {each.name for each in host.vms} == {"golden", "copy"}


def test_a_clone_is_cancelled(vcenter: Vcsim, host: Host) -> None:
    vm = golden(host)
    before = files(vcenter)
    vcenter.faults.slow_task("CloneVM_Task", seconds=30)
    task = vm.begin_clone("copy")
    task.cancel()
    with pytest.raises(Cancelled):
        task.result(10)
    assert host.vms.list() == [vm]
    assert files(vcenter) == before


def test_what_a_clone_costs(vcenter: Vcsim, host: Host) -> None:
    vm = golden(host)
    vcenter.control.reset_calls()
    vm.clone("copy")
    calls = vcenter.calls().methods
    assert (calls["CloneVM_Task"], calls["ReconfigVM_Task"]) == (1, 1)
    # the state of the source (whether it may be cloned as it runs), the source, each task, the clone, its record
    assert calls["RetrievePropertiesEx"] <= 6
    assert sum(calls.values()) <= 8
