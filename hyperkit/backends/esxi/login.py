"""Who asks: by a password, by a SAML token, or as whom this machine's own log-on is (SSPI)."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Callable
from typing import Any

from lxml import etree
from pyVmomi import vim

from hyperkit.backends.esxi.stub import Stub
from hyperkit.driver import Target
from hyperkit.errors import AuthenticationFailed, ConnectionFailed, InvalidRequest

Login = Callable[[Stub, Any], None]
"""Begins a session, given the stub and the SessionManager's id."""

_MOST_STEPS = 5
"""Of an SSPI conversation; Kerberos takes one, NTLM two."""


def login_for(target: Target) -> Login:
    """How a caller wants to be known.

    Raises:
        InvalidRequest: ``auth`` is none of the three, or the token is no SAML token.
        AuthenticationFailed: the user, password or token is missing.
    """
    how = target.options.get("auth", "password")
    ways = {"password": _by_password, "token": _by_token, "sspi": _by_sspi}
    if how not in ways:
        raise InvalidRequest(f"auth={how!r}: give one of {', '.join(ways)}", field="auth", value=how)
    return ways[how](target)


def _by_password(target: Target) -> Login:
    if not target.user:
        raise AuthenticationFailed(f"no user: write {target.scheme}://user@{target.host} or give connect(user=...)")
    if not target.password:
        raise AuthenticationFailed(f"no password for {target.user!r}: give connect(password=...)")

    def login(stub: Stub, manager: str) -> None:
        vim.SessionManager(manager, stub).Login(target.user, target.password, None)

    return login


def _by_token(target: Target) -> Login:
    if not target.password:
        raise AuthenticationFailed("auth=token needs a SAML token: give connect(password=token), or ?token= in the URL")
    token = _saml(target.password)
    if not token:
        # Raised outside of any except, and not quoted: it is a secret.
        raise InvalidRequest("that is no SAML token: one is an XML element, Assertion", field="token")

    def login(stub: Stub, manager: str) -> None:
        stub.samlToken = token
        try:
            vim.SessionManager(manager, stub).LoginByToken()
        finally:
            stub.samlToken = None

    return login


def _saml(text: str) -> str:
    """A token, if it is one XML element, so that nothing else gets into a request with it; else empty."""
    text = text.strip()
    try:
        element = etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, no_network=True))
    except (etree.XMLSyntaxError, ValueError):
        return ""
    # It is sent as it is, since its signature is over its text, and goes into another document: no prologue.
    return text if etree.QName(element).localname == "Assertion" and not text.startswith(("<?", "<!")) else ""


def _by_sspi(target: Target) -> Login:
    if target.password and not target.user:
        # A token that the caller got from SSPI: of one step, and of one use.
        return lambda stub, manager: vim.SessionManager(manager, stub).LoginBySSPI(target.password, None)
    try:
        spnego: Any = importlib.import_module("spnego")
    except ImportError as error:
        raise ConnectionFailed("auth=sspi needs pyspnego: pip install pyspnego") from error

    def login(stub: Stub, manager: str) -> None:
        client = spnego.client(target.user, target.password, hostname=target.host, service="host", protocol="negotiate")
        said = client.step()
        for _ in range(_MOST_STEPS):
            try:
                vim.SessionManager(manager, stub).LoginBySSPI(base64.b64encode(said or b"").decode(), None)
            except vim.fault.SSPIChallenge as challenge:
                said = client.step(base64.b64decode(challenge.base64Token))
            else:
                return
        raise AuthenticationFailed(f"{target.host} asks on and on: SSPI came to no end")

    return login
