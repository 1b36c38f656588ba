"""libvirt's errors as ours: one table by code, and the few codes that mean several things.

A libvirtError carries a code (what), a domain (which part of libvirt said so) and a text that names the
object; the text is kept. Source of the numbers: libvirt's ``include/libvirt/virterror.h``.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import libvirt

from hyperkit.errors import (
    AgentUnavailable,
    AlreadyExists,
    AuthenticationFailed,
    BackendError,
    Busy,
    Cancelled,
    ConnectionFailed,
    ConnectionLost,
    HyperkitError,
    InvalidRequest,
    InvalidState,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    TaskFailed,
    Timeout,
    Unsupported,
)

T = TypeVar("T")

ERRORS: Mapping[str, type[HyperkitError]] = MappingProxyType(
    {
        "NO_MEMORY": ResourceExhausted,
        "NO_SUPPORT": Unsupported,
        "UNKNOWN_HOST": ConnectionFailed,
        "NO_CONNECT": ConnectionFailed,
        "INVALID_CONN": ConnectionLost,
        "INVALID_DOMAIN": NotFound,
        "INVALID_ARG": InvalidRequest,
        "OS_TYPE": Unsupported,
        "NO_KERNEL": InvalidRequest,
        "NO_ROOT": InvalidRequest,
        "NO_SOURCE": InvalidRequest,
        "NO_TARGET": InvalidRequest,
        "NO_NAME": InvalidRequest,
        "NO_OS": InvalidRequest,
        "NO_DEVICE": InvalidRequest,
        "DRIVER_FULL": ResourceExhausted,
        "XML_ERROR": InvalidRequest,
        "DOM_EXIST": AlreadyExists,
        "OPERATION_DENIED": PermissionDenied,
        "OPEN_FAILED": NotFound,
        "XML_DETAIL": InvalidRequest,
        "INVALID_NETWORK": NotFound,
        "NETWORK_EXIST": AlreadyExists,
        "RPC": ConnectionLost,
        "GNUTLS_ERROR": ConnectionLost,
        "NO_DOMAIN": NotFound,
        "NO_NETWORK": NotFound,
        "INVALID_MAC": InvalidRequest,
        "AUTH_FAILED": AuthenticationFailed,
        "INVALID_STORAGE_POOL": NotFound,
        "INVALID_STORAGE_VOL": NotFound,
        "NO_STORAGE_POOL": NotFound,
        "NO_STORAGE_VOL": NotFound,
        "INVALID_NODE_DEVICE": NotFound,
        "NO_NODE_DEVICE": NotFound,
        "NO_SECURITY_MODEL": Unsupported,
        "OPERATION_INVALID": InvalidState,
        "NO_INTERFACE": NotFound,
        "INVALID_INTERFACE": NotFound,
        "MULTIPLE_INTERFACES": InvalidRequest,
        "INVALID_NWFILTER": NotFound,
        "NO_NWFILTER": NotFound,
        "INVALID_SECRET": NotFound,
        "NO_SECRET": NotFound,
        "CONFIG_UNSUPPORTED": Unsupported,
        "OPERATION_TIMEOUT": Busy,
        "MIGRATE_PERSIST_FAILED": TaskFailed,
        "HOOK_SCRIPT_FAILED": TaskFailed,
        "INVALID_DOMAIN_SNAPSHOT": NotFound,
        "NO_DOMAIN_SNAPSHOT": NotFound,
        "ARGUMENT_UNSUPPORTED": Unsupported,
        "STORAGE_POOL_BUILT": AlreadyExists,
        "SNAPSHOT_REVERT_RISKY": InvalidState,
        "OPERATION_ABORTED": Cancelled,
        "AUTH_CANCELLED": AuthenticationFailed,
        "NO_DOMAIN_METADATA": NotFound,
        "MIGRATE_UNSAFE": InvalidRequest,
        "OVERFLOW": InvalidRequest,
        "BLOCK_COPY_ACTIVE": Busy,
        "OPERATION_UNSUPPORTED": Unsupported,
        "SSH": ConnectionFailed,
        "AGENT_UNRESPONSIVE": Timeout,
        "RESOURCE_BUSY": Busy,
        "ACCESS_DENIED": PermissionDenied,
        "STORAGE_VOL_EXIST": AlreadyExists,
        "CPU_INCOMPATIBLE": Unsupported,
        "XML_INVALID_SCHEMA": InvalidRequest,
        "AUTH_UNAVAILABLE": AuthenticationFailed,
        "NO_SERVER": NotFound,
        "NO_CLIENT": NotFound,
        "AGENT_UNSYNCED": Busy,
        "LIBSSH": ConnectionFailed,
        "DEVICE_MISSING": NotFound,
        "INVALID_NWFILTER_BINDING": NotFound,
        "NO_NWFILTER_BINDING": NotFound,
        "INVALID_DOMAIN_CHECKPOINT": NotFound,
        "NO_DOMAIN_CHECKPOINT": NotFound,
        "NO_DOMAIN_BACKUP": NotFound,
        "INVALID_NETWORK_PORT": NotFound,
        "NETWORK_PORT_EXIST": AlreadyExists,
        "NO_NETWORK_PORT": NotFound,
        "CHECKPOINT_INCONSISTENT": InvalidState,
        "MULTIPLE_DOMAINS": InvalidRequest,
    }
)
"""By the name of the code without ``VIR_ERR_``."""

UNMAPPED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("OK", "NONE", "WARNING", "ERROR"), "a level, not an error"),
        "INTERNAL_ERROR": "says nothing; some texts do, see _BY_TEXT",
        "OPERATION_FAILED": "says nothing; some texts do, see _BY_TEXT",
        "SYSTEM_ERROR": "an errno, see _BY_ERRNO",
        **dict.fromkeys(("GET_FAILED", "POST_FAILED", "HTTP_ERROR"), "an answer of another daemon; the text has it"),
        **dict.fromkeys(
            ("SEXPR_SERIAL", "NO_XEN", "XEN_CALL", "NO_XENSTORE"), "of Xen's old daemon, gone since libvirt 4.3"
        ),
        **dict.fromkeys(("CALL_FAILED", "BUILD_FIREWALL", "DBUS_SERVICE"), "a fault of the host's own set-up"),
        **dict.fromkeys(("READ_FAILED", "WRITE_FAILED", "PARSE_FAILED", "CONF_SYNTAX"), "a file of libvirt's own"),
        "INVALID_STREAM": "a mistake of ours with a stream",
        "STORAGE_PROBE_FAILED": "a volume the host cannot read; the text has it",
        "MIGRATE_FINISH_OK": "a detail between two libvirtds, never seen by a client",
        "NO_HOSTNAME": "a fault of the host's own set-up",
    }
)
"""Codes that become `BackendError`, each with the reason why no word of ours fits."""

# Domain of libvirt's client side: 38/7 "End of file while reading data", 1/7 "client socket is closed".
_TRANSPORT = libvirt.VIR_FROM_RPC

_BY_ERRNO: Mapping[int, type[HyperkitError]] = MappingProxyType(
    {
        errno.ENOENT: NotFound,
        errno.ENOTDIR: NotFound,
        errno.EEXIST: AlreadyExists,
        errno.EACCES: PermissionDenied,
        errno.EPERM: PermissionDenied,
        errno.EBUSY: Busy,
        errno.ETIMEDOUT: Timeout,
        **dict.fromkeys((errno.ENOSPC, errno.ENOMEM, errno.EDQUOT, errno.EMFILE, errno.EAGAIN), ResourceExhausted),
        **dict.fromkeys((errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN), ConnectionLost),
        **dict.fromkeys((errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH), ConnectionFailed),
    }
)

# Texts are not part of libvirt's promises, and daemons are not translated unless told to: a text that no
# longer matches leaves a BackendError with libvirt's own words.
_BY_TEXT: tuple[tuple[str, type[HyperkitError]], ...] = (
    ("already exists", AlreadyExists),
    ("already in use", AlreadyExists),
    ("No space left on device", ResourceExhausted),
    ("Cannot allocate memory", ResourceExhausted),
    ("cannot set up guest memory", ResourceExhausted),
    ('Failed to get "write" lock', Busy),
    ('Failed to get shared "write" lock', Busy),
    # The unplugging of a device: the guest says no, or has no system yet that could be asked.
    ("rejected by the guest", Busy),
    ("unplug request for not supported device type", Busy),
    ("timed out waiting to open tray", Busy),  # the guest has the CD mounted
    # Of the guest's agent, whose own words follow libvirt's.
    ("the agent is in frozen state", InvalidState),
    ("has been disabled", Unsupported),
    ("has not been found", Unsupported),
    ("is not using a PTY", Unsupported),
    ("cannot find character device", Unsupported),
    ("no console to take a screendump from", Unsupported),
    ("client socket is closed", ConnectionLost),
    ("Unable to write to socket", ConnectionLost),
    ("received hangup event on socket", ConnectionLost),
    ("connection closed due to keepalive timeout", ConnectionLost),
    ("domain is not running", InvalidState),
    ("No such file or directory", NotFound),
)

# libvirt passes a card's model on unread, and its domain capabilities tell none: QEMU is the first to know.
_NO_MODEL = re.compile(r"'([^']+)' is not a valid device model name")

# A lock of libvirt's own, or a guest that does not give a CPU back.
_BUSY = ("state change lock", "unplug request")
_NO_AGENT = ("is not connected", "disappeared while executing", "not available due to an error")
_INSTALL = (
    "its system may be booting (vm.guest.wait_until_ready() waits for it), or have none: install and start"
    " qemu-guest-agent, on Windows virtio-win-guest-tools"
)

_NAMED = tuple(name for name in (*ERRORS, *UNMAPPED) if name not in ("OK", "NONE", "WARNING", "ERROR"))
# A code that this libvirt-python does not know cannot come up in it.
_NAMES = {code: name for name in _NAMED if (code := getattr(libvirt, f"VIR_ERR_{name}", None)) is not None}


def asked(call: Callable[[], T], otherwise: T, *also: int) -> T:
    """What a driver answers; ``otherwise`` if it has no such call, which only calling it tells, or says ``also``."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_SUPPORT, *also):
            raise
        return otherwise


