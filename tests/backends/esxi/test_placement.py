"""New VMs go where the connection's scope says, with one read of its machines and datastores."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pyVmomi", reason="pyvmomi is not installed")

import hyperkit
from hyperkit import DiskSpec, MiB, NicSpec, PowerState, ResourceExhausted
from tests.beds.vcsim import Vcsim, missing


@pytest.fixture(scope="module")
def sim() -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(model="vcenter", machines=0) as sim:
        yield sim


def connected(sim: Vcsim, path: str) -> hyperkit.Host:
    url = f"vcenter://{sim.user}@{sim.host}:{sim.port}{path}"
    return hyperkit.connect(url, password=sim.password, verify=str(sim.ca_file))


@pytest.mark.parametrize(
    ("path", "hosts"),
    [
        ("/DC0", {"DC0_H0", "DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"}),
        ("/DC0/DC0_C0", {"DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2"}),
        ("/DC0/DC0_C0/DC0_C0_H1", {"DC0_C0_H1"}),
        ("/DC0/DC0_H0", {"DC0_H0"}),
    ],
)
def test_a_vm_is_put_on_a_machine_of_the_scope(sim: Vcsim, path: str, hosts: set[str]) -> None:
    with connected(sim, path) as host:
        (store,) = host.datastores
        assert "VM Network" in [switch.name for switch in host.switches]
        vm = host.vms.create("here", memory=64 * MiB, disks=[DiskSpec(size=8 * MiB)], nics=[NicSpec("VM Network")])
        try:
            assert vm.start().state is PowerState.RUNNING
            assert vm.refresh().record.host in hosts
            assert vm.disks[0].path in [volume.path for volume in store.volumes]
            assert [other.id for other in host.vms] == [vm.id]
        finally:
            vm.delete(force=True)
        assert store.volumes.list() == []


def test_a_machine_alone_has_the_cpus_of_one(sim: Vcsim) -> None:
    with (
        connected(sim, "/DC0") as all_of_it,
        connected(sim, "/DC0/DC0_C0") as cluster,
        connected(sim, "/DC0/DC0_C0/DC0_C0_H0") as one,
    ):
        assert cluster.info.cpus == 3 * one.info.cpus
        assert all_of_it.info.cpus == 4 * one.info.cpus
        assert len({all_of_it.identity, cluster.identity, one.identity}) == 3


def test_a_full_datastore_is_resource_exhausted_and_leaves_nothing(sim: Vcsim) -> None:
    with connected(sim, "/DC0/DC0_C0") as host:
        (store,) = host.datastores
        with pytest.raises(ResourceExhausted):
            host.vms.create("large", memory=64 * MiB, disks=[DiskSpec(size=store.record.capacity + MiB, thin=False)])
        assert host.vms.list() == []
        assert store.volumes.list() == []
