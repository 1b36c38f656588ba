"""Creating virtual machines: names, sizes, and what else there is besides devices."""

from __future__ import annotations

import pytest

from hyperkit.errors import AlreadyExists, HyperkitError, InvalidRequest
from hyperkit.specs import BootDevice, CpuTopology, DiskSpec, Firmware, KernelBoot, NicSpec, VMFields
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import ALLOCATION, allocations, disks, notes
from hyperkit.units import MiB


@behaviour("vms.create", "A new VM is off.")
def test_a_new_vm_is_off(bed: Bed) -> None:
    vm = bed.vm()
    assert vm.state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour("vms.create", "Name, CPUs and memory are exactly those asked for.")
def test_name_cpus_and_memory_are_exactly_those_asked_for(bed: Bed) -> None:
    name = bed.name_for("Web Server_1.example")
    memory = 64 * MiB + max(MiB, bed.host.capabilities.memory_unit)
    vm = bed.host.vms.create(name, **bed.fields(cpus=3, memory=memory))
    assert (vm.name, vm.cpus, vm.memory) == (name, 3, memory)
    there = bed.seen(vm)
    assert (there.name, there.cpus, there.memory) == (name, 3, memory)
    shape = bed.backdoor.shape(vm.id)
    assert (shape.name, shape.cpus, shape.memory) == (name, 3, memory)


@behaviour("vms.create", "A VM's id differs from every other VM's and is the same after a reconnect.")
def test_a_vms_id_is_its_own_and_the_same_after_a_reconnect(bed: Bed) -> None:
    one, other = bed.vm(), bed.vm()
    assert one.id != other.id
    assert {one.id, other.id} <= bed.backdoor.vm_ids()
    with bed.connect() as again:
        assert again.vms.one(name=one.name).id == one.id
        assert again.vms.one(name=other.name) == other


@behaviour(
    "vms.create",
    "A name that is taken is AlreadyExists where names must be unique, and nothing is made.",
    requires=("unique_vm_names",),
)
def test_a_name_that_is_taken_is_already_exists(bed: Bed) -> None:
    vm = bed.vm()
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(AlreadyExists):
        bed.second.vms.create(vm.name, **bed.fields(disks=disks(bed)))
    assert bed.backdoor.vm_ids() == vms
    assert bed.backdoor.files() == files


@behaviour("vms.create", "Two VMs may have one name where names need not be unique.", requires=("!unique_vm_names",))
def test_two_vms_may_have_one_name(bed: Bed) -> None:
    one = bed.vm()
    other = bed.host.vms.create(one.name, **bed.fields())
    assert {one.id, other.id} <= bed.backdoor.vm_ids()
    assert bed.second.vms.find(name=one.name) == [bed.seen(one), bed.seen(other)]


@behaviour("vms.create", "Disks and NICs are in the order of the spec.")
def test_disks_and_nics_are_in_the_order_of_the_spec(bed: Bed) -> None:
    sizes = [24 * MiB, 8 * MiB, 16 * MiB] if bed.host.capabilities.disks else []
    macs = ["52:54:00:00:00:0c", "52:54:00:00:00:0a", "52:54:00:00:00:0b"]
    vm = bed.vm(disks=[DiskSpec(size=size) for size in sizes], nics=[NicSpec(mac=mac) for mac in macs])
    there = bed.seen(vm)
    assert [disk.size for disk in there.disks] == sizes
    assert [nic.mac for nic in there.nics] == macs


@behaviour("vms.create", "Firmware, secure boot and TPM are those asked for.", requires=("bios|uefi",))
def test_firmware_secure_boot_and_tpm_are_those_asked_for(bed: Bed) -> None:
    able = bed.host.capabilities
    usual = Firmware.UEFI if able.uefi else Firmware.BIOS
    choices = [(Firmware.BIOS, False, False)] if able.bios else []
    choices += [(Firmware.UEFI, False, False)] if able.uefi else []
    choices += [(Firmware.UEFI, True, False)] if able.secure_boot else []
    choices += [(usual, False, True)] if able.tpm else []
    for firmware, secure_boot, tpm in choices:
        there = bed.seen(bed.vm(firmware=firmware, secure_boot=secure_boot, tpm=tpm)).record
        assert (there.firmware, there.secure_boot, there.tpm) == (firmware, secure_boot, tpm)


@behaviour("vms.create", "The boot order is the one asked for.", requires=("boot_order",))
def test_the_boot_order_is_the_one_asked_for(bed: Bed) -> None:
    for order in ([BootDevice.NETWORK, BootDevice.DISK], [BootDevice.DISK, BootDevice.NETWORK]):
        vm = bed.vm(boot_order=order, disks=[DiskSpec(size=8 * MiB)], nics=[NicSpec()])
        assert bed.seen(vm).record.boot_order == tuple(order)


@behaviour(
    "vms.create", "A kernel to boot directly is the one asked for.", requires=("kernel_boot",), facts=("kernel",)
)
def test_a_kernel_to_boot_directly_is_the_one_asked_for(bed: Bed) -> None:
    assert bed.kernel
    plain = KernelBoot(bed.kernel.kernel)
    for kernel in (bed.kernel, plain, None):
        assert bed.seen(bed.vm(kernel=kernel)).record.kernel == kernel


