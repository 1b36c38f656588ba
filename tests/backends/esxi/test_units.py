"""Names and allocations, to vSphere and back."""

from __future__ import annotations

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pyVmomi import SoapAdapter, vim

from hyperkit import Allocation, GiB, InvalidRequest, MiB
from hyperkit.backends.esxi import allocation, names
from hyperkit.backends.esxi.elements import Element

shares = st.integers(1, 10_000)


def sent(info: vim.ResourceAllocationInfo) -> Element:
    """What the host will say of it."""
    text = SoapAdapter.Serialize(info, version="vim.version.version12")
    return etree.fromstring(
        b'<r xmlns="urn:vim25">' + text.partition(b">")[0] + b">" + text.partition(b">")[2] + b"</r>"
    )[0]


@given(st.text(max_size=20))
def test_every_name_comes_back(name: str) -> None:
    there = names.to_vsphere(name)
    assert names.from_vsphere(there) == name
    assert "/" not in there
    assert "\\" not in there


@pytest.mark.parametrize(
    ("there", "name"),
    [
        ("a%2fb", "a/b"),
        ("a%2Fb%5C%25", "a/b\\%"),
        ("50%", "50%"),
        ("%41%252f", "%41%2f"),
        ("%2", "%2"),
    ],
)
def test_names_that_others_wrote(there: str, name: str) -> None:
    assert names.from_vsphere(there) == name


@given(st.integers(0, 64_000), st.none() | st.integers(1, 64_000), shares, st.integers(1, 768), st.integers(1000, 6000))
def test_a_cpu_allocation_comes_back(reservation: int, more: int | None, weight: int, cpus: int, mhz: int) -> None:
    ours = Allocation(reservation, None if more is None else reservation + more, weight)
    info = allocation.cpu_to_vsphere(ours, cpus=cpus, mhz=mhz)
    assert allocation.cpu_from_vsphere(sent(info), cpus=cpus, mhz=mhz) == ours


@given(st.integers(0, 6_000), st.none() | st.integers(1, 64_000), shares, st.integers(32, 24_000_000))
def test_a_memory_allocation_comes_back(reservation: int, more: int | None, weight: int, size: int) -> None:
    ours = Allocation(reservation * MiB, None if more is None else (reservation + more) * MiB, weight)
    info = allocation.memory_to_vsphere(ours, memory=size * MiB)
    assert allocation.memory_from_vsphere(sent(info), memory=size * MiB) == ours


def test_levels_are_those_of_vsphere() -> None:
    def level(weight: int) -> tuple[str, int]:
        info = allocation.cpu_to_vsphere(Allocation(shares=weight), cpus=4, mhz=2000)
        return info.shares.level, info.shares.shares

    assert [level(50), level(100), level(200), level(150)] == [
        ("low", 2000),
        ("normal", 4000),
        ("high", 8000),
        ("custom", 6000),
    ]


def test_memory_that_is_no_whole_mebibyte_is_refused() -> None:
    for wrong in (Allocation(reservation=MiB + 1), Allocation(limit=MiB + 512)):
        with pytest.raises(InvalidRequest):
            allocation.memory_to_vsphere(wrong, memory=GiB)


def test_what_is_not_told_is_the_default() -> None:
    assert allocation.cpu_from_vsphere(None, cpus=0, mhz=2000) == Allocation()
