"""Who asks: real authentication, by the libraries that real servers use.

One `Conversation` stands for one TCP connection: NTLM proves a caller once for all requests on it, and its keys encrypt
their messages.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from typing import Any

import attrs

_BOUNDARY = b"--Encrypted Boundary"
_PROTOCOL = b"application/HTTP-SPNEGO-session-encrypted"
_CERTIFICATE = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"


@attrs.frozen(kw_only=True)
class Rules:
    """What a host lets in.

    Attributes:
        user, password: of the one account; the user may come with a domain.
        basic, ntlm, certificate: the ways it may prove itself.
        clear: whether messages may come in clear text over HTTP (``AllowUnencrypted``).
        certificates: the digests of the client certificates that are mapped to the account.
    """

    user: str
    password: str
    basic: bool = True
    ntlm: bool = True
    certificate: bool = False
    clear: bool = False


@attrs.define
class Denied(Exception):  # noqa: N818  as HTTP says it
    """401, with what to try."""

    challenges: tuple[str, ...]


@attrs.define
class Conversation:
    """One connection.

    Attributes:
        over_tls: whether it is encrypted already.
        peer: the client's certificate, if it showed one that the CA signed.
    """

    rules: Rules
    over_tls: bool
    peer: dict[str, Any] | None = None
    _context: Any = None
    _proved: bool = False

    def admit(self, header: str) -> None:
        """Look at who asks.

        Raises:
            Denied: nobody that is let in, or not yet.
        """
        how, _, token = header.partition(" ")
        if how == "Basic" and self.rules.basic and (self.over_tls or self.rules.clear):
            self._basic(token)
        elif header == _CERTIFICATE and self.rules.certificate and self.peer:
            self._proved = True
        elif how in ("Negotiate", "NTLM") and self.rules.ntlm:
            self._ntlm(how, token)
        elif not self._proved or how == "Basic":
            raise Denied(self._challenges())

    def _challenges(self) -> tuple[str, ...]:
        ways = ("Negotiate",) if self.rules.ntlm else ()
        return (*ways, 'Basic realm="WSMAN"') if self.rules.basic else ways

    def _basic(self, token: str) -> None:
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Denied(self._challenges()) from None
        name = user.rpartition("\\")[2]
        if name.casefold() != self.rules.user.casefold() or not hmac.compare_digest(
            password.encode(), self.rules.password.encode()
        ):
            raise Denied(self._challenges())
        self._proved = True

    def _ntlm(self, how: str, token: str) -> None:
        import spnego
        from spnego.exceptions import SpnegoError

        if self._context is None or self._context.complete:
            self._context = spnego.server(protocol="ntlm")
            self._proved = False
        try:
            said = self._context.step(base64.b64decode(token))
        except (SpnegoError, ValueError):
            self._context = None
            raise Denied(self._challenges()) from None
        if not self._context.complete:
            raise Denied((f"{how} {base64.b64encode(said or b'').decode()}",))
        self._proved = True

    @property
    def encrypts(self) -> bool:
        """Whether there are keys for messages."""
        return self._context is not None and bool(self._context.complete)

    def opened(self, body: bytes) -> bytes:
        """What is in an encrypted message."""
        part = body.split(_BOUNDARY + b"\r\n")[2].removesuffix(_BOUNDARY + b"--\r\n")
        data = part.partition(b"application/octet-stream\r\n")[2]
        (length,) = struct.unpack("<i", data[:4])
        opened: bytes = self._context.unwrap_winrm(data[4 : 4 + length], data[4 + length :])
        return opened

    def sealed(self, body: bytes) -> tuple[str, bytes]:
        """A message encrypted, and its content type."""
        wrapped = self._context.wrap_winrm(body)
        payload = struct.pack("<i", len(wrapped.header)) + wrapped.header + wrapped.data
        length = str(len(body) + wrapped.padding_length).encode()
        sealed = b"\r\n".join(
            [
                _BOUNDARY,
                b"\tContent-Type: " + _PROTOCOL,
                b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=" + length,
                _BOUNDARY,
                b"\tContent-Type: application/octet-stream",
                payload + _BOUNDARY + b"--",
                b"",
            ]
        )
        return f'multipart/encrypted;protocol="{_PROTOCOL.decode()}";boundary="Encrypted Boundary"', sealed
