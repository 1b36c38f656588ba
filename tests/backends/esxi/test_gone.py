"""What somebody else deleted meanwhile, through another session: each verb says so, and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

import hyperkit
from hyperkit import VM, DiskSpec, GiB, Host, NicSpec, NotFound, SwitchKind
from tests.beds.vcsim import Vcsim, missing


@pytest.fixture(scope="module", params=["esx", "vcenter"])
def sim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    if reasons := missing():
        pytest.skip("; ".join(reasons))
    with Vcsim(request.param) as sim:
        yield sim


def _connect(sim: Vcsim) -> Host:
    return hyperkit.connect(sim.hyperkit_url, password=sim.password, verify=str(sim.ca_file))


@pytest.fixture
def host(sim: Vcsim) -> Iterator[Host]:
    with _connect(sim) as host:
        yield host


@pytest.fixture
def other(sim: Vcsim) -> Iterator[Host]:
    """Somebody else."""
    with _connect(sim) as host:
        yield host


def _files(host: Host) -> set[str]:
    return {volume.path for store in host.datastores for volume in store.volumes}


VERBS: dict[str, Callable[[VM], object]] = {
    "start": lambda vm: vm.start(),
    "stop": lambda vm: vm.stop(),
    "suspend": lambda vm: vm.suspend(),
    "reset": lambda vm: vm.reset(),
    "shutdown": lambda vm: vm.shutdown(timeout=1),
    "configure": lambda vm: vm.configure(cpus=2),
    "rename": lambda vm: vm.configure(name="other"),
    "tag": lambda vm: vm.configure(tags=["a"]),
    "autostart": lambda vm: vm.configure(autostart=True),
    "attach a new disk": lambda vm: vm.disks.attach(DiskSpec(size=GiB)),
    "attach a NIC": lambda vm: vm.nics.attach(NicSpec()),
    "grow a disk": lambda vm: vm.disks[0].resize(2 * GiB),
    "detach a disk": lambda vm: vm.disks[0].detach(),
    "unplug a NIC": lambda vm: vm.nics[0].disconnect(),
    "eject": lambda vm: vm.cdroms[0].eject(),
    "snapshot": lambda vm: vm.snapshots.create("s"),
    "list snapshots": lambda vm: vm.snapshots.list(),
    "addresses": lambda vm: vm.addresses(),
    "screenshot": lambda vm: vm.console.screenshot(),
    "answer": lambda vm: vm.answer("0"),
    "consolidate": lambda vm: vm.consolidate(),
    "delete": lambda vm: vm.delete(),
    "refresh": lambda vm: vm.refresh(),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_vm_that_is_gone_is_not_found_by_any_verb(host: Host, other: Host, verb: str) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)], nics=[NicSpec()], cdrom=True)
    other.vms.get(vm.id).delete()
    files = _files(host)
    with pytest.raises(NotFound, match="web1"):
        VERBS[verb](vm)
    assert _files(host) == files
    assert vm not in host.vms


def test_a_clone_of_a_vm_that_is_gone_is_not_made(sim: Vcsim, host: Host, other: Host) -> None:
    if not host.capabilities.clones:
        pytest.skip("a host by itself has no clones")
    vm = host.vms.create("web1")
    other.vms.get(vm.id).delete()
    with pytest.raises(NotFound):
        vm.clone("web2")
    assert "web2" not in host.vms


def test_a_vm_that_goes_while_it_is_deleted_is_gone(host: Host, other: Host) -> None:
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)])
    task = other.vms.get(vm.id).begin_delete()
    task.result()
    with pytest.raises(NotFound):
        vm.delete()
    assert _files(host) == set()


def test_a_snapshot_that_is_gone_is_not_found(host: Host, other: Host) -> None:
    vm = host.vms.create("web1")
    snapshot = vm.snapshots.create("s")
    other.vms.get(vm.id).snapshots.get(snapshot.id).delete()
    for verb in (snapshot.revert, snapshot.delete, lambda: snapshot.rename("t"), snapshot.refresh):
        with pytest.raises(NotFound):
            verb()
    vm.delete()


def test_a_switch_that_is_gone_is_not_found(host: Host, other: Host) -> None:
    switch = host.switches.create("lan", SwitchKind.PRIVATE)
    vm = host.vms.create("web1", nics=[NicSpec()])
    other.switches.get(switch.id).delete()
    for verb in (switch.delete, switch.refresh, lambda: switch.configure(vlan=7)):
        with pytest.raises(NotFound, match="lan"):
            verb()
    with pytest.raises(NotFound):
        vm.nics[0].connect(switch)
    with pytest.raises(NotFound):
        host.vms.create("web2", nics=[NicSpec(switch)])
    assert "web2" not in host.vms
    vm.delete()


def test_a_volume_that_is_gone_is_not_found(host: Host, other: Host) -> None:
    store = host.datastores.list()[0]
    volume = store.volumes.create("data", GiB)
    other.datastores.get(store.id).volumes.get(volume.id).delete()
    with pytest.raises(NotFound):
        volume.delete()
    with pytest.raises(NotFound):
        host.vms.create("web1", disks=[DiskSpec(path=volume.path)])
    assert "web1" not in host.vms
