"""How messages get to a host: ways to log in, what is secret, and what goes wrong on the way. By real pywinrm."""

from __future__ import annotations

import logging
import pickle
import socket
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("winrm", reason="no Python module winrm (pywinrm)")

from hyperkit.backends.hyperv.wsman import Carrier, Reference, Way
from hyperkit.backends.hyperv.wsman.names import CIMV2
from hyperkit.errors import AuthenticationFailed, BackendError, ConnectionFailed, ConnectionLost, InvalidState
from tests.backends.hyperv.conftest import Connect
from tests.beds.hyperv_sim import HyperVSim

SYSTEM = Reference("Win32_OperatingSystem", namespace=CIMV2)
SERVICE = Reference("Msvm_VirtualSystemManagementService", {"CreationClassName": "Msvm_VirtualSystemManagementService"})


def processors(client: Any) -> list[Any]:
    found: list[Any] = client.all("Win32_Processor", namespace=CIMV2)
    return found


@pytest.mark.parametrize("method", ["basic", "ntlm"])
def test_ways_to_log_in_over_tls(sim: HyperVSim, connect: Connect, method: str) -> None:
    client = connect(sim, method=method)
    assert client.identify().text("ProductVendor") == "Microsoft Corporation"
    assert [each.number("NumberOfCores") for each in processors(client)] == [4, 4]


def test_a_certificate_logs_in(simulated: Any, connect: Connect) -> None:
    sim = simulated(certificate=True, basic=False, ntlm=False)
    client = connect(
        sim,
        method="certificate",
        user=None,
        password=None,
        certificate=str(sim.client_certificate),
        key=str(sim.client_key),
    )
    assert len(processors(client)) == 2


def test_messages_are_encrypted_without_tls(plain: HyperVSim, connect: Connect) -> None:
    assert len(processors(connect(plain))) == 2
    assert (plain.record.requests, plain.record.clear) == (1, 0)


def test_basic_over_http_must_be_asked_for_in_so_many_words(simulated: Any, connect: Connect) -> None:
    sim = simulated(tls=False, clear=True)
    with pytest.raises(ConnectionFailed, match="cannot encrypt"):
        connect(sim, method="basic")
    assert len(processors(connect(sim, method="basic", clear=True))) == 2
    assert sim.record.clear == 1


@pytest.mark.parametrize("method", ["basic", "ntlm"])
@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"user": "nobody"}])
def test_a_wrong_password_or_user(sim: HyperVSim, connect: Connect, method: str, wrong: dict[str, str]) -> None:
    with pytest.raises(AuthenticationFailed, match=f"refuses .* by {method}") as caught:
        processors(connect(sim, method=method, **wrong))
    assert "wrong" not in str(caught.value)
    assert sim.record.requests == 0


def test_a_certificate_that_nobody_trusts(sim: HyperVSim, connect: Connect) -> None:
    with pytest.raises(ConnectionFailed, match="not trusted"):
        processors(connect(sim, verify=True))
    assert sim.record.requests == 0
    assert len(processors(connect(sim, verify=False))) == 2


def test_a_host_that_is_not_there(connect: Connect, sim: HyperVSim) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}/wsman"
        with pytest.raises(ConnectionFailed, match="cannot be reached"):
            processors(connect(sim, url=url))


def test_what_is_no_ws_management(connect: Connect, sim: HyperVSim) -> None:
    with pytest.raises(ConnectionFailed, match="HTTP 404"):
        processors(connect(sim, url=sim.url.replace("/wsman", "/sdk")))


# What must stay secret


def test_nothing_is_sent_in_clear_text_after_an_encryption_that_failed(plain: HyperVSim, connect: Connect) -> None:
    """pywinrm 0.5.0 by itself sends the second message in clear text."""
    client = connect(plain)
    plain.mishaps = ["503"]
    with pytest.raises((ConnectionFailed, ConnectionLost)):
        client.invoke(SERVICE, "GetSummaryInformation")
    assert len(processors(client)) == 2
    assert plain.record.clear == 0


def test_pywinrm_itself_does(plain: HyperVSim) -> None:
    """Why `Carrier` drops what failed: if this fails one day, pywinrm was mended."""
    from winrm.transport import Transport

    transport = Transport(
        plain.url,
        username=plain.user,
        password=plain.password,
        auth_method="ntlm",
        message_encryption="always",
        ca_trust_path=None,
        proxy=None,
    )
    plain.mishaps = ["503"]
    for _ in range(2):
        with pytest.raises(Exception, match="Bad HTTP response"):
            transport.send_message("<secret/>")
    transport.close_session()
    assert plain.record.clear == 1


