"""How messages get to the host and back: pywinrm's transports, one for each thread.

pywinrm logs in and encrypts. What it leaves to its callers is done here:

* Its transport is not for several threads: each has its own.
* A transport on which anything went wrong is dropped: after an encryption that failed to be set up, pywinrm 0.5.0 sends
  the next message in clear text, also if it was told to encrypt always.
* An answer in clear text is not believed where messages are encrypted.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import attrs

from hyperkit.backends.hyperv.wsman.xml import LARGEST
from hyperkit.errors import AuthenticationFailed, BackendError, ConnectionFailed, ConnectionLost, InvalidState

if TYPE_CHECKING:
    from winrm.transport import Transport

T = TypeVar("T")

_OK = 200

Method = Literal["basic", "ntlm", "kerberos", "credssp", "certificate"]
ENCRYPTING: frozenset[Method] = frozenset({"ntlm", "kerberos", "credssp"})
"""The ways to log in that can encrypt messages by themselves, without TLS."""


@attrs.frozen(kw_only=True)
class Way:
    """Where a host is, who asks, and how both are known to each other.

    Attributes:
        url: of the service, ``https://host:5986/wsman``.
        method: how to log in.
        user, password: who; a certificate needs neither, Kerberos takes a ticket that is there.
        certificate, key: paths of the client's own, for ``certificate``.
        verify: check the host's certificate: True, False, or the path of a CA file.
        clear: whether messages may go over HTTP as clear text.
        delegate: whether the host may log on elsewhere in the user's name (Kerberos).
        service_name: the host's name in Kerberos, if it is another than that in the URL.
        silence: seconds for connecting, and for an answer.
    """

    url: str
    method: Method = "ntlm"
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    certificate: str | None = None
    key: str | None = None
    verify: bool | str = True
    clear: bool = False
    delegate: bool = False
    service_name: str | None = None
    silence: float = 70.0

    @property
    def over_tls(self) -> bool:
        """Whether TLS keeps messages secret."""
        return self.url.startswith("https:")

    @property
    def encrypts(self) -> bool:
        """Whether messages must be encrypted by the log-in, since nothing else does."""
        return not self.over_tls and not self.clear


class Carrier:
    """Sends messages, for any number of threads.

    Attributes:
        requests, sent, received: counts of messages, and their bytes before any encryption.
    """

    def __init__(self, way: Way) -> None:
        """Nothing is sent yet.

        Raises:
            ConnectionFailed: this way to log in cannot keep messages secret over HTTP, or pywinrm lacks what it needs.
        """
        if way.encrypts and way.method not in ENCRYPTING:
            raise ConnectionFailed(f"auth={way.method} cannot encrypt messages, and {way.url} is no https")
        self._way = way
        self._own = threading.local()
        self._all: weakref.WeakSet[Transport] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False
        self._pid = os.getpid()
        self.requests = self.sent = self.received = 0

    def send(self, message: bytes, *, repeatable: bool = False) -> bytes:
        """Send a message, and return the answer, which may be a fault.

        Args:
            message: an envelope.
            repeatable: whether it changes nothing, so that it may be sent once more if the connection breaks.

        Raises:
            AuthenticationFailed: the host refuses the credentials.
            ConnectionFailed: the host cannot be reached, or is not trusted.
            ConnectionLost: the connection broke: whether the message came there is unknown.
            InvalidState: the connection was closed.
        """
        fresh = self._current is None
        try:
            return self._once(message, fresh=fresh)
        except ConnectionLost:
            if not repeatable:
                raise
        except _Expired:
            # The host refused a log-in that it had accepted: the message was not carried out, but may have been sent
            # encrypted for a context that is gone, so that only what changes nothing is sent again.
            if not repeatable:
                raise ConnectionLost("the host has ended the session; look whether it did what it was asked") from None
        return self._once(message, fresh=True)

    def _once(self, message: bytes, *, fresh: bool) -> bytes:
        if self._closed:
            raise InvalidState("the connection was closed")
        transport = self._current
        if transport is None:
            transport = self._current = self._open()
        try:
            session = self._translated(transport.build_session, fresh=fresh, sent=False)
            if self._way.encrypts and transport.encryption is None:
                raise ConnectionFailed("the host did not agree to encrypt messages; nothing was sent")
            if fresh:
                _watch(session, encrypted=self._way.encrypts)
            answer: bytes = self._translated(lambda: _exchanged(transport, message), fresh=fresh, sent=True)
        except BaseException:
            self._drop()
            raise
        with self._lock:
            self.requests += 1
            self.sent += len(message)
            self.received += len(answer)
        return answer

    @property
    def _current(self) -> Transport | None:
        """This thread's transport; a forked child has none of its parent's."""
        if os.getpid() != self._pid:
            self._own, self._all, self._pid = threading.local(), weakref.WeakSet(), os.getpid()
        transport: Transport | None = getattr(self._own, "transport", None)
        return transport

    @_current.setter
    def _current(self, transport: Transport | None) -> None:
        self._own.transport = transport

    def _open(self) -> Transport:
        from winrm import exceptions  # noqa: PLC0415  loaded when used
        from winrm.transport import Transport  # noqa: PLC0415

        way = self._way
        try:
            transport = Transport(
                endpoint=way.url,
                auth_method=way.method,
                username=way.user,
                password=way.password,
                cert_pem=way.certificate,
                cert_key_pem=way.key,
                ca_trust_path=way.verify if isinstance(way.verify, str) else None,
                server_cert_validation="ignore" if way.verify is False else "validate",
                read_timeout_sec=way.silence,  # requests takes fractions
                message_encryption="always" if way.encrypts else "never",
                kerberos_delegation=way.delegate,
                kerberos_hostname_override=way.service_name,
                service="HTTP",
                proxy=None,
            )
        except exceptions.InvalidCredentialsError as error:
            raise AuthenticationFailed(str(error)) from error
        except exceptions.WinRMError as error:
            raise ConnectionFailed(str(error)) from error
        with self._lock:
            self._all.add(transport)
        return transport

    def _translated(self, call: Callable[[], T], *, fresh: bool, sent: bool) -> T:
        """Do something with a transport, and say in our words what went wrong."""
        import requests  # noqa: PLC0415  loaded when used
        from winrm import exceptions  # noqa: PLC0415

        try:
            return call()
        except exceptions.WinRMTransportError as error:
            raise _unexpected(error.code, fresh, sent) from error
        except exceptions.InvalidCredentialsError as error:
            if not fresh:
                raise _Expired from error
            raise AuthenticationFailed(_refused(self._way)) from error
        except exceptions.WinRMError as error:
            raise ConnectionFailed(f"{error}; see the ways to log in") from error
        except requests.exceptions.SSLError as error:
            raise ConnectionFailed(f"the host's certificate is not trusted: {_innermost(error)}") from error
        except (requests.exceptions.ConnectTimeout, requests.exceptions.ConnectionError) as error:
            if fresh and not isinstance(error, requests.exceptions.ReadTimeout) and _never_connected(error):
                raise ConnectionFailed(f"the host cannot be reached: {_innermost(error)}") from error
            raise ConnectionLost(f"the connection broke: {_innermost(error)}") from error
        except requests.exceptions.RequestException as error:
            raise ConnectionLost(f"the connection broke: {_innermost(error)}") from error
        except (KeyError, ValueError, IndexError) as error:
            # What pywinrm's parser of encrypted answers raises of one that is none.
            raise ConnectionLost(f"the host's answer is not what was agreed on: {type(error).__name__}") from error
        except Exception as error:
            if _is_of_login(error):
                raise AuthenticationFailed(f"{_refused(self._way)}: {error}") from error
            raise

    def _drop(self) -> None:
        transport, self._current = self._current, None
        if transport is not None:
            _close(transport)

    def close(self) -> None:
        """End all connections. May be called twice, and raises nothing."""
        with self._lock:
            self._closed = True
            transports = list(self._all)
        for transport in transports:
            _close(transport)

    def __repr__(self) -> str:
        return f"<Carrier to {self._way.url}>"


def _exchanged(transport: Any, message: bytes) -> bytes:
    """The answer, also if it is a fault, which HTTP calls an error."""
    from winrm import exceptions  # noqa: PLC0415  loaded when used

    try:
        answer: bytes = transport.send_message(message)
    except exceptions.WinRMTransportError as error:
        if "Envelope" not in error.response_text:
            raise
        answer = error.response_text.encode()
    return answer


def _watch(session: Any, *, encrypted: bool) -> None:
    """Look at each answer before pywinrm reads it."""

    def look(response: Any, **_how: Any) -> None:
        kind = response.headers.get("Content-Type", "")
        if encrypted and "multipart/" not in kind and (response.status_code == _OK or "xml" in kind):
            raise ConnectionLost("the host's answer is in clear text, and may be anybody's")
        if int(response.headers.get("Content-Length") or 0) > LARGEST:
            raise BackendError("the host's answer is larger than any of WS-Management")

    session.hooks["response"].append(look)


class _Expired(Exception):  # noqa: N818
    """A log-in that the host had accepted is refused."""


def _close(transport: Any) -> None:
    with suppress(Exception):
        transport.close_session()
    transport.encryption = None


def _refused(way: Way) -> str:
    hint = {
        "basic": '; the host may not allow Basic (winrm set winrm/config/service/auth @{Basic="true"})',
        "certificate": "; the certificate must be mapped to a user of the host",
        "kerberos": "; is there a ticket, and a service HTTP/host in the domain?",
    }.get(way.method, "")
    return f"the host refuses {way.user or 'the caller'} by {way.method}{hint}"


def _unexpected(code: int, fresh: bool, sent: bool) -> Exception:
    if code in (404, 405) or (fresh and not sent):
        return ConnectionFailed(f"no WS-Management there: the answer is HTTP {code}")
    return ConnectionLost(f"the host answers HTTP {code} and no more")


def _never_connected(error: BaseException) -> bool:
    """Whether it was the connecting that failed, so that nothing was sent."""
    names = {type(each).__name__ for each in _chain(error)}
    return bool(names & {"NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "ConnectTimeout"})


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        inner = next((each for each in error.args if isinstance(each, BaseException)), None)
        reason = getattr(error, "reason", None)
        error = inner or (reason if isinstance(reason, BaseException) else None) or error.__cause__ or error.__context__
    return found


def _innermost(error: BaseException) -> str:
    last = _chain(error)[-1]
    return str(last) or type(last).__name__


def _is_of_login(error: Exception) -> bool:
    """Whether pyspnego or a Kerberos library raised it: they have no base in common."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    return isinstance(error, PermissionError) or any(
        kind.startswith(("spnego.", "krb5.", "winrm.vendor.requests_kerberos.", "requests_credssp.")) for kind in kinds
    )
