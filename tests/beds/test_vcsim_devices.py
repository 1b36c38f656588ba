"""The vSphere bed tried by itself: devices, disks' files, datastores and networks."""

from __future__ import annotations

import http.client
import ssl
import urllib.parse
from typing import TYPE_CHECKING

import pytest

from tests.beds import vcsim

if _reasons := vcsim.missing():
    pytest.skip("; ".join(_reasons), allow_module_level=True)

from pyVmomi import vim, vmodl

from tests.beds.vcsim.client import (
    Client,
    Device,
    add,
    card,
    cdrom,
    devices,
    disk,
    disks,
    edit,
    new_disk,
    refused,
    remove,
    result,
    scsi,
)

if TYPE_CHECKING:
    from typing import Any

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
STORE = "LocalDS_0"


def test_a_new_disk_is_a_file_of_its_size(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk(0, kib=20 * MIB), new_disk(1, kib=4 * KIB, thin=False))
    first, second = disks(vm)
    assert (first.key, first.controllerKey, first.unitNumber) == (2000, 1000, 0)
    assert (first.capacityInBytes, first.backing.thinProvisioned) == (20 * GIB, True)
    assert [each.backing.fileName for each in (first, second)] == [
        f"[{STORE}] web1/web1.vmdk",
        f"[{STORE}] web1/web1_1.vmdk",
    ]
    home = vsphere.sim.datastores[STORE] / "web1"
    assert (home / "web1-flat.vmdk").stat().st_size == 20 * GIB
    (datastore,) = vsphere.all(vim.Datastore)
    assert datastore.summary.capacity - datastore.summary.freeSpace == 4 * MIB


def test_places_are_taken_once_and_exist(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk(0))
    for change in (
        new_disk(0, controller=1000),
        new_disk(16, controller=1000),
        new_disk(-1, controller=1000),
        add(scsi()),
        add(scsi(4)),
        add(Device.VirtualCdrom(key=-1, controllerKey=1000, unitNumber=1)),
        remove(Device.VirtualDisk(key=2099)),
        edit(Device.VirtualDisk(key=2099)),
    ):
        with refused(vim.fault.InvalidDeviceSpec):
            vsphere.reconfigure(vm, change)
    with refused(vim.fault.MissingController):
        vsphere.reconfigure(vm, new_disk(0, controller=1003))
    with refused(vim.fault.InvalidDeviceOperation):
        vsphere.reconfigure(vm, remove(devices(vm, Device.VirtualSCSIController)[0]))
    # All of a call or nothing.
    with refused(vim.fault.InvalidDeviceSpec):
        vsphere.reconfigure(vm, new_disk(1, controller=1000), new_disk(1, controller=1000))
    assert len(disks(vm)) == 1
    assert len(list((vsphere.sim.datastores[STORE] / "web1").glob("*.vmdk"))) == 2
    vsphere.reconfigure(vm, add(scsi(1)), new_disk(3, controller=-2))
    assert disks(vm)[1].key == 2019


def test_a_disk_grows_and_never_shrinks(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk(kib=1024))

    def resize(kib: int) -> None:
        (device,) = disks(vm)
        device.capacityInKB, device.capacityInBytes = kib, kib * KIB
        vsphere.reconfigure(vm, edit(device))

    resize(2048)
    assert disks(vm)[0].capacityInKB == 2048
    assert (vsphere.sim.datastores[STORE] / "web1/web1-flat.vmdk").stat().st_size == 2 * MIB
    with refused(vim.fault.InvalidDeviceOperation):
        resize(1024)