def is_lost(error: Exception) -> bool:
    """Whether the session broke, so that a new one may succeed."""
    return isinstance(error, libvirt.libvirtError) and _kind(error) is ConnectionLost


def translate(error: Exception) -> HyperkitError | None:
    """A libvirtError as ours; None if it is not libvirt's."""
    if not isinstance(error, libvirt.libvirtError):
        return None
    kind = _kind(error)
    code, domain = error.get_error_code(), error.get_error_domain()
    text = str(error).strip() or f"libvirt said no more than error {code} in domain {domain}"
    if model := _NO_MODEL.search(text):
        # All other devices are of models that hyperkit or libvirt chooses.
        wanted = "QEMU on this host has no such device; give the NIC another model, or none for the default"
        return InvalidRequest(
            f"model={model[1]!r} is not accepted: {wanted} (libvirt: {text})", field="model", value=model[1]
        )
    if kind is AgentUnavailable:
        return kind(f"no agent answers in the guest: {_INSTALL} (libvirt: {text})")
    if kind is Unsupported and "guest agent is not configured" in text:
        text += ": this VM was made without the channel org.qemu.guest_agent.0"
    # A BackendError is all there is to search the web for, so that it has the numbers too.
    return kind(f"{text} (libvirt error {code}/{domain})" if kind is BackendError else text)


