"""A simulator as pyVmomi alone sees it: for the bed's own tests."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from pyVim.connect import SmartStubAdapter
from pyVmomi import vim, vmodl

from tests.beds.vcsim.server import Vcsim

_TASK_TIMEOUT = 10.0
Device = vim.vm.device
Spec = vim.vm.device.VirtualDeviceSpec
Collector = vmodl.query.PropertyCollector


def result(task: Any) -> Any:
    """What a task results in. Raises its fault."""
    end = time.monotonic() + _TASK_TIMEOUT
    while task.info.state not in {"success", "error"}:
        assert time.monotonic() < end, f"{task.info.key} does not end"
        time.sleep(0.02)
    if task.info.state == "error":
        raise task.info.error
    return task.info.result


@contextmanager
def refused(fault: type[Exception]) -> Iterator[None]:
    """What is done inside is refused with just this fault, not with one that is a kind of it."""
    with pytest.raises(fault) as caught:
        yield
    assert type(caught.value) is fault


class Client:
    """A session."""

    def __init__(self, sim: Vcsim) -> None:
        self.sim = sim
        self._stub = SmartStubAdapter(
            host=sim.host, port=sim.port, sslContext=ssl.create_default_context(cafile=str(sim.ca_file))
        )
        self.instance = vim.ServiceInstance("ServiceInstance", self._stub)
        self.content = self.instance.RetrieveContent()
        self.log_in()

    def log_in(self, password: str = "") -> None:
        self.content.sessionManager.Login(self.sim.user, password or self.sim.password)

    def close(self) -> None:
        self._stub.DropConnections()  # the server may have closed them
        with suppress(vim.fault.NotAuthenticated):
            self.content.sessionManager.Logout()
        self._stub.DropConnections()

    def all(self, kind: Any) -> list[Any]:
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], recursive=True)
        return list(view.view)

    def first(self, kind: Any) -> Any:
        return self.all(kind)[0]

    @property
    def networks(self) -> Any:
        return self.first(vim.HostSystem).configManager.networkSystem

    def create(self, name: str, *changes: Any, **settings: Any) -> Any:
        """A VM with a SCSI controller, besides what is named."""
        datacenter, pool = self.first(vim.Datacenter), self.first(vim.ResourcePool)
        spec = vim.vm.ConfigSpec(
            name=name,
            files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"),
            deviceChange=[add(scsi()), *changes],
            **({"numCPUs": 2, "memoryMB": 512, "guestId": "otherGuest64"} | settings),
        )
        return result(datacenter.vmFolder.CreateVM_Task(spec, pool))

    def collect(self, kind: Any, *paths: str, most: int | None = None) -> Any:
        """The first page of these properties of all objects of a type."""
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], recursive=True)
        spec = Collector.FilterSpec(
            propSet=[Collector.PropertySpec(type=kind, pathSet=list(paths))],
            objectSet=[
                Collector.ObjectSpec(
                    obj=view,
                    skip=True,
                    selectSet=[Collector.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)],
                )
            ],
        )
        return self.content.propertyCollector.RetrievePropertiesEx([spec], Collector.RetrieveOptions(maxObjects=most))

    def reconfigure(self, vm: Any, *changes: Any, **settings: Any) -> None:
        result(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=list(changes), **settings)))


def add(device: Any, *, create: bool = False) -> Any:
    return Spec(operation="add", device=device, fileOperation="create" if create else None)


def edit(device: Any) -> Any:
    return Spec(operation="edit", device=device)


def remove(device: Any, *, destroy: bool = False) -> Any:
    return Spec(operation="remove", device=device, fileOperation="destroy" if destroy else None)


def scsi(bus: int = 0) -> Any:
    return Device.ParaVirtualSCSIController(key=-1 - bus, busNumber=bus, sharedBus="noSharing")


def new_disk(unit: int = 0, *, kib: int = 1024, path: str = "", thin: bool = True, controller: int = -1) -> Any:
    """The change that makes a disk."""
    return add(disk(unit, kib=kib, path=path, thin=thin, controller=controller), create=True)


def disk(unit: int = 0, *, kib: int = 0, path: str = "", thin: bool = True, controller: int = 1000) -> Any:
    backing = Device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode="persistent", thinProvisioned=thin)
    return Device.VirtualDisk(key=-100, controllerKey=controller, unitNumber=unit, capacityInKB=kib, backing=backing)


def card(network: str = "VM Network", mac: str = "") -> Any:
    backing = Device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
    if mac:
        return Device.VirtualVmxnet3(key=-200, backing=backing, addressType="manual", macAddress=mac)
    return Device.VirtualVmxnet3(key=-200, backing=backing)


def cdrom(iso: str) -> Any:
    backing = Device.VirtualCdrom.IsoBackingInfo(fileName=iso)
    return Device.VirtualCdrom(key=-300, controllerKey=200, unitNumber=0, backing=backing)


def devices(vm: Any, kind: Any) -> list[Any]:
    return [device for device in vm.config.hardware.device if isinstance(device, kind)]


def disks(vm: Any) -> list[Any]:
    return devices(vm, Device.VirtualDisk)
