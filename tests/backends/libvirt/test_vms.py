"""VMs on libvirt's test driver: what the conformance suite does not see from outside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from hyperkit.clock import SystemClock
from hyperkit.connection import parse
from hyperkit.driver import Driver
from hyperkit.errors import AlreadyExists, NotFound
from hyperkit.jobs import Job
from hyperkit.records import PowerRecord, VMRecord, changed
from hyperkit.specs import DiskBus, DiskSpec, NicSpec, SwitchSpec, VMChange, VMSpec
from hyperkit.states import PowerAction, PowerState
from hyperkit.units import MiB

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import open as open_libvirt  # noqa: E402
from hyperkit.backends.libvirt.connection import Connection  # noqa: E402
from hyperkit.backends.libvirt.filters import Filters  # noqa: E402
from hyperkit.backends.libvirt.images import Images  # noqa: E402
from hyperkit.backends.libvirt.reader import Reader  # noqa: E402
from hyperkit.backends.libvirt.stats import Stats  # noqa: E402
from hyperkit.backends.libvirt.vms import VMs  # noqa: E402
from hyperkit.backends.libvirt.xml_write import Platform  # noqa: E402

T = TypeVar("T")

PLATFORM = Platform("TEST", "test", "i686")
LOCAL = {"UUIDString", "name", "isAlive", "getType", "getURI", "connect", "_o", "_conn"}
"""What asks nobody."""


class Counting:
    """A libvirt object that counts the calls that go to the daemon, and those of the objects it returns."""

    def __init__(self, inner: Any, calls: Counter[str], before: Callable[[str], None]) -> None:
        self.__dict__.update(_inner=inner, _calls=calls, _before=before)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name in LOCAL or not callable(found):
            return found

        def call(*args: Any) -> Any:
            self._calls[name] += 1
            self._before(name)
            return self._wrap(found(*(_bare(arg) for arg in args)))

        return call

    def _wrap(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._wrap(item) for item in value]
        if isinstance(value, tuple):
            return tuple(self._wrap(item) for item in value)
        if isinstance(value, (libvirt.virDomain, libvirt.virStorageVol, libvirt.virStoragePool)):
            return Counting(value, self._calls, self._before)
        return value


def _bare(value: Any) -> Any:
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value._inner if isinstance(value, Counting) else value


class Bed:
    """One world of the test driver, without the domain that it begins with."""

    def __init__(self) -> None:
        self.connection = Connection(parse("test:///default"))
        self.raw = self.connection.conn
        for domain in self.raw.listAllDomains():
            if domain.isActive():
                domain.destroy()
            domain.undefineFlags(3)
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], None] = lambda _name: None
        self.connection.sessions.first._conn = Counting(self.raw, self.calls, self._called)
        self.images = Images(self.connection)
        filters = Filters(self.connection, able=False)
        reader = Reader(self.connection, 1024, Stats(self.connection))
        self.vms = VMs(self.connection, PLATFORM, self.images, reader, filters)

    def _called(self, name: str) -> None:
        self.before(name)  # whatever it is by then

    def create(self, name: str, **fields: Any) -> VMRecord:
        made = self.vms.create(VMSpec(name, **fields))
        assert isinstance(made, VMRecord)
        return made

    def files(self) -> set[str]:
        pool = self.raw.storagePoolLookupByName("default-pool")
        return {volume.path() for volume in pool.listAllVolumes()}

    def names(self) -> set[str]:
        return {domain.name() for domain in self.raw.listAllDomains()}


@pytest.fixture
def bed() -> Iterator[Bed]:
    bed = Bed()
    yield bed
    bed.connection.sessions.first._conn = bed.raw
    bed.connection.close()


def done(result: T | Job[T]) -> T:
    if not isinstance(result, Job):
        return result
    result.wait(10, SystemClock())
    status = result.poll()
    assert status.result is not None, status.error
    return status.result


@pytest.mark.parametrize("count", [1, 10])
def test_a_list_costs_one_call_a_vm_and_four_more(bed: Bed, count: int) -> None:
    for number in range(count):
        bed.create(f"vm{number}", nics=[NicSpec()])
    bed.calls.clear()
    assert len(bed.vms.list()) == count
    assert bed.calls == {
        "getAllDomainStats": 1,
        "listAllDomains": 2,
        "listAllNetworks": 1,
        "XMLDesc": count,
    }


def test_what_a_get_costs(bed: Bed) -> None:
    vm = bed.create("vm")
    bed.calls.clear()
    bed.vms.get(vm.id)
    assert bed.calls == {
        "lookupByUUIDString": 1,
        "XMLDesc": 1,
        "domainListGetStats": 1,
        "autostart": 1,
        "hasManagedSaveImage": 1,
    }


def test_a_power_verb_does_not_ask_for_sizes(bed: Bed) -> None:
    vm = bed.create("vm", disks=[DiskSpec(size=MiB)])
    bed.calls.clear()
    assert done(bed.vms.set_power(vm.id, PowerAction.START)) == PowerRecord(state=PowerState.RUNNING)
    assert bed.calls["storageVolLookupByPath"] == 0


def test_a_record_of_the_list_is_the_one_that_get_returns_in_every_state(bed: Bed) -> None:
    network = bed.raw.listAllNetworks()[0].UUIDString()
    disks = [DiskSpec(size=MiB), DiskSpec(size=2 * MiB)]
    vm = bed.create("vm", disks=disks, nics=[NicSpec(switch=network)], notes="n\r")
    assert bed.vms.list() == [vm]
    for action in (PowerAction.START, PowerAction.PAUSE, PowerAction.SUSPEND, PowerAction.DISCARD):
        after = done(bed.vms.set_power(vm.id, action))
        assert after == bed.vms.power(vm.id)
        assert bed.vms.list() == [bed.vms.get(vm.id)] == [changed(vm, state=after.state, reason=after.reason)]


def test_a_vm_that_vanishes_while_the_list_is_read_is_left_out(bed: Bed) -> None:
    stays, goes = bed.create("stays"), bed.create("goes")

    def vanish(name: str) -> None:
        if name == "XMLDesc":
            with suppress(libvirt.libvirtError):  # several are read at once, and another one was quicker
                bed.raw.lookupByUUIDString(goes.id).undefine()

    bed.before = vanish
    assert [record.id for record in bed.vms.list()] == [stays.id]


def test_a_driver_without_bulk_statistics_is_asked_vm_by_vm(bed: Bed) -> None:
    bed.create("a")
    bed.create("b")
    expected = bed.vms.list()

    def refuse(name: str) -> None:
        if name in ("getAllDomainStats", "domainListGetStats"):
            error = libvirt.libvirtError("no")
            error.err = (libvirt.VIR_ERR_NO_SUPPORT, 10, "no", 2, None, None, None, 0, 0)
            raise error

    bed.before = refuse
    assert bed.vms.list() == expected
    assert [bed.vms.get(record.id) for record in expected] == expected


def test_disks_keep_the_order_they_were_asked_for_in(bed: Bed) -> None:
    """libvirt puts those of one bus together."""
    vm = bed.create("vm", disks=[DiskSpec(size=MiB), DiskSpec(size=MiB, bus=DiskBus.SATA), DiskSpec(size=MiB)])
    assert [disk.id for disk in vm.disks] == ["vda", "sda", "vdb"]
    assert [disk.id for disk in bed.vms.get(vm.id).disks] == ["vda", "sda", "vdb"]


@pytest.mark.parametrize("call", ["createXML", "defineXML", "setAutostart", "domainListGetStats"])
def test_a_create_that_fails_at_any_step_leaves_nothing(bed: Bed, call: str) -> None:
    before = bed.files()
    failed = []

    def fail(name: str) -> None:
        # The first disk is there then, as it is at every later step.
        if name == call and bed.files() != before:
            failed.append(name)
            raise RuntimeError("injected")

    bed.before = fail
    with pytest.raises(RuntimeError, match="injected"):
        bed.create("vm", disks=[DiskSpec(size=MiB), DiskSpec(size=MiB)], autostart=True)
    assert failed == [call]
    assert bed.names() == set()
    assert bed.files() == before


def test_a_taken_name_is_found_before_a_file_is_made(bed: Bed) -> None:
    bed.create("vm")
    before = bed.files()
    bed.calls.clear()
    with pytest.raises(AlreadyExists, match="vm"):
        bed.create("vm", disks=[DiskSpec(size=MiB)])
    assert bed.files() == before
    assert bed.calls["createXML"] == 0


def test_one_file_cannot_be_two_disks(bed: Bed) -> None:
    path = bed.create("first", disks=[DiskSpec(size=MiB)]).disks[0].path
    with pytest.raises(AlreadyExists, match="twice"):
        bed.create("vm", disks=[DiskSpec(path=path), DiskSpec(path="//".join(path.rsplit("/", 1)))])


def test_a_rename_is_undone_when_the_rest_fails(bed: Bed) -> None:
    vm = bed.create("old")

    def fail(name: str) -> None:
        if name == "defineXML":
            raise RuntimeError("injected")

    bed.before = fail
    with pytest.raises(RuntimeError):
        bed.vms.configure(vm.id, VMChange(name="new", cpus=2, max_cpus=2))
    bed.before = lambda _name: None
    assert bed.vms.get(vm.id) == vm


def test_a_vm_is_deleted_even_if_somebody_else_removed_its_file(bed: Bed) -> None:
    vm = bed.create("vm", disks=[DiskSpec(size=MiB)])
    bed.raw.storageVolLookupByPath(vm.disks[0].path).delete(0)
    bed.vms.delete(vm.id, [vm.disks[0].path])
    with pytest.raises(NotFound):
        bed.vms.get(vm.id)


@pytest.fixture
def driver() -> Iterator[Driver]:
    driver = open_libvirt(parse("test:///default"))
    yield driver
    driver.close()


def test_a_nics_switch_is_the_network_that_has_the_name_now(driver: Driver) -> None:
    """The domain knows its network by name only."""

    def remove() -> None:
        network = driver.native().networkLookupByName("again")  # type: ignore[attr-defined]
        network.destroy()
        network.undefine()

    first = driver.switches.create(SwitchSpec("again"))
    vm = done(driver.vms.create(VMSpec("vm", nics=[NicSpec(switch=first.id)])))
    assert (vm.nics[0].switch_id, vm.nics[0].switch) == (first.id, "again")
    remove()
    gone = driver.vms.get(vm.id).nics[0]
    assert (gone.switch_id, gone.switch) == (None, None)
    second = driver.switches.create(SwitchSpec("again"))
    assert driver.vms.get(vm.id).nics[0].switch_id == second.id != first.id
    driver.vms.delete(vm.id, [])
    remove()
