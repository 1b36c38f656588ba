"""Port groups as switches: standard ones are made, changed and deleted, on all machines of the scope or on none.

What it costs in calls, for h machines::

    list, get   2        the port groups, and the machines' own networks
    create      4 + 2h   at most: a vSwitch and a port group on each machine
    update      4 + h
    delete      4 + h
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import distributed, host_networks
from hyperkit.backends.esxi.elements import children, text
from hyperkit.backends.esxi.host_networks import HostNetworks, VSwitch
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.networks import Network, Networks
from hyperkit.backends.esxi.undo import is_lost, tell
from hyperkit.checks import refuse
from hyperkit.errors import AlreadyExists, Busy, InvalidState, NotFound, TaskFailed, Unsupported
from hyperkit.records import SwitchRecord
from hyperkit.specs import SwitchChange, SwitchKind, SwitchSpec

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_PORTS = 128
"""Ports of a new vSwitch. Hosts since 5.5 take as many as are needed, whatever is said here."""


class Switches:
    """See `hyperkit.driver.SwitchPort`. A switch's id is that of its Network or DistributedVirtualPortgroup."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._networks = Networks(connection)

    def list(self) -> Sequence[SwitchRecord]:
        """All port groups for VMs, but those of a distributed switch's uplinks."""
        networks = self._networks.all(distributed.PORTS)
        hosts = host_networks.read(self._connection)
        return [_record(network, hosts) for network in networks.values()]

    def get(self, switch_id: str) -> SwitchRecord:
        """See the contract."""
        network = self._network(switch_id, distributed.PORTS)
        return _record(network, [] if network.is_distributed else host_networks.read(self._connection))

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        """See the contract. A private switch is a port group on a vSwitch of its own, which has no uplink; an external
        one is on the vSwitch that has the uplink, or else on one of its own.

        Raises:
            InvalidRequest: a machine has no such uplink; the error names those it has.
            Unsupported: an internal switch, which needs an address of the machine on it.
        """
        if spec.kind is SwitchKind.INTERNAL:
            raise Unsupported("hyperkit gives a vSphere host no address on a switch", capability="switch_internal")
        hosts = self._hosts()
        taken = {network.name for network in self._networks.all().values()} | set(host_networks.names(hosts))
        if spec.name in taken:
            raise AlreadyExists(f"a switch called {spec.name!r} exists already")
        for host in hosts:
            if spec.uplink is not None and spec.uplink not in host.pnics:
                refuse(
                    "uplink", spec.uplink, f"a physical NIC of {host.name}, which has {', '.join(host.pnics) or 'none'}"
                )
        with _Steps(self._connection) as steps:
            for host in hosts:
                self._add(steps, host, spec)
            found = next((each for each in self._networks.all().values() if each.name == spec.name), None)
            if found is None:
                raise TaskFailed(f"the port group {spec.name!r} was made, and vSphere did not show it: it was removed")
        return _record(found, host_networks.read(self._connection))

    def _add(self, steps: _Steps, host: HostNetworks, spec: SwitchSpec) -> None:
        system = self._system(host)
        above = host.leading_through(spec.uplink) if spec.uplink is not None else None
        vswitch = above.name if above is not None else host.name_for(spec.name)
        if above is None:
            made = vim.host.VirtualSwitch.Specification(numPorts=_PORTS)
            if spec.uplink is not None:
                made.bridge = vim.host.VirtualSwitch.BondBridge(nicDevice=[spec.uplink])
            steps.do(partial(system.AddVirtualSwitch, vswitch, made), partial(system.RemoveVirtualSwitch, vswitch))
        group = vim.host.PortGroup.Specification(
            name=spec.name,
            vlanId=spec.vlan or 0,
            vswitchName=vswitch,
            policy=vim.host.NetworkPolicy(security=host_networks.security(spec.policy)),
        )
        steps.do(partial(system.AddPortGroup, group), partial(system.RemovePortGroup, spec.name))

    def update(self, switch_id: str, change: SwitchChange) -> SwitchRecord:
        """See the contract.

        Raises:
            Unsupported: a port group of a distributed switch.
        """
        network = self._standard(switch_id)
        with _Steps(self._connection) as steps:
            for host in self._hosts():
                if network.name not in host.groups:
                    continue
                group = host.specification(network.name)
                if change.vlan is not None:
                    group.vlanId = change.vlan
                if change.policy is not None:
                    group.policy = group.policy or vim.host.NetworkPolicy()
                    group.policy.security = host_networks.security(change.policy)
                put = partial(self._system(host).UpdatePortGroup, network.name)
                steps.do(partial(put, group), partial(put, host.specification(network.name)))
        return self.get(switch_id)

    def delete(self, switch_id: str) -> None:
        """See the contract. The vSwitch that was made for it goes too, if nothing else is on it.

        Raises:
            Unsupported: a port group of a distributed switch.
        """
        network = self._standard(switch_id)
        self._check_unused(network)
        with _Steps(self._connection) as steps:
            for host in self._hosts():
                if network.name not in host.groups:
                    continue
                system, switch = self._system(host), host.switch_of(network.name)
                again = partial(system.AddPortGroup, host.specification(network.name))
                if switch is not None and _is_own(switch, network.name):
                    back = partial(_in_turn, partial(system.AddVirtualSwitch, switch.name, switch.specification), again)
                    steps.do(partial(system.RemoveVirtualSwitch, switch.name), back)  # with what is on it
                else:
                    steps.do(partial(system.RemovePortGroup, network.name), again)

    def _check_unused(self, network: Network) -> None:
        """Find who is plugged into it, also templates, and cards that were unplugged: vSphere has them in a network."""
        found = self._connection.properties.one(network.kind, network.id, ("vm",))
        users = [each.text or "" for each in children(found.values.get("vm"))]
        if users:
            named = self._connection.properties.of("VirtualMachine", users[:5], ("name",))
            names = ", ".join(repr(from_vsphere(text(each.values.get("name")))) for each in named)
            raise Busy(
                f"switch {network.name!r} is in use by {names}: move their NICs elsewhere, or detach them, first"
            )

    def _network(self, switch_id: str, *paths: str) -> Network:
        network = self._networks.all(*paths).get(switch_id)
        if network is None:
            raise NotFound(f"no switch with id {switch_id!r}")
        return network

    def _standard(self, switch_id: str) -> Network:
        network = self._network(switch_id)
        if network.is_distributed:
            raise Unsupported(
                f"{network.name!r} is a port group of the distributed switch {network.switch_name!r}, which many"
                " machines share: hyperkit plugs NICs into it, and leaves it as it is"
            )
        return network

    def _hosts(self) -> Sequence[HostNetworks]:
        hosts = host_networks.read(self._connection)
        if not hosts:
            raise InvalidState("there is no machine whose networks can be changed")
        return hosts

    def _system(self, host: HostNetworks) -> Any:
        return vim.host.NetworkSystem(host.system, self._connection.stub)