def test_disks_come_and_go_and_their_files_only_when_told(vsphere: Client) -> None:
    vm = vsphere.create("web1", new_disk(0), new_disk(1))
    home = vsphere.sim.datastores[STORE] / "web1"
    path = disks(vm)[1].backing.fileName
    vsphere.reconfigure(vm, remove(disks(vm)[1]))
    assert (home / "web1_1.vmdk").exists()
    result(vm.PowerOnVM_Task())
    vsphere.reconfigure(vm, add(disk(5, path=path)))
    assert disks(vm)[1].capacityInKB == 1024
    other = vsphere.create("web2", add(disk(path=path, controller=-1)))
    with refused(vim.fault.FileLocked):
        result(other.PowerOnVM_Task())
    vsphere.reconfigure(other, remove(disks(other)[0]))
    vsphere.reconfigure(vm, remove(disks(vm)[1], destroy=True))
    assert not (home / "web1_1.vmdk").exists()
    for wrong, fault in (
        (f"[{STORE}] web1", vim.fault.InvalidDeviceSpec),
        (f"[{STORE}] web1/web1.vmx", vim.fault.InvalidDeviceSpec),
        (f"[{STORE}] none.vmdk", vim.fault.FileNotFound),
        ("[none] none.vmdk", vim.fault.InvalidDatastorePath),
        (f"[{STORE}] ../escaped.vmdk", vim.fault.InvalidDatastorePath),
    ):
        with refused(fault):
            vsphere.reconfigure(other, add(disk(path=wrong)))


def test_a_drive_takes_an_iso_that_exists(vsphere: Client) -> None:
    with refused(vim.fault.FileNotFound):
        vsphere.create("web1", add(cdrom(f"[{STORE}] none.iso")))
    (vsphere.sim.datastores[STORE] / "one.iso").write_bytes(b"iso")
    vm = vsphere.create("web1", add(cdrom(f"[{STORE}] one.iso")))
    (drive,) = devices(vm, Device.VirtualCdrom)
    result(vm.PowerOnVM_Task())
    drive.backing = Device.VirtualCdrom.IsoBackingInfo(fileName=f"[{STORE}] none.iso")
    with refused(vim.fault.FileNotFound):
        vsphere.reconfigure(vm, edit(drive))
    drive.backing = Device.VirtualCdrom.RemotePassthroughBackingInfo(deviceName="", exclusive=False)
    vsphere.reconfigure(vm, edit(drive))
    (drive,) = devices(vm, Device.VirtualCdrom)
    assert isinstance(drive.backing, Device.VirtualCdrom.RemotePassthroughBackingInfo)
    with refused(vim.fault.InvalidDeviceOperation):
        vsphere.reconfigure(vm, remove(drive))


def test_a_card_has_an_address_and_a_link_while_the_vm_runs(vsphere: Client) -> None:
    mac = "00:50:56:00:00:01"
    vm = vsphere.create("web1", add(card()), add(card(mac=mac)))
    made, chosen = devices(vm, Device.VirtualEthernetCard)
    assert made.macAddress.startswith("00:0c:29:" if vsphere.sim.model == "esx" else "00:50:56:")
    assert (chosen.key, chosen.macAddress) == (4001, mac)
    assert not made.connectable.connected
    result(vm.PowerOnVM_Task())
    made = devices(vm, Device.VirtualEthernetCard)[0]
    assert made.connectable.connected
    made.connectable.connected = False
    vsphere.reconfigure(vm, edit(made), remove(chosen))
    (made,) = devices(vm, Device.VirtualEthernetCard)
    assert (made.connectable.connected, made.connectable.startConnected) == (False, True)
    assert [network.name for network in vm.network] == ["VM Network"]
    with refused(vim.fault.TooManyDevices):
        vsphere.reconfigure(vm, *[add(card()) for _ in range(10)])


def test_a_full_datastore_takes_no_more(vsphere: Client) -> None:
    vsphere.sim.control.free(STORE, MIB)
    with refused(vim.fault.NoDiskSpace):
        vsphere.create("web1", new_disk(kib=2048, thin=False))
    assert list(vsphere.sim.datastores[STORE].iterdir()) == []
    vm = vsphere.create("web1", new_disk(kib=1024, thin=False))
    (datastore,) = vsphere.all(vim.Datastore)
    assert datastore.summary.freeSpace == 0
    result(vm.Destroy_Task())
    assert datastore.summary.freeSpace == MIB
    assert _http(vsphere, "PUT", "big.iso", bytes(2 * MIB)).status == 507


