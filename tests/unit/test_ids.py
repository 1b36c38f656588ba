"""MAC addresses: every usual way of writing one means the same address, nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperkit.ids import is_unicast, normalize_mac

SIX_BYTES = st.binary(min_size=6, max_size=6)


@given(SIX_BYTES)
def test_every_usual_spelling_is_the_same_address(address: bytes) -> None:
    digits = address.hex()
    wanted = ":".join(digits[i : i + 2] for i in range(0, 12, 2))
    dotted = ".".join(digits[i : i + 4] for i in range(0, 12, 4))
    for text in (wanted, wanted.replace(":", "-"), dotted, digits):
        assert normalize_mac(text) == wanted
        assert normalize_mac(text.upper()) == wanted


@given(SIX_BYTES)
def test_a_normalised_address_stays_as_it_is(address: bytes) -> None:
    once = normalize_mac(address.hex())
    assert once is not None
    assert normalize_mac(once) == once


@given(st.text(max_size=20))
def test_any_text_is_an_address_or_none(text: str) -> None:
    normal = normalize_mac(text)
    assert normal is None or (len(normal) == 17 and normal.count(":") == 5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:56:78",
        "52:54:00:12:34:5g",
        "52:54:00:12:34:56\n",
        " 52:54:00:12:34:56",
        "52:54:00:12:34-56",  # mixed separators
        "5:254:00:12:34:56",  # twelve digits, cut where nobody cuts them
        "1:2:3:4:5:6:7:8:9:a:b:c",
        "::525400123456",
        "5254:0012:3456",
        "525400.123456",
    ],
)
def test_what_is_no_address(text: str) -> None:
    assert normalize_mac(text) is None


@pytest.mark.parametrize(
    ("mac", "unicast"),
    [
        ("52:54:00:12:34:56", True),
        ("00:00:00:00:00:01", True),
        ("fe:00:00:00:00:00", True),
        ("01:00:5e:00:00:01", False),
        ("33:33:00:00:00:01", False),
        ("ff:ff:ff:ff:ff:ff", False),
    ],
)
def test_unicast(mac: str, unicast: bool) -> None:
    assert is_unicast(mac) is unicast
