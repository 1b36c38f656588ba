"""connect(): from a URL to a host, with secrets kept out of everything that is printed."""

from __future__ import annotations

import copy
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyperkit
from hyperkit import (
    AuthenticationFailed,
    ConnectionFailed,
    HyperkitError,
    InvalidRequest,
    NotFound,
    VirtualClock,
    registry,
)
from hyperkit.backends.fake import driver as fake_driver
from hyperkit.backends.fake.world import World
from hyperkit.connection import parse
from hyperkit.driver import Driver, Target
from hyperkit.registry import Known
from tests.unit.support import refusal

SECRET = "hunter2"


def use_backend(monkeypatch: pytest.MonkeyPatch, backend: Callable[[Target], Driver]) -> None:
    """Let ``sim://`` be served by this function."""
    monkeypatch.setattr(registry, "find", lambda _scheme: backend)


# URLs


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("fake://", Target(url="fake://", scheme="fake")),
        ("fake://lab", Target(url="fake://lab", scheme="fake", host="lab")),
        (
            "fake://lab?profile=hyperv",
            Target(url="fake://lab?profile=hyperv", scheme="fake", host="lab", options={"profile": "hyperv"}),
        ),
        ("fake://?jobs=now", Target(url="fake://?jobs=now", scheme="fake", options={"jobs": "now"})),
        ("qemu:///system", Target(url="qemu:///system", scheme="qemu", path="/system")),
        ("test:///default", Target(url="test:///default", scheme="test", path="/default")),
        ("test:////etc/host.xml", Target(url="test:////etc/host.xml", scheme="test", path="//etc/host.xml")),
        ("QEMU:///system", Target(url="qemu:///system", scheme="qemu", path="/system")),
        (
            "qemu+ssh://root@h/system?keyfile=/x%20y",
            Target(
                url="qemu+ssh://root@h/system?keyfile=/x%20y",
                scheme="qemu+ssh",
                host="h",
                path="/system",
                options={"keyfile": "/x y"},
                user="root",
            ),
        ),
        (
            "qemu+tls://[::1]:16514/system?no_verify=1&pkipath=%2Fa",
            Target(
                url="qemu+tls://[::1]:16514/system?no_verify=1&pkipath=%2Fa",
                scheme="qemu+tls",
                host="::1",
                port=16514,
                path="/system",
                options={"no_verify": "1", "pkipath": "/a"},
            ),
        ),
        (
            "vcenter://adm%40corp@vc:444/DC1/host1?flag",
            Target(
                url="vcenter://adm%40corp@vc:444/DC1/host1?flag",
                scheme="vcenter",
                host="vc",
                port=444,
                path="/DC1/host1",
                options={"flag": ""},
                user="adm@corp",
            ),
        ),
        ("fake://lab#fragment", Target(url="fake://lab", scheme="fake", host="lab")),
    ],
)
def test_what_a_url_says(url: str, wanted: Target) -> None:
    assert parse(url) == wanted


@pytest.mark.parametrize(
    ("url", "user", "password"),
    [
        ("esxi://root:hunter2@esx1", "root", SECRET),
        ("esxi://root:p%40%3Ass@esx1", "root", "p@:ss"),
        ("esxi://root:a@b@esx1", "root", "a@b"),
        ("esxi://:hunter2@esx1", None, SECRET),
        ("esxi://root@esx1?password=hunter2", "root", SECRET),
        ("esxi://root@esx1?Password=hunter2", "root", SECRET),
        ("esxi://root@esx1?p%61ssword=hunter2", "root", SECRET),
        ("esxi://root@esx1?passwd=hunter2", "root", SECRET),
        ("esxi://root@esx1?secret=hunter2", "root", SECRET),
        ("esxi://root@esx1?token=hunter2", "root", SECRET),
        ("esxi://root@esx1?password=hunter2&token=hunter2-too", "root", SECRET),
        ("esxi://root:other@esx1?password=hunter2", "root", SECRET),
    ],
)
def test_credentials_are_found_and_cut_out(url: str, user: str | None, password: str) -> None:
    target = parse(url)
    assert (target.user, target.password) == (user, password)
    assert target.host == "esx1"
    assert target.url == ("esxi://root@esx1" if user else "esxi://esx1")
    assert target.options == {}
    for text in ("hunter2", "p%40", "p@", "other", "a@b"):
        assert text not in repr(target)


def test_other_options_stay_as_they_were_written() -> None:
    target = parse("qemu+ssh://h/system?a=%2Fx&password=hunter2&b=1+2&c")
    assert target.url == "qemu+ssh://h/system?a=%2Fx&b=1+2&c"
    assert target.options == {"a": "/x", "b": "1+2", "c": ""}


@pytest.mark.parametrize(
    "url", ["qemu://root:12/s3cret@h/system", "qemu+tcp://root:?s3cret@h/", "qemu://root:#s3cret@h/"]
)
def test_a_password_that_would_end_up_in_the_path_is_refused_unquoted(url: str) -> None:
    with pytest.raises(InvalidRequest, match="write special characters") as caught:
        parse(url)
    assert "s3cret" not in str(caught.value)


