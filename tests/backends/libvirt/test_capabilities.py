"""What is concluded from what libvirt says of its host."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import capabilities
from hyperkit.backends.libvirt.host import _hypervisor_type
from hyperkit.records import HypervisorType

HOST = (
    "<capabilities><host><cpu><arch>{arch}</arch></cpu></host><guest><os_type>hvm</os_type><arch name='{arch}'>"
    "<domain type='qemu'/>{kvm}</arch></guest></capabilities>"
)
DOMAIN = (
    "<domainCapabilities><vcpu max='288'/><os><enum name='firmware'>{efi}</enum><loader><enum name='secure'>"
    "<value>{secure}</value></enum></loader></os><devices><disk><enum name='bus'><value>virtio</value></enum></disk>"
    "<tpm><enum name='backendModel'><value>{tpm}</value></enum></tpm></devices></domainCapabilities>"
)


class Conn:
    def __init__(self, **said: str) -> None:
        self.said = {"efi": "", "secure": "no", "tpm": "passthrough", **said}
        self.asked: tuple[Any, ...] = ()
        self.running: list[Any] = []

    def getDomainCapabilities(self, *args: Any) -> str:  # noqa: N802  libvirt's name
        self.asked = args
        return DOMAIN.format(**self.said)

    def numOfNWFilters(self) -> int:  # noqa: N802  libvirt's name
        return 0

    def listAllDomains(self, _flags: int) -> list[Any]:  # noqa: N802  libvirt's name
        return self.running

    def numOfNetworks(self) -> int:  # noqa: N802  libvirt's name
        return 0

    def numOfStoragePools(self) -> int:  # noqa: N802  libvirt's name
        return 0


def probe(conn: Conn, *, arch: str = "x86_64", kvm: bool = False, **connection: Any) -> Any:
    fields = {"kind": "QEMU", "conn": conn, "local": True, "session": False, **connection}
    host = ET.fromstring(HOST.format(arch=arch, kvm="<domain type='kvm'/>" if kvm else ""))
    return capabilities.probe(SimpleNamespace(**fields), host)  # type: ignore[arg-type]


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(capabilities, "_CGROUPS", tmp_path)
    return tmp_path


def test_kvm_is_used_where_the_host_offers_it(groups: Path) -> None:
    assert probe(Conn(), kvm=True)[0].domain_type == "kvm"
    assert probe(Conn())[0].domain_type == "qemu"


@pytest.mark.parametrize(
    ("kind", "domain_type", "expected"),
    [
        ("QEMU", "kvm", HypervisorType.BARE_METAL),
        ("QEMU", "qemu", HypervisorType.HOSTED),
        ("Xen", "xen", HypervisorType.BARE_METAL),
        ("LXC", "lxc", HypervisorType.OS_LEVEL),
        ("VBOX", "vbox", HypervisorType.HOSTED),
        ("TEST", "test", HypervisorType.HOSTED),
    ],
)
def test_where_the_hypervisor_sits(kind: str, domain_type: str, expected: HypervisorType) -> None:
    assert _hypervisor_type(kind, domain_type) is expected


def test_firmware_and_tpm(groups: Path) -> None:
    _, caps = probe(Conn())
    assert (caps.bios, caps.uefi, caps.secure_boot, caps.tpm) == (True, False, False, False)
    assert "ovmf" in caps.why["uefi"]
    _, caps = probe(Conn(efi="<value>efi</value>", secure="yes", tpm="emulator"))
    assert (caps.uefi, caps.secure_boot, caps.tpm, caps.max_cpus) == (True, True, True, 288)


def test_memory_has_an_end(groups: Path) -> None:
    _, caps = probe(Conn())
    assert caps.max_memory == 2**52


def test_a_host_that_is_no_pc_has_no_bios(groups: Path) -> None:
    conn = Conn(efi="<value>efi</value>")
    platform, caps = probe(conn, arch="aarch64")
    assert (caps.bios, caps.uefi, platform.machine) == (False, True, None)
    assert conn.asked[1:4] == ("aarch64", None, "qemu")


@pytest.mark.parametrize(("made", "shares"), [("cgroup.controllers", 100), ("cpu", 1024)])
def test_control_groups_of_this_machine(groups: Path, made: str, shares: int) -> None:
    (groups / made).touch()
    platform, caps = probe(Conn())
    assert (platform.shares, caps.cpu_shares, caps.cpu_limit, caps.memory_limit) == (shares, True, True, True)


def test_without_control_groups_nothing_is_limited(groups: Path) -> None:
    _, caps = probe(Conn())
    assert (caps.cpu_shares, caps.cpu_limit, caps.memory_limit) == (False, False, False)
    assert "control groups" in caps.why["cpu_limit"]


def test_a_user_s_own_daemon_has_no_control_groups(groups: Path) -> None:
    (groups / "cgroup.controllers").touch()
    platform, caps = probe(Conn(), session=True)
    assert (caps.cpu_limit, platform.privileged) == (False, False)


class Running:
    def __init__(self, shares: int, xml: str = "<domain/>") -> None:
        self.shares, self.xml = shares, xml

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802  libvirt's name
        return self.xml

    def schedulerParameters(self) -> dict[str, int]:  # noqa: N802  libvirt's name
        return {"cpu_shares": self.shares}


def test_control_groups_of_another_machine_are_seen_on_a_running_vm(groups: Path) -> None:
    conn = Conn()
    conn.running = [Running(1024, "<domain><cputune><shares>1024</shares></cputune></domain>"), Running(100)]
    platform, caps = probe(conn, local=False)
    assert (platform.shares, caps.cpu_shares, caps.cpu_limit) == (100, True, True)


def test_control_groups_of_another_machine_where_nothing_runs_are_unknown(groups: Path) -> None:
    _, caps = probe(Conn(), local=False)
    assert (caps.cpu_shares, caps.cpu_limit) == (False, True)
    assert "running VM" in caps.why["cpu_shares"]


@pytest.mark.parametrize("kind", ["QEMU", "LXC"])
def test_a_host_that_can_make_no_vm_still_shows_those_it_has(kind: str) -> None:
    connection: Any = SimpleNamespace(kind=kind, conn=Conn(), local=True, session=False)
    _, caps = capabilities.probe(connection, ET.fromstring("<capabilities><host/></capabilities>"))
    assert (caps.bios, caps.uefi, caps.pause, caps.shutdown) == (False, False, True, True)
    assert caps.why["bios"]


CONTAINERS = (
    "<capabilities><host><cpu><arch>x86_64</arch></cpu></host><guest><os_type>exe</os_type><arch name='i686'>"
    "<domain type='lxc'/></arch></guest><guest><os_type>exe</os_type><arch name='x86_64'><domain type='lxc'/></arch>"
    "</guest></capabilities>"
)


@pytest.mark.parametrize(("made", "shares"), [("cgroup.controllers", 100), ("cpu", 1024), ("none", None)])
def test_a_host_of_containers(groups: Path, made: str, shares: int | None) -> None:
    (groups / made).touch()
    connection: Any = SimpleNamespace(kind="LXC", conn=Conn(), local=True, session=False)
    platform, caps = capabilities.probe(connection, ET.fromstring(CONTAINERS))
    assert (platform.domain_type, platform.arch) == ("lxc", "x86_64")
    assert (caps.containers, caps.bios, caps.disks, caps.volumes, caps.switch_private) == (
        True,
        False,
        False,
        True,
        True,
    )
    able = shares is not None
    assert (caps.cpu_shares, caps.cpu_limit, caps.memory_limit) == (able, able, able)
    if shares:
        assert platform.shares == shares


def test_containers_of_another_machine_are_not_asked_for_their_shares(groups: Path) -> None:
    conn = Conn()
    conn.running = [None]  # looking at it is an error: the call ends the daemon if the container ends meanwhile
    connection: Any = SimpleNamespace(kind="LXC", conn=conn, local=False, session=False)
    _, caps = capabilities.probe(connection, ET.fromstring(CONTAINERS))
    assert (caps.cpu_shares, caps.cpu_limit, caps.memory_limit) == (False, True, True)
    assert "cannot be told" in caps.why["cpu_shares"]


def test_cpus_are_removed_from_a_running_vm_with_kvm_only(groups: Path) -> None:
    _, with_kvm = probe(Conn(), kvm=True)
    _, without = probe(Conn())
    assert (with_kvm.hot_cpu_add, with_kvm.hot_cpu_remove) == (True, True)
    assert (without.hot_cpu_add, without.hot_cpu_remove) == (True, False)
    assert "hot_cpu_remove" not in with_kvm.why
    assert "KVM" in without.why["hot_cpu_remove"]


def test_cpus_and_memory_of_a_running_vm_change_on_pcs_only(groups: Path) -> None:
    hot = ("hot_cpu_add", "hot_cpu_remove", "hot_memory_add", "hot_memory_remove")
    _, caps = probe(Conn(), arch="aarch64", kvm=True)
    assert not any(getattr(caps, name) for name in hot)
    assert {caps.why[name] for name in hot} == {"hyperkit has tried it on PCs only"}


def test_limits_of_a_running_vm_change_where_there_are_control_groups(groups: Path) -> None:
    _, caps = probe(Conn())
    assert not caps.hot_allocation
    assert "control groups" in caps.why["hot_allocation"]
    (groups / "cpu").mkdir()
    assert probe(Conn())[1].hot_allocation
