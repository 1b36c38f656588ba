"""Creating virtual machines: their disks, NICs and CD-ROM drives."""

from __future__ import annotations

import pytest

from hyperkit.errors import AlreadyExists, InvalidRequest, NotFound
from hyperkit.ids import is_unicast
from hyperkit.specs import DiskFormat, DiskSpec, NicSpec
from hyperkit.specs.isolation import IsolationPolicy
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import ANY_BASE, ANY_POLICY, ANY_SWITCH, disks, policies
from hyperkit.units import MiB

MAC = "52:54:00:0b:ad:01"


@behaviour("vms.create", "A new disk has the size asked for and is marked as created.", requires=("disks",))
def test_a_new_disk_has_the_size_asked_for(bed: Bed) -> None:
    disk = bed.seen(bed.vm(disks=[DiskSpec(size=24 * MiB)])).disks[0]
    assert disk.size == 24 * MiB
    assert disk.created
    assert disk.path in bed.backdoor.files()
    assert bed.backdoor.disk_size(disk.path) == 24 * MiB


@behaviour("vms.create", "A disk's size is kept to the last 512 bytes.", requires=("disks",))
def test_a_disks_size_is_kept_to_the_last_512_bytes(bed: Bed) -> None:
    size = 8 * MiB + 512
    disk = bed.seen(bed.vm(disks=[DiskSpec(size=size)])).disks[0]
    assert disk.size == size
    assert bed.backdoor.disk_size(disk.path) == size


@behaviour(
    "vms.create",
    "A linked disk names its base and is as large, unless a larger size is asked for.",
    requires=("linked_disks",),
    facts=("base_image",),
)
def test_a_linked_disk_names_its_base_and_is_as_large(bed: Bed) -> None:
    assert bed.base_image
    base, size = bed.base_image.path, bed.base_image.size
    same, larger = bed.seen(bed.vm(disks=[DiskSpec(base=base), DiskSpec(base=base, size=size + 8 * MiB)])).disks
    assert (same.record.base, same.size, same.created) == (base, size, True)
    assert (larger.record.base, larger.size, larger.created) == (base, size + 8 * MiB, True)
    assert bed.backdoor.disk_size(same.path) == size
    assert bed.backdoor.disk_size(larger.path) == size + 8 * MiB


@behaviour(
    "vms.create",
    "A copied disk has the size of its base and does not name it.",
    requires=("copied_disks",),
    facts=("base_image",),
)
def test_a_copied_disk_has_the_size_of_its_base(bed: Bed) -> None:
    assert bed.base_image
    disk = bed.seen(bed.vm(disks=[DiskSpec(base=bed.base_image.path, linked=False)])).disks[0]
    assert (disk.record.base, disk.size, disk.created) == (None, bed.base_image.size, True)
    assert bed.backdoor.disk_size(disk.path) == bed.base_image.size


@behaviour(
    "vms.create",
    "A disk size below the base image's is InvalidRequest.",
    requires=(ANY_BASE,),
    facts=("base_image",),
)
def test_a_disk_size_below_the_base_images_is_refused(bed: Bed) -> None:
    assert bed.base_image
    linked, files = bed.host.capabilities.linked_disks, bed.backdoor.files()
    with pytest.raises(InvalidRequest):
        bed.vm(disks=[DiskSpec(base=bed.base_image.path, size=bed.base_image.size - MiB, linked=linked)])
    assert bed.backdoor.files() == files


@behaviour("vms.create", "A disk's format is the one asked for.", requires=("disks",))
def test_a_disks_format_is_the_one_asked_for(bed: Bed) -> None:
    formats = [DiskFormat(name) for name in bed.host.capabilities.disk_formats]
    made = bed.seen(bed.vm(disks=[DiskSpec(size=8 * MiB, format=form) for form in formats])).disks
    assert [disk.record.format for disk in made] == formats
    # Not only what the VM is told: the file is of that format.
    files = {volume.path: volume.record.format for volume in bed.store.volumes}
    assert [files[disk.path] for disk in made] == formats


@behaviour("vms.create", "A disk's bus and write protection are those asked for.", facts=("bus",), requires=("disks",))
def test_a_disks_bus_and_write_protection_are_those_asked_for(bed: Bed) -> None:
    protections = (False, True) if bed.host.capabilities.read_only_disks else (False,)
    wanted = [(bus, read_only) for read_only in protections for bus in (None, bed.bus)]
    vm = bed.vm(disks=[DiskSpec(size=8 * MiB, bus=bus, read_only=read_only) for bus, read_only in wanted])
    made = bed.seen(vm).disks
    usual = made[0].record.bus
    assert usual is not bed.bus
    assert [(disk.record.bus, disk.record.read_only) for disk in made] == [(bus or usual, ro) for bus, ro in wanted]


