"""`connect`: from a URL to a `Host`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import PurePath
from urllib.parse import SplitResult, unquote, urlsplit

from hyperkit import registry
from hyperkit.checks import as_tuple, refuse
from hyperkit.clock import Clock
from hyperkit.driver import Driver, Target
from hyperkit.errors import ConnectionFailed, HyperkitError, InvalidRequest
from hyperkit.host import Host
from hyperkit.instrument import instrument

_SECRET_OPTIONS = frozenset({"password", "passwd", "pwd", "secret", "token", "apikey", "api_key"})

Wrapper = Callable[[Driver], Driver]


def connect(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    verify: bool | str | PurePath = True,
    timeout: float | None = None,
    clock: Clock | None = None,
    wrap: Iterable[Wrapper] = (),
) -> Host:
    """Connect to a hypervisor.

    ``qemu:///system``, ``qemu+ssh://root@kvm1/system``, ``test:///default`` and every other libvirt URL;
    ``fake://`` for an empty in-memory host of one's own, ``fake://name`` for one shared in the process.

    Args:
        url: where; a password in it is accepted, and kept out of everything that is printed.
        user: instead of the one in the URL.
        password: instead of one in the URL, where a shell's history would keep it.
        verify: check the host's TLS certificate; a string is the path of a CA file; False is on your own head.
        timeout: seconds after which a host counts as not reachable, or as dead while a call waits for it, where the
            vendor's library can tell. A call that the host works at takes as long as it takes.
        clock: time to live by, for tests.
        wrap: functions that put themselves around the backend, such as `hyperkit.testing.faults`.

    Raises:
        InvalidRequest: not a URL, or no backend has its scheme.
        ConnectionFailed: the host cannot be reached, or what the backend needs is not installed.
        AuthenticationFailed: the host refuses the credentials.
    """
    wrap = as_tuple(wrap)
    if not all(map(callable, wrap)):
        refuse("wrap", wrap, "a list of functions that take a Driver and return one")
    target = parse(url, user=user, password=password, verify=verify, timeout=timeout, clock=clock)
    # What shows the locals of a traceback's frames must find no secret in this one.
    url, password = target.url, None
    backend = registry.find(target.scheme)
    try:
        driver = backend(target)
    except HyperkitError as error:
        error.located(backend=target.url, operation="connect")
        raise
    except Exception as error:
        raise ConnectionFailed(
            f"cannot connect: {type(error).__name__}: {error}", backend=target.url, operation="connect"
        ) from error
    try:
        for wrapper in wrap:
            driver = wrapper(driver)
        return Host(instrument(driver))
    except BaseException:
        driver.close()
        raise


def parse(
    url: str,
    *,
    user: str | None = None,
    password: str | None = None,
    verify: bool | str | PurePath = True,
    timeout: float | None = None,
    clock: Clock | None = None,
) -> Target:
    """What a URL says, with its secrets apart from what may be printed.

    Raises:
        InvalidRequest: not a URL with a scheme.
    """
    parts = _split(url)
    if parts is None:
        # Raised outside of any except, and not quoted: the text may hold a password.
        raise InvalidRequest("that is not a URL, such as 'qemu:///system' or 'fake://'", field="url")
    if not parts.scheme or not url.lower().startswith(f"{parts.scheme}://"):
        raise InvalidRequest("a URL starts with a scheme, as in 'qemu:///system' or 'fake://'", field="url")
    if isinstance(verify, PurePath):
        verify = str(verify)
    if timeout is not None and not (type(timeout) in (int, float) and 0 < timeout < float("inf")):
        refuse("timeout", timeout, "seconds, more than none; leave it out for what the vendor's library does")
    if type(verify) is not bool and not (isinstance(verify, str) and verify):
        refuse("verify", verify, "True, False or the path of a CA file")
    for field, value in (("user", user), ("password", password)):
        if value is not None and not isinstance(value, str):
            refuse(field, type(value).__name__, "a string")
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        # Most likely a password with a '/', '?' or '#' in it, which ends up in what is printed.
        raise InvalidRequest(
            "an '@' after the host: write special characters of a user or password as %XX (urllib.parse.quote), or"
            " give connect(password=...)",
            field="url",
        )
    # Split as libvirt splits, which takes a semicolon for a separator too, and a plus sign for itself.
    written = [pair for pair in re.split("[&;]", parts.query) if pair]
    pairs = [(unquote(name), unquote(value)) for name, _, value in (pair.partition("=") for pair in written)]
    twice = next((name for name, count in Counter(name for name, _ in pairs).items() if count > 1), None)
    if twice is not None:
        raise InvalidRequest(f"the option {twice!r} is in the URL more than once", field="url")
    options = {name: value for name, value in pairs if not _is_secret(name)}
    secret = next((value for name, value in pairs if _is_secret(name)), None)
    place = parts.netloc.rpartition("@")[2]
    named = unquote(parts.username) if parts.username else None
    netloc = f"{parts.username}@{place}" if parts.username else place
    query = "&".join(pair for pair, (name, _) in zip(written, pairs, strict=True) if not _is_secret(name))
    return Target(
        url=f"{parts.scheme}://{netloc}{parts.path}{'?' if query else ''}{query}",
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=parts.port,
        path=parts.path,
        options=options,
        user=user or named,
        password=password or secret or (unquote(parts.password) if parts.password is not None else None),
        verify=verify,
        timeout=timeout,
        clock=clock,
    )


def _split(url: str) -> SplitResult | None:
    """The parts of a URL, with a port that is a number; None if it is none."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_secret(option: str) -> bool:
    return option.lower() in _SECRET_OPTIONS
