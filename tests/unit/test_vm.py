"""VM: what each verb costs in round trips, and what it does on the way."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from hyperkit import (
    VM,
    Allocation,
    AlreadyExists,
    CpuTopology,
    DiskSpec,
    GiB,
    Host,
    InvalidRequest,
    InvalidState,
    KernelBoot,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    ResourceExhausted,
    StateReason,
    SwitchKind,
    Timeout,
    Unsupported,
    VMSpec,
)
from hyperkit.backends.fake.world import World
from hyperkit.records import AddressRecord
from hyperkit.states import ALLOWED, PowerAction, already_there
from tests.unit.support import Calls, all_but, counted, host_with, put_in_state, world_of

VERBS: dict[PowerAction, Callable[[VM], object]] = {
    PowerAction.START: VM.start,
    PowerAction.STOP: VM.stop,
    PowerAction.SHUTDOWN: VM.shutdown,
    PowerAction.REBOOT: VM.reboot,
    PowerAction.RESET: VM.reset,
    PowerAction.PAUSE: VM.pause,
    PowerAction.RESUME: VM.resume,
    PowerAction.SUSPEND: VM.suspend,
    PowerAction.DISCARD: VM.discard_suspended,
}


def one_vm() -> tuple[VM, Calls]:
    """A VM that has a guest, since there is something to boot."""
    host, calls = counted()
    vm = host.vms.create("web1", kernel=KernelBoot("/vmlinuz"))
    calls.clear()
    return vm, calls


# Round trips


@pytest.mark.parametrize("action", PowerAction)
@pytest.mark.parametrize("state", PowerState)
def test_every_verb_in_every_state(state: PowerState, action: PowerAction) -> None:
    vm, calls = one_vm()
    put_in_state(vm.host, vm.id, state)
    verb = VERBS[action]
    if already_there(state, action):
        assert verb(vm) is vm
        assert calls == ["vms.power"]
        assert vm.state is state
    elif action in ALLOWED[state]:
        assert verb(vm) is vm
        assert calls[:2] == ["vms.power", "vms.set_power"]
        assert set(calls) == {"vms.power", "vms.set_power"}
        assert vm.record == vm.host.vms.get(vm.id).record
    else:
        with pytest.raises(InvalidState) as caught:
            verb(vm)
        assert calls == ["vms.power"]
        error = caught.value
        assert (error.current, error.wanted, error.resource) == (state.value, action.value, "VM 'web1'")
        delete = () if state in (PowerState.RUNNING, PowerState.PAUSED, PowerState.SLEEPING) else ("delete",)
        assert error.allowed == (*(a.value for a in PowerAction if a in ALLOWED[state]), *delete)
        assert vm.state is state


@pytest.mark.parametrize(
    ("verb", "needs"),
    [
        (VM.shutdown, "shutdown"),
        (VM.reboot, "reboot"),
        (VM.reset, "reset"),
        (VM.pause, "pause"),
        (VM.resume, "pause"),
        (VM.suspend, "suspend"),
        (VM.discard_suspended, "suspend"),
    ],
)
def test_what_the_host_cannot_do_costs_no_call(verb: Callable[[VM], object], needs: str) -> None:
    calls = Calls()
    host = host_with(World(capabilities=all_but(**{needs: False})))
    vm = host.vms.create("web1")
    vm.host.driver = calls.wrap(host.driver)
    with pytest.raises(Unsupported) as caught:
        verb(vm)
    assert calls == []
    assert (caught.value.capability, caught.value.resource) == (needs, "VM 'web1'")


def specs(host: Host, count: int) -> dict[str, list[DiskSpec] | list[NicSpec]]:
    del host
    return {
        "disks": [DiskSpec(size=MiB, datastore="default") for _ in range(count)],
        "nics": [NicSpec("lan", f"52:54:00:00:01:{number:02x}") for number in range(count)],
    }


def test_creating_a_plain_vm_is_one_call() -> None:
    host, calls = counted()
    assert calls.of(lambda: host.vms.create("web1")) == ["vms.create"]
    assert calls.of(lambda: host.vms.create(VMSpec("web2"))) == ["vms.create"]


@pytest.mark.parametrize("count", [1, 2, 20])
def test_creating_with_many_devices_costs_no_more_than_with_one(count: int) -> None:
    host, calls = counted()
    host.switches.create("lan", SwitchKind.INTERNAL)

    def create() -> None:
        vm = host.vms.create("web1", **specs(host, count))  # type: ignore[arg-type]
        assert (len(vm.disks), len(vm.nics)) == (count, count)

    assert calls.of(create) == ["vms.list", "switches.list", "datastores.list", "vms.create"]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"nics": [NicSpec()]}, []),
        ({"nics": [NicSpec("lan")]}, ["switches.list"]),
        ({"nics": [NicSpec(mac="52:54:00:00:00:09")]}, ["vms.list"]),
        ({"disks": [DiskSpec(size=MiB)]}, []),
        ({"disks": [DiskSpec(size=MiB, datastore="default")]}, ["datastores.list"]),
    ],
)
def test_only_what_is_named_is_looked_up(fields: dict[str, list[object]], asked: list[str]) -> None:
    host, calls = counted()
    host.switches.create("lan")
    assert calls.of(lambda: host.vms.create("web1", **fields)) == [*asked, "vms.create"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda vm: vm.refresh(), ["vms.get"]),
        (lambda vm: vm.configure(cpus=2), ["vms.get", "vms.configure"]),
        (lambda vm: vm.configure(), ["vms.get"]),
        (lambda vm: vm.rename("db1"), ["vms.get", "vms.configure"]),
        (
            lambda vm: vm.delete(),
            ["vms.get", "vms.list", "snapshots.held", "datastores.list", "volumes.list", "vms.delete"],
        ),
        (lambda vm: vm.delete(disks="none"), ["vms.get", "vms.list", "snapshots.held", "vms.delete"]),
        (lambda vm: vm.clone("web2"), ["clones.clone"]),
        (lambda vm: vm.clone("web2", datastore="default"), ["datastores.list", "clones.clone"]),
        (lambda vm: vm.make_template(), ["vms.get", "clones.set_template"]),
        (lambda vm: vm.make_vm(), ["vms.get"]),
        (lambda vm: vm.consolidate(), ["upkeep.consolidate", "vms.get"]),
        (lambda vm: vm.addresses(), ["guests.addresses"]),
        (lambda vm: vm.snapshots.create("s"), ["vms.power", "snapshots.create"]),
        (lambda vm: vm.snapshots.list(), ["snapshots.list"]),
        (lambda vm: vm.disks.attach(DiskSpec(size=MiB)), ["vms.get", "disks.attach", "vms.get"]),
        (lambda vm: vm.disks[0].resize(2 * GiB), ["vms.get", "disks.resize", "vms.get"]),
        (lambda vm: vm.disks[0].resize(GiB), ["vms.get"]),
        (lambda vm: vm.disks[0].detach(), ["vms.get", "disks.detach", "vms.get"]),
        (lambda vm: vm.nics.attach(NicSpec()), ["vms.get", "nics.attach", "vms.get"]),
        (lambda vm: vm.nics[0].set_link(False), ["vms.get", "nics.update", "vms.get"]),
        (lambda vm: vm.nics[0].connect("lan"), ["vms.get", "switches.list", "nics.update", "vms.get"]),
        (lambda vm: vm.nics[0].disconnect(), ["vms.get", "nics.update", "vms.get"]),
        (lambda vm: vm.nics[0].set_mac("525400000042"), ["vms.get", "vms.list", "nics.update", "vms.get"]),
        (lambda vm: vm.nics[0].set_mac("52:54:00:00:00:01"), ["vms.get", "nics.update", "vms.get"]),
        (lambda vm: vm.nics[0].detach(), ["vms.get", "nics.detach", "vms.get"]),
        (lambda vm: vm.cdroms[0].insert("/fake/images/a.iso"), ["vms.get", "disks.set_iso", "vms.get"]),
        (lambda vm: vm.cdroms[0].eject(), ["vms.get"]),
    ],
)
def test_round_trips(act: Callable[[VM], object], expected: list[str]) -> None:
    host, calls = counted()
    world_of(host).add_file("/fake/images/a.iso", MiB)
    host.switches.create("lan")
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)], nics=[NicSpec(mac="52:54:00:00:00:01")], cdrom=True)
    assert calls.of(lambda: act(vm)) == expected


def test_the_object_has_what_a_change_left() -> None:
    """After each change the VM in hand says what the host says, without a refresh of one's own."""
    host, _ = counted()
    world_of(host).add_file("/fake/images/a.iso", MiB)
    host.switches.create("lan")
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)], nics=[NicSpec()], cdrom=True)
    changes: list[Callable[[VM], object]] = [
        lambda vm: vm.configure(cpus=2),
        lambda vm: vm.disks.attach(DiskSpec(size=GiB)),
        lambda vm: vm.disks[1].resize(2 * GiB),
        lambda vm: vm.disks[1].detach(delete=True),
        lambda vm: vm.nics.attach(NicSpec("lan")),
        lambda vm: vm.nics[1].set_link(False),
        lambda vm: vm.nics[1].set_mac("52:54:00:00:00:42"),
        lambda vm: vm.nics[0].connect("lan"),
        lambda vm: vm.nics[0].disconnect(),
        lambda vm: vm.nics[1].detach(),
        lambda vm: vm.cdroms[0].insert("/fake/images/a.iso"),
        lambda vm: vm.cdroms[0].eject(),
        lambda vm: vm.start(),
        lambda vm: (vm.snapshots.create("s"), vm.pause()),
        lambda vm: vm.snapshots.one(name="s").revert(),
    ]
    for change in changes:
        before = vm.record
        change(vm)
        assert vm.record == host.vms.get(vm.id).record
        assert vm.record != before


