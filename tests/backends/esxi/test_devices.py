"""Attaching, changing and taking away devices on a simulated host: in one task each, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import DiskSpec, Host, InvalidRequest, InvalidState, MiB, NicSpec, NotFound
from hyperkit.errors import AlreadyExists, ConnectionLost, HyperkitError, ResourceExhausted
from tests.beds.vcsim import Vcsim, missing

STORE = "LocalDS_0"
TASK = "ReconfigVM_Task"


@pytest.fixture(scope="module", params=["esx", "vcenter"])
def a_sim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(request.param, datastores=2) as sim:
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


def files(sim: Vcsim) -> set[Path]:
    return {path.relative_to(root) for root in sim.datastores.values() for path in root.rglob("*")}


def test_a_new_disk_is_named_as_vsphere_does_and_is_one_task(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, datastore=STORE)])
    sim.control.reset_calls()
    record = host.driver.disks.attach(vm.id, DiskSpec(size=8 * MiB))
    assert (record.path, record.created) == (f"[{STORE}] web1/web1_1.vmdk", True)
    calls = sim.control.calls().methods
    assert calls[TASK] == 1
    assert sum(calls.values()) <= 8


def test_a_disk_in_another_datastore_is_in_a_directory_that_goes_if_it_fails(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, datastore=STORE)])
    other = next(name for name in sim.datastores if name != STORE)
    before = files(sim)
    sim.faults.task_fault(TASK, "NoDiskSpace")
    with pytest.raises(ResourceExhausted):
        vm.disks.attach(DiskSpec(size=8 * MiB, datastore=other))
    assert files(sim) == before
    assert vm.disks.attach(DiskSpec(size=8 * MiB, datastore=other)).path == f"[{other}] web1/web1_1.vmdk"


@pytest.mark.parametrize("spec", [{}, {"base": True, "linked": False}])
def test_a_disk_whose_attaching_fails_leaves_no_file(sim: Vcsim, host: Host, spec: dict[str, bool]) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, datastore=STORE)])
    image = host.datastores.one(name=STORE).volumes.create("image", 8 * MiB)
    wanted = DiskSpec(base=image.path, linked=False) if spec else DiskSpec(size=8 * MiB)
    before = files(sim)
    sim.faults.task_fault(TASK, "InvalidVmConfig")
    with pytest.raises(HyperkitError):
        vm.disks.attach(wanted)
    assert files(sim) == before
    assert len(vm.refresh().disks) == 1
    image.delete()


def test_a_disk_that_came_although_the_answer_was_lost_stays_whole(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, datastore=STORE)])
    sim.faults.lose_answer(TASK)
    with pytest.raises(ConnectionLost):
        vm.disks.attach(DiskSpec(size=8 * MiB))
    assert [disk.created for disk in vm.refresh().disks] == [True, True]
    assert all(path in {v.path for v in host.datastores.one(name=STORE).volumes} for path in (d.path for d in vm.disks))


def test_a_name_that_is_taken_leaves_the_file_that_has_it(sim: Vcsim, host: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, name="data", datastore=STORE)])
    vm.disks[0].detach()
    before = files(sim)
    with pytest.raises(AlreadyExists, match="data"):
        vm.disks.attach(DiskSpec(size=8 * MiB, name="data"))
    assert files(sim) == before


@pytest.mark.parametrize("path", ["../x.vmdk", "/vmfs/volumes/x", "[LocalDS_0] ../x.vmdk", "[LocalDS_0]"])
def test_what_is_no_datastore_path_is_refused_before_anything_is_looked_for(sim: Vcsim, host: Host, path: str) -> None:
    vm = host.vms.create("web1", cdrom=True)
    sim.control.reset_calls()
    with pytest.raises(InvalidRequest) as caught:
        vm.disks.attach(DiskSpec(path=path))
    assert caught.value.field == "path"
    with pytest.raises(InvalidRequest) as caught:
        vm.cdroms[0].insert(path)
    assert caught.value.field == "iso"
    assert "SearchDatastore_Task" not in sim.control.calls().methods


def test_a_disk_of_a_vm_with_snapshots_does_not_grow_and_the_error_says_what_to_do(host: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, datastore=STORE)])
    vm.snapshots.create("s")
    with pytest.raises(InvalidState, match="delete those of 'web1' first"):
        vm.disks[0].resize(16 * MiB)


def test_a_detached_disk_is_not_marked_as_created_when_it_comes_back(host: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, datastore=STORE)])
    path = vm.disks[0].path
    vm.disks[0].detach()
    assert not vm.disks.attach(DiskSpec(path=path)).created
    vm.delete()
    (volume,) = [each for each in host.datastores.one(name=STORE).volumes if each.path == path]
    volume.delete()


def test_tags_and_disks_are_kept_together(host: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=8 * MiB, datastore=STORE)])
    vm.configure(tags=["a", "b"])
    vm.disks.attach(DiskSpec(size=8 * MiB))
    vm.disks[0].detach()
    assert (vm.refresh().record.tags, [disk.created for disk in vm.disks]) == (("a", "b"), [True])


def test_an_unplugged_card_keeps_its_link_for_the_next_switch(host: Host) -> None:
    switch = host.switches.create("lan")
    vm = host.vms.create("web1", nics=[NicSpec(switch="lan", link_up=False), NicSpec(switch="lan")])
    for nic in vm.nics:
        nic.disconnect()
    assert [(nic.switch, nic.link_up) for nic in vm.nics] == [(None, False), (None, True)]
    switch.delete()  # no card is left in it
    host.switches.create("wan")
    for nic in vm.nics:
        nic.connect("wan")
    assert [(nic.switch, nic.link_up) for nic in vm.nics] == [("wan", False), ("wan", True)]
    vm.delete()
    host.switches.one(name="wan").delete()


def test_a_card_on_a_distributed_port_group(sim: Vcsim, host: Host) -> None:
    if sim.model == "esx":
        pytest.skip("a host by itself has no distributed switches")
    vm = host.vms.create("web1", nics=[NicSpec(switch="DC0_DVPG0"), NicSpec()])
    assert [nic.switch for nic in vm.nics] == ["DC0_DVPG0", None]
    assert vm.nics[1].connect("DC0_DVPG0").switch == "DC0_DVPG0"
    assert vm.nics[0].set_link(False).switch == "DC0_DVPG0"


def test_a_card_of_a_switch_that_is_gone_is_not_attached(host: Host) -> None:
    vm = host.vms.create("web1")
    with pytest.raises(NotFound):
        host.driver.nics.attach(vm.id, NicSpec(switch="network-4711"))
    with pytest.raises(NotFound):
        host.driver.nics.detach(vm.id, "4711")
    assert not vm.refresh().nics
