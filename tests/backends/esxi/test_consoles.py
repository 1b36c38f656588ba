"""Screens, keys, guests and questions of a simulated host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from lxml import etree

import hyperkit
from hyperkit import VM, AgentUnavailable, Host, NotFound, Timeout, keyboard
from hyperkit.backends.esxi import addresses, guests, usb_keys
from hyperkit.errors import HyperkitError
from tests.beds.vcsim import Vcsim


@pytest.fixture
def host(esx: Vcsim) -> Iterator[Host]:
    with hyperkit.connect(esx.hyperkit_url, password=esx.password, verify=str(esx.ca_file)) as host:
        yield host


@pytest.fixture
def vm(host: Host) -> Iterator[VM]:
    vm = host.vms.list()[0].start()
    yield vm
    vm.stop()


def test_every_key_has_a_usage_of_its_own() -> None:
    assert usb_keys.USAGES.keys() == keyboard.KEYS.keys()
    assert len(set(usb_keys.USAGES.values())) == len(usb_keys.USAGES)


def test_modifiers_are_held_with_each_other_key() -> None:
    def told(*keys: str) -> list[tuple[int, list[str]]]:
        events = usb_keys.presses(keyboard.chord(keys))
        return [
            (each.usbHidCode >> 16, [name for name, held in vars(each.modifiers or object).items() if held is True])
            for each in events
        ]

    assert told("ctrl", "alt", "delete") == [(0x4C, ["leftControl", "leftAlt"])]
    assert told("super") == [(0xE3, [])]
    assert told("ctrl", "right_shift") == [(0xE5, ["leftControl"])]
    assert told("shift", "a", "b") == [(0x04, ["leftShift"]), (0x05, ["leftShift"])]


def test_a_screenshots_file_is_deleted(esx: Vcsim, vm: VM) -> None:
    before = {path for root in esx.datastores.values() for path in root.rglob("*")}
    assert vm.console.screenshot().startswith(b"\x89PNG")
    esx.faults.task_fault("CreateScreenshot_Task", "NoDiskSpace")
    with pytest.raises(hyperkit.ResourceExhausted):
        vm.console.screenshot()
    assert {path for root in esx.datastores.values() for path in root.rglob("*")} == before


def test_what_tools_tell(esx: Vcsim, vm: VM) -> None:
    with pytest.raises(AgentUnavailable):
        vm.guest.ping()
    esx.control.guest(vm.id, tools="running", host_name="web1.example", full_name="Debian GNU/Linux 12 (64-bit)")
    vm.guest.ping()
    info = vm.guest.info()
    assert (info.hostname, info.os_name) == ("web1.example", "Debian GNU/Linux 12 (64-bit)")
    esx.control.guest(vm.id, tools="hung")
    with pytest.raises(Timeout, match="heartbeat"):
        vm.guest.info()


def test_a_vm_that_is_gone_is_not_found(host: Host) -> None:
    vm = host.vms.create("gone")
    host.vms.get(vm.id).delete()
    for verb in (vm.addresses, vm.guest.ping, vm.console.screenshot):
        with pytest.raises(NotFound):
            verb()


@pytest.mark.parametrize(
    ("family", "guest_id", "short"),
    [
        ("linuxGuest", "debian12_64Guest", "debian"),
        ("linuxGuest", "ubuntu64Guest", "ubuntu"),
        ("linuxGuest", "rhel9_64Guest", "rhel"),
        ("linuxGuest", "fedoraGuest", "fedora"),
        ("linuxGuest", "other5xLinux64Guest", ""),
        ("windowsGuest", "windows2019srv_64Guest", "mswindows"),
        ("otherGuestFamily", "freebsd13_64Guest", "freebsd"),
        ("", "", ""),
    ],
)
def test_the_short_id_of_a_guests_system(family: str, guest_id: str, short: str) -> None:
    assert guests._os_id(family, guest_id) == short


def vim25(xml: str) -> etree._Element:
    return etree.fromstring(f'<val xmlns="urn:vim25">{xml}</val>')


def test_the_details_that_newer_tools_tell() -> None:
    told = "architecture='X86' bitness='64' distroVersion='12' kernelVersion='6.1.0' prettyName='Debian &amp; co'"
    options = f"<OptionValue><key>guestInfo.detailed.data</key><value>{told}</value></OptionValue>"
    assert guests._detailed(vim25(options)) == {
        "architecture": "X86",
        "bitness": "64",
        "distroVersion": "12",
        "kernelVersion": "6.1.0",
        "prettyName": "Debian & co",
    }
    assert guests._detailed(vim25("")) == guests._detailed(None) == {}


def test_addresses_are_those_of_cards_and_lead_somewhere() -> None:
    def card(key: int, mac: str, *told: str) -> str:
        config = "".join(
            f"<ipAddress><ipAddress>{each}</ipAddress><prefixLength>24</prefixLength></ipAddress>" for each in told
        )
        return (
            f"<GuestNicInfo><macAddress>{mac}</macAddress><deviceConfigId>{key}</deviceConfigId>"
            f"<ipConfig>{config}</ipConfig></GuestNicInfo>"
        )

    net = vim25(
        card(4000, "00:0C:29:AA:BB:CC", "10.0.0.5", "fe80::1%eth0", "127.0.0.1", "::", "no address", "2001:db8::5")
        + card(-1, "02:42:AC:11:00:02", "172.17.0.1")
        + card(4001, "nonsense", "10.0.0.6")
        + "<GuestNicInfo><ipAddress>10.0.0.7</ipAddress><macAddress>00:0c:29:aa:bb:cd</macAddress>"
        "<deviceConfigId>4002</deviceConfigId></GuestNicInfo>"
    )
    assert [(key, each.mac, each.address, each.prefix) for key, each in addresses.of(net)] == [
        ("4000", "00:0c:29:aa:bb:cc", "10.0.0.5", 24),
        ("4000", "00:0c:29:aa:bb:cc", "2001:db8::5", 24),
        ("4001", "", "10.0.0.6", 24),
        ("4002", "00:0c:29:aa:bb:cd", "10.0.0.7", None),
    ]


def test_a_question_that_somebody_else_answered(esx: Vcsim, host: Host, vm: VM) -> None:
    question = esx.control.ask(vm.id, "Moved or copied?", ["Cancel", "Moved"])
    assert host.driver.upkeep is not None
    host.driver.upkeep.answer(vm.id, question, "1")
    assert esx.control.answer(vm.id) == "1"
    with pytest.raises(HyperkitError):
        host.driver.upkeep.answer(vm.id, question, "1")