def _record(network: Network, hosts: Sequence[HostNetworks]) -> SwitchRecord:
    if network.is_distributed:
        return distributed.record(network.id, network.name, network.switch_name, network.values)
    return host_networks.record(network.id, network.name, hosts)


def _is_own(switch: VSwitch, group: str) -> bool:
    """Whether a vSwitch was made for a port group, as far as can be seen: it is called after it and has no other."""
    return switch.name in host_networks.own_names(group) and switch.groups == (group,)


def _in_turn(*calls: Callable[[], object]) -> None:
    for call in calls:
        call()


@attrs.define
class _Steps:
    """Changes of which all are made, or none: what was done is taken back if one fails."""

    connection: Connection
    _done: list[Callable[[], object]] = attrs.field(factory=list, init=False)

    def do(self, step: Callable[[], object], back: Callable[[], object]) -> None:
        """Make a change; ``back`` is what takes it back."""
        self._done.append(back)
        try:
            step()
        except BaseException as error:
            if not is_lost(error):
                self._done.pop()
            raise

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        left = []
        for back in reversed(self._done):
            try:
                with suppress(vim.fault.NotFound, vim.fault.AlreadyExists):  # the step whose answer was lost
                    back()
            except Exception as failure:
                left.append(f"a half-made change of the networks ({failure})")
        if left:
            tell(self.connection, error, f"left on the host: {', '.join(left)}")
