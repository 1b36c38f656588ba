"""The fake: whose world a URL means, what profiles change, and that threads may share it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import hyperkit
from hyperkit import (
    AlreadyExists,
    ContainerSpec,
    DiskFormat,
    DiskSpec,
    GiB,
    Host,
    HyperkitError,
    InvalidRequest,
    KernelBoot,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    ResourceExhausted,
    SwitchKind,
    SystemClock,
    TiB,
    Unsupported,
    VirtualClock,
)
from hyperkit.backends.fake import forget
from hyperkit.backends.fake.profiles import PROFILES
from hyperkit.backends.fake.world import World
from tests.unit.support import host_with, world_of

_numbers = itertools.count()


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a shared world, of this test's own."""
    name = f"unit-{next(_numbers)}"
    yield name
    forget(name)


# Whose world


def test_two_nameless_fakes_are_two_worlds() -> None:
    first, second = hyperkit.connect("fake://"), hyperkit.connect("fake://")
    first.vms.create("web1")
    assert len(second.vms.list()) == 0
    assert first.identity != second.identity


def test_a_name_is_shared_until_it_is_forgotten(name: str) -> None:
    with hyperkit.connect(f"fake://{name}") as first:
        vm = first.vms.create("web1")
    second = hyperkit.connect(f"fake://{name}")
    assert second == first
    assert second.vms.list() == [vm]
    second.vms.list()[0].start()
    assert hyperkit.connect(f"fake://{name}").vms.one(name="web1").state is PowerState.RUNNING
    assert len(hyperkit.connect(f"fake://{name}-other").vms.list()) == 0
    forget(f"{name}-other")
    forget(name)
    forget(name)
    third = hyperkit.connect(f"fake://{name}")
    assert third != first
    assert len(third.vms.list()) == 0


def test_connections_that_close_leave_the_others_open(name: str) -> None:
    first, second = (hyperkit.connect(f"fake://{name}") for _ in range(2))
    first.close()
    assert second.vms.list() == []
    with pytest.raises(HyperkitError, match="was closed"):
        first.vms.list()


def test_threads_that_connect_at_once_get_one_world(name: str) -> None:
    barrier = threading.Barrier(8)

    def connect(_number: int) -> str:
        barrier.wait()
        return hyperkit.connect(f"fake://{name}").identity

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(connect, range(8)))) == 1


# Options


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ("profile=xen", "profile", "profile='xen': choose one of all, libvirt, esxi, vcenter, hyperv"),
        ("profile=", "profile", "profile=''"),
        ("clock=sundial", "clock", "choose one of virtual, system"),
        ("jobs=never", "jobs", "jobs='never': choose 'now', 'polls:3' or 'seconds:2.5'"),
        ("jobs=polls", "jobs", "choose"),
        ("jobs=polls:0", "jobs", "choose"),
        ("jobs=polls:-1", "jobs", "choose"),
        ("jobs=polls:x", "jobs", "choose"),
        ("jobs=polls:1.5", "jobs", "choose"),
        ("jobs=seconds:0", "jobs", "choose"),
        ("jobs=seconds:", "jobs", "choose"),
        ("jobs=now:1", "jobs", "choose"),
        ("profil=esxi", "profil", "fake:// has no option profil='esxi'; it has "),
    ],
)
@pytest.mark.parametrize("place", ["", "shared"])
def test_a_wrong_option_is_refused_by_name(options: str, field: str, message: str, place: str, name: str) -> None:
    url = f"fake://{name if place else ''}"
    if place:
        hyperkit.connect(url)  # also where the world exists already
    with pytest.raises(InvalidRequest) as caught:
        hyperkit.connect(f"{url}?{options}")
    assert caught.value.field == field
    assert message in str(caught.value)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_a_set_of_capabilities(profile: str) -> None:
    host = hyperkit.connect(f"fake://?profile={profile}")
    assert host.capabilities == PROFILES[profile]
    driver = host.driver
    assert (driver.snapshots is None) is not host.capabilities.snapshots
    assert (driver.guests is None) is not host.capabilities.guest_addresses
    assert (driver.events is None) is not host.capabilities.events_pushed


@pytest.mark.parametrize(
    ("profile", "act", "capability"),
    [
        ("esxi", lambda host: host.vms.create("a").pause(), "pause"),
        ("esxi", lambda host: host.vms.create("a").clone("b"), "clones"),
        ("esxi", lambda host: host.switches.create("a", SwitchKind.INTERNAL), "switch_internal"),
        ("hyperv", lambda host: host.vms.create("a", guest_os="debian12"), "guest_os"),
        ("hyperv", lambda host: host.vms.create("a", kernel=KernelBoot("/k")), "kernel_boot"),
        (
            "libvirt",
            lambda host: host.vms.create("a", disks=[DiskSpec(size=GiB, format=DiskFormat.VMDK)]),
            "disk_formats",
        ),
    ],
)
def test_a_profile_lacks_what_the_vendor_lacks(profile: str, act: Callable[[Host], object], capability: str) -> None:
    with pytest.raises(Unsupported) as caught:
        act(hyperkit.connect(f"fake://?profile={profile}"))
    assert caught.value.capability == capability