def _search(client: Client, path: str, spec: Any = None, *, deep: bool = False) -> Any:
    browser = client.first(vim.Datastore).browser
    search = browser.SearchDatastoreSubFolders_Task if deep else browser.SearchDatastore_Task
    return result(search(path, spec))


def test_the_browser_tells_of_disks(vsphere: Client) -> None:
    vsphere.create("web1", new_disk(kib=4096))
    vsphere.create("web2", new_disk(kib=2048, thin=False))
    browser = vim.host.DatastoreBrowser
    wanted = browser.VmDiskQuery.Details(
        diskType=True, capacityKb=True, hardwareVersion=False, controllerType=False, diskExtents=False, thin=True
    )
    details = browser.FileInfo.Details(fileType=True, fileSize=True, modification=True, fileOwner=False)
    spec = browser.SearchSpec(query=[browser.VmDiskQuery(details=wanted)], details=details)
    found = {each.folderPath: each.file for each in _search(vsphere, f"[{STORE}]", spec, deep=True)}
    assert set(found) == {f"[{STORE}]", f"[{STORE}] web1/", f"[{STORE}] web2/"}
    ((thin,), (thick,)) = found[f"[{STORE}] web1/"], found[f"[{STORE}] web2/"]
    assert (thin.path, thin.capacityKb, thin.thin) == ("web1.vmdk", 4096, True)
    assert (thick.path, thick.capacityKb, thick.thin, thick.fileSize) == ("web2.vmdk", 2048, False, 2 * MIB)
    assert "web1-flat.vmdk" in {each.path for each in _search(vsphere, f"[{STORE}] web1").file}
    with refused(vim.fault.FileNotFound):
        _search(vsphere, f"[{STORE}] none")


def test_disks_without_a_vm(vsphere: Client) -> None:
    manager, datacenter = vsphere.content.virtualDiskManager, vsphere.first(vim.Datacenter)
    path = f"[{STORE}] base.vmdk"
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="thin", adapterType="lsiLogic", capacityKb=1024)
    result(manager.CreateVirtualDisk_Task(path, datacenter, spec))
    with refused(vim.fault.FileAlreadyExists):
        result(manager.CreateVirtualDisk_Task(path, datacenter, spec))
    root = vsphere.sim.datastores[STORE]
    with open(root / "base-flat.vmdk", "r+b") as data:
        data.write(b"boot")
    copy = f"[{STORE}] copy.vmdk"
    result(manager.CopyVirtualDisk_Task(path, datacenter, copy, datacenter))
    assert (root / "copy-flat.vmdk").read_bytes() == b"boot".ljust(MIB, b"\0")
    with refused(vim.fault.FileNotFound):
        result(manager.CopyVirtualDisk_Task(f"[{STORE}] none.vmdk", datacenter, f"[{STORE}] x.vmdk", datacenter))
    assert manager.QueryVirtualDiskUuid(path, datacenter) != manager.QueryVirtualDiskUuid(copy, datacenter)
    result(manager.ExtendVirtualDisk_Task(copy, datacenter, newCapacityKb=2048))
    with refused(vmodl.fault.InvalidArgument):
        result(manager.ExtendVirtualDisk_Task(copy, datacenter, newCapacityKb=1024))
    result(manager.MoveVirtualDisk_Task(copy, datacenter, f"[{STORE}] moved.vmdk", datacenter))
    result(manager.DeleteVirtualDisk_Task(path, datacenter))
    with refused(vim.fault.FileNotFound):
        result(manager.DeleteVirtualDisk_Task(path, datacenter))
    assert {each.name for each in root.iterdir()} == {"moved.vmdk", "moved-flat.vmdk"}
    other = vim.VirtualDiskManager.VirtualDiskSpec(diskType="preallocated", adapterType="lsiLogic")
    if vsphere.sim.model == "esx":
        result(manager.CopyVirtualDisk_Task(f"[{STORE}] moved.vmdk", datacenter, copy, datacenter, other))
    else:
        with refused(vmodl.fault.NotImplemented):
            result(manager.CopyVirtualDisk_Task(f"[{STORE}] moved.vmdk", datacenter, copy, datacenter, other))