def test_a_semicolon_separates_options_as_libvirt_has_it() -> None:
    target = parse("qemu+ssh://h/system?a=b;password=hunter2")
    assert target.url == "qemu+ssh://h/system?a=b"
    assert target.password == SECRET


def test_arguments_go_before_the_url() -> None:
    clock = VirtualClock()
    target = parse("esxi://root:urlpw@esx1", user="admin", password=SECRET, verify="/ca.pem", timeout=3.5, clock=clock)
    assert (target.user, target.password, target.verify, target.timeout) == ("admin", SECRET, "/ca.pem", 3.5)
    assert target.clock is clock
    assert "urlpw" not in repr(target)
    assert SECRET not in repr(target)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5"])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidRequest, match="timeout="):
        parse("esxi://esx1", timeout=timeout)


def test_tls_is_verified_unless_told_otherwise() -> None:
    assert parse("esxi://esx1").verify is True
    assert parse("esxi://esx1", verify=False).verify is False


@pytest.mark.parametrize(
    "url",
    [
        "",
        "fake",
        "fake:",
        "fake:/",
        "/var/run/libvirt",
        "://host",
        "1fake://",
        "fa ke://",
        " fake://",
        "fa\nke://",
        "fake://host:port",
        "fake://host:99999",
        "fake://[::1",
        "esxi://root:pass/word@esx1",
        None,
        7,
        b"fake://",
        ["fake://"],
    ],
)
def test_what_is_no_url_is_refused_without_being_quoted(url: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        hyperkit.connect(cast(Any, url))
    error = caught.value
    assert error.field == "url"
    assert error.value is None
    assert error.__cause__ is None
    assert error.__context__ is None  # what it was found out by may quote a password
    assert "fake://" in str(error)


@given(st.text(max_size=30))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    error = refusal(InvalidRequest, lambda: parse(f"fake://{text}"))
    if error is not None:
        assert error.field == "url"
    else:
        target = parse(f"fake://{text}")
        assert target.scheme == "fake"
        assert parse(target.url) == attrs.evolve(target, password=None)


PLAIN = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=6, max_size=12)


@given(
    password=PLAIN, where=st.sampled_from(["esxi://u:{}@h", "esxi://u@h?password={}", "esxi://h/p?a=b&token={}&c=d"])
)
def test_no_password_is_ever_in_a_repr(password: str, where: str) -> None:
    target = parse(where.format(f"Z{password}"))
    assert target.password == f"Z{password}"
    assert f"Z{password}" not in repr(target)
    assert f"Z{password}" not in target.url


# Secrets, through everything that may be printed

SECRET_URLS = ["sim://root:hunter2@h1", "sim://root@h1?password=hunter2", "sim://h1?token=hunter2&x=y"]


