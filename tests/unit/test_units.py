"""Sizes: text to bytes and back, and bytes to a vendor's unit, exactly or not at all."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperkit import GiB, InvalidRequest, KiB, MiB, TiB, format_size, parse_size
from hyperkit.units import to_unit
from tests.unit.support import refusal

UNITS = {"KiB": KiB, "MiB": MiB, "GiB": GiB, "TiB": TiB}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", MiB),
        ("17 b", 17),
        ("4 GiB", 4 * GiB),
        ("512MiB", 512 * MiB),
        (" 1.5g ", 1536 * MiB),
        ("2T", 2 * TiB),
        ("3k", 3 * KiB),
        ("7m", 7 * MiB),
        ("1000 MB", 1_000_000_000),
        ("1kb", 1000),
        ("1GB", 1000**3),
        ("1TB", 1000**4),
        ("0.5 KiB", 512),
        ("1.0", 1),
    ],
)
def test_parse_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "GiB",
        "-1 GiB",
        "+1",
        "4 GiBs",
        "4 XB",
        "1,5 GiB",
        "1.",
        ".5",
        "1e3",
        "4 Gi B",
        "0x10",
        "٤ GiB",
        "9" * 5000,
    ],
)
def test_what_is_not_a_size_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a size") as caught:
        parse_size(text)
    assert (caught.value.field, caught.value.value) == ("size", text)


@pytest.mark.parametrize("value", [None, 4096, 1.5, b"4 GiB"])
def test_what_is_not_text_is_refused_too(value: object) -> None:
    with pytest.raises(InvalidRequest, match="is not a size"):
        parse_size(cast(Any, value))


@pytest.mark.parametrize("text", ["0.5", "1.0001 KiB", "0.1 b"])
def test_a_fraction_of_a_byte_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="not a whole number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KiB, "1 KiB"),
        (1536, "1.5 KiB"),
        (MiB, "1 MiB"),
        (1536 * MiB, "1.5 GiB"),
        (4 * GiB, "4 GiB"),
        (1024 * GiB, "1 TiB"),
    ],
)
def test_format_size(size: int, text: str) -> None:
    assert format_size(size) == text


@given(count=st.integers(1, 1023), unit=st.sampled_from(sorted(UNITS)))
def test_whole_sizes_survive_a_round_trip(count: int, unit: str) -> None:
    size = count * UNITS[unit]
    assert parse_size(format_size(size)) == size
    assert parse_size(f"{count}{unit.lower()}") == size
    assert parse_size(f"  {count}  {unit.upper()} ") == size


@given(st.integers(0, 2**70))
def test_a_plain_number_is_bytes(size: int) -> None:
    assert parse_size(str(size)) == size


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    error = refusal(InvalidRequest, lambda: parse_size(text))
    assert error.value == text if error else parse_size(text) >= 0


@given(count=st.integers(0, 10**9), unit=st.sampled_from([1, KiB, MiB, 4 * MiB]))
def test_to_unit_is_exact(count: int, unit: int) -> None:
    assert to_unit(count * unit, unit, field="memory") == count


@given(count=st.integers(0, 10**6), rest=st.integers(1, MiB - 1))
def test_to_unit_never_rounds(count: int, rest: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_unit(count * MiB + rest, MiB, field="memory")
    error = caught.value
    assert (error.field, error.value) == ("memory", count * MiB + rest)
    assert f"nearest: {count * MiB} or {(count + 1) * MiB}" in str(error)
