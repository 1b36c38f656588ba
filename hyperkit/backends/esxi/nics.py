"""Network cards of VMs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperkit.backends.esxi import editing, plan
from hyperkit.backends.esxi.devices import link_up
from hyperkit.backends.esxi.editing import Editing
from hyperkit.backends.esxi.elements import Element, child, text
from hyperkit.backends.esxi.networks import Networks, link_of_unplugged
from hyperkit.backends.esxi.plan import DevicePlan
from hyperkit.backends.esxi.tasks import finished
from hyperkit.errors import NotFound
from hyperkit.records import NicRecord
from hyperkit.specs import NicChange, NicSpec

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.inventory import Inventory


class Nics:
    """See `hyperkit.driver.NicPort`. A card's id is its device key, which lasts as long as it is in the VM."""

    def __init__(self, connection: Connection, inventory: Inventory) -> None:
        self._connection = connection
        self._inventory = inventory
        self._networks = Networks(connection)

    def attach(self, vm_id: str, spec: NicSpec) -> NicRecord:
        """See the contract.

        Raises:
            InvalidRequest: a model that vSphere does not have, or an address that it keeps for itself.
            NotFound: there is no such switch.
        """
        now = Editing.read(self._connection, vm_id)
        planned = DevicePlan(now.devices, guest_id=now.guest_id)
        planned.nic(spec, self._networks.backing(spec.switch))
        finished(self._connection, now.change(planned.changes))
        before = {text(device, "key") for device in now.devices}
        record = self._inventory.get(vm_id)
        new = [nic for nic in record.nics if nic.id not in before and spec.mac in (None, nic.mac)]
        if not new:
            raise NotFound(f"VM {record.name!r} has lost its new NIC already")
        return new[0]

    def detach(self, vm_id: str, nic_id: str) -> None:
        """See the contract. Two calls, and the task."""
        now = Editing.read(self._connection, vm_id)
        finished(self._connection, now.change([editing.removed(now.decoded(_card(now, nic_id)))]))

    def update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        """See the contract. All that changes does so at once.

        Raises:
            InvalidRequest: an address that vSphere keeps for itself.
            NotFound: there is no such switch.
        """
        now = Editing.read(self._connection, vm_id)
        element = _card(now, nic_id)
        card = now.decoded(element)
        waiting = link_of_unplugged(text(element, "externalId"))
        switched = waiting is None
        if change.switch is not None:
            card.backing = self._networks.backing(change.switch or None)
            switched = bool(change.switch)
        if change.mac is not None:
            plan.set_mac(card, change.mac)
        if change.switch is not None or change.link_up is not None:
            up = change.link_up
            if up is None:
                up = link_up(child(element, "connectable"), now.running) if waiting is None else waiting
            plan.plug(card, switched=switched, link_up=up)
        finished(self._connection, now.change([editing.edited(card)]))
        record = self._inventory.get(vm_id)
        found = next((nic for nic in record.nics if nic.id == nic_id), None)
        if found is None:
            raise NotFound(f"VM {record.name!r} has no NIC {nic_id!r} any more")
        return found


def _card(now: Editing, nic_id: str) -> Element:
    card = now.device(nic_id, "macAddress")
    if card is None:
        raise NotFound(f"VM {now.name!r} has no NIC {nic_id!r}")
    return card
