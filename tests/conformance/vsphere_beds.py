"""vSphere as a bed: an ESXi host and a vCenter, simulated."""

from __future__ import annotations

from typing import Any

import hyperkit
from hyperkit import DiskBus, DiskSpec, Host, HypervisorType, MiB, NicSpec
from hyperkit.testing.backdoor import Backdoor
from hyperkit.testing.beds import Bed, Image, Machine
from tests.beds.vcsim import Guest, Vcsim
from tests.conformance.vsphere_backdoor import VsphereBackdoor
from tests.conformance.vsphere_inside import VsphereInside

_GUEST: Guest = {
    "tools": "running",
    "host_name": "golden-7",
    "full_name": "Debian GNU/Linux 12 (64-bit)",
    "addresses": ["127.0.0.1", "fe80::20c:29ff:fe00:1", "10.9.0.10", "fd00::10"],
}


class _VsphereBed(Bed):
    """What both have: all that is simulated of a host."""

    uplink = "vmnic1"
    bus = DiskBus.SATA
    nic_model = "e1000"
    boots = True
    asks = True
    leaves_behind = True
    # The disk's file is made with it, and IDE is no place for a disk of a VM that runs.
    unattachable = DiskSpec(size=8 * MiB, bus=DiskBus.IDE)

    def __init__(self, sim: Vcsim) -> None:
        super().__init__()
        self._sim = sim
        self._backdoor = VsphereBackdoor(sim)
        store = self._backdoor.datastore
        self.machine = self._machine(self._backdoor.content.about, self._backdoor.hosts())
        self.missing_path = f"[{store}] no-such-file.vmdk"
        self.directory = f"[{store}] isos"
        isos = sim.datastores[store] / "isos"
        isos.mkdir()
        for name in ("one.iso", "other.iso"):
            (isos / name).write_bytes(bytes(MiB))
        self.iso, self.other_iso = f"{self.directory}/one.iso", f"{self.directory}/other.iso"
        self.base_image = Image(self._backdoor.make_disk(16 * MiB), 16 * MiB)
        image = self._backdoor.make_disk(8 * MiB)
        sim.control.install(image, **_GUEST)
        self.guest = {"disks": [DiskSpec(base=image, linked=False)], "nics": [NicSpec(switch="VM Network")]}
        self.inside = VsphereInside(sim)
        self.deaf = {}  # without a disk there is no guest

    def _machine(self, about: Any, hosts: list[Any]) -> Machine:
        hardware = [host.summary.hardware for host in hosts]
        return Machine(
            product=about.name,
            version=about.version,
            hypervisor_type=HypervisorType.BARE_METAL,
            cpus=sum(each.numCpuThreads for each in hardware),
            memory=sum(each.memorySize for each in hardware),
        )

    @property
    def backdoor(self) -> Backdoor:
        return self._backdoor

    def connect(self) -> Host:
        return hyperkit.connect(self._sim.hyperkit_url, password=self._sim.password, verify=str(self._sim.ca_file))

    def close(self) -> None:
        super().close()
        self._backdoor.close()


class EsxBed(_VsphereBed):
    """A standalone ESXi host."""

    name = "esxi"


class VcenterBed(_VsphereBed):
    """A vCenter with one datacenter."""

    name = "vcenter"
