"""libvirt's errors in our words."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from hyperkit import errors as ours

libvirt = pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import errors  # noqa: E402


def error(code: int, text: str, domain: int = 10, int1: int = 0) -> Any:
    """As libvirt-python raises it."""
    made = libvirt.libvirtError("call failed")
    # (code, domain, message, level, str1, str2, str3, int1, int2), see virGetLastError
    made.err = (code, domain, text, 2, None, None, None, int1, 0)
    made.args = (text,)
    return made


def code(name: str) -> int:
    return int(getattr(libvirt, f"VIR_ERR_{name}"))


def test_every_code_is_mapped_or_listed_with_a_reason() -> None:
    names = {name.removeprefix("VIR_ERR_") for name in dir(libvirt) if name.startswith("VIR_ERR_")}
    assert names - errors.ERRORS.keys() - errors.UNMAPPED.keys() == set()


def test_no_code_is_both_mapped_and_listed() -> None:
    assert errors.ERRORS.keys() & errors.UNMAPPED.keys() == set()
    assert all(errors.UNMAPPED.values())


@pytest.mark.parametrize("name", sorted(errors.ERRORS))
def test_a_mapped_code_keeps_libvirts_text(name: str) -> None:
    translated = errors.translate(error(code(name), "libvirt: some words"))
    assert translated is not None
    assert "some words" in translated.message
    if name != "OPERATION_TIMEOUT":  # see below
        assert type(translated) is errors.ERRORS[name]


@pytest.mark.parametrize(
    ("name", "domain", "text", "kind", "retryable"),
    [
        ("SYSTEM_ERROR", 7, "End of file while reading data: Input/output error", ours.ConnectionLost, True),
        ("SYSTEM_ERROR", 7, "Cannot write data: Broken pipe", ours.ConnectionLost, True),
        ("INTERNAL_ERROR", 7, "internal error: client socket is closed", ours.ConnectionLost, True),
        ("OPERATION_FAILED", 10, "operation failed: Unable to write to socket", ours.ConnectionLost, True),
        ("RPC", 7, "Cannot recv data", ours.ConnectionLost, True),
        ("SYSTEM_ERROR", 7, "Failed to connect socket to '/x': No such file", ours.ConnectionFailed, False),
        (
            "OPERATION_FAILED",
            20,
            "operation failed: domain 'x' already exists with uuid 6695eb01-f6a4-8304-79aa-97f2502e193f",
            ours.AlreadyExists,
            False,
        ),
        ("OPERATION_INVALID", 20, "domain with name 'x' already exists", ours.AlreadyExists, False),
        (
            "INTERNAL_ERROR",
            10,
            "internal error: unable to execute QEMU command 'device_add': 'rtl8140' is not a valid device model name",
            ours.InvalidRequest,
            False,
        ),
        ("OPERATION_INVALID", 10, "domain is not running", ours.InvalidState, False),
        (
            "OPERATION_TIMEOUT",
            10,
            "Timed out during operation: cannot acquire state change lock (held by monitor=remoteDispatchX)",
            ours.Busy,
            True,
        ),
        ("OPERATION_TIMEOUT", 10, "Timed out during operation: vcpu unplug request timed out", ours.Busy, True),
        ("OPERATION_FAILED", 10, "operation failed: timed out waiting to open tray of 'sda'", ours.Busy, True),
        (
            "INTERNAL_ERROR",
            10,
            "internal error: unable to execute QEMU command 'device_del': acpi: device unplug request for not supported"
            " device type: qemu64-x86_64-cpu",
            ours.Busy,
            True,
        ),
        ("INTERNAL_ERROR", 10, 'internal error: process exited: Failed to get "write" lock', ours.Busy, True),
        ("INTERNAL_ERROR", 10, "cannot set up guest memory: Cannot allocate memory", ours.ResourceExhausted, False),
        ("INTERNAL_ERROR", 10, "internal error: who knows", ours.BackendError, False),
    ],
)
def test_one_code_with_several_meanings(
    name: str, domain: int, text: str, kind: type[ours.HyperkitError], retryable: bool
) -> None:
    translated = errors.translate(error(code(name), text, domain))
    assert type(translated) is kind
    assert translated.retryable is retryable


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOENT, ours.NotFound),
        (errno.EACCES, ours.PermissionDenied),
        (errno.ENOSPC, ours.ResourceExhausted),
        (errno.EBUSY, ours.Busy),
        (errno.EIO, ours.BackendError),
    ],
)
def test_a_system_error_is_its_errno(number: int, kind: type[ours.HyperkitError]) -> None:
    assert type(errors.translate(error(code("SYSTEM_ERROR"), "cannot open file", 18, number))) is kind


def test_an_unknown_code_of_a_later_libvirt_is_a_backend_error_with_its_number() -> None:
    translated = errors.translate(error(9999, "something new", 77))
    assert type(translated) is ours.BackendError
    assert "9999/77" in translated.message
    assert "something new" in translated.message


def test_an_error_without_words_still_says_something() -> None:
    translated = errors.translate(error(code("NO_DOMAIN"), ""))
    assert translated is not None
    assert "42" in translated.message


def test_what_is_not_libvirts_is_not_translated() -> None:
    assert errors.translate(ValueError("x")) is None
    assert not errors.is_lost(ValueError("x"))


def test_only_a_broken_session_is_lost() -> None:
    assert errors.is_lost(error(code("SYSTEM_ERROR"), "End of file while reading data", 7))
    assert not errors.is_lost(error(code("SYSTEM_ERROR"), "cannot open file", 18, errno.EPIPE - 1))
    assert not errors.is_lost(error(code("NO_DOMAIN"), "Domain not found"))