# create


def test_create_takes_fields_or_a_whole_spec_not_both() -> None:
    host, calls = counted()
    with pytest.raises(InvalidRequest, match="a whole VMSpec, or a name and fields, not both"):
        host.vms.create(VMSpec("web1"), cpus=2)
    with pytest.raises(InvalidRequest, match="a VM has no field 'cpu'; it has autostart, boot_order, ") as caught:
        host.vms.create("web1", cpu=2)  # type: ignore[call-arg]
    assert (caught.value.field, caught.value.value) == ("cpu", 2)
    with pytest.raises(InvalidRequest):
        host.vms.create("")
    assert calls == []


def test_create_asks_for_what_it_was_asked_for() -> None:
    host, _ = counted()
    allocation = Allocation(reservation=1000, limit=2000, shares=200)
    vm = host.vms.create(
        "web1", cpus=2, memory=GiB, max_cpus=4, topology=CpuTopology(2, 2), cpu_allocation=allocation, notes="a\nb"
    )
    record = vm.record
    assert (record.state, record.cpus, record.memory, record.max_cpus) == (PowerState.OFF, 2, GiB, 4)
    assert (record.topology, record.cpu_allocation, record.notes) == (CpuTopology(2, 2), allocation, "a\nb")


def test_a_failing_create_names_the_vm_and_leaves_nothing() -> None:
    host, _ = counted()
    with pytest.raises(NotFound) as caught:
        host.vms.create("web1", disks=[DiskSpec(size=GiB), DiskSpec(base="/nowhere")])
    assert (caught.value.resource, caught.value.operation) == ("VM 'web1'", "vms.create")
    assert len(host.vms.list()) == 0
    assert len(host.datastores.list()[0].volumes.list()) == 0


