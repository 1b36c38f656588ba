"""What is done to disks, drives and NICs of a VM."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hyperkit.testing.lockstep.choices import MACS, TRUNKS, disks, nics, policies
from hyperkit.testing.lockstep.machine import DATA, Machine
from hyperkit.testing.lockstep.script import Ref
from hyperkit.units import MiB

MOST_DEVICES = 4


class DeviceRules(Machine):
    """Attach, change, detach.

    A guest must let go of a device that is detached while it runs, and here is none: that is done cold.
    """

    def _with(self, devices: str, *, cold: bool = False) -> list[str]:
        return [vm for vm in self.vms if getattr(self.record(vm), devices) and not (cold and self.holds_power(vm))]

    def _one(self, data: st.DataObject, devices: str, *, cold: bool = False) -> tuple[str, int, Ref]:
        vm = self.vm(data, self._with(devices, cold=cold))
        index = data.draw(st.integers(0, len(getattr(self.record(vm), devices)) - 1))
        return vm, index, Ref(vm).then("refresh()", devices, index)

    @precondition(lambda self: self.able.attach and self.vms)
    @rule(data=DATA)
    def attach_disk(self, data: st.DataObject) -> None:
        """A disk, new or existing."""
        vm = self.vm(data)
        if len(self.record(vm).disks) >= MOST_DEVICES:
            return
        means = self.means
        if self.holds_power(vm):
            means = attrs.evolve(means, buses=means.buses[:1])  # a bus may have no hot-plug
        self.do("disk.attach", Ref(vm).then("disks"), "attach", data.draw(disks(means)))

    @precondition(lambda self: self.able.attach and self._with("disks", cold=True))
    @rule(data=DATA)
    def detach_disk(self, data: st.DataObject) -> None:
        """A disk of a VM that does not run, with its file or without."""
        _vm, _index, disk = self._one(data, "disks", cold=True)
        self.do("disk.detach", disk, "detach", delete=data.draw(st.booleans()))

    @precondition(lambda self: self.able.disk_resize and self._with("disks"))
    @rule(data=DATA)
    def resize(self, data: st.DataObject) -> None:
        """Larger, as it is, or smaller."""
        vm, index, disk = self._one(data, "disks")
        size = self.record(vm).disks[index].size or MiB
        more = data.draw(st.sampled_from((MiB, self.sector, 0, -self.sector, 100)))
        self.do("disk.resize", disk, "resize", size + more)

    @precondition(lambda self: self.able.cdrom and self._with("cdroms") and self.bed.iso)
    @rule(data=DATA)
    def set_iso(self, data: st.DataObject) -> None:
        """An ISO in, another one, one that is not there, or out."""
        _vm, _index, drive = self._one(data, "cdroms")
        bed = self.bed
        iso = data.draw(st.sampled_from((None, bed.iso, bed.other_iso or bed.iso, bed.missing_path)))
        if iso is None:
            self.do("cdrom.eject", drive, "eject")
        else:
            self.do("cdrom.insert", drive, "insert", iso)

    @precondition(lambda self: self.able.attach and self.vms)
    @rule(data=DATA)
    def attach_nic(self, data: st.DataObject) -> None:
        """A card."""
        vm = self.vm(data)
        if len(self.record(vm).nics) < MOST_DEVICES:
            self.do("nic.attach", Ref(vm).then("nics"), "attach", data.draw(nics(self.means)))

    @precondition(lambda self: self.able.attach and self._with("nics", cold=True))
    @rule(data=DATA)
    def detach_nic(self, data: st.DataObject) -> None:
        """A card of a VM that does not run."""
        _vm, _index, nic = self._one(data, "nics", cold=True)
        self.do("nic.detach", nic, "detach")

    @precondition(lambda self: self.able.attach and self._with("nics"))
    @rule(data=DATA)
    def change_nic(self, data: st.DataObject) -> None:
        """Plugged in elsewhere or nowhere, signal, address."""
        _vm, _index, nic = self._one(data, "nics")
        verb = data.draw(st.sampled_from(("connect", "connect", "disconnect", "set_link", "set_mac")))
        if verb == "connect":
            spec = data.draw(nics(self.means).filter(lambda spec: "switch" in spec.fields))
            self.do("nic.connect", nic, verb, spec.fields["switch"])
        elif verb == "disconnect":
            self.do("nic.disconnect", nic, verb)
        elif verb == "set_link":
            self.do("nic.set_link", nic, verb, data.draw(st.booleans()))
        else:
            self.do("nic.set_mac", nic, verb, data.draw(st.sampled_from(MACS)))

    @precondition(lambda self: self.able.attach and self._with("nics"))
    @rule(data=DATA)
    def guard_nic(self, data: st.DataObject) -> None:
        """What passes it, and the VLANs it is in."""
        _vm, _index, nic = self._one(data, "nics")
        if data.draw(st.integers(0, 2)) == 2:
            trunk = data.draw(st.sampled_from(TRUNKS))
            self.do("nic.set_vlan", nic, "set_vlan", data.draw(st.sampled_from((7, None, 5000))), trunk=trunk)
        else:
            self.do("nic.set_policy", nic, "set_policy", data.draw(policies(self.able)))