def smallest(host: Host) -> ContainerSpec | None:
    """What a VM of this host is, if it is no machine."""
    return None if host.capabilities.bios else ContainerSpec(init="/bin/true")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("make", "unique"),
    [
        (lambda host: host.vms.create("twin", container=smallest(host)), "unique_vm_names"),
        (lambda host: host.switches.create("twin"), "unique_switch_names"),
        (
            lambda host: (host.vms.find() or [host.vms.create("a", container=smallest(host))])[0].snapshots.create(
                "twin"
            ),
            "unique_snapshot_names",
        ),
    ],
)
def test_names_are_unique_where_the_profile_says_so(profile: str, make: Callable[[Host], object], unique: str) -> None:
    host = hyperkit.connect(f"fake://?profile={profile}")
    if unique == "unique_snapshot_names" and not host.capabilities.snapshots:
        with pytest.raises(Unsupported):
            make(host)
        return
    make(host)
    if getattr(host.capabilities, unique):
        with pytest.raises(AlreadyExists, match="'twin'"):
            make(host)
    else:
        make(host)


def test_new_disks_have_the_profile_s_format() -> None:
    for profile in set(PROFILES) - {"lxc"}:
        able = PROFILES[profile]
        vm = hyperkit.connect(f"fake://?profile={profile}").vms.create("a", disks=[DiskSpec(size=GiB)])
        assert vm.disks[0].record.format == able.disk_formats[0]


def test_clocks() -> None:
    assert isinstance(hyperkit.connect("fake://").clock, VirtualClock)
    assert isinstance(hyperkit.connect("fake://?clock=system").clock, SystemClock)
    mine = VirtualClock()
    assert hyperkit.connect("fake://", clock=mine).clock is mine


@pytest.mark.parametrize(("jobs", "looks"), [("polls:1", 1), ("polls:3", 3)])
def test_jobs_by_looks(jobs: str, looks: int) -> None:
    task = hyperkit.connect(f"fake://?jobs={jobs}").vms.begin_create("a")
    assert [task.done for _ in range(looks)] == [False] * (looks - 1) + [True]


def test_jobs_by_time() -> None:
    host = hyperkit.connect("fake://?jobs=seconds:2.5")
    task = host.vms.begin_create("a")
    host.clock.sleep(2.25)
    assert task.progress.fraction == pytest.approx(0.9)
    host.clock.sleep(0.25)
    assert task.done


# Memory


def test_memory_runs_out_at_start_and_comes_back() -> None:
    host = host_with(World(memory=4 * GiB))
    a, b = (host.vms.create(name, memory=3 * GiB) for name in "ab")
    a.start()
    assert host.refresh().info.memory_free == GiB
    with pytest.raises(ResourceExhausted, match=rf"{3 * GiB} bytes wanted, {GiB} free"):
        b.start()
    assert b.refresh().state is PowerState.OFF
    a.pause()
    with pytest.raises(ResourceExhausted):
        b.start()
    a.suspend()
    b.start()
    with pytest.raises(ResourceExhausted):
        a.start()
    assert a.refresh().state is PowerState.SUSPENDED
    b.delete(force=True)
    assert host.refresh().info.memory_free == 4 * GiB
    a.start().stop()
    assert host.refresh().info.memory_free == 4 * GiB


def test_memory_added_to_a_running_vm_counts() -> None:
    host = host_with(World(memory=4 * GiB))
    vm = host.vms.create("a", memory=GiB, max_memory=8 * GiB).start()
    with pytest.raises(ResourceExhausted):
        vm.configure(memory=5 * GiB)
    assert vm.refresh().memory == GiB
    vm.configure(memory=4 * GiB)
    assert host.refresh().info.memory_free == 0
    vm.configure(memory=2 * GiB)
    assert host.refresh().info.memory_free == 2 * GiB


def test_a_revert_that_cannot_be_leaves_everything_as_it_was() -> None:
    world = World(memory=4 * GiB)
    host = host_with(world)
    vm = host.vms.create("a", memory=3 * GiB, disks=[DiskSpec(size=GiB)]).start()
    hot = vm.snapshots.create("hot")
    vm.stop()
    later = vm.snapshots.create("later")
    world.volume(vm.disks[0].path).data = b"since then"
    host.vms.create("b", memory=3 * GiB).start()
    with pytest.raises(ResourceExhausted):
        hot.revert()
    assert vm.refresh().state is PowerState.OFF
    assert world.volume(vm.disks[0].path).data == b"since then"
    assert vm.snapshots.current() == later