def test_files_and_directories(vsphere: Client) -> None:
    manager, datacenter = vsphere.content.fileManager, vsphere.first(vim.Datacenter)
    manager.MakeDirectory(f"[{STORE}] a/b", datacenter, createParentDirectories=True)
    with refused(vim.fault.FileAlreadyExists):
        manager.MakeDirectory(f"[{STORE}] a/b", datacenter)
    with refused(vim.fault.FileNotFound):
        manager.MakeDirectory(f"[{STORE}] c/d", datacenter)
    result(manager.DeleteDatastoreFile_Task(f"[{STORE}] a", datacenter))
    with refused(vim.fault.FileNotFound):
        result(manager.DeleteDatastoreFile_Task(f"[{STORE}] a", datacenter))


def _http(client: Client, method: str, path: str, body: bytes = b"", *, cookie: str | None = None) -> Any:
    datacenter = client.first(vim.Datacenter).name
    query = urllib.parse.urlencode({"dcPath": datacenter, "dsName": STORE})
    connection = http.client.HTTPSConnection(
        client.sim.host, client.sim.port, context=ssl.create_default_context(cafile=str(client.sim.ca_file))
    )
    headers = {"Cookie": client.instance._stub.cookie if cookie is None else cookie}
    connection.request(method, f"/folder/{urllib.parse.quote(path)}?{query}", body, headers)
    response = connection.getresponse()
    response.content = response.read()  # type: ignore[attr-defined]  # kept with what it came with
    connection.close()
    return response


def test_files_go_in_and_out_over_http(vsphere: Client) -> None:
    assert _http(vsphere, "PUT", "some file.iso", b"content").status == 201
    assert _http(vsphere, "GET", "some file.iso").content == b"content"
    assert (vsphere.sim.datastores[STORE] / "some file.iso").read_bytes() == b"content"
    assert _http(vsphere, "GET", "none").status == 404
    assert _http(vsphere, "PUT", "none/file", b"content").status == 404
    assert _http(vsphere, "GET", "some file.iso", cookie="").status == 401
    assert _http(vsphere, "PUT", "other", b"content", cookie="vmware_soap_session=wrong").status == 401
    vsphere.sim.faults.http("HTTP GET", status=500)
    assert _http(vsphere, "GET", "some file.iso").status == 500


def _group(name: str, switch: str, vlan: int = 0, policy: Any = None) -> Any:
    return vim.host.PortGroup.Specification(
        name=name, vlanId=vlan, vswitchName=switch, policy=policy or vim.host.NetworkPolicy()
    )


def _bridged(*cards: str) -> Any:
    bridge = vim.host.VirtualSwitch.BondBridge(nicDevice=list(cards)) if cards else None
    return vim.host.VirtualSwitch.Specification(numPorts=128, bridge=bridge)


def test_switches_are_made_changed_and_removed(vsphere: Client) -> None:
    networks = vsphere.networks
    networks.AddVirtualSwitch("vSwitch1", _bridged("vmnic1"))
    with refused(vim.fault.AlreadyExists):
        networks.AddVirtualSwitch("vSwitch1", _bridged())
    with refused(vim.fault.ResourceInUse):
        networks.AddVirtualSwitch("vSwitch2", _bridged("vmnic1"))
    with refused(vim.fault.NotFound):
        networks.AddVirtualSwitch("vSwitch2", _bridged("vmnic77"))
    with refused(vmodl.fault.InvalidArgument):
        networks.AddVirtualSwitch("v" * 32, _bridged())
    spec = _bridged()
    spec.mtu = 9000
    networks.UpdateVirtualSwitch("vSwitch1", spec)
    (found,) = (each for each in networks.networkInfo.vswitch if each.name == "vSwitch1")
    assert (found.mtu, found.pnic) == (9000, [])
    with refused(vim.fault.NotFound):
        networks.UpdateVirtualSwitch("vSwitch9", spec)
    networks.RemoveVirtualSwitch("vSwitch1")
    with refused(vim.fault.NotFound):
        networks.RemoveVirtualSwitch("vSwitch1")
    assert [each.name for each in networks.networkInfo.vswitch] == ["vSwitch0"]


