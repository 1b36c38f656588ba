"""Ways to be known to a host, and what goes over the wire: SOAP of ours, answers of a server made for the test."""

from __future__ import annotations

import gzip
import importlib
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest

import hyperkit
from hyperkit.connection import parse
from hyperkit.errors import AuthenticationFailed, BackendError, ConnectionFailed, ConnectionLost, InvalidRequest
from tests.beds.vcsim import Vcsim

pytest.importorskip("pyVmomi")
from pyVmomi import vim, vmodl

from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.login import login_for
from hyperkit.backends.esxi.stub import Stub
from hyperkit.backends.esxi.transport import Trust

Session = Callable[..., Connection]
SAML = (
    '<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion"><saml2:Subject><saml2:NameID>bob</saml2:NameID>'
    "</saml2:Subject></saml2:Assertion>"
)


def envelope(inner: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"<soapenv:Body>{inner}</soapenv:Body></soapenv:Envelope>"
    ).encode()


def challenge(token: str) -> tuple[int, bytes, dict[str, str]]:
    fault = (
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>go on</faultstring><detail>"
        f'<SSPIChallengeFault xmlns="urn:vim25" xsi:type="SSPIChallenge"><base64Token>{token}</base64Token>'
        "</SSPIChallengeFault></detail></soapenv:Fault>"
    )
    return 500, envelope(fault), {}


TIME = envelope(
    '<CurrentTimeResponse xmlns="urn:vim25"><returnval>2026-01-02T03:04:05Z</returnval></CurrentTimeResponse>'
)
LOGGED_IN = envelope(
    '<LoginBySSPIResponse xmlns="urn:vim25"><returnval><key>k</key><userName>u</userName><fullName>u</fullName>'
    "<loginTime>2026-01-02T03:04:05Z</loginTime><lastActiveTime>2026-01-02T03:04:05Z</lastActiveTime><locale>en</locale>"
    "<messageLocale>en</messageLocale></returnval></LoginBySSPIResponse>"
)