@behaviour(
    "vms.create",
    "A disk's file has the name asked for, and a name that another disk of the VM has is AlreadyExists.",
    requires=("disks", "attach"),
)
def test_a_disks_file_has_the_name_asked_for(bed: Bed) -> None:
    name = bed.name_for("System.disk_1")
    vm = bed.vm(disks=[DiskSpec(size=16 * MiB, name=name)])
    disk = vm.disks[0]
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    assert disk.path in files
    assert name in disk.path.replace("\\", "/").rpartition("/")[2]
    # Each VM may have a directory of its own: what is sure to be taken is a name that the same VM's disk has.
    again = DiskSpec(size=8 * MiB, name=name)
    with pytest.raises(AlreadyExists):
        bed.vm(disks=[DiskSpec(size=8 * MiB), again, again])
    with pytest.raises(AlreadyExists):
        vm.disks.attach(again)
    assert (bed.backdoor.vm_ids(), bed.backdoor.files()) == (vms, files)
    assert bed.backdoor.disk_size(disk.path) == 16 * MiB


@behaviour("vms.create", "A disk that is not thin takes its space at once.", requires=("disks",))
def test_a_disk_that_is_not_thin_takes_its_space_at_once(bed: Bed) -> None:
    thick, thin = bed.vm(disks=[DiskSpec(size=16 * MiB, thin=False), DiskSpec(size=16 * MiB)]).disks
    assert bed.backdoor.disk_space(thick.path) >= 16 * MiB
    assert bed.backdoor.disk_space(thin.path) < 16 * MiB


@behaviour("vms.create", "An existing disk is attached as it is and is not marked as created.", requires=("disks",))
def test_an_existing_disk_is_attached_as_it_is(bed: Bed) -> None:
    path = bed.image(size=16 * MiB)
    files = bed.backdoor.files()
    disk = bed.seen(bed.vm(disks=[DiskSpec(path=path)])).disks[0]
    assert (disk.path, disk.size, disk.created) == (path, 16 * MiB, False)
    assert bed.backdoor.shape(disk.vm.id).disks == {path}
    assert bed.backdoor.files() == files


@behaviour("vms.create", "A disk path that leads nowhere is NotFound.", requires=("disks",))
def test_a_disk_path_that_leads_nowhere_is_not_found(bed: Bed) -> None:
    vms = bed.backdoor.vm_ids()
    with pytest.raises(NotFound):
        bed.vm(disks=[DiskSpec(path=bed.missing_path)])
    assert bed.backdoor.vm_ids() == vms


@behaviour(
    "vms.create", "A disk path that is a directory is InvalidRequest.", facts=("directory",), requires=("disks",)
)
def test_a_disk_path_that_is_a_directory_is_refused(bed: Bed) -> None:
    vms = bed.backdoor.vm_ids()
    with pytest.raises(InvalidRequest):
        bed.vm(disks=[DiskSpec(path=bed.directory)])
    assert bed.backdoor.vm_ids() == vms


@behaviour("vms.create", "A NIC without an address gets a unicast one that no other NIC has.")
def test_a_nic_without_an_address_gets_one_of_its_own(bed: Bed) -> None:
    one, other = bed.vm(nics=[NicSpec(), NicSpec()]), bed.vm(nics=[NicSpec()])
    macs = [nic.mac for vm in (one, other) for nic in bed.seen(vm).nics]
    assert len(set(macs)) == 3
    assert bed.backdoor.shape(one.id).macs | bed.backdoor.shape(other.id).macs == set(macs)
    assert all(is_unicast(mac) for mac in macs)


@behaviour("vms.create", "A MAC address asked for is kept.")
def test_a_mac_address_asked_for_is_kept(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(), NicSpec(mac="52-54-00-0B-AD-01")])
    assert vm.nics[1].mac == MAC
    assert bed.seen(vm).nics[1].mac == MAC
    assert bed.backdoor.shape(vm.id).macs == {vm.nics[0].mac, MAC}


@behaviour("vms.create", "A MAC address that another VM has is AlreadyExists, and nothing is made.")
def test_a_mac_address_that_another_vm_has_is_already_exists(bed: Bed) -> None:
    bed.vm(nics=[NicSpec(mac=MAC)])
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(AlreadyExists):
        bed.vm(nics=[NicSpec(), NicSpec(mac=MAC)], disks=disks(bed))
    assert bed.backdoor.vm_ids() == vms
    assert bed.backdoor.files() == files


@behaviour("vms.create", "A NIC without a switch is plugged into none.")
def test_a_nic_without_a_switch_is_plugged_into_none(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec()])
    nic = bed.seen(vm).nics[0]
    assert bed.backdoor.plugs(vm.id)[nic.mac].switch is None
    assert nic.switch is None
    assert nic.record.switch_id is None


@behaviour("vms.create", "A NIC's model is the one asked for.", facts=("nic_model",))
def test_a_nics_model_is_the_one_asked_for(bed: Bed) -> None:
    usual, other = bed.seen(bed.vm(nics=[NicSpec(), NicSpec(model=bed.nic_model)])).nics
    assert other.record.model == bed.nic_model
    assert usual.record.model != bed.nic_model


