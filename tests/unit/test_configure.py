"""configure(): what may change in which state, in one step or not at all."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from hyperkit import (
    VM,
    Allocation,
    AlreadyExists,
    BootDevice,
    CpuTopology,
    Firmware,
    GiB,
    InvalidRequest,
    InvalidState,
    MiB,
    PowerState,
    Unsupported,
)
from hyperkit.backends.fake.profiles import ALL
from hyperkit.backends.fake.world import World
from hyperkit.change import allowed_change
from hyperkit.records import VMRecord, dimm_choices
from hyperkit.specs import ChangeFields
from tests.unit.support import Calls, all_but, counted, host_with, put_in_state

S = PowerState

EVERY_CHANGE: dict[str, Any] = {
    "name": "db1",
    "cpus": 3,
    "memory": 2 * GiB,
    "max_cpus": 6,
    "max_memory": 6 * GiB,
    "topology": CpuTopology(2, 2, 1),
    "cpu_allocation": Allocation(shares=200),
    "memory_allocation": Allocation(shares=200),
    "guest_os": "debian12",
    "secure_boot": True,
    "tpm": True,
    "boot_order": (BootDevice.CDROM,),
    "notes": "n",
    "tags": ("web",),
    "autostart": True,
}
HOT = {
    "name": "hot_rename",
    "cpus": "hot_cpu_add",
    "memory": "hot_memory_add",
    "cpu_allocation": "hot_allocation",
    "memory_allocation": "hot_allocation",
}
ALWAYS = {"notes", "tags", "autostart"}


def make(capabilities: dict[str, Any] | None = None, **fields: Any) -> tuple[VM, Calls]:
    """A VM with room to grow, on a host with these capabilities."""
    host = host_with(World(capabilities=all_but(**(capabilities or {}))))
    calls = Calls()
    host.driver = calls.wrap(host.driver)
    base: dict[str, Any] = {"cpus": 2, "max_cpus": 4, "memory": GiB, "max_memory": 4 * GiB, "firmware": Firmware.UEFI}
    vm = host.vms.create("web1", **{**base, **fields})
    calls.clear()
    return vm, calls


def test_every_field_is_tried_here() -> None:
    assert set(EVERY_CHANGE) == set(ChangeFields.__annotations__)


@pytest.mark.parametrize("field", EVERY_CHANGE)
@pytest.mark.parametrize("state", [S.OFF, S.CRASHED])
def test_all_can_change_while_it_is_off(field: str, state: PowerState) -> None:
    vm, calls = make()
    put_in_state(vm.host, vm.id, state)
    assert vm.configure(**{field: EVERY_CHANGE[field]}) is vm
    assert calls == ["vms.get", "vms.configure"]
    assert getattr(vm.record, field) == EVERY_CHANGE[field]
    assert vm.record == vm.host.vms.get(vm.id).record


@pytest.mark.parametrize("field", EVERY_CHANGE)
@pytest.mark.parametrize("state", [S.RUNNING, S.PAUSED])
@pytest.mark.parametrize("able", [True, False])
def test_while_it_runs_the_hot_capability_decides(field: str, state: PowerState, able: bool) -> None:
    hot = HOT.get(field)
    vm, calls = make({hot: able} if hot else {})
    put_in_state(vm.host, vm.id, state)
    if field in ALWAYS or (hot and able):
        vm.configure(**{field: EVERY_CHANGE[field]})
        assert getattr(vm.record, field) == EVERY_CHANGE[field]
    else:
        with pytest.raises(InvalidState) as caught:
            vm.configure(**{field: EVERY_CHANGE[field]})
        error = caught.value
        assert (error.current, error.wanted) == (state.value, f"configure {field}")
        hint = f" (capability '{hot}')" if hot else ""
        assert error.message.startswith(f"cannot change {field}{hint} of VM 'web1'")
        assert calls == ["vms.get"]


@pytest.mark.parametrize("field", EVERY_CHANGE)
@pytest.mark.parametrize("state", [S.SUSPENDED, S.SLEEPING, S.UNKNOWN])
def test_neither_off_nor_running_takes_only_what_is_the_host_s(field: str, state: PowerState) -> None:
    vm, calls = make()
    put_in_state(vm.host, vm.id, state)
    if field in ALWAYS:
        vm.configure(**{field: EVERY_CHANGE[field]})
        assert getattr(vm.record, field) == EVERY_CHANGE[field]
    else:
        with pytest.raises(InvalidState, match=f"cannot change {field} of VM 'web1'") as caught:
            vm.configure(**{field: EVERY_CHANGE[field]})
        assert "capability" not in str(caught.value)
        assert calls == ["vms.get"]


@pytest.mark.parametrize(
    ("field", "value", "capability"),
    [
        ("cpus", 3, "hot_cpu_add"),
        ("cpus", 1, "hot_cpu_remove"),
        ("memory", 2 * GiB, "hot_memory_add"),
        ("memory", 512 * MiB, "hot_memory_remove"),
    ],
)
def test_more_and_less_are_two_capabilities(field: str, value: Any, capability: str) -> None:
    vm, _ = make({capability: False})
    vm.start()
    with pytest.raises(InvalidState, match=rf"\(capability '{capability}'\)"):
        vm.configure(**{field: value})
    others = {
        name: name == capability for name in ("hot_cpu_add", "hot_cpu_remove", "hot_memory_add", "hot_memory_remove")
    }
    vm, _ = make(others)
    vm.start()
    assert getattr(vm.configure(**{field: value}), field) == value


# Nothing to do


@pytest.mark.parametrize("state", S)
def test_what_is_so_already_is_no_change_in_any_state(state: PowerState) -> None:
    vm, calls = make()
    put_in_state(vm.host, vm.id, state)
    record = vm.record
    vm.configure(
        name="web1",
        cpus=2,
        max_cpus=4,
        memory=GiB,
        max_memory=4 * GiB,
        cpu_allocation=Allocation(),
        secure_boot=False,
        boot_order=[BootDevice.DISK],
        notes="",
        autostart=False,
    )
    assert calls == ["vms.get"]
    assert vm.record == attrs.evolve(record, state=state)


def test_only_what_differs_is_sent() -> None:
    vm, _ = make()
    change = allowed_change(
        vm.record, {"name": "web1", "cpus": 3, "notes": "", "tpm": True}, ALL, lambda *_: InvalidState()
    )
    assert change.fields() == {"cpus": 3, "tpm": True}


def test_notes_can_be_emptied() -> None:
    vm, _ = make(notes="old")
    assert vm.configure(notes="").notes == ""


# Ceilings


@pytest.mark.parametrize(
    ("ceiling", "change", "after"),
    [
        # No room to grow: the ceiling goes along, up and down
        (2, {"cpus": 4}, (4, 4)),
        (2, {"cpus": 1}, (1, 1)),
        # Room: it stays, unless passed
        (4, {"cpus": 3}, (3, 4)),
        (4, {"cpus": 1}, (1, 4)),
        (4, {"cpus": 8}, (8, 8)),
        # Said: as said
        (4, {"max_cpus": 8}, (2, 8)),
        (4, {"max_cpus": 2}, (2, 2)),
        (4, {"cpus": 8, "max_cpus": 16}, (8, 16)),
        (2, {"cpus": 1, "max_cpus": 2}, (1, 2)),
    ],
)
def test_ceiling_of_cpus(ceiling: int, change: dict[str, Any], after: tuple[int, int]) -> None:
    vm, _ = make(max_cpus=ceiling)
    record = vm.configure(**change).record
    assert (record.cpus, record.max_cpus) == after


@pytest.mark.parametrize(
    ("ceiling", "change", "after"),
    [
        (1, {"memory": 3}, (3, 3)),
        (4, {"memory": 3}, (3, 4)),
        (4, {"memory": 6}, (6, 6)),
        (4, {"max_memory": 2}, (1, 2)),
    ],
)
def test_ceiling_of_memory(ceiling: int, change: dict[str, Any], after: tuple[int, int]) -> None:
    vm, _ = make(max_memory=ceiling * GiB)
    record = vm.configure(**{name: count * GiB for name, count in change.items()}).record
    assert (record.memory, record.max_memory) == (after[0] * GiB, after[1] * GiB)


def test_a_running_vm_grows_to_its_ceiling_and_no_further() -> None:
    vm, calls = make()
    vm.start()
    assert vm.configure(cpus=4).cpus == 4
    calls.clear()
    with pytest.raises(InvalidRequest, match=r"cpus=5 is not accepted: cpus \(5\) at most max_cpus \(4\)") as caught:
        vm.configure(cpus=5)
    assert (caught.value.field, caught.value.value) == ("cpus", 5)
    with pytest.raises(InvalidRequest, match="memory=5368709120 is not accepted"):
        vm.configure(memory=5 * GiB)
    assert set(calls) == {"vms.get"}


@pytest.mark.parametrize(
    ("capability", "change"),
    [
        ("cpu_ceiling", {"max_cpus": 4}),
        ("cpu_ceiling", {"cpus": 1, "max_cpus": 2}),
        ("memory_ceiling", {"max_memory": 4 * GiB}),
    ],
)
def test_room_to_grow_is_a_capability_here_too(capability: str, change: dict[str, Any]) -> None:
    vm, calls = make({capability: False}, max_cpus=2, max_memory=GiB)
    with pytest.raises(Unsupported) as caught:
        vm.configure(**change)
    assert caught.value.capability == capability
    assert vm.configure(cpus=4, memory=2 * GiB).record.max_cpus == 4
    assert calls.count("vms.configure") == 2


# The VM as it would be


@pytest.mark.parametrize(
    ("start", "change", "field"),
    [
        ({}, {"max_cpus": 1}, "max_cpus"),
        ({}, {"max_memory": 512 * MiB}, "max_memory"),
        ({}, {"cpus": 3, "max_cpus": 2}, "cpus"),
        ({"topology": CpuTopology(4)}, {"max_cpus": 8}, "topology"),
        ({"topology": CpuTopology(4)}, {"cpus": 8}, "topology"),
        ({}, {"topology": CpuTopology(2)}, "topology"),
        ({"firmware": Firmware.BIOS}, {"secure_boot": True}, "secure_boot"),
        ({}, {"cpu_allocation": Allocation(4001)}, "cpu_allocation.reservation"),
        ({}, {"cpu_allocation": Allocation(2001)}, "cpu_allocation.reservation"),
        ({"max_cpus": 2, "cpu_allocation": Allocation(2000)}, {"cpus": 1}, "cpu_allocation.reservation"),
        ({}, {"memory_allocation": Allocation(5 * GiB)}, "memory_allocation.reservation"),
        ({}, {"memory_allocation": Allocation(GiB + MiB)}, "memory_allocation.reservation"),
        (
            {"max_memory": GiB, "memory_allocation": Allocation(GiB)},
            {"memory": 512 * MiB},
            "memory_allocation.reservation",
        ),
        ({}, {"memory_allocation": Allocation(limit=4096)}, "memory_allocation.limit"),
        ({}, {"cpus": 0}, "cpus"),
        ({}, {"memory": 4096}, "memory"),
        ({}, {"name": "a/b"}, "name"),
    ],
)
def test_what_could_not_be_created_cannot_be_made_by_a_change(
    start: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    vm, calls = make(**start)
    record = vm.record
    with pytest.raises(InvalidRequest) as caught:
        vm.configure(**{**change, "notes": "must not stay"})
    assert caught.value.field == field
    assert calls == ["vms.get"]
    assert vm.refresh().record == record


def test_topology_and_cpus_can_change_together() -> None:
    vm, _ = make(max_cpus=2, topology=CpuTopology(2))
    record = vm.configure(cpus=8, topology=CpuTopology(2, 2, 2)).record
    assert (record.cpus, record.max_cpus, record.topology) == (8, 8, CpuTopology(2, 2, 2))


def test_a_topology_that_was_odd_before_hinders_no_other_change() -> None:
    """Somebody else may have made it; only what is changed must fit."""
    vm, _ = make()
    world = vm.host.native
    assert isinstance(world, World)
    world.update(world.machine(vm.id), topology=CpuTopology(7))
    assert vm.configure(notes="n", tpm=True).notes == "n"


def test_an_allocation_that_was_odd_before_hinders_no_other_change() -> None:
    vm, _ = make()
    world = vm.host.native
    assert isinstance(world, World)
    world.update(world.machine(vm.id), cpu_allocation=Allocation(99_000))
    assert vm.configure(notes="n", tpm=True).notes == "n"


# Refused as a whole


@pytest.mark.parametrize(
    "change",
    [
        {"notes": "n", "cpus": 3, "tpm": True},
        {"cpus": 3, "guest_os": "debian12"},
        {"autostart": True, "max_cpus": 8},
    ],
)
def test_when_one_field_cannot_change_none_does(change: dict[str, Any]) -> None:
    vm, calls = make()
    vm.start()
    record = vm.record
    calls.clear()
    with pytest.raises(InvalidState):
        vm.configure(**change)
    assert calls == ["vms.get"]
    assert vm.refresh().record == record


def test_a_refused_change_leaves_the_object_as_it_was() -> None:
    vm, _ = make()
    vm.host.vms.create("taken")
    with pytest.raises(AlreadyExists):
        vm.configure(name="taken", cpus=3)
    assert (vm.name, vm.cpus) == ("web1", 2)
    assert vm.refresh().cpus == 2


def test_a_field_there_is_not() -> None:
    vm, calls = make()
    with pytest.raises(
        InvalidRequest, match=r"configure\(\) cannot change 'firmware'; it can change name, cpus"
    ) as caught:
        vm.configure(firmware=Firmware.UEFI)  # type: ignore[call-arg]
    assert (caught.value.field, caught.value.value) == ("firmware", Firmware.UEFI)
    assert calls == ["vms.get"]


def test_it_looks_before_it_changes() -> None:
    """The record in hand may be old: what decides is what the VM is now."""
    vm, _ = make({"hot_cpu_add": False})
    vm.host.vms.get(vm.id).start()
    before = vm.record.state
    with pytest.raises(InvalidState):
        vm.configure(cpus=3)
    assert (before, vm.record.state) == (S.OFF, S.RUNNING)


def test_rename_keeps_the_id() -> None:
    host, calls = counted()
    vm = host.vms.create("web1")
    before = vm.id
    assert vm.rename("db1").name == "db1"
    assert (vm.id, "web1" in host.vms, "db1" in host.vms) == (before, False, True)
    assert calls.count("vms.configure") == 1


def test_the_record_given_is_not_changed() -> None:
    vm, _ = make()
    before: VMRecord = vm.record
    vm.configure(cpus=3)
    assert before.cpus == 2


# Memory of a VM that runs


def with_dimms(**capabilities: Any) -> VM:
    """A VM of 1 GiB that got 256 MiB and 512 MiB more while it ran."""
    vm, _ = make({"hot_memory_remove_any": False, "hot_memory_unit": 128 * MiB, **capabilities})
    vm.start()
    return vm.configure(memory=1280 * MiB).configure(memory=1792 * MiB)


def test_memory_that_is_added_while_it_runs_is_a_dimm() -> None:
    vm = with_dimms()
    assert vm.record.dimms == (256 * MiB, 512 * MiB)
    assert vm.configure(memory=1280 * MiB).record.dimms == (256 * MiB,)
    assert vm.configure(memory=GiB).record.dimms == ()


@pytest.mark.parametrize("more", [1, 64, 129, 200])
def test_memory_grows_in_steps_that_guests_can_use(more: int) -> None:
    vm = with_dimms()
    with pytest.raises(InvalidState, match=r"\(it grows in steps of 128 MiB, such as .* MiB.*\) of VM 'web1'"):
        vm.configure(memory=(1792 + more) * MiB, notes="n")
    assert (vm.refresh().memory, vm.notes) == (1792 * MiB, "")
    assert vm.stop().configure(memory=(1792 + more) * MiB).memory == (1792 + more) * MiB


@pytest.mark.parametrize("memory", [512, 1024 + 128, 1792 - 128])
def test_memory_shrinks_by_whole_dimms(memory: int) -> None:
    vm = with_dimms()
    with pytest.raises(InvalidState, match=r"\(it can shrink to 1\.5 GiB or 1280 MiB or 1 GiB\)"):
        vm.configure(memory=memory * MiB, notes="n")
    assert (vm.refresh().memory, vm.notes) == (1792 * MiB, "")


def test_memory_that_it_started_with_stays() -> None:
    vm, _ = make({"hot_memory_remove_any": False})
    vm.start()
    with pytest.raises(InvalidState, match="it has no DIMM that it got while it ran"):
        vm.configure(memory=512 * MiB)


def test_any_amount_goes_where_the_host_knows_no_dimms() -> None:
    vm, _ = make()
    vm.start()
    assert vm.configure(memory=1100 * MiB).configure(memory=1001 * MiB).memory == 1001 * MiB
    assert vm.record.dimms == ()


def test_dimms_last_as_long_as_the_memory() -> None:
    vm = with_dimms()
    before = vm.record.dimms
    vm.suspend()
    assert vm.refresh().record.dimms == ()
    vm.start()
    assert vm.refresh().record.dimms == before
    snapshot = vm.snapshots.create("hot", memory=True)
    vm.stop().start()
    assert (vm.refresh().memory, vm.record.dimms) == (1792 * MiB, ())
    snapshot.revert()
    assert vm.refresh().record.dimms == before


@pytest.mark.parametrize(("field", "value"), [("cpus", 1), ("memory", 512 * MiB)])
def test_a_guest_that_is_paused_lets_nothing_go(field: str, value: Any) -> None:
    vm, calls = make()
    vm.start().pause()
    calls.clear()
    with pytest.raises(InvalidState, match=rf"cannot change {field} \(its guest must run to let go of it\) of VM"):
        vm.configure(**{field: value})
    assert calls == ["vms.get"]


def test_the_reason_of_the_host_is_told() -> None:
    vm, _ = make({"hot_rename": False, "why": {"hot_rename": "names are carved in stone"}})
    vm.start()
    with pytest.raises(InvalidState, match=r"\(capability 'hot_rename': names are carved in stone\)"):
        vm.rename("db1")


@pytest.mark.parametrize(
    ("dimms", "amounts"),
    [
        ((), {0: ()}),
        ((2,), {0: (), 2: (0,)}),
        ((1, 1, 1), {0: (), 1: (2,), 2: (2, 1), 3: (2, 1, 0)}),
        ((1, 2, 4), {0: (), 1: (0,), 2: (1,), 3: (1, 0), 4: (2,), 5: (2, 0), 6: (2, 1), 7: (2, 1, 0)}),
    ],
)
def test_what_whole_dimms_make_up(dimms: tuple[int, ...], amounts: dict[int, tuple[int, ...]]) -> None:
    assert dimm_choices(dimms) == amounts
