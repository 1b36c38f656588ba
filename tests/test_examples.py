"""The examples do what they say, on the fake. `test_tour` has the tour."""

from __future__ import annotations

import json
import re
import runpy
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import hyperkit
from hyperkit import Host, MiB, PowerState
from hyperkit.testing import Fake
from tests.plugin import OPTIONS

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
VMS: list[Any] = [
    {
        "name": "web1", "state": "running", "cpus": 2, "memory": "4 GiB",
        "disks": [{"size": "20 GiB"}, {"size": "1 GiB"}], "nics": ["lan", "dmz", "lan"],
    },
    "spare",
]  # fmt: skip


def main_of(name: str) -> Callable[[Sequence[str]], int]:
    main: Callable[[Sequence[str]], int] = runpy.run_path(str(EXAMPLES / name))["main"]
    return main


def test_every_example_is_tested_and_has_a_main() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    for example in EXAMPLES.rglob("*.py"):
        if not example.name.startswith("test_"):
            assert f'"{example.name}"' in tests or f"/{example.name}" in tests, f"{example} is not run by any test"
            text = example.read_text(encoding="utf-8")
            assert "def main(argv: Sequence[str] | None = None) -> int:" in text


def test_inventory_is_a_table(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    hyperkit_fake.seed(vms=VMS, switches=["lan", "dmz"])
    assert main_of("inventory.py")([hyperkit_fake.host.url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "NAME   STATE    CPUS  MEMORY   DISKS   SWITCHES",
        "spare  off      1     512 MiB  0 B     -",
        "web1   running  2     4 GiB    21 GiB  dmz,lan",
    ]


def test_inventory_is_json(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    hyperkit_fake.seed(vms=VMS, switches=["lan", "dmz"])
    assert main_of("inventory.py")([hyperkit_fake.host.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [vm.to_dict() for vm in hyperkit_fake.host.vms]


def test_inventory_of_nothing_is_a_head_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main_of("inventory.py")([]) == 0
    assert capsys.readouterr().out.split() == ["NAME", "STATE", "CPUS", "MEMORY", "DISKS", "SWITCHES"]


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("inventory.py", []),
        ("watch_events.py", []),
        ("top.py", []),
        ("snapshot_before_change.py", ["web1", "1 GiB"]),
        ("orchestration/rollout.py", ["/images/web.qcow2"]),
    ],
)
def test_a_host_that_is_not_there_is_one_line_on_stderr(
    script: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main_of(script)(["nowhere://host", *arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"InvalidRequest: no backend for nowhere://.*\n", err)


@pytest.mark.hyperkit(profile="hyperv")
def test_events_that_comparing_finds_are_watched(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    hyperkit_fake.seed(vms=[{**VMS[0], "nics": [], "guest": {"shutdown_seconds": 30}}])
    vm = hyperkit_fake.host.vms.one(name="web1")
    vm.host.driver.vms.set_power(vm.id, hyperkit.states.PowerAction.SHUTDOWN)
    assert main_of("watch_events.py")([vm.host.url, "--seconds", "60"]) == 0
    assert capsys.readouterr().out == "00:00:30 web1 was running, is off\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_events_that_the_host_pushes_are_watched(
    hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    host, world = hyperkit_fake.host, hyperkit_fake.world

    def work() -> None:
        while not world.sinks:
            time.sleep(0.001)
        vm = host.vms.create("new")
        vm.configure(cpus=2, notes="bigger")
        vm.start().stop()
        vm.delete()

    somebody = threading.Thread(target=work)
    somebody.start()
    assert main_of("watch_events.py")([host.url, "--count", "5", *options]) == 0
    somebody.join()
    lines = capsys.readouterr().out.splitlines()
    if options:
        events = [json.loads(line) for line in lines]
        kinds = ["VMCreated", "VMChanged", "VMStateChanged", "VMStateChanged", "VMDeleted"]
        assert [event["event"] for event in events] == kinds
        assert events[1]["after"]["cpus"] == 2
    else:
        assert [line.partition(" ")[2] for line in lines] == [
            "new was created",
            "new changed: cpus=2, max_cpus=2, notes=bigger",
            "new was off, is running",
            "new was running, is off",
            "new was deleted",
        ]
    assert world.sinks == []


def test_what_happens_besides_is_watched(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    hyperkit_fake.seed(vms=[{**VMS[0], "nics": []}])
    vm, world = hyperkit_fake.host.vms.one(name="web1"), hyperkit_fake.world

    def work() -> None:
        while not world.sinks:
            time.sleep(0.001)
        hyperkit_fake.reboot(vm)
        hyperkit_fake.fail_disk(vm, vm.disks[0].id, full=True)
        hyperkit_fake.end_job(vm, "backup", "the target is gone")

    somebody = threading.Thread(target=work)
    somebody.start()
    assert main_of("watch_events.py")([vm.host.url, "--count", "4"]) == 0
    somebody.join()
    assert [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "web1 rebooted",
        "web1 was running, is paused",
        f"web1 cannot use {vm.disks[0].path}: no room left",
        "web1 backup ended: the target is gone",
    ]


def test_top_tells_who_uses_what(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    hyperkit_fake.seed(vms=[VMS[0], {"name": "busy", "state": "running"}, "off"], switches=["lan", "dmz"])
    hyperkit_fake.load("busy", cpu_seconds=3.25)
    assert main_of("top.py")([hyperkit_fake.host.url, "--count", "1"]) == 0
    rows = [re.split(r" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["NAME", "busy", "web1"]
    assert rows[1][1:3] == ["325%", "512 MiB"]
    assert rows[2][1:] == ["25%", "4 GiB", "32 KiB", "64 KiB", "48 KiB", "24 KiB"]


def seeded(fake: Fake, **guest: Any) -> Host:
    fake.seed(host={"memory": "8 GiB"}, vms=[{**VMS[0], "nics": [], "guest": guest}, "spare"])
    return fake.host


def test_a_change_that_works_keeps_no_snapshot(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    host = seeded(hyperkit_fake, deaf=True)
    assert main_of("snapshot_before_change.py")([host.url, "web1", "8 GiB"]) == 0
    assert capsys.readouterr().out == "web1 is running with 8 GiB\n"
    assert host.vms.one(name="web1").snapshots.list() == []
    assert main_of("snapshot_before_change.py")([host.url, "spare", "1 GiB"]) == 0
    assert capsys.readouterr().out == "spare is off with 1 GiB\n"


@pytest.mark.parametrize("memory", ["9 GiB", "1000 KB"])
def test_a_change_that_fails_leaves_the_vm_running_as_it_was(
    hyperkit_fake: Fake, memory: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host = seeded(hyperkit_fake)
    assert main_of("snapshot_before_change.py")([host.url, "web1", memory]) == 1
    out, err = capsys.readouterr()
    assert out == "web1 is running with 4 GiB\n"
    assert err.startswith("ResourceExhausted: " if memory == "9 GiB" else "InvalidRequest: ")
    assert host.vms.one(name="web1").snapshots.list() == []


def test_a_change_of_nobody_is_one_line(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    host = seeded(hyperkit_fake)
    assert main_of("snapshot_before_change.py")([host.url, "web2", "8 GiB"]) == 1
    assert capsys.readouterr().err.startswith("NotFound: no VM 'web2'")


def test_a_rollout_prints_names_and_addresses(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    hyperkit_fake.seed(files=["/images/web.qcow2"], switches=["lan"])
    options = ["--count", "2", "--name", "api", "--memory", "256 MiB"]
    assert main_of("orchestration/rollout.py")([hyperkit_fake.host.url, "/images/web.qcow2", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["api-1", "api-2"]
    assert all(re.fullmatch(r"api-\d 10(\.\d+){3}", line) for line in lines)
    assert {(vm.memory, vm.state) for vm in hyperkit_fake.host.vms} == {(256 * MiB, PowerState.RUNNING)}


def test_a_rollout_that_fails_says_why(hyperkit_fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_of("orchestration/rollout.py")([hyperkit_fake.host.url, "/images/none.qcow2"]) == 1
    assert capsys.readouterr().err.startswith("RolloutFailed: 0 of 3 were begun: ")


def test_the_example_of_testing_orchestration_passes_as_users_run_it(pytester: pytest.Pytester) -> None:
    for name in ("rollout.py", "test_rollout.py"):
        (pytester.path / name).write_bytes((EXAMPLES / "orchestration" / name).read_bytes())
    pytester.runpytest_subprocess(*OPTIONS, "-W", "error", "--strict-markers").assert_outcomes(passed=11)
