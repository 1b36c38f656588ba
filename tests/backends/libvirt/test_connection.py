"""Connecting: what libvirt is told, and what is said when it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hyperkit.connection import parse
from hyperkit.errors import AuthenticationFailed, ConnectionFailed, InvalidRequest, InvalidState, NotFound

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import open as open_libvirt  # noqa: E402
from hyperkit.backends.libvirt.connection import Connection  # noqa: E402
from hyperkit.backends.libvirt.opening import uri_of  # noqa: E402


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Connection(parse("test:///default"))
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("url", "options", "uri"),
    [
        ("test:///default", {}, "test:///default"),
        ("qemu:///system", {"user": "bob"}, "qemu:///system"),
        ("qemu+unix:///system?socket=/a%20b", {}, "qemu+unix:///system?socket=/a%20b"),
        ("qemu+ssh://kvm1/system", {"user": "a b"}, "qemu+ssh://a%20b@kvm1/system?no_tty=1"),
        ("qemu+ssh://root@kvm1:2222/system?no_tty=0", {}, "qemu+ssh://root@kvm1:2222/system?no_tty=0"),
        (
            "qemu+tls://kvm1/system?keepalive_count=3",
            {"verify": False},
            "qemu+tls://kvm1/system?keepalive_count=3&no_verify=1",
        ),
        ("qemu+tls://kvm1/system", {"verify": "/my pki/cacert.pem"}, "qemu+tls://kvm1/system?pkipath=/my%20pki"),
        ("qemu+tls://kvm1/system?pkipath=/p", {"verify": "/x"}, "qemu+tls://kvm1/system?pkipath=/p"),
        ("lxc:///", {}, "lxc:///"),
    ],
)
def test_the_url_is_passed_on(url: str, options: dict[str, Any], uri: str) -> None:
    assert uri_of(parse(url, **options)) == uri


def test_a_ca_file_that_libvirt_cannot_be_given_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"cacert\.pem"):
        uri_of(parse("qemu+tls://kvm1/system", verify="/etc/ca.crt"))


def test_credentials_are_given_when_asked_for_and_never_in_the_url(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[Any]] = [
        [libvirt.VIR_CRED_AUTHNAME, "Username", None, None, None],
        [libvirt.VIR_CRED_PASSPHRASE, "Password", None, None, None],
    ]

    def open_auth(uri: str, auth: list[Any], flags: int) -> Any:
        assert "secret" not in uri
        assert auth[1](asked, auth[2]) == 0
        error = libvirt.libvirtError("refused")
        error.err = (libvirt.VIR_ERR_AUTH_FAILED, 7, "authentication failed", 2, None, None, None, 0, 0)
        error.args = ("authentication failed",)
        raise error

    monkeypatch.setattr(libvirt, "openAuth", open_auth)
    target = parse("qemu+tcp://bob:top-secret@kvm1/system")
    with pytest.raises(AuthenticationFailed) as caught:
        Connection(target)
    assert [credential[4] for credential in asked] == ["bob", "top-secret"]
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(target)


def test_a_question_without_an_answer_ends_the_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []

    def open_auth(_uri: str, auth: list[Any], _flags: int) -> Any:
        answers.append(auth[1]([[libvirt.VIR_CRED_PASSPHRASE, "", None, None, None]], auth[2]))
        raise libvirt.libvirtError("no")

    monkeypatch.setattr(libvirt, "openAuth", open_auth)
    with pytest.raises(ConnectionFailed):
        Connection(parse("qemu+tcp://kvm1/system"))
    assert answers == [-1]


@pytest.mark.parametrize("url", ["qemu+carrier-pigeon://x/system", "qemu+unix:///system?socket=/nope", "test:///?a=b"])
def test_what_cannot_be_reached_is_connection_failed(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConnectionFailed) as caught:
        open_libvirt(parse(url))
    assert url in str(caught.value)
    assert isinstance(caught.value.__cause__, libvirt.libvirtError)
    assert capfd.readouterr().err == ""  # libvirt prints errors unless it is told not to


def test_it_can_be_closed_twice_and_then_says_so(connection: Connection) -> None:
    connection.close()
    connection.close()
    with pytest.raises(InvalidState, match="closed"):
        _ = connection.conn


@pytest.mark.parametrize("vm_id", ["6695eb01-f6a4-8304-79aa-000000000000", "no uuid at all", ""])
def test_a_vm_that_is_not_there(connection: Connection, vm_id: str) -> None:
    with pytest.raises(NotFound):
        connection.domain(vm_id)


class Broken:
    """A virConnect whose session ended."""

    def isAlive(self) -> int:  # noqa: N802  libvirt's name
        return 0

    def close(self) -> None:
        pass


def lost() -> Any:
    error = libvirt.libvirtError("lost")
    error.err = (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_FROM_RPC, "End of file", 2, None, None, None, 0, 0)
    error.args = ("End of file while reading data",)
    return error


def test_a_read_that_lost_the_session_is_repeated_once_with_a_new_one(connection: Connection) -> None:
    tries = []

    def read() -> str:
        tries.append(connection.conn)
        if len(tries) == 1:
            connection.sessions.first._conn = Broken()
            raise lost()
        return str(connection.conn.getType())

    assert connection.repeat(read) == "TEST"
    assert tries[0] is not tries[1]


def test_a_read_that_fails_otherwise_is_not_repeated(connection: Connection) -> None:
    tries = []

    def read() -> None:
        tries.append(1)
        connection.conn.lookupByName("nobody")

    with pytest.raises(libvirt.libvirtError):
        connection.repeat(read)
    assert tries == [1]


def test_a_session_that_is_lost_again_is_an_error(connection: Connection) -> None:
    def read() -> None:
        raise lost()

    with pytest.raises(libvirt.libvirtError):
        connection.repeat(read)


def test_hosts_have_one_identity_in_every_connection() -> None:
    first, second = (open_libvirt(parse("test:///default")) for _ in range(2))
    assert first.identity == second.identity
    assert first.host.info().id == first.identity
    first.close()
    second.close()
