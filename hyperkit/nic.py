"""Network cards of a VM."""

from __future__ import annotations

from collections.abc import Sequence

from hyperkit import checks
from hyperkit.devices import Device, Devices, require_off_or_hot, require_room
from hyperkit.records import NicRecord, VMRecord, changed
from hyperkit.resolve import check_macs_free, resolve_nics
from hyperkit.specs import NicChange, NicSpec
from hyperkit.switch import Switch


class Nic(Device[NicRecord]):
    """A network card of a VM."""

    kind = "NIC"
    __slots__ = ()

    @property
    def mac(self) -> str:
        """Its address, lower case with colons."""
        return self._record.mac

    @property
    def switch(self) -> str | None:
        """The name of the switch it is plugged into; None if none."""
        return self._record.switch

    @property
    def link_up(self) -> bool:
        """Whether its cable carries a signal."""
        return self._record.link_up

    def _siblings(self, record: VMRecord) -> Sequence[NicRecord]:
        return record.nics

    def connect(self, switch: str | Switch) -> Nic:
        """Plug it into a switch, given itself or by name or id, instead of where it is.

        Raises:
            NotFound: no such switch; the error names those there are.
        """
        switch = switch.id if isinstance(switch, Switch) else switch
        checks.label("switch", switch)
        return self._update(NicChange(switch=switch))

    def disconnect(self) -> Nic:
        """Pull the cable out of the switch; the card stays in the VM."""
        return self._update(NicChange(switch=""))

    def set_link(self, up: bool) -> Nic:
        """Let the cable carry a signal or not; it stays in its switch."""
        checks.flag("up", up)
        return self._update(NicChange(link_up=up))

    def set_mac(self, mac: str) -> Nic:
        """Give it another address.

        Raises:
            AlreadyExists: a VM of this host has it.
        """
        return self._update(NicChange(mac=mac))

    def detach(self) -> None:
        """Take it out of the VM, for good.

        Raises:
            InvalidState: the VM runs, and the host cannot detach a NIC of a running VM.
        """
        self._ready("hot_nic")
        self._call(self._host.driver.nics.detach, self._vm.id, self.id)
        self._vm.refresh()

    def _update(self, change: NicChange) -> Nic:
        self._ready("hot_nic")
        if change.mac is not None and change.mac != self.mac:
            check_macs_free(self._host, [change.mac])
        if change.switch:
            (resolved,) = resolve_nics(self._host, [NicSpec(switch=change.switch)])
            change = changed(change, switch=resolved.switch)
        self._record = self._call(self._host.driver.nics.update, self._vm.id, self.id, change)
        self._vm.refresh()
        return self

    def _summary(self) -> str:
        return f"{self.mac} on {self.switch!r}" if self.switch else f"{self.mac} unplugged"


class Nics(Devices[Nic, NicRecord]):
    """The network cards of a VM, in the guest's order."""

    def _items(self) -> list[Nic]:
        return [Nic(self._vm, record) for record in self._vm.record.nics]

    def attach(self, spec: NicSpec) -> Nic:
        """Add a card, for good.

        Raises:
            AlreadyExists: a VM of this host has that MAC address.
            NotFound: no such switch; the error names those there are.
            InvalidState: the VM runs, and the host cannot attach a NIC to a running VM.
        """
        checks.one_of("spec", spec, NicSpec, ["NicSpec(...)"])
        vm = self._vm.refresh()
        require_off_or_hot(vm, "hot_nic", "attach a NIC to")
        require_room("nics", len(vm.record.nics), vm.host.capabilities.max_nics)
        check_macs_free(vm.host, [spec.mac])
        (resolved,) = resolve_nics(vm.host, [spec])
        record = vm._call(vm.host.driver.nics.attach, vm.id, resolved)
        vm.refresh()
        return Nic(vm, record)
