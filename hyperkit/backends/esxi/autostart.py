"""Starting with the host: a list that each host keeps, by its HostAutoStartManager.

In a cluster with HA the list is not looked at: HA starts what ran. vCenter says of VMs in a DRS cluster only where they
are now, so that one which moves is on the list of the host that it left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyVmomi import vim, vmodl

from hyperkit.backends.esxi.elements import text

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

_MANAGER = "configManager.autoStartManager"


def configure(connection: Connection, host_id: str, vm_id: str, start: bool) -> None:
    """Put a VM on its host's list, or take it off, with two calls.

    The list has a switch of its own for all VMs (``defaults.enabled``), which is off on a new host: it is switched on
    for the first VM that is to start, and never off.

    Raises:
        vmodl.fault.NotSupported: the host keeps no such list.
    """
    found = connection.properties.one("HostSystem", host_id, [_MANAGER])
    manager = text(found.values.get(_MANAGER))
    if not manager:
        raise vmodl.fault.NotSupported(msg="the host has no HostAutoStartManager")
    auto = vim.host.AutoStartManager
    info = auto.AutoPowerInfo(
        key=connection.vm(vm_id),
        startOrder=-1,
        startDelay=-1,
        waitForHeartbeat="systemDefault",
        startAction="powerOn" if start else "none",
        stopDelay=-1,
        stopAction="systemDefault" if start else "none",  # both "none" take it off the list
    )
    config = auto.Config(powerInfo=[info])
    if start:
        config.defaults = auto.SystemDefaults(enabled=True)
    auto(manager, connection.stub).ReconfigureAutostart(config)
