"""Network cards of a VM."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hyperkit import checks
from hyperkit.devices import Device, Devices, require_off, require_off_or_hot, require_room
from hyperkit.macs import free_macs
from hyperkit.records import NicRecord, VMRecord, changed
from hyperkit.resolve import resolve_nics
from hyperkit.specs import NicChange, NicSpec, check_trunk
from hyperkit.specs.given import name_of
from hyperkit.specs.isolation import IsolationPolicy
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

    @property
    def vlan(self) -> int | None:
        """Its access VLAN, or the native one of its trunk; None if it has none of its own."""
        return self._record.vlan

    @property
    def trunk(self) -> tuple[int, ...]:
        """Its tagged VLANs."""
        return self._record.trunk

    @property
    def policy(self) -> IsolationPolicy:
        """What passes it."""
        return self._record.policy

    def _siblings(self, record: VMRecord) -> Sequence[NicRecord]:
        return record.nics

    def connect(self, switch: str | Switch) -> Nic:
        """Plug it into a switch, given itself or by name or id, instead of where it is.

        Raises:
            NotFound: no such switch; the error names those there are.
            InvalidState: the VM runs, and the host cannot do that meanwhile.
        """
        given = name_of(switch)
        checks.label("switch", given)
        return self._update(NicChange(switch=given))

    def disconnect(self) -> Nic:
        """Pull the cable out of the switch; the card stays in the VM.

        Raises:
            InvalidState: the VM runs, and the host cannot do that meanwhile; `set_link` can.
        """
        return self._update(NicChange(switch=""))

    def set_link(self, up: bool) -> Nic:
        """Let the cable carry a signal or not; it stays in its switch."""
        checks.flag("up", up)
        return self._update(NicChange(link_up=up))

    def set_mac(self, mac: str) -> Nic:
        """Give it another address.

        Raises:
            AlreadyExists: a VM of this host has it.
            InvalidState: the VM is not off; no hypervisor changes the address that a guest has seen.
        """
        return self._update(NicChange(mac=mac))

    def set_vlan(self, vlan: int | None, *, trunk: Iterable[int] | None = None) -> Nic:
        """Put it into a VLAN, or into none of its own (None), in place of the one it is in.

        Args:
            vlan: access VLAN; with a trunk, the native one: that of frames without a tag.
            trunk: VLANs that pass with their tags, in place of those that do; left out, they stay.

        Raises:
            InvalidRequest: its switch carries no VLANs; the error names those that do.
            InvalidState: the VM runs, and the host cannot change it now.
        """
        if vlan is not None:
            checks.vlan("vlan", vlan)
        return self._update(NicChange(vlan=vlan or 0, trunk=trunk))

    def set_policy(self, policy: IsolationPolicy) -> Nic:
        """Give it another policy, in place of the one it has; ``IsolationPolicy()`` lets everything through.

        Raises:
            Unsupported: the host lacks a part of it.
            InvalidRequest: its switch enforces no policies; the error names those that do.
        """
        checks.one_of("policy", policy, IsolationPolicy, ["IsolationPolicy(...)"])
        return self._update(NicChange(policy=policy))

    def detach(self) -> None:
        """Take it out of the VM, for good.

        Raises:
            Busy: the guest does not let go of it; it stays.
            InvalidState: the VM runs, and the host cannot detach a NIC of a running VM, or it is paused.
        """
        self._ready("hot_nic", lets_go=True)
        self._call(self._host.driver.nics.detach, self._vm.id, self.id)
        self._vm.refresh()

    def _update(self, change: NicChange) -> Nic:
        self._ready("hot_nic")
        new = change.mac if change.mac != self.mac else None
        if new is not None:
            require_off(self._vm, f"change the address of {self.kind} {self.id!r} of")
        if change.switch is not None and bool(change.switch) != (self.switch is not None):
            what = f"plug {self.kind} {self.id!r} {'in' if change.switch else 'out'} of"
            require_off_or_hot(self._vm, "hot_nic_unplug", what)
        with free_macs(self._host, [new]):
            change = self._resolved(change)
            self._record = self._call(self._host.driver.nics.update, self._vm.id, self.id, change)
        self._vm.refresh()
        return self

    def _resolved(self, change: NicChange) -> NicChange:
        """The change with the switch's id, if the card as it would be fits its switch."""
        now = self._record
        vlan = now.vlan if change.vlan is None else change.vlan or None
        trunk = now.trunk if change.trunk is None else change.trunk
        policy = now.policy if change.policy is None else change.policy
        check_trunk(trunk, vlan)
        if change.switch or (
            change.switch is None and now.switch_id and (change.vlan or change.trunk or change.policy)
        ):
            spec = NicSpec(switch=change.switch or now.switch_id, vlan=vlan, trunk=trunk, policy=policy)
            (resolved,) = resolve_nics(self._host, [spec])
            if change.switch:
                change = changed(change, switch=resolved.switch)
        return change

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
        with free_macs(vm.host, [spec.mac]):
            (resolved,) = resolve_nics(vm.host, [spec])
            record = vm._call(vm.host.driver.nics.attach, vm.id, resolved)
        vm.refresh()
        return Nic(vm, record)
