"""Where devices go, and what cards and controllers they are: decided without a host."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from lxml import etree
from pyVmomi import vim

from hyperkit import DiskSpec, InvalidRequest, MiB, NicSpec
from hyperkit.backends.esxi.elements import Element
from hyperkit.backends.esxi.plan import DevicePlan

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_VM = vim.vm.device


def element(kind: str, **fields: int) -> Element:
    """A device as a host tells it."""
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    return etree.fromstring(f'<device xmlns="urn:vim25" xmlns:xsi="{_XSI}" xsi:type="{kind}">{inner}</device>')


def filled(bus: str, count: int, guest_id: str = "") -> DevicePlan:
    plan = DevicePlan(guest_id=guest_id)
    for number in range(count):
        plan.disk(DiskSpec(size=MiB, bus=bus), f"[ds] v/{number}.vmdk", create=True)
    return plan


def places(plan: DevicePlan) -> list[tuple[int, int]]:
    disks = [change.device for change in plan.changes if isinstance(change.device, _VM.VirtualDisk)]
    return [(disk.controllerKey, disk.unitNumber) for disk in disks]


def test_a_scsi_disk_is_never_unit_7_which_is_the_controllers_own() -> None:
    units = [unit for _, unit in places(filled("scsi", 16))]
    assert units == [*range(7), *range(8, 16), 0]


@pytest.mark.parametrize(("bus", "most"), [("scsi", 60), ("sata", 120), ("nvme", 60), ("ide", 4)])
def test_a_bus_is_full_at_its_most_and_the_error_names_it(bus: str, most: int) -> None:
    plan = filled(bus, most)
    assert len(set(places(plan))) == most
    with pytest.raises(InvalidRequest, match=bus) as caught:
        plan.disk(DiskSpec(size=MiB, bus=bus), "[ds] v/x.vmdk", create=True)
    assert caught.value.field == "bus"


def test_controllers_stand_before_what_is_on_them() -> None:
    seen = {200, 201}
    for change in filled("scsi", 31).changes:
        assert change.device.controllerKey in {None, *seen}
        seen.add(change.device.key)


def test_a_controller_that_is_there_is_used_and_another_gets_the_next_free_number() -> None:
    present = [element("ParaVirtualSCSIController", key=1001, busNumber=1)]
    present += [element("VirtualDisk", key=n, controllerKey=1001, unitNumber=n) for n in range(15) if n not in (5, 7)]
    plan = DevicePlan(present)
    plan.disk(DiskSpec(size=MiB), "[ds] a.vmdk", create=True)
    controller, disk = (change.device for change in plan.changes)
    assert (controller.busNumber, disk.controllerKey, disk.unitNumber) == (0, controller.key, 0)
    again = DevicePlan([*present, element("VirtualLsiLogicController", key=1000, busNumber=0)])
    for _ in range(15):
        again.disk(DiskSpec(size=MiB), "[ds] a.vmdk", create=True)
    again.disk(DiskSpec(size=MiB), "[ds] a.vmdk", create=True)
    assert places(again)[-1] == (1001, 5)
    assert len(again.changes) == 16  # no controller was added


@pytest.mark.parametrize(
    ("guest", "controller", "card"),
    [
        ("debian11_64Guest", "ParaVirtualSCSIController", "VirtualVmxnet3"),
        ("debian5_64Guest", "VirtualLsiLogicController", "VirtualE1000e"),
        ("rhel9_64Guest", "ParaVirtualSCSIController", "VirtualVmxnet3"),
        ("centos64Guest", "VirtualLsiLogicController", "VirtualE1000e"),
        ("windows2019srv_64Guest", "VirtualLsiLogicSASController", "VirtualE1000e"),
        ("winXPProGuest", "VirtualLsiLogicController", "VirtualE1000e"),
        ("", "VirtualLsiLogicController", "VirtualE1000e"),
    ],
)
def test_a_guest_gets_what_it_has_drivers_for(guest: str, controller: str, card: str) -> None:
    plan = filled("scsi", 1, guest)
    plan.nic(NicSpec(), backing())
    kinds = [type(change.device)._wsdlName for change in plan.changes]
    assert kinds == [controller, "VirtualDisk", card]


def backing() -> Any:
    return _VM.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")


def test_a_disk_is_as_large_as_asked_for_to_the_sector_and_thin_or_not() -> None:
    plan = DevicePlan()
    plan.disk(DiskSpec(size=MiB + 512, thin=False), "[ds] a.vmdk", create=True)
    change = plan.changes[-1]
    assert (change.fileOperation, change.device.capacityInBytes) == ("create", MiB + 512)
    assert (change.device.backing.thinProvisioned, change.device.backing.eagerlyScrub) == (False, False)


def test_what_vsphere_has_no_word_for_is_refused() -> None:
    plan = DevicePlan()
    with pytest.raises(InvalidRequest, match="vmxnet3, e1000e, e1000, pcnet32"):
        plan.nic(NicSpec(model="virtio"), backing())
    with pytest.raises(InvalidRequest, match="scsi"):
        plan.disk(DiskSpec(size=MiB, bus="virtio"), "[ds] a.vmdk", create=True)
    assert plan.changes == []


@pytest.mark.parametrize("mac", ["00:0c:29:00:00:01", "00:50:56:40:00:00", "00:50:56:ff:00:01"])
def test_an_address_that_vsphere_gives_by_itself_is_refused(mac: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        DevicePlan().nic(NicSpec(mac=mac), backing())
    assert caught.value.field == "mac"


@pytest.mark.parametrize("mac", ["00:50:56:00:00:01", "00:50:56:3f:ff:ff", "52:54:00:00:00:01"])
def test_any_other_address_is_the_cards_own(mac: str) -> None:
    plan = DevicePlan()
    plan.nic(NicSpec(mac=mac), backing())
    card = plan.changes[-1].device
    assert (card.addressType, card.macAddress) == ("manual", mac)


def test_a_drive_is_on_ide_and_on_sata_once_that_is_full() -> None:
    plan = DevicePlan()
    for _ in range(5):
        plan.cdrom(None)
    keys = [change.device.controllerKey for change in plan.changes if isinstance(change.device, _VM.VirtualCdrom)]
    sata = next(change.device.key for change in plan.changes if isinstance(change.device, _VM.VirtualAHCIController))
    assert keys == [200, 200, 201, 201, sata]


def test_a_guest_cannot_connect_again_what_is_down() -> None:
    plan = DevicePlan()
    for spec in (NicSpec(), NicSpec(switch="s", link_up=False), NicSpec(switch="s")):
        plan.nic(spec, backing())
    links = [change.device.connectable for change in plan.changes]
    assert [(link.startConnected, link.connected, link.allowGuestControl) for link in links] == [
        (False, False, False),
        (False, False, False),
        (True, True, True),
    ]
