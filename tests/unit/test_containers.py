"""Containers above the ports: what may be asked for, and what a container is on the fake."""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyperkit
from hyperkit import (
    ContainerSpec,
    CpuTopology,
    DiskSpec,
    Firmware,
    HypervisorType,
    InvalidRequest,
    KernelBoot,
    MiB,
    NicSpec,
    NotFound,
    PowerState,
    Unsupported,
    VMSpec,
    to_dict,
)
from hyperkit.testing.seeding import seed
from tests.unit.support import world_of

BAD_PLACES = [
    "",
    "srv",
    "./srv",
    "/srv/",
    "/srv//a",
    "//srv",
    "/srv/../etc",
    "/..",
    "/srv/.",
    "/a\nb",
    "/a\0b",
    b"/a",
    7,
    ["/a"],
]
BAD_WORDS = ["", "a\0b", "a\rb", "a\x1bb", "a\ud800b", None, 7, b"a"]


@pytest.mark.parametrize("place", BAD_PLACES)
def test_a_place_is_absolute_and_means_one_thing(place: Any) -> None:
    for field, fields in (("root", {"root": place}), ("init", {"root": "/srv", "init": place})):
        with pytest.raises(InvalidRequest) as refused:
            ContainerSpec(**fields)
        assert (refused.value.field, refused.value.value) == (field, place)


@pytest.mark.parametrize("word", BAD_WORDS)
def test_words_are_not_empty_and_have_no_control_characters(word: Any) -> None:
    for field, fields in (
        ("arguments[1]", {"arguments": ["-c", word]}),
        ("environment['X']", {"environment": {"X": word}}),
    ):
        shown = word if field == "arguments[1]" else "…" if word and isinstance(word, str) else type(word).__name__
        with pytest.raises(InvalidRequest) as refused:
            ContainerSpec("/srv", **fields)
        assert (refused.value.field, refused.value.value) == (field, shown)


@pytest.mark.parametrize("name", ["", "1X", "A B", "A=B", "A-B", "\xc4", "A\n", None, 7])
def test_a_variable_has_a_name_that_every_program_takes(name: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ContainerSpec("/srv", environment=[(name, "x")])
    assert refused.value.field == "environment[0]"


@pytest.mark.parametrize("pairs", ["X=1", ["X"], [("X",)], [("X", "1", "2")], 7, None])
def test_an_environment_is_a_mapping_or_pairs(pairs: Any) -> None:
    with pytest.raises(InvalidRequest, match="environment"):
        ContainerSpec("/srv", environment=pairs)
    with pytest.raises(InvalidRequest, match="each variable once"):
        ContainerSpec("/srv", environment=[("X", "1"), ("X", "2")])


def test_what_shares_the_hosts_root_does_not_run_the_hosts_init() -> None:
    for fields in ({}, {"init": "/sbin/init"}):
        with pytest.raises(InvalidRequest) as refused:
            ContainerSpec(**fields)
        assert refused.value.field == "init"
    with pytest.raises(InvalidRequest, match="leave root out"):
        ContainerSpec(root="/")
    assert ContainerSpec(init="/bin/true").root is None
    assert ContainerSpec("/srv").init == "/sbin/init"


def test_a_string_of_arguments_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"arguments='-c true' is not accepted: a list of words"):
        ContainerSpec("/srv", arguments="-c true")


def test_what_is_in_its_environment_is_in_no_text() -> None:
    spec = ContainerSpec("/srv", environment={"TOKEN": "hunter2"})
    host = hyperkit.connect("fake://?profile=lxc")
    made = host.vms.create("c", container=spec)
    assert (spec.environment, made.record.container) == ((("TOKEN", "hunter2"),), spec)
    texts = [repr(spec), repr(made.record), repr(VMSpec("c", container=spec))]
    wrong: list[Any] = [{"TOKEN": "hunter2\0"}, {"TOKEN": ["hunter2"]}, ["TOKEN=hunter2"], [["TOKEN", "hunter2", 1]]]
    for environment in wrong:
        with pytest.raises(InvalidRequest) as caught:
            ContainerSpec("/srv", environment=environment)
        texts.append(f"{caught.value} {caught.value.value}")
    unmade: Any = {"environment": {"TOKEN": "hunter2"}}
    with pytest.raises(InvalidRequest, match=r"a ContainerSpec\(\.\.\.\)") as caught:
        host.vms.create("d", container=unmade)
    texts.append(f"{caught.value} {caught.value.value}")
    assert [text for text in texts if "hunter2" in text] == []


