"""The HTTP(S) server: connections, who is let in, and what goes wrong on purpose."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal, Self

import attrs

from hyperkit.testing import Fake
from tests.beds.hyperv_sim.auth import Conversation, Denied, Rules
from tests.beds.hyperv_sim.protocol import Service
from tests.beds.hyperv_sim.providers import host, jobs, systems
from tests.beds.hyperv_sim.rows import Repository
from tests.beds.hyperv_sim.schema import load
from tests.beds.pki import Authority

Mishap = Literal["drop before", "drop after", "401", "500", "503", "cut", "clear", "slow", "foreign"]
"""What goes wrong with a request: the connection breaks before it is done, or after; the session has ended; the host
fails without SOAP; it is overloaded; the answer breaks off, is in clear text, comes late, or is another's.
"""
_LATE = 1.5


@attrs.define
class Record:
    """What went over the wire."""

    requests: int = 0
    received: int = 0
    sent: int = 0
    clear: int = 0
    """Envelopes that came in clear text over HTTP."""
    connections: int = 0
    statuses: Counter[int] = attrs.field(factory=Counter)


class HyperVSim:
    """A host, on loopback while it is entered."""

    def __init__(self, *, tls: bool = True, **rules: Any) -> None:
        self.user, self.password = "Administrator", "P@ss'w\"o&rd<>"
        self.rules = Rules(user=self.user, password=self.password, **rules)
        self.tls = tls
        self.record = Record()
        self.repository = Repository(load())
        self.service = Service(self.repository)
        self.mishaps: list[Mishap] = []
        self.jobs = jobs.Jobs(self.repository)
        host.serve(self.repository)
        self.fake = Fake(profile="hyperv")
        driver = self.fake.host.driver
        self.systems = systems.Systems(self.repository, self.fake.world, driver.vms, self.jobs)

    def __enter__(self) -> Self:
        self._directory = TemporaryDirectory(prefix="hk-hyperv-")
        directory = Path(self._directory.name)
        self.client_certificate, self.client_key = directory / "client.pem", directory / "client.key"
        accounts = directory / "accounts"
        # With and without a domain: the account is one of the host's own.
        accounts.write_text("".join(f"{domain}:{self.user}:{self.password}\n" for domain in ("", "HV1")))
        self._accounts_before = os.environ.get("NTLM_USER_FILE")
        os.environ["NTLM_USER_FILE"] = str(accounts)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.sim = self
        if self.tls:
            authority = Authority(directory)
            self.ca_file = authority.certificate
            certificate, key = directory / "host.pem", directory / "host.key"
            authority.sign(certificate, key, names="IP:127.0.0.1,DNS:localhost")
            authority.sign(self.client_certificate, self.client_key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            context.load_verify_locations(self.ca_file)
            context.verify_mode = ssl.CERT_OPTIONAL
            self._server.context = context
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="hyperv-sim")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()
        if self._accounts_before is None:
            del os.environ["NTLM_USER_FILE"]
        else:
            os.environ["NTLM_USER_FILE"] = self._accounts_before
        self._directory.cleanup()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Of the service."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/wsman"

    def hang_up(self) -> None:
        """End all connections, as a host that restarts."""
        self._server.hang_up()

    @contextmanager
    def counted(self) -> Iterator[Record]:
        """Count from here on."""
        self.record = Record()
        yield self.record


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    sim: HyperVSim
    context: ssl.SSLContext | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.open: set[socket.socket] = set()
        self.lock = threading.Lock()

    def hang_up(self) -> None:
        with self.lock:
            for each in self.open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no error of the server's."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    conversation: Conversation

    def setup(self) -> None:
        peer = None
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
            peer = self.request.getpeercert() or None
        with self.server.lock:
            self.server.open.add(self.request)
        sim = self.server.sim
        sim.record.connections += 1
        self.conversation = Conversation(sim.rules, self.server.context is not None, peer)
        super().setup()

    def finish(self) -> None:
        with self.server.lock:
            self.server.open.discard(self.request)
        with suppress(OSError):
            super().finish()
        with suppress(OSError):
            self.request.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is written."""

    def do_POST(self) -> None:
        sim = self.server.sim
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/wsman":
            self._send(404, b"")
            return
        try:
            self.conversation.admit(self.headers.get("Authorization", ""))
        except Denied as denied:
            self._send(401, b"", challenges=denied.challenges)
            return
        if not body:
            mishap = sim.mishaps.pop(0) if sim.mishaps[:1] == ["503"] else None
            self._send(503 if mishap else 200, b"")
            return
        self._serve(sim, body)

    def _serve(self, sim: HyperVSim, body: bytes) -> None:
        encrypted = self.headers.get("Content-Type", "").startswith("multipart/encrypted")
        if not encrypted and not self.conversation.over_tls:
            sim.record.clear += 1
            if not sim.rules.clear:
                self._send(500, b"")
                return
        try:
            data = self.conversation.opened(body) if encrypted else body
        except Exception:
            self._send(400, b"")  # it was encrypted for another conversation
            return
        sim.record.requests += 1
        sim.record.received += len(data)
        mishap = sim.mishaps.pop(0) if sim.mishaps else None
        if mishap in ("401", "500", "503"):
            self._send(int(mishap), b"", challenges=("Negotiate",) if mishap == "401" else ())
            return
        if mishap == "drop before":
            self._hang_up()
            return
        if mishap == "slow":
            time.sleep(_LATE)
        status, answer = sim.service.answer(data)
        if mishap == "drop after":
            self._hang_up()
            return
        if mishap == "foreign":
            answer = answer.replace(b"RelatesTo>uuid:", b"RelatesTo>uuid:0")
        if mishap == "cut":
            answer = answer[: len(answer) // 2]
        sim.record.sent += len(answer)
        if encrypted and mishap != "clear":
            kind, sealed = self.conversation.sealed(answer)
            self._send(status, sealed, kind)
        else:
            self._send(status, answer)

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/soap+xml;charset=UTF-8",
        challenges: tuple[str, ...] = (),
    ) -> None:
        self.server.sim.record.statuses[status] += 1
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for challenge in challenges:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
