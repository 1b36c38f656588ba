"""Mistakes that people make, each refused with what would do, before anything is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import hyperkit
from hyperkit import (
    VM,
    DiskSpec,
    GiB,
    Host,
    InvalidRequest,
    InvalidState,
    IsolationPolicy,
    KernelBoot,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    StaticLease,
    SwitchKind,
    Timeout,
    format_size,
)
from hyperkit.testing.seeding import seed
from tests.unit.support import Calls, counted, world_of

Ask = Callable[[Host], object]


@pytest.fixture
def known() -> tuple[Host, Calls]:
    """A host with one of everything, and its calls from now on."""
    host, calls = counted()
    seed(world_of(host), files=[{"path": "/fake/images/tiny.iso", "size": MiB}])
    lan = host.switches.create("lan", SwitchKind.INTERNAL, subnet="192.168.150.0/24")
    vm = host.vms.create("web1", disks=[DiskSpec(size=GiB)], nics=[NicSpec(lan)])
    vm.start().snapshots.create("clean")
    calls.clear()
    return host, calls


@pytest.fixture
def host(known: tuple[Host, Calls]) -> Host:
    return known[0]


def web1(host: Host) -> VM:
    return host.vms.one("web1")


FLAGS: dict[str, Callable[[VM, Any], object]] = {
    "VM.delete force": lambda vm, no: vm.delete(force=no),
    "VM.shutdown force": lambda vm, no: vm.shutdown(force=no),
    "Snapshot.delete children": lambda vm, no: vm.snapshots.one("clean").delete(children=no),
    "Disk.detach delete": lambda vm, no: vm.disks[0].detach(delete=no),
    "Console.serial take": lambda vm, no: vm.console.serial(take=no),
    "Guest.run check": lambda vm, no: vm.guest.run(["true"], check=no),
}


@pytest.mark.parametrize("verb", FLAGS)
@pytest.mark.parametrize("no", ["no", 0, 1, None])
def test_what_is_merely_truthy_destroys_nothing(known: tuple[Host, Calls], verb: str, no: object) -> None:
    host, calls = known
    vm = web1(host)
    calls.clear()
    with pytest.raises(InvalidRequest, match=f"{verb.split()[1]}={no!r} is not accepted: True or False"):
        FLAGS[verb](vm, no)
    assert {call for call in calls if not call.endswith(".list")} == set()


OTHERS: dict[str, tuple[str, Callable[[Host, Host], object]]] = {
    "switch of a NIC": ("switch 'lan'", lambda a, b: b.vms.create("x", nics=[NicSpec(a.switches.one("lan"))])),
    "switch attached": ("switch 'lan'", lambda a, b: web1(b).nics.attach(NicSpec(a.switches.one("lan")))),
    "switch connected": ("switch 'lan'", lambda a, b: web1(b).nics[0].connect(a.switches.one("lan"))),
    "datastore": (
        "datastore 'default'",
        lambda a, b: b.vms.create("x", disks=[DiskSpec(size=GiB, datastore=a.datastores.one("default"))]),
    ),
    "base": ("volume 'tiny.iso'", lambda a, b: b.vms.create("x", disks=[DiskSpec(base=tiny(a))])),
    "path": ("volume 'tiny.iso'", lambda a, b: web1(b).disks.attach(DiskSpec(path=tiny(a)))),
    "iso": ("volume 'tiny.iso'", lambda a, b: b.vms.create("x", iso=tiny(a))),
    "kernel": ("volume 'tiny.iso'", lambda a, b: b.vms.create("x", kernel=KernelBoot(tiny(a)))),
    "VM": ("VM 'web1'", lambda a, b: b.vms.get(web1(a))),
    "metrics": ("VM 'web1'", lambda a, b: b.metrics.read([web1(a)])),
    "disk": ("disk 'disk0' of VM 'web1'", lambda a, b: web1(b).delete(disks=[web1(a).disks[0]])),
}


def tiny(host: Host) -> Any:
    return host.datastores.one("default").volumes.one("tiny.iso")


@pytest.mark.parametrize("what", OTHERS)
def test_an_object_of_another_host_is_none_of_this_one_s(known: tuple[Host, Calls], host: Host, what: str) -> None:
    """Although here is one of the same name, or at the same path."""
    there = hyperkit.connect("fake://")
    seed(world_of(there), files=[{"path": "/fake/images/tiny.iso", "size": MiB}])
    there.vms.create("web1", nics=[NicSpec(there.switches.create("lan"))], disks=[DiskSpec(size=GiB)])
    label, use = OTHERS[what]
    known[1].clear()
    with pytest.raises(InvalidRequest, match=rf"{label} is of another host \(fake://\)"):
        use(there, host)
    assert {call for call in known[1] if call.partition(".")[2] not in ("list", "get")} == set()


def test_ids_of_two_fakes_differ(host: Host) -> None:
    there = hyperkit.connect("fake://")
    vm, lan = web1(host), host.switches.one("lan")
    with pytest.raises(NotFound, match="no VM with id"):
        there.vms.get(vm.id)
    with pytest.raises(NotFound) as caught:
        there.vms.create("x", nics=[NicSpec(lan.id)])
    assert "Create one" not in str(caught.value)  # a switch named after an id is nobody's wish


def test_objects_of_this_host_mean_themselves_over_any_connection() -> None:
    first, second = hyperkit.connect("fake://mistakes"), hyperkit.connect("fake://mistakes")
    lan = first.switches.create("lan")
    vm = second.vms.create("x", nics=[NicSpec(lan)])
    assert first.vms.get(vm) == vm
    assert [record.vm_id for record in first.metrics.read(vm)] == [vm.id]
    vm.delete()


REFUSED: list[tuple[Ask, str]] = [
    # get
    (lambda host: host.vms.get(5), r"id=5 is not accepted: an id, which is a string, or a VM of this host"),  # type: ignore[arg-type]
    (lambda host: host.switches.get(web1(host)), "or a switch of this host"),  # type: ignore[arg-type]
    # find
    (lambda host: host.vms.find(state="Running"), r"state='Running' is not accepted: one of 'off', 'running'"),
    (lambda host: host.switches.find(kind="nat"), r"kind='nat' is not accepted: one of 'external'"),
    (lambda host: host.vms.find(cpus="2"), "cpus='2' is not accepted: what this field holds: int"),
    (lambda host: host.vms.find(disks=[]), "disks=.* is not accepted: what this field holds: tuple"),
    (lambda host: host.vms.find(5), "where=5 is not accepted: a function that takes a VM"),  # type: ignore[arg-type]
    # devices
    (lambda host: host.vms.create("x", nics=["lan"]), r"a NicSpec\(...\); did you mean NicSpec\('lan'\)\?"),  # type: ignore[list-item]
    (lambda host: host.vms.create("x", nics=[host.switches.one("lan")]), r"did you mean NicSpec\('lan'\)\?"),  # type: ignore[list-item]
    (lambda host: host.vms.create("x", disks=[20 * GiB]), r"did you mean DiskSpec\(size=21474836480\)\?"),  # type: ignore[list-item]
    (lambda host: host.vms.create("x", disks=["/a"]), r"did you mean DiskSpec\(path='/a'\)\?"),  # type: ignore[list-item]
    (lambda host: host.vms.create("x", boot_order=["hd"]), r"boot_order\[0\]='hd' .* 'disk', 'cdrom', 'network'"),
    (lambda host: host.vms.create("x", kernel="/vmlinuz"), r"did you mean KernelBoot\('/vmlinuz'\)\?"),  # type: ignore[arg-type]
    (lambda host: IsolationPolicy(rules=["x"]), r"rules\[0\]='x' is not accepted: an AclRule"),  # type: ignore[list-item]
    (lambda host: web1(host).disks.attach(5), r"spec=5 is not accepted: a DiskSpec\(...\)"),  # type: ignore[arg-type]
    # time and functions
    (lambda host: host.events.stream(timeout="5"), "timeout='5' is not accepted: seconds"),  # type: ignore[arg-type]
    (lambda host: host.events.stream(timeout=-1), "timeout=-1 is not accepted: seconds, at least 0"),
    (lambda host: host.events.stream(interval="1"), "interval='1' is not accepted: seconds"),  # type: ignore[arg-type]
    (lambda host: host.metrics.read(5), "id=5 is not accepted"),  # type: ignore[arg-type]
    (lambda host: host.vms.begin_create("y").on_progress(5), "callback=5 is not accepted: a function"),  # type: ignore[arg-type]
    (lambda host: format_size("4"), "size='4': a size is a whole number"),  # type: ignore[arg-type]
    # connect
    (lambda host: hyperkit.connect("fake://", wrap=5), r"wrap=\(5,\) is not accepted: a list of functions"),  # type: ignore[arg-type]
    (lambda host: hyperkit.connect("fake://", verify=5), "verify=5 is not accepted: True, False or the path"),  # type: ignore[arg-type]
    (lambda host: hyperkit.connect("fake://", password=5), "password='int' is not accepted: a string"),  # type: ignore[arg-type]
    (lambda host: hyperkit.connect("fake://?jobs=now&jobs=polls:2"), "'jobs' is in the URL more than once"),
    # keys
    (
        lambda host: web1(host).console.press("ctrl+Alt+delete"),
        r"the name of one key; did you mean press\('ctrl', 'alt', 'delete'\)\?",
    ),
]


@pytest.mark.parametrize(("ask", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_it_is_refused_with_what_would_do(host: Host, ask: Ask, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ask(host)


def test_a_name_given_for_an_id_leads_to_one(host: Host) -> None:
    with pytest.raises(NotFound, match=r"no VM with id 'web1' \(one\(name='web1'\) finds by name\) on fake://"):
        host.vms.get("web1")


def test_a_value_may_be_found_by_its_text_or_by_none(host: Host) -> None:
    vm = web1(host)
    assert host.vms.find(state="running") == host.vms.find(state=PowerState.RUNNING) == host.vms.find(topology=None)
    assert host.vms.find(state="running") == [vm]


# What is allowed is what helps


def test_only_what_helps_is_allowed_to_a_change_that_needs_it_off() -> None:
    host = hyperkit.connect("fake://?profile=hyperv")
    vm = host.vms.create("a", memory=64 * MiB).start()
    with pytest.raises(InvalidState, match="; stop it first") as caught:
        vm.configure(cpus=2)
    assert caught.value.allowed == ("shutdown", "stop")
    with pytest.raises(InvalidState) as caught:
        vm.pause().configure(tpm=True)
    assert caught.value.allowed == ("stop",)
    with pytest.raises(InvalidState, match=r"delete\(force=True\) cuts its power first") as caught:
        vm.delete()
    assert caught.value.allowed == ("stop",)


def test_a_ceiling_comes_with_the_way_out(host: Host) -> None:
    vm = web1(host)
    with pytest.raises(InvalidRequest, match=r"it is running: stop it and configure\(max_cpus=4, cpus=4\)"):
        vm.configure(cpus=4)
    assert vm.stop().configure(max_cpus=4, cpus=4).cpus == 4


def test_steps_of_memory_are_named_exactly() -> None:
    host = hyperkit.connect("fake://?profile=libvirt")
    vm = host.vms.create("a", memory=GiB, max_memory=4 * GiB).start()
    with pytest.raises(InvalidState, match=r"to 1300 MiB .*in steps of 128 MiB, such as 1280 MiB or 1408 MiB"):
        vm.configure(memory=1300 * MiB)
    assert vm.configure(memory=1280 * MiB).memory == 1280 * MiB


def test_states_are_told_in_words(host: Host) -> None:
    with pytest.raises(InvalidState, match="cannot discard the saved memory of VM 'web1'"):
        web1(host).discard_suspended()
    with pytest.raises(InvalidState, match="memory=False leaves it out") as caught:
        web1(host).stop().snapshots.create("s", memory=True)
    assert caught.value.allowed == ("start",)


def test_a_switch_without_vlans_names_the_remedy(host: Host) -> None:
    with pytest.raises(InvalidRequest, match="one created with openvswitch=True does"):
        host.vms.create("x", nics=[NicSpec("lan", vlan=5)])


def test_who_waits_in_vain_is_told_why(host: Host) -> None:
    empty = host.vms.create("empty").start()
    with pytest.raises(Timeout, match="it has no disk, ISO or kernel, so that there is no guest to ask"):
        empty.shutdown(timeout=1)
    with pytest.raises(Timeout, match=r"^waited 1 s for"):
        empty.wait_for(lambda _: False, timeout=0.9999999)


def test_what_is_over_says_so() -> None:
    host = hyperkit.connect("fake://")
    assert repr(host.vms.begin_create("a")).endswith(" done>")
    assert "closed" not in repr(host)
    host.close()
    assert repr(host).endswith(" closed>")


def test_an_unknown_option_of_a_verb_is_a_type_error_before_any_call(known: tuple[Host, Calls]) -> None:
    host, calls = known
    vm: Any = web1(host)
    lan: Any = host.switches.one("lan")
    create: Any = host.switches.create
    clean = vm.snapshots.one("clean")
    disk: Any = DiskSpec
    calls.clear()
    wrong: list[Callable[[], object]] = [
        lambda: create("l", subnett="10.0.0.0/24"),
        lambda: lan.configure(lease=[StaticLease("52:54:00:00:00:01", "192.168.150.10")]),
        lambda: vm.snapshots.create("s", desc=""),
        lambda: clean.configure(nmae="x"),
        lambda: disk(sise=GiB),
    ]
    for call in wrong:
        with pytest.raises(TypeError):
            call()
    assert calls == []