def test_mappings_lists_and_paths_become_plain_data() -> None:
    spec = ContainerSpec(PurePosixPath("/srv/web"), PurePosixPath("/bin/sh"), ["-c", "true"], {"X": "1"})
    assert spec == ContainerSpec("/srv/web", "/bin/sh", ("-c", "true"), (("X", "1"),))
    assert spec == ContainerSpec("/srv/web", "/bin/sh", ["-c", "true"], [["X", "1"]])
    assert to_dict(spec) == {
        "root": "/srv/web",
        "init": "/bin/sh",
        "arguments": ["-c", "true"],
        "environment": [["X", "1"]],
    }
    assert hash(spec) == hash(ContainerSpec("/srv/web", "/bin/sh", ("-c", "true"), (("X", "1"),)))


@given(st.text(min_size=1))
def test_any_text_is_taken_as_it_is_or_refused(text: str) -> None:
    try:
        spec = ContainerSpec("/srv", arguments=[text], environment={"X": text})
    except InvalidRequest:
        assert any(unicodedata.category(char) in ("Cc", "Cs", "Cn") for char in text)
    else:
        assert (spec.arguments, spec.environment) == ((text,), (("X", text),))


@pytest.mark.parametrize(
    "fields",
    [
        {"firmware": Firmware.UEFI},
        {"tpm": True},
        {"kernel": KernelBoot("/vmlinuz")},
        {"iso": "/a.iso"},
        {"cdrom": True},
        {"topology": CpuTopology()},
    ],
)
def test_a_container_has_nothing_of_a_machine(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="a container has no") as refused:
        VMSpec("web", container=ContainerSpec("/srv"), **fields)
    assert refused.value.field == next(iter(fields))


@pytest.mark.parametrize("value", ["/srv", "", 7, False, {"root": "/srv"}])
def test_a_container_is_a_container_spec(value: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        VMSpec("web", container=value)
    assert (refused.value.field, refused.value.value) == ("container", "dict" if isinstance(value, dict) else value)


def test_a_container_cannot_become_a_machine() -> None:
    vm = hyperkit.connect("fake://").vms.create("web", container=ContainerSpec("/srv"))
    for fields in ({"tpm": True}, {"topology": CpuTopology()}):
        with pytest.raises(InvalidRequest, match="a container has no"):
            vm.configure(**fields)
    assert not vm.refresh().record.tpm


def test_a_host_of_containers_alone() -> None:
    host = hyperkit.connect("fake://?profile=lxc")
    assert host.info.hypervisor_type is HypervisorType.OS_LEVEL
    assert hyperkit.connect("fake://").info.hypervisor_type is HypervisorType.HOSTED
    lan = host.switches.create("lan")
    vm = host.vms.create("web", container=ContainerSpec("/srv/web"), nics=[NicSpec(lan)])
    assert vm.start().wait_for_address(timeout=1)
    assert vm.pause().resume().state is PowerState.RUNNING
    assert vm.shutdown(timeout=1).state is PowerState.OFF
    for capability, act in (
        ("bios", lambda: host.vms.create("machine")),
        ("disks", lambda: host.vms.create("a", container=vm.record.container, disks=[DiskSpec(size=MiB)])),
        ("disks", lambda: vm.disks.attach(DiskSpec(size=MiB))),
        ("suspend", vm.suspend),
        ("reset", vm.reset),
        ("rename", lambda: vm.rename("other")),
        ("snapshots", lambda: vm.snapshots.create("s")),
    ):
        with pytest.raises(Unsupported) as refused:
            act()
        assert refused.value.capability == capability


def test_advice_that_the_host_cannot_follow_is_not_given() -> None:
    host = hyperkit.connect("fake://?profile=lxc")
    with pytest.raises(Unsupported, match=r"\(capability 'bios'\)$"):
        host.vms.create("machine")
    vm = host.vms.create("web", container=ContainerSpec("/srv"))
    with pytest.raises(Unsupported, match=r"pause\(\) keeps its memory in RAM instead$"):
        vm.suspend()


def test_the_fake_knows_the_roots_in_its_datastores_alone() -> None:
    host = hyperkit.connect("fake://")
    world = world_of(host)
    world.add_file("/fake/images/there/etc/passwd", MiB)
    for root, there in (("/srv/any", True), ("/fake/images/there", True), ("/fake/images/none", False)):
        if there:
            vm = host.vms.create(root.replace("/", "-"), container=ContainerSpec(root))
            assert vm.start().state is PowerState.RUNNING
        else:
            with pytest.raises(NotFound, match=root):
                host.vms.create("none", container=ContainerSpec(root))


def test_containers_are_seeded() -> None:
    host = hyperkit.connect("fake://?profile=lxc")
    seed(
        world_of(host),
        vms=[
            {
                "name": "web",
                "state": "running",
                "container": {"root": "/srv", "environment": {"X": "1"}},
                "guest": {"deaf": True},
            }
        ],
    )
    vm = host.vms.one(name="web")
    assert vm.record.container == ContainerSpec("/srv", environment={"X": "1"})
    with pytest.raises(hyperkit.Timeout):
        vm.shutdown(timeout=1)