@behaviour("vms.create", "A NIC's link is up or down as asked for.", requires=("nic_link",))
def test_a_nics_link_is_up_or_down_as_asked_for(bed: Bed) -> None:
    vm = bed.vm(nics=[NicSpec(link_up=False), NicSpec()])
    assert [nic.link_up for nic in bed.seen(vm).nics] == [False, True]
    assert [nic.link_up for nic in bed.seen(vm.start()).nics] == [False, True]
    assert [bed.backdoor.plugs(vm.id)[nic.mac].link_up for nic in vm.nics] == [False, True]


@behaviour("vms.create", "A NIC's VLAN is the one asked for.", requires=("nic_vlan", ANY_SWITCH))
def test_a_nics_vlan_is_the_one_asked_for(bed: Bed) -> None:
    switch = bed.vlan_switch().name
    vm = bed.vm(nics=[NicSpec(switch=switch, vlan=4094), NicSpec(switch=switch)])
    assert [nic.vlan for nic in bed.seen(vm).nics] == [4094, None]
    assert [bed.backdoor.plugs(vm.id)[nic.mac].vlan for nic in vm.nics] == [4094, None]


@behaviour(
    "vms.create",
    "A NIC's trunk has the tagged VLANs and the native one asked for.",
    requires=("nic_trunk", ANY_SWITCH),
)
def test_a_nics_trunk_has_the_vlans_asked_for(bed: Bed) -> None:
    switch = bed.vlan_switch().name
    vm = bed.vm(
        nics=[NicSpec(switch, trunk=(30, 20)), NicSpec(switch, vlan=10, trunk=(20,)), NicSpec(switch, trunk=[7])]
    )
    assert [(nic.vlan, nic.trunk) for nic in bed.seen(vm).nics] == [(None, (20, 30)), (10, (20,)), (None, (7,))]


@behaviour(
    "vms.create",
    "A VLAN on a switch that carries none is InvalidRequest, and nothing is made.",
    requires=("nic_vlan", "switch_openvswitch", "switch_private|switch_internal"),
)
def test_a_vlan_on_a_switch_that_carries_none_is_refused(bed: Bed) -> None:
    plain, carrying, vms = bed.switch(), bed.vlan_switch(), bed.backdoor.vm_ids()
    with pytest.raises(InvalidRequest, match=f"'{carrying.name}'") as refused:
        bed.vm(nics=[NicSpec(switch=plain.name, vlan=5)])
    assert (refused.value.field, refused.value.value) == ("vlan", 5)
    assert bed.backdoor.vm_ids() == vms
    assert not plain.record.carries_vlans


@behaviour("vms.create", "A NIC's isolation policy is the one asked for.", requires=(ANY_POLICY, ANY_SWITCH))
def test_a_nics_isolation_policy_is_the_one_asked_for(bed: Bed) -> None:
    switch, (one, other) = bed.switch().name, policies(bed.host.capabilities)
    vm = bed.vm(nics=[NicSpec(switch, policy=one), NicSpec(switch), NicSpec(switch, policy=other)])
    assert [nic.policy for nic in bed.seen(vm).nics] == [one, IsolationPolicy(), other]
    assert [nic.policy for nic in bed.seen(vm.start()).nics] == [one, IsolationPolicy(), other]


@behaviour(
    "vms.create",
    "A switch that does not exist is NotFound, and the error names those there are.",
    requires=(ANY_SWITCH,),
)
def test_a_switch_that_does_not_exist_is_not_found(bed: Bed) -> None:
    switch, vms = bed.switch(), bed.backdoor.vm_ids()
    with pytest.raises(NotFound) as refused:
        bed.vm(nics=[NicSpec(switch="hk-no-such-switch")])
    assert repr(switch.name) in str(refused.value)
    assert bed.backdoor.vm_ids() == vms


@behaviour(
    "vms.create",
    "A datastore that does not exist is NotFound, and the error names those there are.",
    requires=("disks",),
)
def test_a_datastore_that_does_not_exist_is_not_found(bed: Bed) -> None:
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(NotFound) as refused:
        bed.vm(disks=[DiskSpec(size=8 * MiB, datastore="hk-no-such-datastore")])
    assert repr(bed.store.name) in str(refused.value)
    assert bed.backdoor.vm_ids() == vms
    assert bed.backdoor.files() == files


@behaviour("vms.create", "An ISO is in the CD-ROM drive.", requires=("cdrom",), facts=("iso",))
def test_an_iso_is_in_the_cdrom_drive(bed: Bed) -> None:
    with_iso, empty = bed.seen(bed.vm(iso=bed.iso)), bed.seen(bed.vm(cdrom=True))
    assert [drive.iso for drive in with_iso.cdroms] == [bed.iso]
    assert [drive.iso for drive in empty.cdroms] == [None]
    assert not with_iso.disks


@behaviour("vms.create", "An ISO path that leads nowhere is NotFound.", requires=("cdrom",))
def test_an_iso_path_that_leads_nowhere_is_not_found(bed: Bed) -> None:
    vms = bed.backdoor.vm_ids()
    with pytest.raises(NotFound):
        bed.vm(iso=bed.missing_path)
    assert bed.backdoor.vm_ids() == vms
