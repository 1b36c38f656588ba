"""Sizes: always whole bytes, in every spec and record.

``4 * GiB`` in code, ``parse_size("4 GiB")`` for text that people typed. Vendor units (KiB in
libvirt's XML, MB in vSphere and Hyper-V) exist only inside each backend's one converter, which uses
`to_unit`: exact, or refused.
"""

from __future__ import annotations

import re

from hyperkit.errors import InvalidRequest

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB
TiB = 1024 * GiB

_FACTORS = {
    "": 1, "b": 1,
    "kib": KiB, "mib": MiB, "gib": GiB, "tib": TiB,
    "k": KiB, "m": MiB, "g": GiB, "t": TiB,
    "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
}  # fmt: skip
_SIZE = re.compile(r"\s*([0-9]{1,30})(?:\.([0-9]{1,30}))?\s*([a-zA-Z]*)\s*\Z")


def parse_size(text: str) -> int:
    """Bytes in ``"4 GiB"``, ``"1.5g"``, ``"512MiB"``, ``"1000 MB"`` (decimal) or ``"1048576"``.

    A bare ``k m g t`` is binary, as qemu-img and virt-install read it. A fraction must come out as a
    whole number of bytes.

    Raises:
        InvalidRequest: not a size, or not a whole number of bytes.
    """
    match = _SIZE.match(text) if isinstance(text, str) else None
    factor = _FACTORS.get(match[3].lower()) if match else None
    if match is None or factor is None:
        raise InvalidRequest(
            f"{text!r} is not a size; write for example '4 GiB', '512MiB' or '1000 MB'",
            field="size",
            value=text,
        )
    whole, fraction = int(match[1]), str(match[2] or "")
    scaled, rest = divmod(int(fraction or "0") * factor, int(10 ** len(fraction)))
    if rest:
        raise InvalidRequest(f"{text!r} is not a whole number of bytes", field="size", value=text)
    return whole * factor + scaled


def format_size(size: int) -> str:
    """``4 GiB`` for a person: the largest binary unit that divides the size, else one decimal.

    Raises:
        InvalidRequest: not a whole number.
    """
    if type(size) is not int:
        raise InvalidRequest(f"size={size!r}: a size is a whole number of bytes", field="size", value=size)
    for unit, name in ((TiB, "TiB"), (GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return f"{size} B"


def exact_size(size: int) -> str:
    """`format_size` of a size that the reader is to give back: in a unit that tells it exactly, to one decimal."""
    for unit, name in ((TiB, "TiB"), (GiB, "GiB"), (MiB, "MiB"), (KiB, "KiB")):
        if size >= unit and size * 10 % unit == 0:
            return f"{size // unit} {name}" if size % unit == 0 else f"{size / unit:.1f} {name}"
    return f"{size} B"


def to_unit(size: int, unit: int, *, field: str) -> int:
    """``size`` bytes counted in ``unit`` bytes, exactly.

    Raises:
        InvalidRequest: the size is not a multiple of what this hypervisor counts in; never rounded.
    """
    count, rest = divmod(size, unit)
    if rest:
        raise InvalidRequest(
            f"{field}={size} bytes is not a multiple of {format_size(unit)}, which this host counts in; "
            f"nearest: {count * unit} or {(count + 1) * unit}",
            field=field,
            value=size,
        )
    return count
