"""What hyperkit keeps in a domain's metadata."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("libvirt")
from hyperkit.backends.libvirt import metadata
from hyperkit.backends.libvirt.metadata import Extra, KnownDisk, KnownSnapshot, Layer

WHOLE = Extra(
    disks={"/i/a.qcow2": KnownDisk(True, "/i/base.qcow2"), "/i/b&<.raw": KnownDisk()},
    guest_os="debian12",
    notes="a\rb",
    layers={"/i/a.1.qcow2": Layer("/i/a.qcow2"), "/i/a.2.qcow2": Layer("/i/a.1.qcow2", kept=True)},
    snapshots={"#1": KnownSnapshot("one & <only>", True, "/i/a.memory"), "s": KnownSnapshot(memory="/m")},
    tags=("a&<b", "größe", "web"),
)


def test_all_of_it_comes_back() -> None:
    domain = ET.Element("domain")
    metadata.replace(domain, WHOLE)
    text = ET.tostring(domain, "unicode").replace("\r", "&#13;")
    assert metadata.read(ET.fromstring(text).find("metadata")) == WHOLE


def test_a_disk_is_found_below_its_layers() -> None:
    assert WHOLE.below("/i/a.2.qcow2") == ("/i/a.1.qcow2", "/i/a.qcow2")
    assert WHOLE.root("/i/a.2.qcow2") == WHOLE.root("/i/a.qcow2") == "/i/a.qcow2"
    assert WHOLE.below("/somebody/else's") == ()


def test_layers_that_somebody_wrote_in_a_circle_have_an_end() -> None:
    circle = Extra(layers={"/a": Layer("/b"), "/b": Layer("/a")})
    assert circle.below("/a") == ("/b", "/a")


def test_what_is_of_the_present_is_carried_into_what_was() -> None:
    before = Extra(disks={"/old": KnownDisk()}, guest_os="old", layers={"/gone": Layer("/old")})
    carried = before.carried(WHOLE)
    assert (carried.disks, carried.guest_os) == (before.disks, "old")
    assert (carried.layers, carried.snapshots, carried.tags) == (WHOLE.layers, WHOLE.snapshots, WHOLE.tags)


def test_tags_that_somebody_wrote_by_hand_are_in_order_and_each_once() -> None:
    text = f"<metadata><hk:vm xmlns:hk='{metadata.URI}'><hk:tags> web\n db web </hk:tags></hk:vm></metadata>"
    assert metadata.read(ET.fromstring(text)).tags == ("db", "web")
