"""Pictures: what QEMU writes becomes PNG."""

from __future__ import annotations

import struct
import zlib

import pytest

from hyperkit.png import as_png, from_rgb, size_of

RED_BLUE = bytes([255, 0, 0, 0, 0, 255])


def pixels_of(png: bytes) -> bytes:
    """Decoded by hand: unfiltered rows of three bytes a pixel."""
    width, height = size_of(png)
    at, data = 8, b""
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length)[0] == zlib.crc32(kind + body)
        data += body if kind == b"IDAT" else b""
        at += length + 12
    raw = zlib.decompress(data)
    assert kind == b"IEND"
    assert len(raw) == height * (3 * width + 1)
    return b"".join(raw[row + 1 : row + 3 * width + 1] for row in range(0, len(raw), 3 * width + 1))


@pytest.mark.parametrize("head", [b"P6\n2 1\n255\n", b"P6 2 1 255 ", b"P6\n# by QEMU\n2 1\n# so it is\n255\n"])
def test_a_ppm_becomes_a_png_of_the_same_pixels(head: bytes) -> None:
    png = as_png(head + RED_BLUE)
    assert size_of(png) == (2, 1)
    assert pixels_of(png) == RED_BLUE


def test_rows_stay_rows() -> None:
    png = from_rgb(1, 2, RED_BLUE)
    assert (size_of(png), pixels_of(png)) == ((1, 2), RED_BLUE)


def test_pixels_that_look_like_white_space_are_pixels() -> None:
    assert pixels_of(as_png(b"P6\n1 1\n255\n" + b"\n\n ")) == b"\n\n "


def test_a_png_stays_as_it_is() -> None:
    png = from_rgb(2, 1, RED_BLUE)
    assert as_png(png) is png


@pytest.mark.parametrize(
    "picture", [b"", b"GIF89a", b"P6\n2 1\n65535\n" + bytes(12), b"P6\n2 2\n255\n" + RED_BLUE, b"P6\n0 0\n255\n"]
)
def test_what_is_no_picture_is_refused(picture: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        as_png(picture)
    with pytest.raises(ValueError, match="no PNG"):
        size_of(picture)