def test_a_mac_of_another_vm_is_taken() -> None:
    host, calls = counted()
    first = host.vms.create("web1", nics=[NicSpec(mac="52:54:00:00:00:01")])
    second = host.vms.create("web2", nics=[NicSpec()])
    message = "MAC address 52:54:00:00:00:01 belongs to VM 'web1' on fake://"
    for take in (
        lambda: host.vms.create("web3", nics=[NicSpec(mac="525400000001")]),
        lambda: second.nics.attach(NicSpec(mac="52-54-00-00-00-01")),
        lambda: second.nics[0].set_mac("52:54:00:00:00:01"),
    ):
        calls.clear()
        with pytest.raises(AlreadyExists) as caught:
            take()
        assert caught.value.message == message
        assert set(calls) <= {"vms.get", "vms.list"}
    assert first.nics[0].set_mac("52:54:00:00:00:01").mac == "52:54:00:00:00:01"


# Errors of verbs


def test_a_suspended_vm_is_not_resumed_and_the_error_says_what_is_meant() -> None:
    vm, _ = one_vm()
    vm.start().suspend()
    with pytest.raises(InvalidState) as caught:
        vm.resume()
    assert str(caught.value) == (
        "cannot resume VM 'web1' on fake://: it is suspended, not paused (allowed: start, discard_suspended, delete)"
    )


