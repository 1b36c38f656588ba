"""Faults: what a host says when it does not do what it was asked, in each of the shapes that it says it in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn
from xml.etree.ElementTree import Element

from hyperkit.backends.hyperv.wsman.cim import local
from hyperkit.backends.hyperv.wsman.names import FAULT, SOAP

NOT_FOUND = 0x80041002
ACCESS_DENIED = 0x80041003
INVALID_NAMESPACE = 0x8004100E
INVALID_CLASS = 0x80041010
NO_SUCH_RESOURCE = 0x80338000
NO_NAMESPACE = 0x8033801A
TIMED_OUT = 0x80338029
DENIED = 5
"""Codes: WBEM_E_* of WMI, ERROR_WSMAN_* of WinRM, and Windows' own ERROR_ACCESS_DENIED."""

_WBEM = 0x80041000
_DEEPEST = 8
"""Faults within faults that are looked at."""


class WSManFault(Exception):  # noqa: N818  what WS-Management calls it
    """What a host refused.

    Attributes:
        codes: from the outermost to the innermost; WMI's own is the last, and says most.
        subcode: such as ``DestinationUnreachable``, without its prefix.
        reason: what the host says, in its own language.
        detail: the provider's own words, as far as there are some.
    """

    def __init__(self, reason: str, *, codes: tuple[int, ...] = (), subcode: str = "", detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.codes = codes
        self.subcode = subcode
        self.detail = detail

    def __str__(self) -> str:
        words = [text.rstrip(" .") for text in (self.reason, self.detail) if text]
        numbers = ", ".join(f"0x{code:08X}" for code in self.codes) or self.subcode or "no code"
        return f"{': '.join(dict.fromkeys(words)) or 'the host refused it'} ({numbers})"

    @property
    def wmi(self) -> int | None:
        """WMI's own error, a WBEM_E_*; None if it is none of WMI's."""
        return next((code for code in reversed(self.codes) if code & 0xFFFFF000 == _WBEM), None)

    @property
    def is_not_found(self) -> bool:
        """Whether there is no such instance."""
        if self.wmi is not None:
            return self.wmi == NOT_FOUND
        return NO_SUCH_RESOURCE in self.codes or self.subcode == "DestinationUnreachable"

    @property
    def is_denied(self) -> bool:
        """Whether the account may not do this."""
        return self.wmi == ACCESS_DENIED or DENIED in self.codes or self.subcode == "AccessDenied"

    @property
    def is_timeout(self) -> bool:
        """Whether the host gave up waiting: for a method, nobody knows whether it ran."""
        return TIMED_OUT in self.codes or self.subcode == "TimedOut"

    @property
    def is_quota(self) -> bool:
        """Whether a quota of WinRM's is used up."""
        return self.subcode in ("QuotaLimit", "EncodingLimit") or any(
            0x803381A5 <= code <= 0x803381A8 for code in self.codes
        )


def raise_fault(fault: Element) -> NoReturn:
    """Raise the fault in a SOAP body.

    Raises:
        WSManFault: always.
    """
    subcode = fault.findtext(f"{{{SOAP}}}Code/{{{SOAP}}}Subcode/{{{SOAP}}}Value", "").strip().rpartition(":")[2]
    reason = fault.findtext(f"{{{SOAP}}}Reason/{{{SOAP}}}Text", "").strip()
    detail = fault.find(f"{{{SOAP}}}Detail")
    codes: list[int] = []
    words: list[str] = []
    if detail is not None:
        for each in detail.iter(f"{{{FAULT}}}WSManFault"):
            codes += _whole(each.get("Code"))
            if len(codes) >= _DEEPEST:
                break
        words += _told(detail)
        codes += [code for code in _wmi(detail) if code not in codes]
    raise WSManFault(reason, codes=tuple(codes), subcode=subcode, detail=words[-1] if words else "")


def _told(detail: Element) -> Iterator[str]:
    for message in detail.iter(f"{{{FAULT}}}Message"):
        if message.text and message.text.strip():
            yield message.text.strip()


def _wmi(detail: Element) -> Iterator[int]:
    """The codes of the other shape: an instance of MSFT_WmiError, or WMI's extended status."""
    for each in detail.iter():
        name, text = local(each), (each.text or "").strip()
        if name == "MessageID" and text.upper().startswith("HRESULT"):
            yield from _whole(text.rpartition(" ")[2])
        elif name in ("error_Code", "StatusCode"):
            yield from _whole(text)


def _whole(text: str | None) -> Iterator[int]:
    """A code in any of the ways in which it is written: signed, unsigned, hexadecimal."""
    try:
        code = int(text or "", 0)
    except ValueError:
        return
    if code:
        yield code & 0xFFFFFFFF
