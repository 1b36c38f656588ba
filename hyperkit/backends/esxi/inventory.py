"""VMs as records: what is read of each, and for which networks and hosts it stands.

What it costs in calls, for n VMs and pages of m::

    list   1 + n/m   what the VMs refer to, and the VMs; once in a session, one more for the view of them
    get    1         the VM and what it refers to
    power  1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from pyVmomi import vmodl

from hyperkit.backends.esxi import reader, states
from hyperkit.backends.esxi.elements import text
from hyperkit.backends.esxi.properties import Found, Hop, only
from hyperkit.records import PowerRecord, VMRecord

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection

T = TypeVar("T")

_VM = "VirtualMachine"
_POWER = ("runtime.powerState", "runtime.connectionState")
_HOPS = (
    Hop(_VM, "network"),
    Hop(_VM, "runtime.host", (Hop("HostSystem", "configManager.autoStartManager"),)),
)
_REFERENCES = {
    "Network": ("name",),
    "HostSystem": ("name", "configManager.autoStartManager", "summary.hardware"),
    "HostAutoStartManager": ("config",),
}


class Inventory:
    """Reads VMs whole. The other ports return what they changed by it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept = reader.KEPT

    def list(self) -> Sequence[VMRecord]:
        """All VMs of the scope."""
        properties = self._connection.properties
        references = self._references(properties.around(_VM, _HOPS, _REFERENCES))
        return self._reading(lambda paths: [reader.record(one, references) for one in properties.all(_VM, paths)])

    def get(self, vm_id: str) -> VMRecord:
        """One VM.

        Raises:
            vmodl.fault.ManagedObjectNotFound: there is none of this id.
        """

        def read(paths: Sequence[str]) -> list[Found]:
            wanted = {_VM: paths, **_REFERENCES}
            return list(self._connection.properties.around_these(_VM, [vm_id], _HOPS, wanted))

        found = self._reading(read)
        return reader.record(only(found, _VM, vm_id), self._references(found))

    def power(self, vm_id: str) -> PowerRecord:
        """What one VM is doing.

        Raises:
            vmodl.fault.ManagedObjectNotFound: there is none of this id.
        """
        values = self._connection.properties.one(_VM, vm_id, _POWER).values
        return states.power(*(text(values.get(path)) for path in _POWER))

    def _reading(self, read: Callable[[Sequence[str]], T]) -> T:
        """Read by these paths; a host that does not know the shorter one is asked for the longer from then on."""
        try:
            return read((*reader.PATHS, self._kept))
        except vmodl.query.InvalidProperty:
            if self._kept == reader.OPTIONS:
                raise
        self._kept = reader.OPTIONS
        return read((*reader.PATHS, self._kept))

    def _references(self, found: Iterable[Found]) -> reader.References:
        return reader.references(found, named=self._connection.is_vcenter)
