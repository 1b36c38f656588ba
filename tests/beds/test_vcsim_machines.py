"""The vSphere bed tried by itself: virtual machines, their power, guests, snapshots and clones."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.beds import vcsim

if _reasons := vcsim.missing():
    pytest.skip("; ".join(_reasons), allow_module_level=True)

from pyVmomi import vim, vmodl

from tests.beds.vcsim import Key
from tests.beds.vcsim.client import Client, add, card, disk, disks, edit, new_disk, refused, result

if TYPE_CHECKING:
    from typing import Any

MIB = 1 << 20


def test_a_name_is_given_once_in_a_folder_and_escaped(vsphere: Client) -> None:
    vm = vsphere.create("a/b")
    assert vm.name == "a%2fb"
    with refused(vim.fault.DuplicateName):
        vsphere.create("a/b")
    other = vsphere.create("other")
    with refused(vim.fault.DuplicateName):
        result(other.Rename_Task("a/b"))
    with refused(vim.fault.DuplicateName):
        vsphere.reconfigure(other, name="a/b")
    assert other.name == "other"
    result(other.Rename_Task("it's"))
    assert other.name == other.config.name == other.summary.config.name == "it's"
    with refused(vim.fault.InvalidName):
        vsphere.create("x" * 81)


def test_what_fails_to_be_created_leaves_nothing_behind(vsphere: Client) -> None:
    root = vsphere.sim.datastores["LocalDS_0"]
    for changes, fault in (
        ([new_disk(0), add(disk(1, path="[LocalDS_0] none/none.vmdk", controller=-1))], vim.fault.FileNotFound),
        ([new_disk(0), new_disk(0)], vim.fault.InvalidDeviceSpec),
        ([new_disk(0), add(card("no such network"))], vim.fault.InvalidDeviceSpec),
        ([new_disk(0, controller=-7)], vim.fault.MissingController),
        ([new_disk(7)], vim.fault.InvalidDeviceSpec),  # the controller's own place
        ([new_disk(0, kib=0)], vim.fault.InvalidDeviceSpec),
        ([add(card(mac="no address"))], vim.fault.InvalidDeviceSpec),
        ([add(card(mac="01:00:5e:00:00:01"))], vim.fault.InvalidDeviceSpec),  # multicast
        ([add(card(mac="00:50:56:80:00:01"))], vim.fault.InvalidDeviceSpec),  # of vCenter's range
    ):
        with refused(fault):
            vsphere.create("web1", *changes)
        assert vsphere.all(vim.VirtualMachine) == []
        assert list(root.iterdir()) == []
    for settings in ({"memoryMB": 510}, {"numCPUs": 3, "numCoresPerSocket": 2}, {"guestId": "none"}, {"numCPUs": 200}):
        with refused(vmodl.fault.InvalidArgument):
            vsphere.create("web1", **settings)
        assert list(root.iterdir()) == []


def test_power_needs_the_right_state(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk())
    for wrong in (vm.PowerOffVM_Task, vm.SuspendVM_Task, vm.ResetVM_Task):
        with refused(vim.fault.InvalidPowerState):
            result(wrong())
    result(vm.PowerOnVM_Task())
    first = vm.runtime.bootTime
    with refused(vim.fault.InvalidPowerState):
        result(vm.PowerOnVM_Task())
    with refused(vim.fault.InvalidPowerState):
        result(vm.Destroy_Task())
    with refused(vim.fault.InvalidPowerState):
        vm.UnregisterVM()
    result(vm.ResetVM_Task())
    assert vm.runtime.bootTime > first
    result(vm.SuspendVM_Task())
    assert vm.runtime.powerState == vm.summary.runtime.powerState == "suspended"
    result(vm.PowerOnVM_Task())
    assert vsphere.sim.control.boots("web1") == 2
    result(vm.PowerOffVM_Task())
    (file,) = vsphere.sim.datastores["LocalDS_0"].glob("web1/web1.vmdk")
    file.unlink()
    with refused(vim.fault.FileNotFound):
        result(vm.PowerOnVM_Task())


def test_a_running_vm_is_changed_only_where_it_was_made_for_that(vsphere: Client) -> None:
    vm = vsphere.create("web1")
    result(vm.PowerOnVM_Task())
    with refused(vim.fault.CpuHotPlugNotSupported):
        vsphere.reconfigure(vm, numCPUs=4)
    with refused(vim.fault.MemoryHotPlugNotSupported):
        vsphere.reconfigure(vm, memoryMB=1024)
    with refused(vim.fault.InvalidPowerState):
        vsphere.reconfigure(vm, cpuHotAddEnabled=True)
    result(vm.PowerOffVM_Task())
    vsphere.reconfigure(vm, cpuHotAddEnabled=True, memoryHotAddEnabled=True)
    result(vm.PowerOnVM_Task())
    vsphere.reconfigure(vm, numCPUs=4, memoryMB=1024)
    assert (vm.config.hardware.numCPU, vm.summary.config.memorySizeMB) == (4, 1024)
    with refused(vim.fault.CpuHotPlugNotSupported):
        vsphere.reconfigure(vm, numCPUs=2)
    with refused(vim.fault.MemoryHotPlugNotSupported):
        vsphere.reconfigure(vm, memoryMB=512)


def test_a_change_leaves_what_it_does_not_name(vsphere: Client) -> None:
    vm = vsphere.create("web1", annotation="notes")
    vsphere.reconfigure(vm, cpuAllocation=vim.ResourceAllocationInfo(reservation=100))
    vsphere.reconfigure(vm, cpuAllocation=vim.ResourceAllocationInfo(limit=1000))
    assert (vm.config.cpuAllocation.reservation, vm.config.cpuAllocation.limit) == (100, 1000)
    with refused(vmodl.fault.InvalidArgument):
        vsphere.reconfigure(vm, memoryAllocation=vim.ResourceAllocationInfo(reservation=513))
    vsphere.reconfigure(vm, extraConfig=[vim.option.OptionValue(key="a", value="1")])
    vsphere.reconfigure(vm, extraConfig=[vim.option.OptionValue(key="b", value="2")])
    vsphere.reconfigure(vm, extraConfig=[vim.option.OptionValue(key="a", value="")])
    assert {option.key: option.value for option in vm.config.extraConfig} == {"b": "2"}
    assert vm.config.annotation == "notes"
    vsphere.reconfigure(vm, annotation="")
    assert not vm.config.annotation
    version = vm.config.changeVersion
    vsphere.reconfigure(vm, numCPUs=1, changeVersion=version)
    with refused(vim.fault.ConcurrentAccess):
        vsphere.reconfigure(vm, numCPUs=2, changeVersion=version)


def _eventually(question: Any) -> None:
    end = time.monotonic() + 5
    while not question():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_guest_hears_by_its_tools_and_takes_its_time(vsphere: Client) -> None:
    vm, control = vsphere.create("web1", add(card())), vsphere.sim.control
    with refused(vim.fault.InvalidPowerState):
        vm.ShutdownGuest()
    result(vm.PowerOnVM_Task())
    for request in (vm.ShutdownGuest, vm.RebootGuest, vm.StandbyGuest):
        with refused(vim.fault.ToolsUnavailable):
            request()
    assert vm.guest.toolsStatus == "toolsNotInstalled"
    control.guest("web1", tools="running", host_name="web", addresses=["10.0.0.1", "fe80::1"], shutdown=0.2)
    assert (vm.guest.toolsRunningStatus, vm.guest.hostName, vm.guest.ipAddress) == (
        *("guestToolsRunning", "web"),
        "10.0.0.1",
    )
    (net,) = vm.guest.net
    assert [(each.ipAddress, each.prefixLength) for each in net.ipConfig.ipAddress] == [
        ("10.0.0.1", 24),
        ("fe80::1", 64),
    ]
    assert vm.guest.ipStack[0].dnsConfig.hostName == "web"
    boots = control.boots("web1")
    vm.RebootGuest()
    _eventually(lambda: control.boots("web1") == boots + 1)
    control.guest("web1", ignore=1)
    vm.ShutdownGuest()
    time.sleep(0.3)
    assert vm.runtime.powerState == "poweredOn"
    vm.ShutdownGuest()
    assert vm.runtime.powerState == "poweredOn"
    _eventually(lambda: vm.runtime.powerState == "poweredOff")
    assert vm.guest.toolsRunningStatus == "guestToolsNotRunning"
    assert vm.guest.ipAddress is None
    manager = vsphere.content.eventManager
    by_vm = vim.event.EventFilterSpec.ByEntity(entity=vm, recursion="self")
    seen = [type(each).__name__ for each in manager.QueryEvents(vim.event.EventFilterSpec(entity=by_vm))]
    assert "vim.event.VmGuestRebootEvent" in seen
    assert type(manager.latestEvent) is vim.event.VmPoweredOffEvent
    result(vm.PowerOnVM_Task())
    result(vm.ResetVM_Task())
    assert type(manager.latestEvent) is vim.event.VmResettingEvent


def test_a_guest_boots_from_its_disk_and_copies_of_it(vsphere: Client) -> None:
    base = vsphere.create("base", new_disk(path=""))
    path = disks(base)[0].backing.fileName
    vsphere.sim.control.install(path, tools="running", addresses=["10.0.0.9"])
    copy = "[LocalDS_0] copy.vmdk"
    result(
        vsphere.content.virtualDiskManager.CopyVirtualDisk_Task(
            path, vsphere.first(vim.Datacenter), copy, vsphere.first(vim.Datacenter)
        )
    )
    vm = vsphere.create("web1", add(disk(path=copy, controller=-1)), add(card()))
    result(vm.CreateSnapshot_Task("s", "", memory=False, quiesce=False))
    result(vm.PowerOnVM_Task())
    assert vm.guest.ipAddress == "10.0.0.9"


def test_a_question_blocks_until_it_is_answered(vsphere: Client) -> None:
    vm, control = vsphere.create("web1"), vsphere.sim.control
    result(vm.PowerOnVM_Task())
    question = control.ask("web1", "Did you move it or copy it?", ["I moved it", "I copied it"], default=1)
    asked = vm.runtime.question
    assert (asked.id, asked.text) == (question, "Did you move it or copy it?")
    assert [choice.label for choice in asked.choice.choiceInfo] == ["I moved it", "I copied it"]
    with refused(vim.fault.InvalidState):
        result(vm.SuspendVM_Task())
    with refused(vmodl.fault.InvalidArgument):
        vm.AnswerVM("999", "0")
    with refused(vmodl.fault.InvalidArgument):
        vm.AnswerVM(question, "2")
    vm.AnswerVM(question, "1")
    assert vm.runtime.question is None
    assert control.answer("web1") == "1"
    result(vm.SuspendVM_Task())


def test_a_vm_whose_files_cannot_be_read_has_no_configuration(vsphere: Client) -> None:
    vm = vsphere.create("web1")
    vsphere.sim.control.connection(vm._GetMoId(), "inaccessible")
    assert (vm.config, vm.runtime.connectionState) == (None, "inaccessible")
    assert vsphere.collect(vim.VirtualMachine, "config.hardware.numCPU", "name").objects[0].propSet[0].name == "name"
    with refused(vim.fault.InvalidState):
        result(vm.PowerOnVM_Task())
    vsphere.sim.control.connection("web1", "orphaned")
    assert vm.config.name == "web1"
    vsphere.sim.control.connection("web1", "connected")
    result(vm.PowerOnVM_Task())


def test_a_picture_of_the_screen_and_keys(vsphere: Client) -> None:
    vm = vsphere.create("web1")
    with refused(vim.fault.InvalidPowerState):
        result(vm.CreateScreenshot_Task())
    result(vm.PowerOnVM_Task())
    path = result(vm.CreateScreenshot_Task())
    file = vsphere.sim.datastores["LocalDS_0"] / path.removeprefix("[LocalDS_0] ")
    assert file.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    scan = vim.UsbScanCodeSpec
    events = [scan.KeyEvent(usbHidCode=0x40007, modifiers=scan.ModifierType(leftShift=True, rightAlt=False))]
    assert vm.PutUsbScanCodes(scan(keyEvents=events)) == 1
    assert vsphere.sim.control.keys("web1") == [Key(0x40007, ("leftShift",))]


def _names(vm: Any) -> list[tuple[str, str]]:
    def under(nodes: Any, parent: str) -> list[tuple[str, str]]:
        found = []
        for node in nodes:
            found += [(node.name, parent), *under(node.childSnapshotList, node.name)]
        return found

    return under(vm.snapshot.rootSnapshotList, "") if vm.snapshot else []


def _snapshot(vm: Any, name: str, *, memory: bool = False, quiesce: bool = False) -> Any:
    return result(vm.CreateSnapshot_Task(name, "", memory, quiesce))


def test_a_snapshot_begins_files_and_its_removal_ends_them(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk())
    home = vsphere.sim.datastores["LocalDS_0"] / "web1"
    first, second, third = (_snapshot(vm, name) for name in ("one", "two", "two"))
    assert _names(vm) == [("one", ""), ("two", "one"), ("two", "two")]
    backing = disks(vm)[0].backing
    chain = []
    while backing:
        chain.append(backing.fileName.rpartition("/")[2])
        backing = backing.parent
    assert chain == ["web1-000003.vmdk", "web1-000002.vmdk", "web1-000001.vmdk", "web1.vmdk"]
    with refused(vim.fault.InvalidDeviceOperation):
        grown = disks(vm)[0]
        grown.capacityInKB *= 2
        grown.capacityInBytes *= 2
        vsphere.reconfigure(vm, edit(grown))
    second.RenameSnapshot("renamed", "why")
    result(first.RemoveSnapshot_Task(removeChildren=False))
    assert _names(vm) == [("renamed", ""), ("two", "renamed")]
    result(second.RemoveSnapshot_Task(removeChildren=True))
    assert vm.snapshot is None
    assert vm.rootSnapshot == []
    assert sorted(each.name for each in home.glob("*.vmdk")) == ["web1-flat.vmdk", "web1.vmdk"]
    assert disks(vm)[0].backing.fileName == "[LocalDS_0] web1/web1.vmdk"
    with refused(vmodl.fault.ManagedObjectNotFound):
        third.RenameSnapshot("gone", "")


def test_a_revert_brings_back_configuration_devices_and_power(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk(), add(card()))
    off = _snapshot(vm, "off")
    result(vm.PowerOnVM_Task())
    on, cold = _snapshot(vm, "on", memory=True), _snapshot(vm, "cold")
    result(vm.PowerOffVM_Task())
    vsphere.reconfigure(vm, new_disk(1, controller=1000), numCPUs=4)
    result(vm.Rename_Task("web2"))
    result(on.RevertToSnapshot_Task())
    assert vm.runtime.powerState == "poweredOn"
    assert (vm.config.hardware.numCPU, len(disks(vm)), vm.name) == (2, 1, "web2")
    assert vm.snapshot.currentSnapshot == on
    result(cold.RevertToSnapshot_Task())
    assert vm.runtime.powerState == "poweredOff"
    result(on.RevertToSnapshot_Task(suppressPowerOn=True))
    assert vm.runtime.powerState == "poweredOff"
    result(off.RevertToSnapshot_Task())
    _snapshot(vm, "branch")
    assert _names(vm) == [("off", ""), ("on", "off"), ("cold", "on"), ("branch", "off")]
    result(vm.Destroy_Task())
    # A disk that was added since is taken away, and its file stays.
    assert {path.name for path in vsphere.sim.datastores["LocalDS_0"].glob("*/*.vmdk")} == {
        "web1_1.vmdk",
        "web1_1-flat.vmdk",
    }


def test_a_quiesced_snapshot_needs_tools(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk())
    result(vm.PowerOnVM_Task())
    with refused(vim.fault.ApplicationQuiesceFault):
        _snapshot(vm, "quiet", quiesce=True)
    vsphere.sim.control.guest("web1", tools="running")
    _snapshot(vm, "quiet", quiesce=True)
    assert vm.snapshot.rootSnapshotList[0].quiesced


def test_disks_that_were_not_merged_are_consolidated(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk())
    snapshot = _snapshot(vm, "one")
    vsphere.sim.control.fail_consolidation("web1")
    result(snapshot.RemoveSnapshot_Task(removeChildren=False))
    assert vm.runtime.consolidationNeeded
    assert disks(vm)[0].backing.parent
    result(vm.ConsolidateVMDisks_Task())
    assert not vm.runtime.consolidationNeeded
    assert not disks(vm)[0].backing.parent


def _clone(vm: Any, name: str, **spec: Any) -> Any:
    place = vim.vm.RelocateSpec(pool=spec.pop("pool", None), diskMoveType=spec.pop("move", None))
    spec = {"powerOn": False, "template": False} | spec
    return result(vm.CloneVM_Task(vm.parent, name, vim.vm.CloneSpec(location=place, **spec)))


def test_a_vcenter_clones_and_has_templates(vcenter: Client) -> None:
    vm = vcenter.create("web1", new_disk(), add(card()), annotation="notes")
    full = _clone(vm, "full", config=vim.vm.ConfigSpec(numCPUs=1))
    assert (full.config.hardware.numCPU, full.config.annotation) == (1, "notes")
    assert disks(full)[0].backing.fileName == "[LocalDS_0] full/full.vmdk"
    with refused(vim.fault.DuplicateName):
        _clone(vm, "full")
    with refused(vmodl.fault.InvalidArgument):
        _clone(vm, "linked", move="createNewChildDiskBacking")
    snapshot = _snapshot(vm, "one")
    linked = _clone(vm, "linked", move="createNewChildDiskBacking", snapshot=snapshot, powerOn=True)
    assert disks(linked)[0].backing.parent.fileName == "[LocalDS_0] web1/web1.vmdk"
    assert linked.runtime.powerState == "poweredOn"
    macs = {
        device.macAddress
        for each in (vm, full, linked)
        for device in each.config.hardware.device
        if hasattr(device, "macAddress")
    }
    assert len(macs) == 3
    pool = full.resourcePool
    full.MarkAsTemplate()
    assert full.config.template
    for wrong in (full.PowerOnVM_Task, lambda: full.ReconfigVM_Task(vim.vm.ConfigSpec(numCPUs=2))):
        with refused(vmodl.fault.NotSupported):
            result(wrong())
    with refused(vmodl.fault.InvalidArgument):
        _clone(full, "from-template")
    assert _clone(full, "from-template", pool=pool).resourcePool == pool
    full.MarkAsVirtualMachine(pool)
    result(full.PowerOnVM_Task())


def test_a_host_alone_neither_clones_nor_has_templates(esx: Client) -> None:
    vm = esx.create("web1")
    with refused(vmodl.fault.NotSupported):
        _clone(vm, "copy")
    with refused(vmodl.fault.NotSupported):
        vm.MarkAsTemplate()


def test_autostart_is_kept_by_vm(vsphere: Client) -> None:
    vm = vsphere.create("web1")
    manager = vm.runtime.host.configManager.autoStartManager
    info = vim.host.AutoStartManager.AutoPowerInfo(
        key=vm,
        startOrder=-1,
        startDelay=-1,
        startAction="powerOn",
        stopDelay=-1,
        stopAction="systemDefault",
        waitForHeartbeat="systemDefault",
    )
    defaults = vim.host.AutoStartManager.SystemDefaults(enabled=True)
    manager.ReconfigureAutostart(vim.host.AutoStartManager.Config(defaults=defaults, powerInfo=[info]))
    assert manager.config.defaults.enabled
    assert manager.config.defaults.startDelay == 120
    assert [(each.key, each.startAction) for each in manager.config.powerInfo] == [(vm, "powerOn")]
    info.startOrder = 0
    with refused(vmodl.fault.InvalidArgument):
        manager.ReconfigureAutostart(vim.host.AutoStartManager.Config(powerInfo=[info]))
