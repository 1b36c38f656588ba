"""Virtual switches of a host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hyperkit.collection import Collection
from hyperkit.errors import Busy
from hyperkit.guard import check_switch_vlan
from hyperkit.handle import Handle
from hyperkit.records import SwitchRecord
from hyperkit.resolve import check_subnet_free
from hyperkit.specs import SwitchChange, SwitchKind, SwitchSpec
from hyperkit.specs.isolation import OPEN, IsolationPolicy
from hyperkit.specs.lease import StaticLease, check_leases

if TYPE_CHECKING:
    from hyperkit.vm import VM


class Switch(Handle[SwitchRecord]):
    """A virtual switch: what NICs of VMs are plugged into."""

    kind = "switch"
    __slots__ = ()

    @property
    def name(self) -> str:
        """Its label."""
        return self._record.name

    @property
    def switch_kind(self) -> SwitchKind:
        """Whom its VMs can talk to."""
        return self._record.kind

    @property
    def subnet(self) -> str | None:
        """Its IPv4 network, if it has one."""
        return self._record.subnet

    @property
    def leases(self) -> tuple[StaticLease, ...]:
        """The addresses that its DHCP server keeps."""
        return self._record.leases

    @property
    def vlan(self) -> int | None:
        """The VLAN of every NIC on it that has none of its own."""
        return self._record.vlan

    @property
    def policy(self) -> IsolationPolicy:
        """What passes at all, of every NIC on it."""
        return self._record.policy

    def _read(self) -> SwitchRecord:
        return self._host.driver.switches.get(self.id)

    def vms(self) -> list[VM]:
        """The VMs that are plugged into it. Asks the host."""
        return self._host.vms.find(lambda vm: any(nic.switch_id == self.id for nic in vm.record.nics))

    def configure(
        self,
        *,
        leases: Iterable[StaticLease] | None = None,
        vlan: int | None = None,
        policy: IsolationPolicy | None = None,
    ) -> Switch:
        """Change it at once and lastingly; VMs that are plugged into it run on.

        Args:
            leases: all static leases; those that are not among them are no more. A guest that has another address
                keeps it until it asks again.
            vlan: another VLAN; 0 for none.
            policy: another policy; `OPEN` (an ``IsolationPolicy()``) lets everything through.

        Raises:
            InvalidRequest: an address outside the subnet, or that two leases have; or the switch has no DHCP, or
                carries no VLANs; or the policy has a part that is a NIC's own.
            Unsupported: the host cannot change that.
        """
        change = SwitchChange(leases=leases, vlan=vlan, policy=policy)
        if change == SwitchChange():
            return self
        there = self.refresh().record
        if change.leases is not None:
            check_leases(change.leases, there.subnet if there.dhcp else None)
        if change.vlan:
            check_switch_vlan(change.vlan, there.openvswitch, self._host.capabilities)
        self._record = self._call(self._host.driver.switches.update, self.id, change)
        return self

    def delete(self) -> None:
        """Delete it.

        Raises:
            Busy: a VM is plugged into it.
        """
        users = self.vms()
        if users:
            names = ", ".join(repr(vm.name) for vm in users[:5])
            raise Busy(
                f"{self.label} on {self._host.url} is in use by {names}: disconnect their NICs first",
                backend=self._host.url,
                resource=self.label,
            )
        self._call(self._host.driver.switches.delete, self.id)

    def _summary(self) -> str:
        return f"{self._record.kind.value}{f' {self.subnet}' if self.subnet else ''}"


class SwitchCollection(Collection[Switch, SwitchRecord]):
    """The virtual switches of a host."""

    kind = "switch"
    record_type = SwitchRecord
    create_hint = "host.switches.create({name!r})"

    def _records(self) -> Sequence[SwitchRecord]:
        return self._host.driver.switches.list()

    def _handle(self, record: SwitchRecord) -> Switch:
        return Switch(self._host, record)

    def _record(self, id: str) -> SwitchRecord:
        return self._host.driver.switches.get(id)

    def create(
        self,
        name: str | SwitchSpec,
        kind: SwitchKind | str = SwitchKind.PRIVATE,
        *,
        uplink: str | None = None,
        subnet: str | None = None,
        nat: bool = True,
        dhcp: bool = True,
        leases: Iterable[StaticLease] = (),
        openvswitch: bool = False,
        vlan: int | None = None,
        policy: IsolationPolicy = OPEN,
    ) -> Switch:
        """Create a switch that works at once and after the host restarts. Arguments as in `SwitchSpec`.

        Raises:
            AlreadyExists: the name is taken, where names must be unique.
            InvalidRequest: the subnet, uplink, a lease, the VLAN or the policy is not acceptable.
            Unsupported: the host cannot make this kind.
        """
        spec = (
            name
            if isinstance(name, SwitchSpec)
            else SwitchSpec(
                name,
                kind,
                uplink=uplink,
                subnet=subnet,
                nat=nat,
                dhcp=dhcp,
                leases=leases,
                openvswitch=openvswitch,
                vlan=vlan,
                policy=policy,
            )
        )
        check_subnet_free(self._host, spec.network)
        return self._handle(self._host.driver.switches.create(spec))