@pytest.mark.parametrize(
    ("state", "verb", "told"),
    [
        (PowerState.OFF, VM.resume, "it is off (allowed"),
        (PowerState.SUSPENDED, VM.pause, "it is suspended (allowed"),
    ],
)
def test_other_verbs_need_no_such_word(state: PowerState, verb: Callable[[VM], object], told: str) -> None:
    vm, _ = one_vm()
    put_in_state(vm.host, vm.id, state)
    with pytest.raises(InvalidState) as caught:
        verb(vm)
    assert told in str(caught.value)


def test_a_reason_is_told() -> None:
    vm, _ = one_vm()
    world = world_of(vm.host)
    world.update(world.machine(vm.id), state=PowerState.PAUSED, reason=StateReason.IO_ERROR)
    with pytest.raises(InvalidState, match=r"it is paused \(io-error\)"):
        vm.shutdown()
    assert vm.reason is StateReason.IO_ERROR


def test_a_verb_on_a_vm_that_is_gone() -> None:
    vm, _ = one_vm()
    vm.host.vms.get(vm.id).delete()
    with pytest.raises(NotFound) as caught:
        vm.start()
    assert caught.value.resource == "VM 'web1'"


def test_a_full_host() -> None:
    host = host_with(World(memory=GiB))
    first, second = (host.vms.create(name, memory=768 * MiB) for name in ("a", "b"))
    first.start()
    with pytest.raises(ResourceExhausted, match="VM 'b': not enough memory") as caught:
        second.start()
    assert caught.value.resource == "VM 'b'"
    assert second.refresh().state is PowerState.OFF


# Shutdown


@pytest.mark.parametrize(("takes", "requests"), [(0, 1), (5, 1), (10.5, 2), (25, 3)])
def test_shutdown_asks_again_every_ten_seconds(takes: float, requests: int) -> None:
    vm, calls = one_vm()
    world_of(vm.host).machine(vm.id).shutdown_seconds = takes
    vm.start()
    calls.clear()
    began = vm.host.clock.monotonic()
    assert vm.shutdown(timeout=60) is vm
    assert vm.state is PowerState.OFF
    assert calls.count("vms.set_power") == requests
    assert takes <= vm.host.clock.monotonic() - began <= takes + 1


def test_resend_can_be_chosen() -> None:
    vm, calls = one_vm()
    world_of(vm.host).machine(vm.id).deaf = True
    vm.start()
    calls.clear()
    with pytest.raises(Timeout):
        vm.shutdown(timeout=10, resend=3)
    assert calls.count("vms.set_power") == 4