def test_an_answer_in_clear_text_is_not_believed(plain: HyperVSim, connect: Connect) -> None:
    client = connect(plain)
    plain.mishaps = ["clear", "clear"]
    with pytest.raises(ConnectionLost, match="clear text"):
        client.get(SYSTEM)
    assert plain.mishaps == []


def test_secrets_are_told_nowhere(sim: HyperVSim, connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cr3t"[:]
    way = Way(url=sim.url, user=sim.user, password=secret, verify=str(sim.ca_file))
    told = [repr(way), repr(Carrier(way))]
    with pytest.raises(AuthenticationFailed) as caught:
        processors(connect(sim, password=secret))
    told += [str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value)), caplog.text]
    told.append(str(pickle.dumps(str(caught.value))))
    assert not [text for text in told if secret in text.replace('"s3cr3t"', "")]


# What breaks


@pytest.mark.parametrize("mishap", ["drop before", "drop after", "cut", "foreign", "500", "503"])
def test_a_read_is_repeated_once_and_a_method_never(sim: HyperVSim, connect: Connect, mishap: Any) -> None:
    client = connect(sim)
    processors(client)
    sim.service.calls.clear()
    sim.mishaps = [mishap]
    assert len(processors(client)) == 2
    sim.mishaps = [mishap, mishap]
    with pytest.raises(ConnectionLost):
        processors(client)
    sim.mishaps = [mishap]
    before = sim.record.requests
    with pytest.raises(ConnectionLost):
        client.invoke(SERVICE, "GetSummaryInformation")
    assert sim.record.requests == before + 1


@pytest.mark.parametrize("method", ["basic", "ntlm"])
def test_a_session_that_ends_is_begun_anew(sim: HyperVSim, connect: Connect, method: str) -> None:
    client = connect(sim, method=method)
    processors(client)
    sim.mishaps = ["401"]
    assert len(processors(client)) == 2


def test_a_method_of_a_session_that_has_ended(sim: HyperVSim, plain: HyperVSim, connect: Connect) -> None:
    """The host did nothing: over TLS requests-ntlm logs in and sends it again, but what was encrypted cannot be."""
    client = connect(sim)
    processors(client)
    sim.mishaps = ["401"]
    assert client.invoke(SERVICE, "GetSummaryInformation").code == 0
    client = connect(plain)
    processors(client)
    plain.service.calls.clear()
    plain.mishaps = ["401"]
    with pytest.raises(ConnectionLost):
        client.invoke(SERVICE, "GetSummaryInformation")
    assert plain.service.calls == []
    assert len(processors(client)) == 2


def test_connections_that_the_host_closed_are_made_anew(sim: HyperVSim, connect: Connect) -> None:
    client = connect(sim)
    processors(client)
    sim.hang_up()
    assert len(processors(client)) == 2


def test_a_host_that_says_nothing_is_given_up(sim: HyperVSim, connect: Connect) -> None:
    client = connect(sim, silence=0.5)
    processors(client)
    sim.mishaps = ["slow", "slow"]
    with pytest.raises(ConnectionLost):
        processors(client)


def test_an_answer_larger_than_any_is_refused(
    sim: HyperVSim, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperkit.backends.hyperv.wsman.carrier.LARGEST", 100)
    with pytest.raises(BackendError, match="larger than any"):
        processors(connect(sim))


# Threads


@pytest.mark.parametrize("tls", [True, False])
def test_eight_threads_have_connections_of_their_own(simulated: Any, connect: Connect, tls: bool) -> None:
    sim = simulated(tls=tls)
    client = connect(sim)
    together = threading.Barrier(8)

    def work(_: int) -> int:
        together.wait()
        return sum(len(processors(client)) for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [10] * 8
    assert sim.record.requests == 40
    assert sim.record.clear == 0


def test_what_is_closed_sends_nothing(sim: HyperVSim, connect: Connect) -> None:
    client = connect(sim)
    processors(client)
    client._carrier.close()
    client._carrier.close()
    with pytest.raises(InvalidState, match="closed"):
        processors(client)
    assert sim.record.requests == 1


def test_messages_and_bytes_are_counted(sim: HyperVSim, connect: Connect) -> None:
    client = connect(sim)
    with sim.counted() as record:
        processors(client)
    carrier = client._carrier
    assert (carrier.requests, carrier.sent, carrier.received) == (record.requests, record.received, record.sent)
