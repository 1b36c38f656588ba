"""Records of VMs that no simulator has, of answers that pyVmomi writes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("pyVmomi", reason="no Python module pyVmomi (pyvmomi)")

from pyVmomi import vim, vmodl

from hyperkit import (
    Allocation,
    BootDevice,
    CpuTopology,
    DiskBus,
    DiskFormat,
    Firmware,
    GiB,
    MiB,
    PowerState,
    StateReason,
)
from hyperkit.backends.esxi import kept, reader
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.records import AgentState, QuestionRecord, VMRecord
from tests.backends.esxi.answers import Recorded, content, envelope, page

dev = vim.vm.device
Flat = dev.VirtualDisk.FlatVer2BackingInfo
VM = vim.VirtualMachine("vm-7")
HOST = vim.HostSystem("host-3")
STARTER = vim.host.AutoStartManager("starter-3")

BASE: dict[str, Any] = {
    "name": "web1",
    "runtime.powerState": "poweredOn",
    "runtime.connectionState": "connected",
    "runtime.host": HOST,
    "summary.config.template": False,
    "config.guestId": "debian12_64Guest",
}


def record(values: dict[str, Any] | None = None, *, devices: tuple[Any, ...] = (), **hardware: Any) -> VMRecord:
    """The record of a VM that the host tells this of."""
    parts = {"numCPU": 2, "memoryMB": 2048, "numCoresPerSocket": 1, **hardware}
    told = {**BASE, "config.hardware": vim.vm.VirtualHardware(device=list(devices), **parts), **(values or {})}
    return read(content(VM, {path: value for path, value in told.items() if value is not None}))


def read(*objects: Any) -> VMRecord:
    references = (
        content(vim.Network("network-9"), {"name": "LAN %2f 1"}),
        content(vim.dvs.DistributedVirtualPortgroup("dvportgroup-5"), {"name": "dv"}),
        content(
            HOST,
            {
                "name": "esx1.example",
                "configManager.autoStartManager": STARTER,
                "summary.hardware": vim.host.Summary.HardwareSummary(
                    cpuMhz=2400, numCpuThreads=32, **dict.fromkeys(("vendor", "model", "uuid", "cpuModel"), "")
                ),
            },
        ),
        content(
            STARTER,
            {
                "config": vim.host.AutoStartManager.Config(
                    defaults=vim.host.AutoStartManager.SystemDefaults(enabled=True),
                    powerInfo=[_starting("vm-1", "none"), _starting("vm-7", "PowerOn")],
                )
            },
        ),
    )
    return Inventory(Recorded(page(*objects, *references))).get("vm-7")  # type: ignore[arg-type]  # all it needs of one


def _starting(vm_id: str, action: str) -> Any:
    return vim.host.AutoStartManager.AutoPowerInfo(
        key=vim.VirtualMachine(vm_id),
        startOrder=-1,
        startDelay=-1,
        waitForHeartbeat="systemDefault",
        startAction=action,
        stopDelay=-1,
        stopAction="systemDefault",
    )


def disk(*files: str, key: int = 2000, controller: int = 1000, **fields: Any) -> Any:
    backing = None
    for file in reversed(files):
        backing = Flat(fileName=file, diskMode="persistent", parent=backing)
    sizes = {"capacityInKB": 1024, "capacityInBytes": 1024 * 1024, **fields}
    return dev.VirtualDisk(key=key, backing=backing, controllerKey=controller, unitNumber=0, **sizes)


def nic(kind: Any = dev.VirtualVmxnet3, *, key: int = 4000, **fields: Any) -> Any:
    backing = dev.VirtualEthernetCard.NetworkBackingInfo(deviceName="LAN %2f 1", network=vim.Network("network-9"))
    link = dev.VirtualDevice.ConnectInfo(startConnected=True, allowGuestControl=True, connected=True)
    return kind(**{"key": key, "backing": backing, "connectable": link, "macAddress": "00:50:56:AB:cd:EF", **fields})


def ours(**fields: Any) -> dict[str, Any]:
    return {reader.KEPT: kept.option(kept.Kept(**fields))}


# Disks


def test_a_disk_has_its_size_to_the_byte_and_its_controllers_bus() -> None:
    controllers = (
        dev.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus="noSharing"),
        dev.VirtualLsiLogicSASController(key=1001, busNumber=1, sharedBus="noSharing"),
        dev.VirtualAHCIController(key=15000, busNumber=0),
        dev.VirtualNVMEController(key=31000, busNumber=0),
        dev.VirtualIDEController(key=200, busNumber=0),
    )
    keys = (1000, 1001, 15000, 31000, 200, 7)
    disks = [disk(f"[ds] a/{key}.vmdk", key=key + 1, controller=key, capacityInBytes=1024**2 + 512) for key in keys]
    found = record(devices=(*disks[:3], *controllers, *disks[3:])).disks
    assert [(one.id, one.bus) for one in found] == [
        ("1001", DiskBus.SCSI),
        ("1002", DiskBus.SCSI),
        ("15001", DiskBus.SATA),
        ("31001", DiskBus.NVME),
        ("201", DiskBus.IDE),
        ("8", None),
    ]
    assert {one.size for one in found} == {1024**2 + 512}
    assert {one.format for one in found} == {DiskFormat.VMDK}


def test_a_disk_of_a_host_before_5_5_has_its_size_in_kilobytes() -> None:
    (one,) = record(devices=(disk("[ds] a/a.vmdk", capacityInBytes=None, capacityInKB=2048),)).disks
    assert one.size == 2 * MiB


def test_files_of_snapshots_are_the_disk_too() -> None:
    values = ours(created=frozenset({"[ds] a/a.vmdk"}))
    files = ("[ds] a/a-000002.vmdk", "[ds] a/a-000001.vmdk", "[ds] a/a.vmdk")
    (one,) = record(values, devices=(disk(*files),)).disks
    assert (one.path, one.chain, one.base, one.created) == (files[0], files[1:], None, True)


def test_a_file_in_another_vms_directory_is_what_a_linked_clone_began_from() -> None:
    files = ("[ds] clone/clone-000001.vmdk", "[ds] clone/clone.vmdk", "[ds] web/web-000001.vmdk", "[ds] web/web.vmdk")
    for created in ("[ds] web/web.vmdk", "[ds] clone/clone.vmdk"):  # a clone gets its source's options, too
        (one,) = record(ours(created=frozenset({created})), devices=(disk(*files),)).disks
        assert (one.chain, one.base) == (files[1:2], files[2])
        assert one.created == (created == files[1])


def test_below_a_file_that_hyperkit_created_is_its_base() -> None:
    files = ("[ds] a/a-000001.vmdk", "[ds] a/a.vmdk", "[ds] a/image.vmdk")
    (one,) = record(ours(created=frozenset(files[1:2])), devices=(disk(*files),)).disks
    assert (one.chain, one.base, one.created) == (files[1:2], files[2], True)


def test_a_raw_device_has_its_mapping_file_and_no_format() -> None:
    mapped = dev.VirtualDisk.RawDiskMappingVer1BackingInfo(
        fileName="[ds] a/rdm.vmdk", deviceName="vml.0200", diskMode="independent_persistent", compatibilityMode="x"
    )
    bare = dev.VirtualDisk(key=1, capacityInKB=1, controllerKey=1, unitNumber=0)
    (one,) = record(devices=(bare,)).disks
    assert (one.path, one.format) == ("", None)
    raw = dev.VirtualDisk(key=1, backing=mapped, capacityInKB=1, controllerKey=1, unitNumber=0)
    (one,) = record(devices=(raw,)).disks
    assert (one.path, one.format, one.chain) == ("[ds] a/rdm.vmdk", None, ())


# NICs and CD-ROM drives


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (dev.VirtualVmxnet3, "vmxnet3"),
        (dev.VirtualVmxnet2, "vmxnet2"),
        (dev.VirtualE1000, "e1000"),
        (dev.VirtualE1000e, "e1000e"),
        (dev.VirtualPCNet32, "pcnet32"),
        (dev.VirtualSriovEthernetCard, "sriov"),
    ],
)
def test_a_nics_model_is_its_type(kind: Any, model: str) -> None:
    (one,) = record(devices=(nic(kind),)).nics
    assert (one.model, one.mac) == (model, "00:50:56:ab:cd:ef")
    assert (one.switch_id, one.switch) == ("network-9", "LAN / 1")


def test_a_nic_of_a_distributed_port_group_names_it() -> None:
    port = vim.dvs.PortConnection(switchUuid="50 1c", portgroupKey="dvportgroup-5")
    backing = dev.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    (one,) = record(devices=(nic(backing=backing),)).nics
    assert (one.switch_id, one.switch) == ("dvportgroup-5", "dv")


@pytest.mark.parametrize(("mark", "link_up"), [("hyperkit/unplugged", True), ("hyperkit/unplugged/down", False)])
def test_a_nic_that_is_marked_so_is_plugged_into_nothing(mark: str, link_up: bool) -> None:
    (one,) = record(devices=(nic(externalId=mark),)).nics
    assert (one.switch_id, one.switch, one.link_up) == (None, None, link_up)
    (other,) = record(devices=(nic(externalId="somebody's"),)).nics
    assert other.switch_id == "network-9"


@pytest.mark.parametrize(
    ("running", "start", "connected", "status", "up"),
    [
        (True, True, True, "ok", True),
        (True, True, False, "ok", False),
        (True, True, False, "untried", True),
        (True, False, False, "untried", False),
        (True, False, True, "ok", True),
        (False, True, False, "untried", True),
        (False, False, False, "untried", False),
    ],
)
def test_a_link_is_up_if_it_is_connected_or_will_be(
    running: bool, start: bool, connected: bool, status: str, up: bool
) -> None:
    link = dev.VirtualDevice.ConnectInfo(
        startConnected=start, connected=connected, status=status, allowGuestControl=True
    )
    state = {"runtime.powerState": "poweredOn" if running else "poweredOff"}
    (one,) = record(state, devices=(nic(connectable=link),)).nics
    assert one.link_up == up


def test_addresses_are_those_that_tools_tell_of_the_card() -> None:
    told = ["10.0.0.5", "fe80::1", "2001:DB8::5", "127.0.0.1", "fe80::2%eth0", "what?"]
    net = [
        vim.vm.GuestInfo.NicInfo(deviceConfigId=4001, ipAddress=told, connected=True),
        vim.vm.GuestInfo.NicInfo(deviceConfigId=-1, ipAddress=["172.17.0.1"], connected=True),
    ]
    nics = record({"guest.net": vim.vm.GuestInfo.NicInfo.Array(net)}, devices=(nic(), nic(key=4001))).nics
    assert [one.addresses for one in nics] == [(), ("10.0.0.5", "2001:db8::5")]


def test_a_drive_has_the_iso_that_is_in_it() -> None:
    backings = (
        dev.VirtualCdrom.IsoBackingInfo(fileName="[ds] isos/a b.iso"),
        dev.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False),
        dev.VirtualCdrom.AtapiBackingInfo(deviceName="/dev/cdrom"),
    )
    drives = [dev.VirtualCdrom(key=3000 + at, backing=one) for at, one in enumerate(backings)]
    cdroms = record(devices=tuple(drives)).cdroms
    assert [(one.id, one.iso) for one in cdroms] == [("3000", "[ds] isos/a b.iso"), ("3001", None), ("3002", None)]


def test_a_device_of_a_type_that_nobody_knows_is_read_by_its_fields() -> None:
    """A type that is younger than pyVmomi, which would refuse the whole answer."""
    text = page(content(VM, {**BASE, "config.hardware": vim.vm.VirtualHardware(device=[nic(), disk("[d] a/a.vmdk")])}))
    for known, unknown in (("VirtualVmxnet3", "VirtualVmxnet9"), ("VirtualDiskFlatVer2", "VirtualDiskFlatVer9")):
        text = text.replace(f'type="{known}'.encode(), f'type="ns7:{unknown}'.encode())
    found = Inventory(Recorded(text)).get("vm-7")  # type: ignore[arg-type]  # all it needs of one
    assert [(one.model, one.switch_id) for one in found.nics] == [("vmxnet9", "network-9")]
    assert [(one.path, one.size) for one in found.disks] == [("[d] a/a.vmdk", MiB)]


# The machine


def test_firmware_secure_boot_and_tpm() -> None:
    plain = record()
    assert (plain.firmware, plain.secure_boot, plain.tpm) == (Firmware.BIOS, False, False)
    options = vim.vm.BootOptions(efiSecureBootEnabled=True)
    modern = record({"config.firmware": "efi", "config.bootOptions": options}, devices=(dev.VirtualTPM(key=11000),))
    assert (modern.firmware, modern.secure_boot, modern.tpm) == (Firmware.UEFI, True, True)


def test_a_boot_order_names_each_kind_once() -> None:
    boot = vim.vm.BootOptions
    entries = [
        boot.BootableEthernetDevice(deviceKey=4000),
        boot.BootableFloppyDevice(),
        boot.BootableDiskDevice(deviceKey=2000),
        boot.BootableDiskDevice(deviceKey=2001),
        boot.BootableCdromDevice(),
    ]
    assert record({"config.bootOptions": boot(bootOrder=entries)}).boot_order == (
        BootDevice.NETWORK,
        BootDevice.DISK,
        BootDevice.CDROM,
    )
    assert record({"config.bootOptions": boot()}).boot_order == (BootDevice.DISK,)


def test_a_boot_order_that_was_given_is_told_as_long_as_the_hosts_own_fits() -> None:
    boot = vim.vm.BootOptions
    given = ours(boot_order=("network", "disk", "sofa"))
    only_disk = {"config.bootOptions": boot(bootOrder=[boot.BootableDiskDevice(deviceKey=2000)])}
    assert record({**given, **only_disk}).boot_order == (BootDevice.NETWORK, BootDevice.DISK)
    other = [boot.BootableDiskDevice(deviceKey=2000), boot.BootableEthernetDevice(deviceKey=4000)]
    changed = {"config.bootOptions": boot(bootOrder=other)}
    assert record({**given, **changed}).boot_order == (BootDevice.DISK, BootDevice.NETWORK)


def test_a_topology_is_what_somebody_chose() -> None:
    assert record().topology is None
    assert record(numCPU=8, numCoresPerSocket=4).topology == CpuTopology(sockets=2, cores=4)
    assert record(numCPU=8, numCoresPerSocket=4, autoCoresPerSocket=True).topology is None


def test_ceilings_are_those_kept_or_the_hosts_or_what_there_is() -> None:
    assert (record().max_cpus, record().max_memory) == (2, 2 * GiB)
    hot = {"config.cpuHotAddEnabled": True, "config.memoryHotAddEnabled": True, "config.hotPlugMemoryLimit": 65536}
    assert (record(hot).max_cpus, record(hot).max_memory) == (32, 64 * GiB)
    both = {**hot, **ours(max_cpus=4, max_memory=4 * GiB)}
    assert (record(both).max_cpus, record(both).max_memory) == (4, 4 * GiB)
    grown = ours(max_cpus=1, max_memory=GiB)
    assert (record(grown).max_cpus, record(grown).max_memory) == (2, 2 * GiB)


def test_allocations_count_in_the_models_units() -> None:
    shares = vim.SharesInfo(level="custom", shares=3000)
    info = vim.ResourceAllocationInfo(reservation=1200, limit=3600, shares=shares)
    assert record({"config.cpuAllocation": info}).cpu_allocation == Allocation(500, 1500, 150)
    memory = vim.ResourceAllocationInfo(reservation=1024, limit=-1, shares=vim.SharesInfo(level="low", shares=1))
    assert record({"config.memoryAllocation": memory}).memory_allocation == Allocation(GiB, None, 50)


def test_what_is_kept_survives_what_people_write_there() -> None:
    for text in ("", "{", "[]", '{"tags": 5, "created": [1], "max_cpus": true}', '"x"'):
        option = vim.option.OptionValue(key="hyperkit", value=text)
        for values in ({reader.KEPT: option}, {reader.OPTIONS: vim.option.OptionValue.Array([option])}):
            assert record(values).tags == ()
    assert record(ours(tags=("a", "b"))).tags == ("a", "b")


def test_autostart_host_and_guest() -> None:
    one = record()
    assert (one.autostart, one.host, one.guest_os) == (True, "esx1.example", "debian12")
    assert record({"runtime.host": None}).autostart is False


@pytest.mark.parametrize(
    ("running", "version", "state"),
    [
        ("guestToolsRunning", "guestToolsUnmanaged", AgentState.RUNNING),
        ("guestToolsExecutingScripts", "guestToolsCurrent", AgentState.RUNNING),
        ("guestToolsNotRunning", "guestToolsCurrent", AgentState.STOPPED),
        ("guestToolsNotRunning", "guestToolsNotInstalled", AgentState.MISSING),
        ("guestToolsNotRunning", None, AgentState.UNKNOWN),
        (None, None, AgentState.UNKNOWN),
    ],
)
def test_the_state_of_tools(running: str | None, version: str | None, state: AgentState) -> None:
    assert record({"guest.toolsRunningStatus": running, "guest.toolsVersionStatus2": version}).agent is state


def test_a_question_has_its_choices_and_the_hosts_proposal() -> None:
    choices = [
        vim.ElementDescription(key="0", label="Cancel", summary=""),
        vim.ElementDescription(key="1", label="I Moved It", summary=""),
    ]
    info = vim.vm.QuestionInfo(
        id="_vmx1", text="msg.uuid.altered:?", choice=vim.option.ChoiceOption(choiceInfo=choices, defaultIndex=1)
    )
    expected = QuestionRecord(
        id="_vmx1", text="msg.uuid.altered:?", choices={"0": "Cancel", "1": "I Moved It"}, default="1"
    )
    assert record({"runtime.question": info}).question == expected
    info.choice.defaultIndex = None
    asked = record({"runtime.question": info}).question
    assert asked is not None
    assert asked.default is None


# VMs that cannot be looked into


@pytest.mark.parametrize("state", ["disconnected", "orphaned", "inaccessible", "invalid", "more to come"])
def test_a_vm_out_of_sight_is_told_as_that(state: str) -> None:
    values = {"runtime.connectionState": state}
    assert (record(values).state, record(values).reason) == (PowerState.UNKNOWN, StateReason.UNREACHABLE)


def test_a_vm_whose_configuration_is_lost_has_what_its_summary_says() -> None:
    found = read(
        content(
            VM,
            {
                "name": "%2fvmfs%2fvolumes%2f1%2fweb1%2fweb1.vmx",
                "runtime.connectionState": "inaccessible",
                "summary.config.numCpu": 4,
                "summary.config.memorySizeMB": 1024,
            },
        )
    )
    assert (found.name, found.state) == ("/vmfs/volumes/1/web1/web1.vmx", PowerState.UNKNOWN)
    assert (found.cpus, found.memory, found.disks, found.nics) == (4, GiB, (), ())


def test_what_may_not_be_read_is_left_out_and_nothing_else_is() -> None:
    denied = vim.fault.NoPermission(object=VM, privilegeId="System.Read")
    found = read(content(VM, BASE, {"config.hardware": denied, "config.annotation": denied}))
    assert (found.name, found.state, found.disks) == ("web1", PowerState.RUNNING, ())


# Answers


def test_faults_instead_of_values_are_told() -> None:
    denied = vim.fault.NoPermission(object=VM, privilegeId="System.Read")
    (found,) = Recorded(page(content(VM, {"name": "x"}, {"config": denied}))).vms("name", "config")
    assert list(found.values) == ["name"]
    assert list(found.missing) == ["config"]


def test_pages_follow_one_another_and_are_not_asked_for_before_they_are_needed() -> None:
    def one(number: int) -> Any:
        return content(vim.VirtualMachine(f"vm-{number}"), {"name": str(number)})

    host = Recorded(page(one(1), one(2), token="t1"), page(one(3), token="t2"), page(one(4)))
    found = host.properties.all("VirtualMachine", ["name"])
    assert [next(found).ref.id for _ in range(2)] == ["vm-1", "vm-2"]
    assert host.asked == ["RetrievePropertiesEx"]
    assert [each.ref.id for each in found] == ["vm-3", "vm-4"]
    assert host.asked == ["RetrievePropertiesEx", *["ContinueRetrievePropertiesEx"] * 2]


def test_nothing_found_is_an_answer_without_a_value() -> None:
    assert Recorded(envelope("")).vms("name") == []


@pytest.mark.parametrize(
    "objects",
    ["<objects/>", "<objects><propSet/></objects>", "<objects><propSet><name>name</name></propSet></objects>"],
)
def test_an_object_without_what_every_object_has_is_no_crash(objects: str) -> None:
    (found,) = Recorded(envelope(f"<returnval>{objects}</returnval>")).vms("name")
    assert (found.ref.id, found.values) == ("", {})


def test_comments_and_instructions_within_an_answer_are_nothing() -> None:
    text = page(content(VM, {**BASE, "config.hardware": vim.vm.VirtualHardware(numCPU=3, device=[nic()])}))
    for tag in (b"<device ", b"<key>", b"<propSet>"):
        text = text.replace(tag, b"<!-- c --><?p i?>" + tag)
    found = Inventory(Recorded(text)).get("vm-7")  # type: ignore[arg-type]  # all it needs of one
    assert (found.cpus, len(found.nics)) == (3, 1)


def test_a_vm_that_is_not_in_the_answer_is_an_error_of_its_own() -> None:
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        Inventory(Recorded(envelope(""))).get("vm-7")  # type: ignore[arg-type]  # all it needs of one


def test_times_of_snapshots_are_in_utc() -> None:
    from hyperkit.backends.esxi.tree import moment

    for told in ("2024-02-29T13:00:00Z", "2024-02-29T14:00:00+01:00", "2024-02-29T13:00:00"):
        assert moment(told) == datetime(2024, 2, 29, 13, tzinfo=UTC)