def test_a_deaf_guest_is_a_timeout_that_says_what_to_do() -> None:
    vm, _ = one_vm()
    world_of(vm.host).machine(vm.id).deaf = True
    vm.start()
    with pytest.raises(Timeout, match=r"VM 'web1' did not shut down within 30 s and runs on: .*force=True") as caught:
        vm.shutdown(timeout=30)
    assert (caught.value.operation, caught.value.resource) == ("vms.set_power", "VM 'web1'")
    assert caught.value.__cause__ is None
    assert vm.refresh().state is PowerState.RUNNING
    assert vm.host.clock.monotonic() == pytest.approx(30)


def test_force_cuts_the_power_when_the_time_is_up() -> None:
    vm, calls = one_vm()
    world_of(vm.host).machine(vm.id).deaf = True
    vm.start()
    calls.clear()
    assert vm.shutdown(timeout=30, force=True).state is PowerState.OFF
    assert vm.host.clock.monotonic() == pytest.approx(30)
    assert calls[-2:] == ["vms.power", "vms.set_power"]


def test_a_guest_that_goes_off_just_before_a_request_is_no_error() -> None:
    vm, _ = one_vm()
    world_of(vm.host).machine(vm.id).deaf = True
    vm.start()
    set_power, asked = vm.host.driver.vms.set_power, []

    def late(vm_id: str, action: PowerAction) -> object:
        asked.append(action)
        if len(asked) == 2:
            put_in_state(vm.host, vm_id, PowerState.OFF)
            raise InvalidState("it is off")
        return set_power(vm_id, action)

    vm.host.driver.vms.set_power = late  # type: ignore[assignment, method-assign]
    assert vm.shutdown(timeout=60).state is PowerState.OFF
    assert asked == [PowerAction.SHUTDOWN] * 2


def test_a_guest_that_cannot_hear_is_not_asked_again() -> None:
    """Somebody pauses it meanwhile: it is asked no more, and the time runs out."""
    vm, _ = one_vm()
    vm.start()
    asked: list[PowerAction] = []

    def pausing(vm_id: str, action: PowerAction) -> object:
        asked.append(action)
        put_in_state(vm.host, vm_id, PowerState.PAUSED)
        return vm.host.vms.get(vm_id).record

    vm.host.driver.vms.set_power = pausing  # type: ignore[assignment, method-assign]
    with pytest.raises(Timeout):
        vm.shutdown(timeout=60)
    assert asked == [PowerAction.SHUTDOWN]


def test_shutting_down_what_is_off_asks_nobody() -> None:
    vm, calls = one_vm()
    assert calls.of(vm.shutdown) == ["vms.power"]


# Waiting


def test_wait_for_state() -> None:
    vm, _ = one_vm()
    world_of(vm.host).machine(vm.id).shutdown_seconds = 5
    vm.start()
    vm.host.driver.vms.set_power(vm.id, PowerAction.SHUTDOWN)
    assert vm.wait_for_state(PowerState.OFF, timeout=60) is vm
    assert vm.state is PowerState.OFF
    assert vm.host.clock.monotonic() < 7
    with pytest.raises(Timeout, match=r"waited 3 s for VM 'web1' to be running"):
        vm.wait_for_state(PowerState.RUNNING, timeout=3)


def test_wait_for_a_condition() -> None:
    vm, calls = one_vm()
    assert vm.wait_for(lambda vm: vm.cpus == 1, timeout=0) is vm
    assert calls == ["vms.get"]
    with pytest.raises(Timeout, match=r"waited 1 s for VM 'web1' to meet the condition"):
        vm.wait_for(lambda vm: vm.cpus == 2, timeout=1)
    with pytest.raises(Timeout, match=r"waited 1 s for VM 'web1' to grow"):
        vm.wait_for(lambda vm: vm.cpus == 2, timeout=1, what="to grow")


