"""Collections: list, get, one, find, in, len, iteration; each asks the host once."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperkit import (
    VM,
    Ambiguous,
    DiskSpec,
    GiB,
    Host,
    InvalidRequest,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    SwitchKind,
)
from tests.unit.support import Calls, counted


@pytest.fixture
def host() -> Host:
    return furnished()[0]


def furnished(url: str = "fake://") -> tuple[Host, Calls]:
    host, calls = counted(url)
    for number in (1, 2):
        host.vms.create(f"web{number}", memory=64 * MiB)
    host.vms.create("db1").start()
    calls.clear()
    return host, calls


def names(vms: list[VM]) -> list[str]:
    return [vm.name for vm in vms]


ASKS: list[tuple[Callable[[Host], object], str]] = [
    (lambda host: host.vms.list(), "vms.list"),
    (lambda host: [vm.name for vm in host.vms], "vms.list"),
    (lambda host: len(host.vms.list()), "vms.list"),
    (lambda host: "web1" in host.vms, "vms.list"),
    (lambda host: host.vms.one(name="web1"), "vms.list"),
    (lambda host: host.vms.find(name="web*"), "vms.list"),
    (lambda host: host.switches.list(), "switches.list"),
    (lambda host: host.datastores.list(), "datastores.list"),
]


@pytest.mark.parametrize(("ask", "call"), ASKS)
def test_each_question_is_one_call(ask: Callable[[Host], object], call: str) -> None:
    host, calls = furnished()
    assert calls.of(lambda: ask(host)) == [call]


def test_get_is_one_call_for_one() -> None:
    host, calls = furnished()
    wanted = host.vms.one(name="db1")
    assert calls.of(lambda: host.vms.get(wanted.id)) == ["vms.get"]
    assert host.vms.get(wanted.id) == wanted


def test_nothing_is_cached(host: Host) -> None:
    assert len(host.vms.list()) == 3
    host.vms.create("new")
    assert len(host.vms.list()) == 4
    host.vms.one(name="new").delete()
    assert len(host.vms.list()) == 3


def test_list_and_iteration(host: Host) -> None:
    assert names(host.vms.list()) == ["web1", "web2", "db1"]
    assert [vm.name for vm in host.vms] == ["web1", "web2", "db1"]
    host.vms.list().clear()
    assert len(host.vms.list()) == 3


def test_an_empty_collection_is_true_all_the_same() -> None:
    host, calls = counted()
    assert calls.of(lambda: bool(host.vms)) == []
    assert bool(host.vms) is True
    assert host.vms.list() == []
    assert len(host.vms.list()) == 0


# in


def test_in_takes_names_and_objects(host: Host) -> None:
    web1 = host.vms.one(name="web1")
    assert "web1" in host.vms
    assert "web" not in host.vms
    assert web1.id not in host.vms
    assert 7 not in host.vms
    assert web1 in host.vms
    web1.delete()
    assert web1 not in host.vms


def test_in_is_not_fooled_by_equal_ids(host: Host) -> None:
    elsewhere = VM(furnished()[0], host.vms.one(name="web1").record)
    assert elsewhere.id in {vm.id for vm in host.vms}
    assert elsewhere not in host.vms
    switch = host.switches.create("lan")
    assert switch in host.switches
    assert switch not in host.vms


# one


def test_one(host: Host) -> None:
    assert host.vms.one(name="web2").name == "web2"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda host: host.vms.one(name="web3"),
            "no VM 'web3' on fake://; it has 'db1', 'web1', 'web2'",
        ),
        (lambda host: host.vms.one(name="WEB1"), "no VM 'WEB1' on fake://; it has 'db1', 'web1', 'web2'"),
        (
            lambda host: host.switches.one(name="lan"),
            "no switch 'lan' on fake://; it has none. Create one with host.switches.create('lan')",
        ),
        (
            lambda host: host.vms.list()[0].snapshots.one(name="s"),
            "no snapshot 's' on fake://; it has none. Create one with vm.snapshots.create('s')",
        ),
        (
            lambda host: host.datastores.list()[0].volumes.one(name="v"),
            "no volume 'v' on fake://; it has none. Create one with datastore.volumes.create('v', size)",
        ),
        (
            lambda host: host.vms.get("nowhere"),
            "no VM with id 'nowhere' (one(name='nowhere') finds by name) on fake://",
        ),
        (
            lambda host: host.switches.get("nowhere"),
            "no switch with id 'nowhere' (one(name='nowhere') finds by name) on fake://",
        ),
        (
            lambda host: host.datastores.get("nowhere"),
            "no datastore with id 'nowhere' (one(name='nowhere') finds by name) on fake://",
        ),
        (
            lambda host: host.vms.list()[0].snapshots.get("nowhere"),
            "VM 'web1' on fake:// has no snapshot with id 'nowhere' (one(name='nowhere') finds by name)",
        ),
        (
            lambda host: host.datastores.list()[0].volumes.get("nowhere"),
            "datastore 'default' on fake:// has no volume with id 'nowhere' (one(name='nowhere') finds by name)",
        ),
    ],
)
def test_what_is_not_there_is_not_found_and_the_error_helps(
    ask: Callable[[Host], object], message: str, host: Host
) -> None:
    with pytest.raises(NotFound) as caught:
        ask(host)
    assert str(caught.value) == message


def test_a_long_list_of_names_is_cut() -> None:
    host, _ = counted()
    for number in range(14):
        host.vms.create(f"vm{number:02}")
    with pytest.raises(NotFound) as caught:
        host.vms.one(name="x")
    assert "'vm00', 'vm01'" in str(caught.value)
    assert str(caught.value).endswith("'vm11' and 2 more")
    host.vms.list()[0].delete()
    host.vms.list()[0].delete()
    with pytest.raises(NotFound) as caught:
        host.vms.one(name="x")
    assert str(caught.value).endswith("'vm13'")


def test_a_name_that_fits_several_is_ambiguous() -> None:
    host, _ = counted("fake://?profile=hyperv")
    ids = [host.vms.create("twin").id for _ in range(2)]
    other = host.vms.create("other")
    with pytest.raises(Ambiguous) as caught:
        host.vms.one(name="twin")
    assert str(caught.value) == (f"VM 'twin' on {host.url} may be any of 2: use get(id) with one of {ids[0]}, {ids[1]}")
    assert caught.value.backend == host.url
    assert host.vms.one(name="other") == other
    assert names(host.vms.find(name="twin")) == ["twin", "twin"]


# find


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, ["web1", "web2", "db1"]),
        ({"name": "web1"}, ["web1"]),
        ({"name": "web*"}, ["web1", "web2"]),
        ({"name": "???1"}, ["web1"]),
        ({"name": "WEB*"}, []),
        ({"name": "web"}, []),
        ({"state": PowerState.RUNNING}, ["db1"]),
        ({"state": "running"}, ["db1"]),
        ({"name": "*1", "state": PowerState.OFF}, ["web1"]),
        ({"memory": 64 * MiB}, ["web1", "web2"]),
        ({"kernel": None, "cpus": 1}, ["web1", "web2", "db1"]),
        ({"notes": "*"}, []),  # a pattern only for names
    ],
)
def test_find_by_fields(fields: dict[str, Any], wanted: list[str], host: Host) -> None:
    assert names(host.vms.find(**fields)) == wanted


def test_find_by_a_function(host: Host) -> None:
    assert names(host.vms.find(lambda vm: vm.memory > 64 * MiB)) == ["db1"]
    assert names(host.vms.find(lambda vm: vm.name.endswith("2"), state=PowerState.OFF)) == ["web2"]
    assert host.vms.find(lambda _: False) == []


def test_the_function_sees_only_what_the_fields_fit(host: Host) -> None:
    seen: list[str] = []

    def note(vm: VM) -> bool:
        seen.append(vm.name)
        return False

    assert host.vms.find(note, name="db*") == []
    assert seen == ["db1"]


def test_finding_by_what_there_is_not_names_what_there_is(host: Host) -> None:
    with pytest.raises(InvalidRequest, match=r"VM has no field 'sate' to find by; it has id, name, state, ") as caught:
        host.vms.find(sate=PowerState.RUNNING)
    assert (caught.value.field, caught.value.value) == ("sate", PowerState.RUNNING)


def test_brackets_in_a_name_are_no_pattern(host: Host) -> None:
    odd = host.vms.create("[w]eb1")
    assert host.vms.find(name="[w]eb1") == [odd]


def test_a_name_that_is_no_text_is_refused(host: Host) -> None:
    for wrong in (None, 7):
        with pytest.raises(InvalidRequest, match=f"name={wrong} is not accepted: what this field holds: str"):
            host.vms.find(name=wrong)


def test_finding_in_an_empty_collection() -> None:
    host, _ = counted()
    assert host.vms.find(name="web*", state=PowerState.OFF) == []


# Names become ids


def test_a_switch_may_be_given_by_name_or_id(host: Host) -> None:
    lan = host.switches.create("lan", SwitchKind.INTERNAL)
    vm = host.vms.create("new", nics=[NicSpec("lan"), NicSpec(lan.id), NicSpec()])
    assert [nic.record.switch_id for nic in vm.nics] == [lan.id, lan.id, None]
    assert [nic.switch for nic in vm.nics] == ["lan", "lan", None]


def test_an_id_goes_before_a_name(host: Host) -> None:
    lan = host.switches.create("lan")
    confusing = host.switches.create(lan.id)
    vm = host.vms.create("new", nics=[NicSpec(lan.id)])
    assert vm.nics[0].record.switch_id == lan.id != confusing.id


def test_a_switch_name_that_fits_several_is_ambiguous() -> None:
    host, _ = counted("fake://?profile=hyperv")
    for _ in range(2):
        host.switches.create("lan")
    with pytest.raises(Ambiguous, match=r"switch 'lan' on fake://\S+ may be any of 2"):
        host.vms.create("new", nics=[NicSpec("lan")])
    assert len(host.vms.list()) == 0


def test_a_datastore_may_be_given_by_name_or_id(host: Host) -> None:
    host.native.add_datastore("fast", "/fast")  # type: ignore[attr-defined]
    fast = host.datastores.one(name="fast")
    places = ["fast", fast.id, None]
    vm = host.vms.create("new", disks=[DiskSpec(size=GiB, datastore=place) for place in places])
    assert [disk.path for disk in vm.disks] == ["/fast/new-0.qcow2", "/fast/new-1.qcow2", "/fake/images/new-0.qcow2"]
    with pytest.raises(NotFound, match=r"no datastore 'slow' on fake://; it has 'default', 'fast'"):
        vm.disks.attach(DiskSpec(size=GiB, datastore="slow"))


# Snapshots


def test_snapshots_as_a_tree(host: Host) -> None:
    vm = host.vms.one(name="web1")
    assert vm.snapshots.current() is None
    root = vm.snapshots.create("root")
    left = vm.snapshots.create("left")
    root.revert()
    right = vm.snapshots.create("right")
    assert vm.snapshots.roots() == [root]
    assert root.parent() is None
    assert left.parent() == right.parent() == root
    assert root.children() == [left, right]
    assert left.children() == []
    assert vm.snapshots.current() == right
    assert left in vm.snapshots
    assert left not in host.vms.one(name="web2").snapshots


def test_the_switch_knows_its_vms(host: Host) -> None:
    lan = host.switches.create("lan")
    host.switches.create("other")
    vm = host.vms.create("new", nics=[NicSpec("lan")])
    assert lan.vms() == [vm]
    assert host.switches.one(name="other").vms() == []


# Volumes


def test_files_go_up_and_come_down(host: Host, tmp_path: Path) -> None:
    volumes = host.datastores.one(name="default").volumes
    local = tmp_path / "a.iso"
    local.write_bytes(b"boot me")
    for source, name, wanted in (
        (local, None, "a.iso"),
        (str(local), "b.iso", "b.iso"),
        (local, "c.iso", "c.iso"),
    ):
        volume = volumes.upload(source, name)
        assert (volume.name, volume.size) == (wanted, 7)
        target = volume.download(tmp_path / f"back-{wanted}")
        assert target.read_bytes() == b"boot me"
        assert volumes.get(volume.id) == volume
    part = volumes.upload(io.BytesIO(b"0123456789"), "part", size=4)
    assert part.download(tmp_path / "part").read_bytes() == b"0123"


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "name"),
        ({"name": "a"}, "size"),
        ({"size": 1}, "name"),
        ({"name": "a/b", "size": 1}, "name"),
        ({"name": "a", "size": -1}, "size"),
        ({"name": "a", "size": True}, "size"),
    ],
)
def test_an_open_file_needs_a_name_and_a_size(arguments: dict[str, Any], field: str) -> None:
    host, calls = furnished()
    volumes = host.datastores.one(name="default").volumes
    calls.clear()
    with pytest.raises(InvalidRequest) as caught:
        volumes.upload(io.BytesIO(b"x"), **arguments)
    assert caught.value.field == field
    assert calls == []


def test_a_download_overwrites_nothing_and_leaves_no_half(host: Host, tmp_path: Path) -> None:
    volumes = host.datastores.one(name="default").volumes
    volume = volumes.create("a", MiB)
    there = tmp_path / "there"
    there.write_text("precious")
    with pytest.raises(FileExistsError):
        volume.download(there)
    assert there.read_text() == "precious"
    volume.delete()
    with pytest.raises(NotFound) as caught:
        volume.download(tmp_path / "half")
    assert not (tmp_path / "half").exists()
    assert caught.value.resource == "volume 'a'"
    with pytest.raises(NotFound):
        volume.refresh()