@behaviour("vms.create", "The CPU topology is the one asked for.", requires=("cpu_topology",))
def test_the_cpu_topology_is_the_one_asked_for(bed: Bed) -> None:
    for topology in (CpuTopology(sockets=2, cores=4), CpuTopology(sockets=4, cores=2)):
        there = bed.seen(bed.vm(cpus=8, topology=topology))
        assert (there.cpus, there.record.topology) == (8, topology)


@behaviour(
    "vms.create", "A ceiling above the CPUs and memory at start is kept.", requires=("cpu_ceiling|memory_ceiling",)
)
def test_a_ceiling_above_the_cpus_and_memory_at_start_is_kept(bed: Bed) -> None:
    able = bed.host.capabilities
    cpus = 4 if able.cpu_ceiling else 2
    memory = 128 * MiB if able.memory_ceiling else 64 * MiB
    there = bed.seen(bed.vm(cpus=2, max_cpus=cpus, memory=64 * MiB, max_memory=memory)).record
    assert (there.cpus, there.max_cpus) == (2, cpus)
    assert (there.memory, there.max_memory) == (64 * MiB, memory)


@behaviour("vms.create", "Reservation, limit and shares are exactly those asked for.", requires=(ALLOCATION,))
def test_reservation_limit_and_shares_are_exactly_those_asked_for(bed: Bed) -> None:
    cpu, memory = allocations(bed.host.capabilities, cpus=2, memory=64 * MiB)
    there = bed.seen(bed.vm(cpus=2, memory=64 * MiB, cpu_allocation=cpu, memory_allocation=memory)).record
    assert there.cpu_allocation == cpu
    assert there.memory_allocation == memory


@behaviour("vms.create", "The guest OS hint is kept.", requires=("guest_os",))
def test_the_guest_os_hint_is_kept(bed: Bed) -> None:
    assert bed.seen(bed.vm(guest_os="debian12")).record.guest_os == "debian12"
    assert bed.seen(bed.vm(guest_os="win2k22")).record.guest_os == "win2k22"


@behaviour("vms.create", "Notes come back character for character.", requires=("notes",))
def test_notes_come_back_character_for_character(bed: Bed) -> None:
    text = " <b>&amp;</b> ]]> \"quoted\" 'too'\n\ttab, \\n, %s, ${x}, `id`\n\nnaïve 東京 🦆 \n"
    assert bed.seen(bed.vm(notes=text)).notes == text
    assert bed.seen(bed.vm(notes="")).notes == ""


@behaviour("vms.create", "Tags are those asked for.", requires=("tags",))
def test_tags_are_those_asked_for(bed: Bed) -> None:
    words = ("web", "größe-2", "a<b>&\"c';", "x" * 64)
    vm, other = bed.vm(tags=words), bed.vm()
    assert bed.seen(vm).tags == tuple(sorted(words))
    assert bed.seen(other).tags == ()
    assert bed.second.vms.find(lambda each: "web" in each.tags) == [vm]


@behaviour("vms.create", "Autostart is as asked for.", requires=("autostart",))
def test_autostart_is_as_asked_for(bed: Bed) -> None:
    assert bed.seen(bed.vm(autostart=True)).record.autostart
    assert not bed.seen(bed.vm(autostart=False)).record.autostart


@behaviour("vms.create", "More CPUs than the host allows are refused before anything is made.", requires=("max_cpus",))
def test_more_cpus_than_the_host_allows_are_refused(bed: Bed) -> None:
    most = bed.host.capabilities.max_cpus or 0
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(InvalidRequest):
        bed.vm(cpus=most + 1, disks=disks(bed))
    assert bed.backdoor.vm_ids() == vms
    assert bed.backdoor.files() == files


@behaviour(
    "vms.create",
    "More disks or NICs than the host allows are refused before anything is made.",
    requires=("max_disks|max_nics",),
)
def test_more_disks_or_nics_than_the_host_allows_are_refused(bed: Bed) -> None:
    most_disks, most_nics = bed.host.capabilities.max_disks, bed.host.capabilities.max_nics
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    if most_disks is not None:
        with pytest.raises(InvalidRequest):
            bed.vm(disks=[DiskSpec(size=8 * MiB)] * (most_disks + 1))
    if most_nics is not None:
        with pytest.raises(InvalidRequest):
            bed.vm(nics=[NicSpec()] * (most_nics + 1))
    assert bed.backdoor.vm_ids() == vms
    assert bed.backdoor.files() == files


@behaviour("vms.create", "A create that fails half-way leaves neither VM nor disk file.", requires=("disks",))
def test_a_create_that_fails_half_way_leaves_nothing(bed: Bed) -> None:
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(HyperkitError):
        bed.vm(disks=[DiskSpec(size=8 * MiB), DiskSpec(size=8 * MiB), DiskSpec(path=bed.missing_path)])
    assert bed.backdoor.vm_ids() == vms
    assert bed.backdoor.files() == files


@behaviour("vms.create", "Changing what was passed after the call changes nothing.")
def test_changing_what_was_passed_after_the_call_changes_nothing(bed: Bed) -> None:
    some, nics = disks(bed), [NicSpec()]
    fields: VMFields = bed.fields(disks=some, nics=nics, notes=notes(bed, "mine"))
    vm = bed.host.vms.create(bed.name_for("vm"), **fields)
    before = bed.seen(vm).record
    some.extend(disks(bed))
    nics.clear()
    fields["notes"] = "changed"
    assert bed.seen(vm).record == before
    assert (len(before.disks), len(before.nics)) == (len(disks(bed)), 1)
