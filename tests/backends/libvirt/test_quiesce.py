"""Quiesced snapshots of a real guest: its files are in them, and it is thawed whatever happens."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import hyperkit
from hyperkit import VM, ConnectionLost, DiskSpec, Host, InvalidState, KernelBoot, MiB
from tests.beds.libvirt_qemu import LibvirtHost, guest_image, missing

libvirt = pytest.importorskip("libvirt")
import libvirt_qemu  # noqa: E402

from hyperkit.backends.libvirt import agent, quiesce  # noqa: E402

pytestmark = pytest.mark.skipif(bool(missing()), reason="; ".join(missing()))

PATIENCE = 120.0
"""Seconds for a guest on a machine that is busy."""


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost() as machine:
        yield machine


@pytest.fixture(scope="module")
def host(machine: LibvirtHost) -> Iterator[Host]:
    with hyperkit.connect(machine.uri) as host:
        yield host


@pytest.fixture(scope="module")
def booted(machine: LibvirtHost, host: Host) -> VM:
    image = guest_image()
    shutil.copy(image.disk, machine.images / "data.qcow2")
    return host.vms.create(
        "web1",
        memory=128 * MiB,
        kernel=KernelBoot(str(image.vmlinux), str(image.initrd), f"{image.cmdline} tb.name=web1"),
        disks=[DiskSpec(base=str(machine.images / "data.qcow2"))],
    ).start()


@pytest.fixture
def vm(booted: VM) -> Iterator[VM]:
    booted.guest.wait_until_ready(timeout=PATIENCE)
    yield booted
    for snapshot in booted.snapshots:
        snapshot.delete()


def asked(machine: LibvirtHost, command: str) -> Any:
    """What the agent of the VM says, by raw libvirt."""
    connection = libvirt.open(machine.uri)
    try:
        answer = libvirt_qemu.qemuAgentCommand(connection.lookupByName("web1"), json.dumps({"execute": command}), 20, 0)
        return json.loads(answer)["return"]
    finally:
        connection.close()


def thawed(machine: LibvirtHost) -> bool:
    return bool(asked(machine, "guest-fsfreeze-status") == "thawed")


def test_what_the_guest_had_not_yet_written_is_in_it(machine: LibvirtHost, vm: VM, tmp_path: Path) -> None:
    vm.guest.run(["sh", "-c", "echo not-$((6*7))-synced >/data/new"], timeout=PATIENCE, check=True)
    vm.snapshots.create("quiet", quiesce=True)
    assert thawed(machine)
    (frozen, *_) = vm.refresh().disks[0].record.chain
    content = tmp_path / "content"
    subprocess.run(["qemu-img", "convert", "-U", "-O", "raw", frozen, str(content)], check=True)
    assert b"not-42-synced\n" in content.read_bytes()
    assert vm.guest.run(["sh", "-c", "echo more >/data/more && sync"], timeout=PATIENCE).ok


@pytest.mark.parametrize("taken", [False, True])
def test_it_is_thawed_although_the_daemon_ends_meanwhile(
    machine: LibvirtHost, vm: VM, monkeypatch: pytest.MonkeyPatch, taken: bool
) -> None:
    original = libvirt.virDomain.snapshotCreateXML
    seen: list[str] = []

    def broken(domain: Any, *args: Any) -> Any:
        if seen:
            return original(domain, *args)
        seen.append(asked(machine, "guest-fsfreeze-status"))
        if taken:
            original(domain, *args)
        machine.restart_libvirtd()
        return original(domain, *args)

    monkeypatch.setattr(libvirt.virDomain, "snapshotCreateXML", broken)
    with pytest.raises(ConnectionLost):
        vm.snapshots.create("cut", quiesce=True)
    assert seen == ["frozen"]
    assert thawed(machine)
    assert [each.name for each in vm.snapshots] == (["cut"] if taken else [])


def test_whoever_froze_it_is_the_one_to_thaw_it(machine: LibvirtHost, vm: VM) -> None:
    with vm.guest.frozen(timeout=PATIENCE):
        with pytest.raises(InvalidState, match=r"somebody froze its file systems already; vm.guest.thaw\(\)"):
            vm.snapshots.create("quiet", quiesce=True)
        assert not thawed(machine)
    assert vm.snapshots.list() == []


def test_an_agent_that_hangs_as_it_freezes_holds_up_nobody(
    machine: LibvirtHost, vm: VM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one here: the agent is not woken up again."""
    original = agent.ask

    def hanging(domain: Any, command: str, seconds: float, **arguments: Any) -> Any:
        if command == "guest-fsfreeze-freeze":
            stop = {"path": "sh", "arg": ["-c", "kill -STOP $(pidof qemu-ga)"]}
            original(domain, "guest-exec", PATIENCE, **stop)
            with suppress(libvirt.libvirtError):
                while True:  # until it has stopped
                    original(domain, "guest-ping", 1)
        return original(domain, command, seconds, **arguments)

    monkeypatch.setattr(agent, "ask", hanging)
    monkeypatch.setattr(quiesce, "_FLUSHING", 1.0)
    files = set(machine.images.iterdir())
    with pytest.raises(InvalidState, match="agent does not answer") as caught:
        vm.snapshots.create("quiet", quiesce=True)
    assert caught.value.__notes__ == ["file systems of VM 'web1' may be frozen still, see vm.guest.thaw()"]
    assert set(machine.images.iterdir()) == files
    assert vm.configure(notes="others can go on").notes == "others can go on"
    vm.stop()