def test_a_datastore_runs_out() -> None:
    host = hyperkit.connect("fake://")
    world_of(host).add_datastore("small", "/small", capacity=GiB)
    small = host.datastores.one(name="small")
    small.volumes.create("a", 768 * MiB, thin=False)
    assert small.refresh().free == 256 * MiB
    with pytest.raises(ResourceExhausted, match="256 MiB free, 512 MiB wanted"):
        small.volumes.create("b", 512 * MiB, thin=False)
    small.volumes.create("thin", TiB)
    assert small.refresh().free == 256 * MiB


# What vanished while a job ran


def test_a_switch_that_is_gone_when_the_job_ends_leaves_no_disk() -> None:
    host = hyperkit.connect("fake://?jobs=polls:2")
    lan = host.switches.create("lan")
    task = host.vms.begin_create("a", disks=[DiskSpec(size=GiB)], nics=[NicSpec("lan")])
    lan.delete()
    with pytest.raises(NotFound, match="no switch with id"):
        task.result()
    assert len(host.vms.list()) == 0
    assert len(host.datastores.list()[0].volumes.list()) == 0


def test_a_vm_that_is_gone_when_the_job_ends_is_not_found_and_holds_no_memory() -> None:
    host = hyperkit.connect("fake://?jobs=polls:2")
    vm = host.vms.create("a", memory=GiB)
    task = vm.begin_start()
    host.vms.get(vm.id).delete()
    with pytest.raises(NotFound):
        task.result()
    assert host.refresh().info.memory_free == host.info.memory


# Identities


def test_addresses_repeat_from_world_to_world_and_ids_but_for_the_world_s_number() -> None:
    def make() -> tuple[str, list[str]]:
        host = hyperkit.connect("fake://")
        vm = host.vms.create("a", nics=[NicSpec(), NicSpec()])
        return vm.id, [nic.mac for nic in vm.nics]

    (first, macs), (second, others) = make(), make()
    assert macs == others
    assert len(set(macs)) == 2
    assert first.partition("-")[0] != second.partition("-")[0]
    assert first.partition("-")[2] == second.partition("-")[2]


def test_a_new_address_is_no_chosen_one() -> None:
    probe = hyperkit.connect("fake://").vms.create("a", nics=[NicSpec()]).nics[0].mac
    host = hyperkit.connect("fake://")
    host.vms.create("a", nics=[NicSpec(mac=probe)])
    macs = {nic.mac for number in range(20) for nic in host.vms.create(f"b{number}", nics=[NicSpec()]).nics}
    assert len(macs) == 20
    assert probe not in macs


# Threads


def test_threads_share_a_fake() -> None:
    host = hyperkit.connect("fake://")
    host.switches.create("lan", SwitchKind.INTERNAL, subnet="10.1.0.0/16")
    rounds, workers = 25, 8
    barrier = threading.Barrier(workers)

    def work(worker: int) -> set[str]:
        barrier.wait()
        macs = set()
        for number in range(rounds):
            vm = host.vms.create(f"vm-{worker}-{number}", memory=GiB, disks=[DiskSpec(size=GiB)], nics=[NicSpec("lan")])
            macs.add(vm.nics[0].mac)
            vm.start()
            vm.snapshots.create("s")
            assert vm in host.vms
            if number % 5:
                vm.delete(force=True)
        return macs

    with ThreadPoolExecutor(workers) as pool:
        macs = [mac for found in pool.map(work, range(workers)) for mac in found]
    assert len(set(macs)) == len(macs) == workers * rounds
    left = workers * len(range(0, rounds, 5))
    vms = host.vms.list()
    assert len(vms) == len({vm.id for vm in vms}) == left
    assert {vm.state for vm in vms} == {PowerState.RUNNING}
    assert len(host.datastores.list()[0].volumes.list()) == left
    assert host.refresh().info.memory_free == host.info.memory - left * GiB


def test_threads_that_want_one_name_get_one() -> None:
    host = hyperkit.connect("fake://")
    barrier = threading.Barrier(8)

    def create(_number: int) -> bool:
        barrier.wait()
        try:
            host.vms.create("only")
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1
    assert len(host.vms.list()) == 1


def test_threads_cannot_run_more_than_the_host_holds() -> None:
    host = host_with(World(memory=4 * GiB))
    vms = [host.vms.create(f"vm{number}", memory=GiB) for number in range(8)]
    barrier = threading.Barrier(8)

    def start(number: int) -> bool:
        barrier.wait()
        try:
            vms[number].start()
        except ResourceExhausted:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(start, range(8))) == 4
    assert len(host.vms.find(state=PowerState.RUNNING)) == 4
    assert host.refresh().info.memory_free == 0