def test_wait_for_address() -> None:
    host, _ = counted()
    host.switches.create("lan", SwitchKind.INTERNAL, subnet="192.168.150.0/24")
    vm = host.vms.create("web1", kernel=KernelBoot("/vmlinuz"), nics=[NicSpec("lan")])
    with pytest.raises(InvalidState, match="no address can come to VM 'web1' on fake://: it is off"):
        vm.wait_for_address()
    world_of(host).boot_seconds = 20
    vm.start()
    address = vm.wait_for_address(timeout=60)
    assert address.startswith("192.168.150.")
    assert 20 <= host.clock.monotonic() <= 21
    assert [record.mac for record in vm.addresses()] == [vm.nics[0].mac]
    vm.nics[0].disconnect()
    with pytest.raises(Timeout, match=r"waited 5 s for an address of VM 'web1'"):
        vm.wait_for_address(timeout=5)


def test_ipv4_comes_before_ipv6() -> None:
    vm, _ = one_vm()
    vm.start()
    found = [AddressRecord(mac="52:54:00:00:00:01", address=text) for text in ("fd00::1", "192.168.0.9", "10.0.0.7")]
    assert vm.host.driver.guests is not None
    vm.host.driver.guests.addresses = lambda vm_id: found  # type: ignore[method-assign]
    assert vm.wait_for_address() == "10.0.0.7"


# Snapshots


@pytest.mark.parametrize("memory", [None, True, False])
@pytest.mark.parametrize("state", PowerState)
def test_memory_of_a_snapshot(state: PowerState, memory: bool | None) -> None:
    vm, calls = one_vm()
    put_in_state(vm.host, vm.id, state)
    has_memory = state in (PowerState.RUNNING, PowerState.PAUSED)
    if state in (PowerState.SUSPENDED, PowerState.SLEEPING) or (memory and not has_memory):
        with pytest.raises(InvalidState) as caught:
            vm.snapshots.create("s", memory=memory)
        assert caught.value.current == state.value
        assert caught.value.resource == "VM 'web1'"
        assert calls == ["vms.power"]
    else:
        snapshot = vm.snapshots.create("s", memory=memory)
        assert snapshot.memory is (has_memory if memory is None else memory)
        assert snapshot.state is state


@pytest.mark.parametrize("state", [PowerState.RUNNING, PowerState.PAUSED])
@pytest.mark.parametrize(
    ("lacks", "memory", "refused"),
    [
        ("snapshot_memory", True, "snapshot_memory"),
        ("snapshot_memory", None, ""),
        ("snapshot_running_disks", False, "snapshot_running_disks"),
        ("snapshot_running_disks", None, ""),
    ],
)
def test_what_a_host_lacks_of_snapshots(state: PowerState, lacks: str, memory: bool | None, refused: str) -> None:
    host = host_with(World(capabilities=all_but(**{lacks: False})))
    vm = host.vms.create("web1")
    put_in_state(host, vm.id, state)
    if refused:
        with pytest.raises(Unsupported) as caught:
            vm.snapshots.create("s", memory=memory)
        assert caught.value.capability == refused
        assert len(vm.snapshots.list()) == 0
    else:
        assert vm.snapshots.create("s", memory=memory).memory is (lacks != "snapshot_memory")


def test_a_vm_that_is_off_needs_neither() -> None:
    caps = all_but(snapshot_memory=False, snapshot_running_disks=False)
    vm = host_with(World(capabilities=caps)).vms.create("web1")
    assert vm.snapshots.create("s").memory is False


# Devices


def test_disks_only_grow() -> None:
    host, calls = counted()
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)])
    calls.clear()
    with pytest.raises(InvalidRequest, match="smaller than its 1073741824 bytes; disks only grow") as caught:
        vm.disks[0].resize(GiB - 512)
    assert (caught.value.field, caught.value.value) == ("size", GiB - 512)
    for size in (4096, GiB + 1, True, "2 GiB"):
        with pytest.raises(InvalidRequest):
            vm.disks[0].resize(size)  # type: ignore[arg-type]
    assert calls == ["vms.get"]


@pytest.mark.parametrize(
    ("attach", "value"),
    [
        (lambda vm: vm.disks.attach(GiB), GiB),
        (lambda vm: vm.disks.attach("/a"), "/a"),
        (lambda vm: vm.nics.attach("lan"), "lan"),
    ],
)
def test_attach_takes_a_spec(attach: Callable[[VM], object], value: object) -> None:
    vm, calls = one_vm()
    with pytest.raises(InvalidRequest) as caught:
        attach(vm)
    assert (caught.value.field, caught.value.value) == ("spec", value)
    assert calls == []


