"""The bed tried by itself: what tests of the libvirt backend take for granted is true."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.beds.libvirt_qemu import (
    BedFailure,
    GuestImage,
    LibvirtHost,
    SerialLog,
    domain_xml,
    guest_image,
    missing,
)
from tests.beds.libvirt_qemu.cgroups import ControlGroup

if _reasons := missing():
    pytest.skip("; ".join(_reasons), allow_module_level=True)

import libvirt
import libvirt_qemu

SYSTEM_DIRECTORIES = ("/var/lib/libvirt", "/etc/libvirt", "/var/log/libvirt", "/var/cache/libvirt")

# dnsmasq looks for three seconds whether anybody has the address it is going to offer.
NETWORK = """\
<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>lan</name>
  <bridge name='lan0' stp='off'/>
  <ip address='10.9.0.1' netmask='255.255.255.0'><dhcp><range start='10.9.0.10' end='10.9.0.90'/></dhcp></ip>
  <dnsmasq:options><dnsmasq:option value='no-ping'/></dnsmasq:options>
</network>
"""


def system_state() -> set[tuple[str, int, int]]:
    """What the machine's own libvirt has on disk."""
    files = [path for top in SYSTEM_DIRECTORIES for path in Path(top).rglob("*")]
    return {(str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in files}


def processes_of(host: LibvirtHost) -> list[str]:
    """Processes that live in the host's mount namespace or name its directory, by their command lines."""
    found = []
    home = str(host.home).encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if home in (process / "mountinfo").read_bytes() or home in (process / "cmdline").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (FileNotFoundError, ProcessLookupError, OSError):
            continue
    return found


def eventually(condition: Callable[[], bool], timeout: float = 10) -> bool:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture(scope="module", autouse=True)
def _quiet_libvirt() -> Iterator[None]:
    """libvirt prints every error to standard error unless somebody takes it."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    yield
    libvirt.registerErrorHandler(None, None)


@pytest.fixture(scope="module")
def image() -> GuestImage:
    return guest_image()


@pytest.fixture(scope="module")
def host() -> Iterator[LibvirtHost]:
    with LibvirtHost() as running:
        yield running


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory as short as sockets need it, unlike tmp_path."""
    with tempfile.TemporaryDirectory(prefix="hk-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
def connection(host: LibvirtHost) -> Iterator[Any]:
    connection = libvirt.open(host.uri)
    yield connection
    connection.close()
    connection = libvirt.open(host.uri)  # a test may have killed the other end of the first
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        domain.destroy()
    for domain in connection.listAllDomains():
        domain.undefine()
    for network in connection.listAllNetworks():
        network.destroy()
    connection.close()


def boot(connection: Any, host: LibvirtHost, name: str, **how: Any) -> tuple[Any, SerialLog]:
    serial = SerialLog(host.home / f"{name}.log")
    domain = connection.defineXML(domain_xml(name, serial_log=serial.path, **how))
    domain.create()
    serial.wait_for_beat()
    return domain, serial


def agent_answers(domain: Any) -> bool:
    try:
        answer = libvirt_qemu.qemuAgentCommand(domain, '{"execute": "guest-ping"}', 5, 0)
    except libvirt.libvirtError:
        return False
    return bool(json.loads(answer) == {"return": {}})


def test_a_host_is_up_with_its_own_name_uuid_and_pool(host: LibvirtHost, connection: Any) -> None:
    assert connection.getHostname() == "hosta"
    assert str(host.host_uuid) in connection.getCapabilities()
    pool = connection.storagePoolLookupByName("default")
    assert pool.isActive()
    assert pool.autostart()
    assert f"<path>{host.images}</path>" in pool.XMLDesc()
    assert "clean-traffic" in [nwfilter.name() for nwfilter in connection.listAllNWFilters()]


def test_a_host_offers_emulation_not_kvm(connection: Any) -> None:
    assert "<domain type='qemu'" in connection.getCapabilities()
    assert "<domain type='kvm'" not in connection.getCapabilities()


def test_a_bridge_is_made_in_the_host_and_not_outside(host: LibvirtHost) -> None:
    host.add_bridge("br-test")
    assert "br-test" in host.run("ip", "link", "show", "type", "bridge")
    assert not Path("/sys/class/net/br-test").exists()


def test_a_command_that_fails_says_why(host: LibvirtHost) -> None:
    with pytest.raises(BedFailure, match="no-such-link"):
        host.run("ip", "link", "show", "no-such-link")


def test_a_guest_booted_directly_has_agent_and_address_and_shuts_down_by_acpi(
    host: LibvirtHost, connection: Any, image: GuestImage
) -> None:
    connection.networkCreateXML(NETWORK)
    domain, serial = boot(connection, host, "direct", kernel=image, network="lan")
    assert eventually(lambda: agent_answers(domain))
    assert "TB ip eth0 10.9.0." in serial.wait_for("TB ip", timeout=15)
    assert domain.guestInfo(libvirt.VIR_DOMAIN_GUEST_INFO_HOSTNAME)["hostname"] == "direct"

    domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)
    assert eventually(lambda: not domain.isActive())
    assert serial.wait_for("TB shutdown", timeout=1)
    numbers = [beat.number for beat in serial.beats()]
    assert numbers == list(range(len(numbers)))


def test_cpu_limits_reach_the_kernel(host: LibvirtHost, connection: Any, image: GuestImage) -> None:
    if not host.cgroups:
        pytest.skip("no version 1 control groups here")
    domain, _serial = boot(connection, host, "limited", kernel=image)
    domain.setSchedulerParameters({"vcpu_period": 100_000, "vcpu_quota": 50_000})
    (quota,) = host.cgroup("cpu").glob("machine/qemu-*/vcpu0/cpu.cfs_quota_us")
    assert quota.read_text().strip() == "50000"


@pytest.mark.parametrize("bus", ["virtio", "sata"])
def test_the_disk_image_boots(host: LibvirtHost, connection: Any, image: GuestImage, bus: str) -> None:
    disk = host.images / f"{bus}.qcow2"
    shutil.copy(image.disk, disk)
    domain, serial = boot(connection, host, bus, disk=disk, bus=bus)
    assert eventually(lambda: agent_answers(domain))
    assert f"TB data {'vda2' if bus == 'virtio' else 'sda2'}" in serial.text()
    assert [mounted[0] for mounted in domain.fsInfo()] == ["/data"]
    assert domain.fsFreeze() == 1
    assert domain.fsThaw() == 1


def test_the_cd_boots(host: LibvirtHost, connection: Any, image: GuestImage) -> None:
    _domain, serial = boot(connection, host, "cd", cdrom=image.iso)
    assert "TB data" not in serial.text()


def test_a_guest_outlives_libvirtd(host: LibvirtHost, connection: Any, image: GuestImage) -> None:
    domain, serial = boot(connection, host, "survivor", kernel=image)
    number = domain.ID()
    host.kill_libvirtd()
    with pytest.raises(libvirt.libvirtError):
        libvirt.open(host.uri)
    while_down = serial.wait_for_beat(timeout=5)
    host.restart_libvirtd()

    with closing(libvirt.open(host.uri)) as again:
        domain = again.lookupByName("survivor")
        assert domain.isActive()
        assert domain.ID() == number
        assert serial.wait_for_beat(timeout=5).number > while_down.number
        numbers = [beat.number for beat in serial.beats()]
        assert numbers == list(range(len(numbers)))

        host.kill_qemu("survivor")
        assert eventually(lambda: not domain.isActive())
        assert domain.state()[1] in (libvirt.VIR_DOMAIN_SHUTOFF_FAILED, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED)


def test_stop_leaves_no_process_and_start_boots_from_what_is_on_disk(root: Path, image: GuestImage) -> None:
    before = system_state()
    host = LibvirtHost(root, "gone")
    host.start()
    with closing(libvirt.open(host.uri)) as connection:
        connection.networkCreateXML(NETWORK)
        boot(connection, host, "victim", kernel=image)
    alive = " ".join(processes_of(host))
    assert all(program in alive for program in ("libvirtd", "qemu-system-x86_64", "dnsmasq"))

    host.stop()
    assert processes_of(host) == []
    assert not host.cgroup("cpu").exists()

    with host, closing(libvirt.open(host.uri)) as connection:
        assert not connection.lookupByName("victim").isActive()
        assert connection.storagePoolLookupByName("default").isActive()
    assert processes_of(host) == []
    assert system_state() == before


def test_a_host_dies_with_its_owner(root: Path) -> None:
    owner_code = (
        "import sys, time, pathlib\n"
        "from tests.beds.libvirt_qemu import LibvirtHost\n"
        "host = LibvirtHost(pathlib.Path(sys.argv[1]), 'orphan')\n"
        "host.start()\n"
        "print(host.cgroup('cpu').name, flush=True)\n"
        "time.sleep(600)\n"
    )
    repository = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", owner_code, str(root)], cwd=repository, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        group = owner.stdout.readline().strip()
        orphan = LibvirtHost(root, "orphan")
        assert processes_of(orphan)
        owner.kill()
    assert eventually(lambda: processes_of(orphan) == [])
    ControlGroup(group).remove()  # what only a live owner can tidy up


def test_a_host_that_does_not_start_shows_its_log(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = LibvirtHost(root, "broken")
    monkeypatch.setattr(host, "host_uuid", "nonsense")
    with pytest.raises(BedFailure, match=r"libvirtd\.log|boot\.log") as failure:
        host.start(timeout=20)
    assert "nonsense" in str(failure.value) or "UUID" in str(failure.value)
    assert processes_of(host) == []


def test_a_root_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(BedFailure, match="too long for the unix sockets"):
        LibvirtHost(Path("/tmp") / ("x" * 70))
