"""Power verbs: ``Msvm_ComputerSystem.RequestStateChange``, and the guest's own shutdown component.

A job's end does not mean that the state is reached: hosts under load are still on their way. And a host that is asked
for the state that a VM has says *invalid state*. So the state is looked at in the end, whatever was answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hyperkit.backends.hyperv import states
from hyperkit.backends.hyperv.errors import MethodFailed
from hyperkit.backends.hyperv.jobs import JobOf, Until, Work, done
from hyperkit.backends.hyperv.wsman import Client, Reference, wql
from hyperkit.errors import AgentUnavailable
from hyperkit.jobs import Job
from hyperkit.records import PowerRecord
from hyperkit.states import GOAL, PowerAction

_SYSTEM = "Msvm_ComputerSystem"
_REQUESTED: Mapping[PowerAction, int] = MappingProxyType(
    {
        PowerAction.START: 2,
        PowerAction.RESUME: 2,
        PowerAction.STOP: 3,
        PowerAction.DISCARD: 3,
        PowerAction.SUSPEND: 6,
        PowerAction.PAUSE: 9,
        PowerAction.RESET: 11,
    }
)
"""Values of ``RequestedState``: what a VM that is saved is turned off by is what discards its memory."""
_INVALID_STATE = 32775
_NOT_READY, _LOCKED, _UNDER_WAY = 32780, 32781, 32782
"""What a guest's shutdown component answers besides: it boots, somebody's session is locked, it is shutting down."""


def system(vm_id: str) -> Reference:
    """The reference of a VM."""
    return Reference(_SYSTEM, {"CreationClassName": _SYSTEM, "Name": vm_id})


class Power:
    """Does what `VMPort.set_power` is asked."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def read(self, vm_id: str) -> PowerRecord:
        """What a VM is doing.

        Raises:
            WSManFault: there is none.
        """
        return states.power(self._client.get(system(vm_id)))

    def act(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        """Do one action."""
        if action in (PowerAction.SHUTDOWN, PowerAction.REBOOT):
            self._ask(vm_id, action)
            return self.read(vm_id)
        return JobOf(self._client, self._turn(vm_id, action))

    def _turn(self, vm_id: str, action: PowerAction) -> Work[PowerRecord]:
        method = f"{_SYSTEM}.RequestStateChange"
        output = self._client.invoke(system(vm_id), "RequestStateChange", RequestedState=_REQUESTED[action])
        if output.code == _INVALID_STATE and action is not PowerAction.RESET:
            there = self.read(vm_id)
            if there.state is GOAL[action]:
                return there
            raise MethodFailed(method, output.code, f"it is {there.state.value}")
        yield done(output, method)
        yield Until(lambda: not states.is_moving(self._client.get(system(vm_id))), "waiting for the state")
        return self.read(vm_id)

    def _ask(self, vm_id: str, action: PowerAction) -> None:
        """Ask the guest, by its integration services.

        Raises:
            AgentUnavailable: nobody there can be asked to reboot. A shutdown is asked for again.
            MethodFailed: the guest refuses.
        """
        found = self._client.query(wql.select("Msvm_ShutdownComponent", wql.equal("SystemName", vm_id)))
        if not found:
            if action is PowerAction.SHUTDOWN:
                return
            raise AgentUnavailable("the guest's shutdown service is off, or its system has none")
        component = Reference(
            "Msvm_ShutdownComponent",
            {
                name: found[0].text(name)
                for name in ("CreationClassName", "DeviceID", "SystemCreationClassName", "SystemName")
            },
        )
        name = "InitiateShutdown" if action is PowerAction.SHUTDOWN else "InitiateReboot"
        output = self._client.invoke(component, name, Force=False, Reason="hyperkit")
        if output.code in (_NOT_READY, _UNDER_WAY, _INVALID_STATE) and action is PowerAction.SHUTDOWN:
            return
        if output.code in (_NOT_READY, _INVALID_STATE):
            raise AgentUnavailable("the guest is not ready to hear")
        if output.code == _LOCKED:
            raise MethodFailed(f"Msvm_ShutdownComponent.{name}", output.code, "somebody is logged on in the guest")
        done(output, f"Msvm_ShutdownComponent.{name}")
