"""Whom a connection trusts: a certificate's digest, or a CA, and never just anybody unless told to."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import hyperkit
from hyperkit.errors import AuthenticationFailed, ConnectionFailed, InvalidRequest
from tests.beds.vcsim import Vcsim

pytest.importorskip("pyVmomi")
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.transport import fingerprint

Session = Callable[..., Connection]


def sha256(bed: Vcsim) -> str:
    return fingerprint(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((bed.host, bed.port))))


def pinned(bed: Vcsim, thumbprint: str, port: int | None = None) -> str:
    return f"esxi://{bed.user}@{bed.host}:{port or bed.port}?thumbprint={thumbprint}"


@contextmanager
def doorway(port: int) -> Iterator[tuple[int, Callable[[int], None]]]:
    """A port that leads to another, and the function that has new connections lead elsewhere and ends the old."""
    door = socket.create_server(("127.0.0.1", 0))
    leads = [port]
    ends: list[socket.socket] = []

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def admit() -> None:
        with suppress(OSError):
            while True:
                guest, _ = door.accept()
                host = socket.create_connection(("127.0.0.1", leads[0]))
                ends.extend((guest, host))
                for pair in ((guest, host), (host, guest)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    def lead(to: int) -> None:
        leads[0] = to
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=admit, daemon=True)
    thread.start()
    try:
        yield door.getsockname()[1], lead
    finally:
        with suppress(OSError):
            door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(5)
        for end in ends:
            end.close()


def test_a_certificate_of_a_stranger_is_refused_and_its_thumbprint_told(esx: Vcsim, session: Session) -> None:
    with pytest.raises(ConnectionFailed, match=r"not trusted.*thumbprint=.*verify=") as raised:
        session(esx, verify=True)
    assert sha256(esx) in str(raised.value)
    assert esx.calls().requests == 0
    assert not isinstance(raised.value, AuthenticationFailed)


def test_a_certificate_of_the_ca_is_trusted(esx: Vcsim, session: Session) -> None:
    assert session(esx, verify=str(esx.ca_file)).api == (6, 5, 0, 0)


def test_a_certificate_for_another_name_is_refused(esx: Vcsim, session: Session) -> None:
    with pytest.raises(ConnectionFailed, match="not trusted"):
        session(esx, f"esxi://{esx.user}@127.1:{esx.port}")


def test_a_thumbprint_is_trusted(esx: Vcsim, session: Session) -> None:
    for thumbprint in (esx.thumbprint, sha256(esx), sha256(esx).replace(":", "").lower()):
        session(esx, pinned(esx, thumbprint), verify=True)
        session(esx, pinned(esx, thumbprint), verify=False)


@pytest.mark.parametrize("digits", [40, 64])
def test_a_wrong_thumbprint_is_refused_on_each_connection(esx: Vcsim, session: Session, digits: int) -> None:
    # Whatever else would do: the CA, or no check at all.
    for verify in (True, False, str(esx.ca_file)):
        with pytest.raises(ConnectionFailed, match="another certificate") as raised:
            session(esx, pinned(esx, "ab" * (digits // 2)), verify=verify)
        assert sha256(esx) in str(raised.value)
    assert esx.calls().requests == 0


def test_a_host_that_is_exchanged_meanwhile_is_told_nothing(esx: Vcsim, session: Session) -> None:
    with Vcsim("esx") as other, doorway(esx.port) as (port, lead):
        connection = session(esx, pinned(esx, esx.thumbprint, port))
        lead(other.port)
        time.sleep(0.1)
        for _ in range(2):
            with pytest.raises(ConnectionFailed, match="another certificate"):
                connection.native.CurrentTime()
        assert other.calls().requests == 0
        lead(esx.port)
        time.sleep(0.1)
        connection.native.CurrentTime()


@pytest.mark.parametrize("thumbprint", ["x", "ab" * 19, "zz" * 20, "AB:CD"])
def test_what_is_no_thumbprint_is_refused(session: Session, esx: Vcsim, thumbprint: str) -> None:
    with pytest.raises(InvalidRequest, match="64 or 40 hex digits"):
        session(esx, pinned(esx, thumbprint))


def test_what_is_no_ca_file_is_refused(esx: Vcsim, session: Session, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    for path in (empty, tmp_path / "missing.pem"):
        with pytest.raises(InvalidRequest, match="not a file of CA certificates"):
            session(esx, verify=str(path))


def test_a_port_where_nobody_listens(session: Session, esx: Vcsim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionFailed, match="refused"):
        session(esx, f"esxi://root@127.0.0.1:{port}")


def test_a_name_that_nobody_has(session: Session, esx: Vcsim) -> None:
    with pytest.raises(ConnectionFailed, match="no host of this name"):
        session(esx, "esxi://root@no-such-host.invalid")


def test_a_host_that_does_not_answer_in_time(session: Session, esx: Vcsim) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        with pytest.raises(ConnectionFailed, match="no answer in time"):
            session(esx, f"esxi://root@127.0.0.1:{deaf.getsockname()[1]}", timeout=0.3)
        assert time.monotonic() - began < 2


def test_what_is_no_vsphere(session: Session, esx: Vcsim) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    with socket.create_server(("127.0.0.1", 0)) as other:

        def serve() -> None:
            with suppress(OSError), other.accept()[0] as guest:
                guest.recv(1000)
                guest.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ConnectionFailed):
            session(esx, f"esxi://root@127.0.0.1:{other.getsockname()[1]}", verify=False, timeout=2)


def test_a_wrong_password(esx: Vcsim) -> None:
    secret = "not <the> p&ssword"
    with pytest.raises(AuthenticationFailed, match="esxi://") as raised:
        hyperkit.connect(esx.hyperkit_url, password=secret, verify=str(esx.ca_file))
    assert esx.calls().methods == {"RetrieveServiceContent": 1, "Login": 1}
    told = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    ours = [part for part in told.split("\n  File ") if "test_trust.py" not in part.partition("\n")[0]]
    assert len(ours) > 1
    for way in (secret, "not &lt;the&gt; p&amp;ssword"):
        assert not any(way in part for part in ours)
    error: BaseException | None = raised.value
    while error is not None:
        assert secret not in f"{error!r} {error}"
        error = error.__cause__ or error.__context__


def test_a_missing_password_is_noticed_before_anything_is_sent(esx: Vcsim, session: Session) -> None:
    for url, what in (("esxi://root@no-such-host.invalid", "no password"), ("esxi://no-such-host.invalid", "no user")):
        with pytest.raises(AuthenticationFailed, match=what):
            session(esx, url, password=None)
