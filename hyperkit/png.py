"""Pictures as PNG, whatever a host makes of a screen."""

from __future__ import annotations

import re
import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PPM = re.compile(rb"P6(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")


def as_png(picture: bytes) -> bytes:
    """A PNG as it is, or a PPM (P6, the netpbm format that QEMU's older screendump writes) as PNG.

    Raises:
        ValueError: it is neither.
    """
    if picture.startswith(_SIGNATURE):
        return picture
    head = _PPM.match(picture)
    if head is None:
        raise ValueError(f"a picture that begins with {picture[:8]!r} is neither PNG nor PPM")
    width, height, most = (int(number) for number in head.groups())
    if most != 255:
        raise ValueError(f"a PPM of {most + 1} shades; 256 were expected")
    return from_rgb(width, height, picture[head.end() :])


def from_rgb(width: int, height: int, pixels: bytes) -> bytes:
    """Rows of pixels, each of three bytes, as PNG.

    Raises:
        ValueError: there are fewer pixels than that.
    """
    row = 3 * width
    if len(pixels) < row * height or not row * height:
        raise ValueError(f"{len(pixels)} bytes are no {width} x {height} pixels")
    # A zero before each row: it is not filtered.
    lines = b"".join(b"\0" + pixels[start : start + row] for start in range(0, row * height, row))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits each of red, green and blue
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines)) + _chunk(b"IEND", b"")


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height of a PNG.

    Raises:
        ValueError: it is none.
    """
    if not png.startswith(_SIGNATURE) or png[12:16] != b"IHDR":
        raise ValueError(f"{png[:8]!r} is no PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