def test_an_existing_disk_is_attached_once() -> None:
    vm, _ = one_vm()
    world_of(vm.host).add_file("/fake/images/old.qcow2", GiB, format="qcow2")
    disk = vm.disks.attach(DiskSpec(path="/fake/images/old.qcow2"))
    assert (disk.path, disk.size, disk.created) == ("/fake/images/old.qcow2", GiB, False)
    with pytest.raises(AlreadyExists, match=r"VM 'web1' already has the disk /fake/images/old\.qcow2"):
        vm.disks.attach(DiskSpec(path="/fake/images/old.qcow2"))
    assert len(vm.disks) == 1


def test_the_base_of_a_vms_own_disk_is_attached_only_to_be_read() -> None:
    vm, _ = one_vm()
    world_of(vm.host).add_file("/fake/images/old.qcow2", GiB, format="qcow2")
    vm.disks.attach(DiskSpec(base="/fake/images/old.qcow2"))
    with pytest.raises(InvalidRequest, match="shares blocks") as caught:
        vm.disks.attach(DiskSpec(path="/fake/images/old.qcow2"))
    assert caught.value.field == "path"
    assert vm.disks.attach(DiskSpec(path="/fake/images/old.qcow2", read_only=True)).record.read_only


def test_a_disk_whose_size_nobody_knows_can_be_shown_and_grown() -> None:
    host, _ = counted()
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)])
    world = world_of(host)
    world.update(world.machine(vm.id), disks=(attrs.evolve(vm.disks[0].record, size=None),))
    disk = vm.refresh().disks[0]
    assert "size unknown" in repr(disk)
    assert disk.resize(2 * GiB).size == 2 * GiB


def test_a_host_without_snapshots_is_not_asked_for_them() -> None:
    host = host_with(World(capabilities=all_but(snapshots=False)))
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)])
    vm.disks[0].detach(delete=True)
    assert len(host.datastores.list()[0].volumes.list()) == 0


@pytest.mark.parametrize("iso", ["", None, 7, "/a\nb"])
def test_an_iso_is_a_path(iso: str) -> None:
    host, calls = counted()
    vm = host.vms.create("web1", cdrom=True)
    calls.clear()
    with pytest.raises(InvalidRequest) as caught:
        vm.cdroms[0].insert(iso)
    assert (caught.value.field, caught.value.value) == ("iso", iso)
    assert calls == []


def test_a_drive_shows_what_is_in_it() -> None:
    host, _ = counted()
    world_of(host).add_file("/fake/images/a.iso", MiB)
    vm = host.vms.create("web1", iso="/fake/images/a.iso")
    assert " /fake/images/a.iso id=" in repr(vm.cdroms[0])
    assert " empty id=" in repr(vm.cdroms[0].eject())


def test_a_snapshot_that_the_host_cannot_take_costs_no_call() -> None:
    host = host_with(World(capabilities=all_but(snapshot_quiesced=False)))
    vm = host.vms.create("web1")
    calls = Calls()
    host.driver = calls.wrap(host.driver)
    with pytest.raises(Unsupported) as caught:
        vm.snapshots.create("s", quiesce=True)
    assert caught.value.capability == "snapshot_quiesced"
    assert calls == []


@pytest.mark.parametrize("switch", ["", None, 7, "a\nb"])
def test_connecting_to_nothing_does_not_disconnect(switch: str) -> None:
    host, calls = counted()
    host.switches.create("lan")
    vm = host.vms.create("web1", nics=[NicSpec("lan")])
    calls.clear()
    with pytest.raises(InvalidRequest) as caught:
        vm.nics[0].connect(switch)
    assert (caught.value.field, caught.value.value) == ("switch", switch)
    assert calls == []