def _kind(error: Any) -> type[HyperkitError]:
    code, text = error.get_error_code(), str(error)
    name = _NAMES.get(code, "")
    if name == "SYSTEM_ERROR" and ("read from agent" in text or "write to agent" in text):  # the VM stopped meanwhile
        return AgentUnavailable
    if name == "SYSTEM_ERROR":
        return _system_error(error, text)
    if name in ("INTERNAL_ERROR", "OPERATION_FAILED"):
        return next((kind for words, kind in _BY_TEXT if words in text), BackendError)
    if name == "OPERATION_TIMEOUT" and not any(words in text for words in _BUSY):
        return Timeout
    if name == "INVALID_ARG" and "already" in text and "in use" in text:
        return AlreadyExists
    # virDomainRename: "domain with name 'x' already exists".
    if name in ("OPERATION_INVALID", "CONFIG_UNSUPPORTED") and "already exists" in text:
        return AlreadyExists
    if name == "RPC" and "encode message payload" in text:  # too large for libvirt's protocol; the session lives on
        return InvalidRequest
    if name == "AGENT_UNRESPONSIVE" and any(words in text for words in _NO_AGENT):
        return AgentUnavailable
    return ERRORS.get(name, BackendError)


def _system_error(error: Any, text: str) -> type[HyperkitError]:
    if error.get_error_domain() == _TRANSPORT:
        return ConnectionFailed if "connect" in text.lower() else ConnectionLost
    return _BY_ERRNO.get(error.get_int1() or 0, BackendError)