class Recorded(ThreadingHTTPServer):
    """Answers what it is told to, one after another, and keeps what it was asked."""

    answers: list[tuple[int, bytes, dict[str, str]]]
    asked: list[tuple[dict[str, str], str]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorded]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            server.asked.append((dict(self.headers), body))
            status, answer, headers = server.answers.pop(0)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(answer))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = Recorded(("127.0.0.1", 0), Handler)
    server.answers, server.asked = [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    class Plain(HTTPConnection):
        is_stale = False

    monkeypatch.setattr(Stub, "line", lambda stub, timeout=None: Plain("127.0.0.1", server.server_port, timeout=5))
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def stub(recorded: Recorded) -> Iterator[Stub]:
    stub = Stub("esx1", 443, Trust.of(parse("esxi://esx1", verify=False)), None, "hyperkit/test")
    stub.speak("vim.version.version12")
    yield stub
    stub.DropConnections()


def test_a_saml_token_logs_in(vcenter: Vcsim, session: Session) -> None:
    url = f"{vcenter.hyperkit_url}?auth=token"
    connection = session(vcenter, url, password=SAML)
    assert vcenter.calls().methods["LoginByToken"] == 1
    vcenter.control.expire_sessions()
    connection.content.rootFolder.CreateFolder("by token")
    assert vcenter.calls().methods["LoginByToken"] == 2
    assert "Assertion" not in connection.target.url
    other = session(vcenter, f"{url}&token={quote(SAML, safe='')}", password=None)
    assert "Assertion" not in f"{other.target!r} {other!r}"


@pytest.mark.parametrize(
    "token", ["secret", "<Other/>", f"<?xml version='1.0'?>{SAML}", f"{SAML}<x/>", f"<!DOCTYPE a>{SAML}", "<Assertion>"]
)
def test_what_is_no_token_is_refused_and_not_told(token: str) -> None:
    with pytest.raises(InvalidRequest, match="no SAML token") as raised:
        login_for(parse("vcenter://vc?auth=token", password=token))
    assert token not in repr(raised.value)
    assert token not in "".join(traceback.format_exception(raised.value))
    with pytest.raises(AuthenticationFailed, match="needs a SAML token"):
        login_for(parse("vcenter://vc?auth=token"))


def test_sspi_with_a_token_of_the_callers(stub: Stub, recorded: Recorded) -> None:
    recorded.answers.append((200, LOGGED_IN, {"Set-Cookie": 'vmware_soap_session="abc"; Path=/; HttpOnly'}))
    with stub.beginning():
        login_for(parse("esxi://esx1?auth=sspi", password="dG9rZW4="))(stub, "SessionManager")
    assert "<base64Token>dG9rZW4=</base64Token>" in recorded.asked[0][1]
    assert stub.cookie == 'vmware_soap_session="abc"'


def test_sspi_in_several_steps(stub: Stub, recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[bytes | None] = []

    class Client:
        def step(self, token: bytes | None = None) -> bytes:
            said.append(token)
            return f"step {len(said)}".encode()

    made: list[Any] = []

    def client(*args: Any, **more: Any) -> Client:
        made.append((args, more))
        return Client()

    monkeypatch.setattr(importlib, "import_module", lambda name: SimpleNamespace(client=client))
    recorded.answers += [challenge("b25l"), (200, LOGGED_IN, {})]
    login_for(parse("esxi://bob@esx1?auth=sspi", password="pw"))(stub, "SessionManager")
    assert said == [None, b"one"]
    assert made == [(("bob", "pw"), {"hostname": "esx1", "service": "host", "protocol": "negotiate"})]
    recorded.answers += [challenge("b25l")] * 9
    with pytest.raises(AuthenticationFailed, match="no end"):
        login_for(parse("esxi://bob@esx1?auth=sspi", password="pw"))(stub, "SessionManager")


def test_sspi_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(ConnectionFailed, match="pip install pyspnego"):
        login_for(parse("esxi://bob@esx1?auth=sspi"))


def test_the_host_is_told_who_calls_and_in_which_version(stub: Stub, recorded: Recorded) -> None:
    recorded.answers.append((200, TIME, {}))
    assert vim.ServiceInstance("ServiceInstance", stub).CurrentTime().year == 2026
    headers = recorded.asked[0][0]
    assert headers["User-Agent"] == "hyperkit/test"
    assert headers["SOAPAction"] == '"urn:vim25/6.7"'
    assert hyperkit.__version__


def test_user_text_is_escaped(stub: Stub, recorded: Recorded) -> None:
    recorded.answers.append((200, LOGGED_IN, {}))
    with suppress(Exception):
        login_for(parse("esxi://esx1", user="<a>&", password="</password>"))(stub, "SessionManager")
    assert "<userName>&lt;a&gt;&amp;</userName><password>&lt;/password&gt;</password>" in recorded.asked[0][1]


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_answers_may_be_compressed(stub: Stub, recorded: Recorded, coding: str) -> None:
    packed = gzip.compress(TIME) if coding == "gzip" else TIME
    recorded.answers += [(200, packed, {"Content-Encoding": coding})] * 3
    service = vim.ServiceInstance("ServiceInstance", stub)
    for _ in range(2):
        assert service.CurrentTime().day == 2
        assert len(stub.pool) == 1
    with stub.answer(service, vim.ServiceInstance.CurrentTime) as body:
        assert b"".join(iter(lambda: body.read(7), b"")) == TIME
    assert len(stub.pool) == 1


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_an_answer_that_breaks_off_is_a_lost_connection(stub: Stub, recorded: Recorded, coding: str) -> None:
    packed = gzip.compress(TIME) if coding == "gzip" else TIME
    broken = (
        200,
        packed[:-20],
        {"Content-Encoding": coding, "Content-Length": str(len(packed)), "Connection": "close"},
    )
    service = vim.ServiceInstance("ServiceInstance", stub)
    recorded.answers += [broken, (200, TIME, {})]
    assert service.CurrentTime().day == 2  # it was repeated
    recorded.answers += [broken]
    with pytest.raises(ConnectionLost, match="broke"), stub.answer(service, vim.ServiceInstance.CurrentTime) as body:
        body.read()
    recorded.answers += [broken]
    with pytest.raises(ConnectionLost):
        vim.VirtualMachine("vm-1", stub).PowerOnVM_Task()


@pytest.mark.parametrize("said", [b"<html>no</html>", b"not xml at all", b"", TIME.replace(b"2026-01-02", b"never")])
def test_an_answer_that_is_none(stub: Stub, recorded: Recorded, said: bytes) -> None:
    recorded.answers.append((200, said, {}))
    with pytest.raises(BackendError, match="CurrentTime"):
        vim.ServiceInstance("ServiceInstance", stub).CurrentTime()


def test_an_error_page_in_place_of_a_fault(stub: Stub, recorded: Recorded) -> None:
    recorded.answers += [(500, b"<html><p>broken</html>", {})] * 2
    with pytest.raises(ConnectionLost, match="500"):
        vim.ServiceInstance("ServiceInstance", stub).CurrentTime()


def test_a_version_that_the_host_does_not_have(recorded: Recorded) -> None:
    fault = envelope(
        "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>Unsupported version URI</faultstring>"
        "</soapenv:Fault>"
    )
    recorded.answers += [(500, fault, {})] * 3
    with pytest.raises(ConnectionFailed, match="Unsupported version URI"):
        Connection(parse("esxi://root@esx1", password="x", verify=False))
    versions = [headers["SOAPAction"] for headers, _ in recorded.asked]
    assert versions == ['"urn:vim25/6.7"', '"urn:vim25/5.0"', '"urn:vim25/4.0"']


def test_a_method_newer_than_the_host_is_not_asked_for(stub: Stub, recorded: Recorded) -> None:
    stub.speak("vim.version.version7")
    with pytest.raises(vmodl.fault.MethodNotFound):
        vim.VirtualMachine("vm-1", stub).PutUsbScanCodes(vim.UsbScanCodeSpec())
    assert recorded.asked == []


def _read_and_close(connection: Connection, results: Any) -> None:
    results.put(len(list(connection.properties.all("VirtualMachine", ["name"]))))
    connection.close()


def test_a_forked_child_leaves_its_parents_connections_and_session_be(esx: Vcsim, session: Session) -> None:
    connection = session(esx)
    _ = list(connection.properties.all("VirtualMachine", ["name"]))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=_read_and_close, args=(connection, results))
    child.start()
    assert results.get(timeout=10) == 4
    child.join()
    esx.control.reset_calls()
    assert len(list(connection.properties.all("VirtualMachine", ["name"]))) == 4
    assert cast(Any, esx.calls().methods).get("Login") is None
    assert esx.control.sessions() == 1