def test_port_groups_have_their_switch_and_its_policy(vsphere: Client) -> None:
    networks = vsphere.networks
    security = vim.host.NetworkPolicy.SecurityPolicy(allowPromiscuous=True)
    networks.AddPortGroup(_group("lan", "vSwitch0", 7, vim.host.NetworkPolicy(security=security)))
    (found,) = (each for each in networks.networkInfo.portgroup if each.spec.name == "lan")
    computed = found.computedPolicy.security
    assert (computed.allowPromiscuous, computed.macChanges, computed.forgedTransmits) == (True, True, True)
    assert found.spec.policy.security.macChanges is None
    assert "lan" in [each.name for each in vsphere.all(vim.Network)]
    with refused(vim.fault.AlreadyExists):
        networks.AddPortGroup(_group("lan", "vSwitch0"))
    with refused(vim.fault.NotFound):
        networks.AddPortGroup(_group("lan2", "vSwitch9"))
    with refused(vmodl.fault.InvalidArgument):
        networks.AddPortGroup(_group("lan2", "vSwitch0", 4096))
    networks.UpdatePortGroup("lan", _group("lan", "vSwitch0", 8))
    (found,) = (each for each in networks.networkInfo.portgroup if each.spec.name == "lan")
    assert (found.spec.vlanId, found.computedPolicy.security.allowPromiscuous) == (8, False)
    host = vsphere.first(vim.HostSystem)
    pool = host.parent.resourcePool
    spec = vim.vm.ConfigSpec(
        name="web1", files=vim.vm.FileInfo(vmPathName=f"[{STORE}]"), deviceChange=[add(card("lan"))]
    )
    folder = vsphere.first(vim.Datacenter).vmFolder
    vm = result(folder.CreateVM_Task(spec, pool, host))
    with refused(vim.fault.ResourceInUse):
        networks.RemovePortGroup("lan")
    with refused(vim.fault.ResourceInUse):
        networks.RemoveVirtualSwitch("vSwitch0")
    with refused(vim.fault.ResourceInUse):
        networks.UpdatePortGroup("lan", _group("lan3", "vSwitch0"))
    result(vm.Destroy_Task())
    networks.UpdatePortGroup("lan", _group("lan3", "vSwitch0"))
    networks.RemovePortGroup("lan3")
    assert "lan3" not in [each.name for each in vsphere.all(vim.Network)]
    with refused(vim.fault.NotFound):
        networks.RemovePortGroup("lan3")


def test_cards_are_on_distributed_port_groups_of_a_vcenter(vcenter: Client) -> None:
    (group,) = (
        each for each in vcenter.all(vim.dvs.DistributedVirtualPortgroup) if not each.name.startswith("DVS0-DVUplinks")
    )
    switch = group.config.distributedVirtualSwitch
    port = vim.dvs.PortConnection(portgroupKey=group.key, switchUuid=switch.uuid)
    backing = Device.VirtualEthernetCard.DistributedVirtualPortBackingInfo(port=port)
    vm = vcenter.create("web1", add(Device.VirtualVmxnet3(key=-1, backing=backing)))
    assert [each.name for each in vm.network] == [group.name]
    port.switchUuid = "00"
    with refused(vim.fault.InvalidDeviceSpec):
        vcenter.create("web2", add(Device.VirtualVmxnet3(key=-1, backing=backing)))