def everything_printed(error: BaseException) -> Iterator[str]:
    seen: set[int] = set()
    chain: list[BaseException | None] = [error]
    while chain:
        link = chain.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield from (str(link), repr(link), repr(link.args), repr(vars(link)))
        chain += [link.__cause__, link.__context__]
    yield "".join(traceback.format_exception(error))


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize("how", ["argument", "url"])
def test_a_host_prints_no_secret(
    url: str, how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given_to: list[Target] = []

    def backend(target: Target) -> Driver:
        given_to.append(target)
        return fake_driver(World(), target.url)

    use_backend(monkeypatch, backend)
    with hyperkit.connect(url) if how == "url" else hyperkit.connect("sim://h1", password=SECRET) as host:
        assert given_to[0].password == SECRET
        vm = host.vms.create("web1")
        for printed in (host, vm, host.vms, host.driver, given_to[0], host.switches, host.info):
            assert SECRET not in repr(printed)
        assert SECRET not in host.url
        failing: list[Callable[[], object]] = [
            lambda: host.vms.get("nowhere"),
            lambda: host.vms.one(name="nobody"),
            vm.resume,
            lambda: vm.configure(cpus=100_000),
        ]
        for fail in failing:
            with pytest.raises(HyperkitError) as caught:
                fail()
            assert not [text for text in everything_printed(caught.value) if SECRET in text]
    assert caplog.records
    assert SECRET not in caplog.text


@pytest.mark.parametrize("url", SECRET_URLS)
@pytest.mark.parametrize(
    "raised",
    [ConnectionFailed("no route"), AuthenticationFailed("refused"), OSError("network is down")],
    ids=lambda error: type(error).__name__,
)
def test_a_failing_backend_prints_no_secret(url: str, raised: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(target: Target) -> Driver:
        assert target.password == SECRET
        raise copy.copy(raised)

    use_backend(monkeypatch, backend)
    ours = isinstance(raised, HyperkitError)
    with pytest.raises(type(raised) if ours else ConnectionFailed) as caught:
        hyperkit.connect(url)
    assert ours or isinstance(caught.value.__cause__, type(raised))
    # Only our own lines: pytest's frames quote this test.
    assert not [text for text in everything_printed(caught.value) if SECRET in text]


def test_a_failing_backend_s_error_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = AuthenticationFailed("the host refuses root")

    def backend(_target: Target) -> Driver:
        raise ours

    use_backend(monkeypatch, backend)
    with pytest.raises(AuthenticationFailed) as caught:
        hyperkit.connect("sim://root:hunter2@h1")
    assert caught.value is ours
    assert (ours.backend, ours.operation) == ("sim://root@h1", "connect")


# Choosing a backend


def test_an_unknown_scheme_names_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"no backend for nope://; there are .*fake://, .*qemu://") as caught:
        hyperkit.connect(f"nope://root:{SECRET}@h")
    assert (caught.value.field, caught.value.value) == ("url", "nope")
    assert not [text for text in everything_printed(caught.value) if SECRET in text]


def test_a_missing_sdk_is_met_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "backend_without_sdk.py").write_text("import sdk_that_is_not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    known = Known("backend_without_sdk:open", ("sdk_that_is_not_installed",), "pip install 'hyperkit[sim]'")
    monkeypatch.setattr(registry, "BUILTIN", {"sim": known})
    with pytest.raises(ConnectionFailed) as caught:
        hyperkit.connect("sim+tls://h")
    assert str(caught.value) == (
        "sim:// needs the Python module 'sdk_that_is_not_installed': pip install 'hyperkit[sim]'"
    )
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_another_missing_module_is_a_bug_and_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "backend_with_bug.py").write_text("import typo_in_an_import\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry, "BUILTIN", {"sim": Known("backend_with_bug:open", ("the_sdk",), "hint")})
    with pytest.raises(ModuleNotFoundError, match="typo_in_an_import"):
        hyperkit.connect("sim://h")


def test_a_backend_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "hyperkit_toy.py").write_text(
        "from hyperkit.backends.fake import driver\n"
        "from hyperkit.backends.fake.world import World\n"
        "def open(target):\n"
        "    return driver(World(name='toybox'), target.url)\n"
    )
    info = tmp_path / "hyperkit_toy-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hyperkit-toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[hyperkit.backends]\ntoy = hyperkit_toy:open\nbroken = hyperkit_toy:nothing\ngone = hyperkit_gone:open\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert "toy" in registry.schemes()
        assert hyperkit.connect("toy+ssh://h").name == "toybox"
        for scheme, missing in (("broken", "nothing"), ("gone", "hyperkit_gone")):
            with pytest.raises(ConnectionFailed, match=rf"{scheme}:// is served by hyperkit_\w+:\w+, .*{missing}"):
                hyperkit.connect(f"{scheme}://h")
    finally:
        sys.modules.pop("hyperkit_toy", None)


def test_a_backend_gets_what_connect_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    targets: list[Target] = []

    def backend(target: Target) -> Driver:
        targets.append(target)
        return fake_driver(World(), target.url)

    use_backend(monkeypatch, backend)
    clock = VirtualClock()
    hyperkit.connect("sim://h:1/p?o=1", user="u", password="p", verify=False, timeout=9, clock=clock)
    (target,) = targets
    assert target == Target(
        url="sim://h:1/p?o=1",
        scheme="sim",
        host="h",
        port=1,
        path="/p",
        options={"o": "1"},
        user="u",
        password="p",
        verify=False,
        timeout=9,
        clock=clock,
    )


# Closing


def closable(closes: list[int], driver: Driver | None = None) -> Driver:
    return attrs.evolve(driver or fake_driver(World()), close=lambda: closes.append(1))


def test_a_host_that_cannot_be_read_is_closed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreadable:
        def info(self) -> Any:
            raise NotFound("the host object is gone")

    closes: list[int] = []
    use_backend(monkeypatch, lambda _: attrs.evolve(closable(closes), host=Unreadable()))
    with pytest.raises(NotFound) as caught:
        hyperkit.connect("sim://h")
    assert closes == [1]
    assert caught.value.operation == "host.info"


def test_a_wrapper_that_fails_closes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    closes: list[int] = []
    use_backend(monkeypatch, lambda _: closable(closes))

    def wrapper(_driver: Driver) -> Driver:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        hyperkit.connect("sim://h", wrap=[wrapper])
    assert closes == [1]


def test_the_end_of_a_with_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    closes: list[int] = []
    use_backend(monkeypatch, lambda _: closable(closes))
    with hyperkit.connect("sim://h") as host:
        assert closes == []
    assert closes == [1]
    host.close()
    with pytest.raises(KeyError), hyperkit.connect("sim://h"):
        raise KeyError
    assert closes == [1, 1, 1]


def test_wrappers_are_put_around_in_order_and_inside_the_guard() -> None:
    order: list[str] = []

    def wrapper(label: str) -> Callable[[Driver], Driver]:
        def wrap(driver: Driver) -> Driver:
            order.append(label)
            return driver

        return wrap

    hyperkit.connect("fake://", wrap=[wrapper("inner"), wrapper("outer")])
    assert order == ["inner", "outer"]
