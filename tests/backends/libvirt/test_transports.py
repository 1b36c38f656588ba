"""How a daemon is reached, and who may: TCP and TLS with SASL, and SSH; on a real libvirtd and a real sshd.

Clients run in the network of the host, whose listeners nobody else can see.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hyperkit
from hyperkit import AuthenticationFailed, ConnectionFailed, InvalidRequest
from tests.beds.libvirt_qemu import LibvirtHost, missing
from tests.beds.libvirt_qemu.listening import PASSWORD, SSH_PORT, USER, Listening, in_network
from tests.beds.pki import Authority

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LACKING = missing() + [
    f"no program {name}"
    for name in ("openssl", "saslpasswd2", "sshd", "ssh", "ssh-keygen", "nc")
    if shutil.which(name, path=_PATH) is None
]
pytestmark = pytest.mark.skipif(bool(_LACKING), reason="; ".join(_LACKING))
if importlib.util.find_spec("libvirt") is None:
    pytest.skip("libvirt-python is not installed", allow_module_level=True)

SSH = f"qemu+ssh://root@127.0.0.1:{SSH_PORT}/system"
BOUND = 3

Try = Callable[..., Any]


@pytest.fixture(scope="module")
def machine() -> Iterator[LibvirtHost]:
    with LibvirtHost(listens=True) as machine:
        with hyperkit.connect(machine.uri) as host:
            host.vms.create("web1")
        yield machine


@pytest.fixture(scope="module")
def listening(machine: LibvirtHost) -> Listening:
    assert machine.listening is not None
    return machine.listening


@pytest.fixture(scope="module")
def trusted(machine: LibvirtHost, listening: Listening) -> Path:
    """The CA's certificate, beside one of the client's own."""
    return listening.authority.client(machine.home / "client")


@pytest.fixture
def names(machine: LibvirtHost) -> Try:
    """Connects, and tells the names of the VMs."""

    def connect(url: str, **options: Any) -> list[str]:
        def work() -> list[str]:
            with hyperkit.connect(url, **options) as host:
                assert PASSWORD not in repr(host) + repr(host.driver)
                return [vm.name for vm in host.vms]

        return in_network(machine.init_pid, work)

    return connect


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_tcp_with_a_password(names: Try, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert names("qemu+tcp://localhost/system", user=USER, password=PASSWORD) == ["web1"]
    assert names(f"qemu+tcp://{USER}:{PASSWORD.replace(' ', '%20')}@localhost/system") == ["web1"]
    assert "vms.list" in caplog.text
    assert PASSWORD.split()[1] not in caplog.text


@pytest.mark.parametrize("transport", ["tcp", "tls"])
@pytest.mark.parametrize(("user", "password"), [(USER, "not this one"), ("nobody", PASSWORD), (USER, None)])
def test_wrong_credentials(
    names: Try, trusted: Path, caplog: pytest.LogCaptureFixture, transport: str, user: str, password: str | None
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(AuthenticationFailed) as caught:
        names(f"qemu+{transport}://localhost/system", user=user, password=password, verify=str(trusted))
    assert (password or PASSWORD) not in told(caught.value) + caplog.text


def test_tls_verifies_the_host_and_shows_a_certificate(machine: LibvirtHost, names: Try, trusted: Path) -> None:
    assert names("qemu+tls://localhost/system", user=USER, password=PASSWORD, verify=str(trusted)) == ["web1"]
    url = f"qemu+tls://localhost/system?pkipath={trusted.parent}"
    assert names(url, user=USER, password=PASSWORD) == ["web1"]


def test_passwords_are_checked_by_a_mechanism_that_does_not_send_them(
    machine: LibvirtHost, names: Try, trusted: Path
) -> None:
    with pytest.raises(AuthenticationFailed):
        names("qemu+tls://localhost/system", user=USER, password="no", verify=str(trusted))
    assert "StoredKey mismatch" in (machine.home / "log/libvirtd.log").read_text()  # SCRAM's words


def test_a_certificate_of_another_name_is_refused_unless_told_otherwise(names: Try, trusted: Path) -> None:
    with pytest.raises(ConnectionFailed, match=r"certificate.*verify=") as caught:
        names("qemu+tls://127.0.0.1/system", user=USER, password=PASSWORD, verify=str(trusted))
    assert not isinstance(caught.value, AuthenticationFailed)
    url = f"qemu+tls://127.0.0.1/system?pkipath={trusted.parent}"
    assert names(url, user=USER, password=PASSWORD, verify=False) == ["web1"]


def test_a_certificate_of_another_issuer_is_refused(machine: LibvirtHost, names: Try) -> None:
    other = Authority(machine.home / "other").client(machine.home / "other-client")
    with pytest.raises(ConnectionFailed, match="certificate") as caught:
        names("qemu+tls://localhost/system", user=USER, password=PASSWORD, verify=str(other))
    assert not isinstance(caught.value, AuthenticationFailed)


def test_a_client_without_a_certificate_is_refused_by_the_host(machine: LibvirtHost, names: Try, trusted: Path) -> None:
    bare = machine.home / "bare"
    bare.mkdir()
    shutil.copy(trusted, bare)
    with pytest.raises(ConnectionFailed):
        names("qemu+tls://localhost/system", user=USER, password=PASSWORD, verify=str(bare / "cacert.pem"))


@pytest.mark.parametrize("proxy", ["auto", "native", "netcat"])
def test_ssh(names: Try, listening: Listening, proxy: str) -> None:
    command = listening.ssh_command()
    assert names(f"{SSH}?command={command}&proxy={proxy}") == ["web1"]
    assert "BatchMode=yes" in Path(f"{command}.log").read_text()  # nothing asks at a terminal


def test_ssh_in_several_threads(machine: LibvirtHost, listening: Listening) -> None:
    def work() -> set[str]:
        from concurrent.futures import ThreadPoolExecutor

        with hyperkit.connect(f"{SSH}?command={listening.ssh_command()}") as host, ThreadPoolExecutor(4) as pool:
            reads = [pool.submit(lambda: host.vms.one("web1").name) for _ in range(8)]
            return {each.result(60) for each in reads}

    assert in_network(machine.init_pid, work) == {"web1"}


def test_ssh_without_the_key(names: Try, listening: Listening) -> None:
    with pytest.raises(AuthenticationFailed, match="Permission denied"):
        names(f"{SSH}?command={listening.ssh_command(key=False)}")


def test_an_unknown_host_key_is_refused_unless_told_otherwise(names: Try, listening: Listening) -> None:
    command = listening.ssh_command("-o", "UserKnownHostsFile=/dev/null")
    with pytest.raises(ConnectionFailed, match="Host key verification failed"):
        names(f"{SSH}?command={command}")
    assert names(f"{SSH}?command={command}", verify=False) == ["web1"]


def test_ssh_takes_no_password(names: Try) -> None:
    with pytest.raises(InvalidRequest, match="password") as caught:
        names(SSH, password=PASSWORD)
    assert PASSWORD not in told(caught.value)


@pytest.mark.parametrize("transport", ["ssh", "tcp"])
def test_nobody_is_there(names: Try, listening: Listening, transport: str) -> None:
    with pytest.raises(ConnectionFailed, match="refused"):
        names(f"qemu+{transport}://127.0.0.1:9/system?command={listening.ssh_command()}")


@pytest.mark.parametrize(("transport", "port"), [("ssh", SSH_PORT), ("tcp", 16509)])
def test_nobody_answers(machine: LibvirtHost, names: Try, listening: Listening, transport: str, port: int) -> None:
    rule = ("INPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")
    machine.run("iptables", "-A", *rule)
    try:
        with pytest.raises(ConnectionFailed, match=f"no answer within {BOUND} seconds"):
            names(f"qemu+{transport}://127.0.0.1:{port}/system?command={listening.ssh_command()}", timeout=BOUND)
    finally:
        machine.run("iptables", "-D", *rule)


def test_a_line_that_is_cut_is_connection_lost(machine: LibvirtHost, trusted: Path) -> None:
    """Packets that vanish, as when a switch dies: no end of the connection ever arrives."""
    rules = [("INPUT", "-p", "tcp", direction, "16514", "-j", "DROP") for direction in ("--dport", "--sport")]

    def work() -> None:
        with hyperkit.connect(
            "qemu+tls://localhost/system", user=USER, password=PASSWORD, verify=str(trusted), timeout=BOUND
        ) as host:
            vm = host.vms.one("web1")
            for rule in rules:
                machine.run("iptables", "-A", *rule)
            try:
                with pytest.raises(hyperkit.ConnectionLost):
                    vm.configure(notes="new")
            finally:
                for rule in rules:
                    machine.run("iptables", "-D", *rule)
            assert vm.refresh().name == "web1"

    in_network(machine.init_pid, work)
