"""HTTPS to a host: who is trusted, how long silence lasts, and answers that are whole or an error."""

from __future__ import annotations

import hashlib
import hmac
import io
import selectors
import socket
import ssl
import zlib
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPResponse, HTTPSConnection, IncompleteRead

import attrs

from hyperkit.driver import Target
from hyperkit.errors import ConnectionFailed, InvalidRequest

_CONNECTING = 30.0
"""Seconds for connecting where the caller gave none: the system's own patience is two minutes."""

_DIGESTS: dict[int, Callable[[bytes], str]] = {
    40: lambda der: hashlib.sha1(der, usedforsecurity=False).hexdigest(),
    64: lambda der: hashlib.sha256(der).hexdigest(),
}
"""By their length in hex digits. ESXi's own screens show SHA-1 up to 6.x, SHA-256 since."""


@attrs.frozen(kw_only=True)
class Trust:
    """How a host proves that it is the one that is meant: by its certificate's digest, or by a CA.

    Attributes:
        context: of TLS. It verifies nothing if there is a thumbprint, which is then checked on each connection.
        thumbprint: SHA-1 or SHA-256 in small hex digits; empty if a CA is asked.
    """

    context: ssl.SSLContext
    thumbprint: str = ""

    @classmethod
    def of(cls, target: Target) -> Trust:
        """What a caller asked for by ``verify=`` and the option ``thumbprint``.

        Raises:
            InvalidRequest: no thumbprint, or no CA file.
        """
        thumbprint = target.options.get("thumbprint", "")
        plain = thumbprint.replace(":", "").replace(" ", "").lower()
        if thumbprint and not (len(plain) in _DIGESTS and set(plain) <= set("0123456789abcdef")):
            raise InvalidRequest(
                f"thumbprint={thumbprint!r}: it is the SHA-256 or SHA-1 of the host's certificate, 64 or 40 hex digits",
                field="thumbprint",
                value=thumbprint,
            )
        if plain or target.verify is False:
            return cls(context=_trusting(), thumbprint=plain)
        try:
            context = ssl.create_default_context(cafile=target.verify if isinstance(target.verify, str) else None)
        except (OSError, ValueError) as error:  # ssl.SSLError, of a file that is no certificate, is an OSError
            raise InvalidRequest(
                f"verify={target.verify!r} is not a file of CA certificates (PEM): {error}",
                field="verify",
                value=target.verify,
            ) from error
        return cls(context=context)

    def check(self, certificate: bytes, host: str) -> None:
        """Compare a certificate with the one that is pinned, if one is.

        Raises:
            ConnectionFailed: it is another.
        """
        if not self.thumbprint:
            return
        if not hmac.compare_digest(_DIGESTS[len(self.thumbprint)](certificate), self.thumbprint):
            raise ConnectionFailed(
                f"{host} has another certificate than thumbprint= says: its SHA-256 is {fingerprint(certificate)}."
                " Either its certificate was renewed, or somebody else answers in its place"
            )


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint(certificate: bytes) -> str:
    """The SHA-256 of a certificate as it is written: ``AB:CD:…``."""
    digits = _DIGESTS[64](certificate)
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()


class Line(HTTPSConnection):
    """One connection to the host, which was proved to be the one that is meant."""

    def __init__(self, host: str, port: int, trust: Trust, timeout: float | None) -> None:
        super().__init__(host, port, timeout=timeout or _CONNECTING, context=trust.context)
        self._trust = trust
        self._silence = timeout

    def connect(self) -> None:
        """Connect.

        Raises:
            ConnectionFailed: the host cannot be reached in time, or is not trusted.
        """
        try:
            super().connect()
            self._trust.check(self.sock.getpeercert(binary_form=True) or b"", self.host)
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise ConnectionFailed(self._distrust(error)) from error
        except OSError as error:
            self.close()
            raise ConnectionFailed(f"cannot connect to {self.host}:{self.port}: {reason(error)}") from error
        except ConnectionFailed:
            self.close()
            raise
        self.sock.settimeout(self._silence)
        _keep_alive(self.sock, self._silence or 2 * _CONNECTING)

    def _distrust(self, error: ssl.SSLCertVerificationError) -> str:
        why = f"the certificate of {self.host} is not trusted ({error.verify_message})"
        with suppress(OSError, ValueError):
            # Nothing is said on this connection: only the certificate is looked at.
            raw = socket.create_connection((self.host, self.port), timeout=self._silence or _CONNECTING)
            with raw, _trusting().wrap_socket(raw, server_hostname=self.host) as seen:
                digest = fingerprint(seen.getpeercert(binary_form=True) or b"")
                why += f"; its SHA-256 thumbprint is {digest}"
        return (
            f"{why}. Compare it with the host's own, and give it as ?thumbprint=... in the URL,"
            " or give verify='/path/to/ca.pem' with the CA that signed it"
        )

    @property
    def is_stale(self) -> bool:
        """Whether the host closed it while it was idle: there is something to read before anything was asked."""
        if self.sock is None:
            return True
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.sock, selectors.EVENT_READ)
                return bool(selector.select(0))
        except (OSError, ValueError):
            return True


def _keep_alive(sock: socket.socket, seconds: float) -> None:
    """Have the system find out that a peer is gone, without taking one that works for long for dead."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    probe = max(1, round(seconds / 4))
    for name, value in (("TCP_KEEPIDLE", probe), ("TCP_KEEPINTVL", probe), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def reason(error: BaseException) -> str:
    """What the system says, in words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return f"no host of this name ({error.strerror})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


class Body(io.RawIOBase):
    """The body of an answer, decompressed while it is read; one that ends early is an error, not the end."""

    def __init__(self, response: HTTPResponse) -> None:
        self._response = response
        packed = response.getheader("Content-Encoding", "identity").lower() in ("gzip", "deflate")
        # Tells gzip from zlib by itself.
        self._unpacker = zlib.decompressobj(zlib.MAX_WBITS + 32) if packed else None

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to this many bytes; all that is left if negative.

        Raises:
            http.client.IncompleteRead: the connection broke.
        """
        if size < 0:
            return b"".join(iter(lambda: self.read(1 << 16), b""))
        if self._unpacker is None:
            return self._raw(size)
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._raw(size)
            if not packed:
                raise IncompleteRead(b"")
            try:
                if data := self._unpacker.decompress(packed, size):
                    return data
            except zlib.error as error:
                raise IncompleteRead(b"") from error
        self._response.read()  # the end of its last chunk
        return b""

    def _raw(self, size: int) -> bytes:
        data = self._response.read(size)
        # http.client takes a connection that broke for the end of the body.
        if not data and size and self._response.length:
            raise IncompleteRead(data, self._response.length)
        return data
