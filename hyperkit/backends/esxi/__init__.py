"""VMware ESXi, ESX and vCenter, over the vSphere web services API with pyVmomi.

``esxi://user@host[:port]`` is one machine. ``vcenter://user@host/Datacenter[/cluster/host]`` is what a vCenter manages:
all of a datacenter, of one of its clusters, or one machine in it. See docs/vsphere.md.

`Driver.native` is pyVmomi's ServiceInstance on the session that hyperkit uses.
"""

from __future__ import annotations

from hyperkit.backends.esxi import capabilities
from hyperkit.backends.esxi.clones import Clones
from hyperkit.backends.esxi.connection import Connection
from hyperkit.backends.esxi.consoles import Consoles
from hyperkit.backends.esxi.datastores import Datastores
from hyperkit.backends.esxi.disks import Disks
from hyperkit.backends.esxi.errors import translate
from hyperkit.backends.esxi.events import Events
from hyperkit.backends.esxi.guests import Guests
from hyperkit.backends.esxi.host import HostFacts
from hyperkit.backends.esxi.inventory import Inventory
from hyperkit.backends.esxi.nics import Nics
from hyperkit.backends.esxi.snapshots import Snapshots
from hyperkit.backends.esxi.switches import Switches
from hyperkit.backends.esxi.upkeep import Upkeep
from hyperkit.backends.esxi.vms import VMs
from hyperkit.backends.esxi.volumes import Volumes
from hyperkit.clock import SystemClock
from hyperkit.driver import Driver, Target


def open(target: Target) -> Driver:  # noqa: A001  the contract's name
    """Connect.

    Raises:
        ConnectionFailed: the host cannot be reached, or its certificate is not trusted.
        AuthenticationFailed: it refuses the credentials.
    """
    try:
        connection = Connection(target)
    except Exception as error:
        if (ours := translate(error)) is not None:
            raise ours from error
        raise
    try:
        return _driver(target, connection)
    except BaseException as error:
        connection.close()
        if isinstance(error, Exception) and (ours := translate(error)) is not None:
            raise ours from error
        raise


def _driver(target: Target, connection: Connection) -> Driver:
    facts = HostFacts(connection)
    able = capabilities.probe(connection)
    inventory = Inventory(connection)
    events = Events(connection, inventory)

    def close() -> None:
        events.close()
        connection.close()

    return Driver(
        backend="esxi",
        url=target.url,
        identity=connection.identity,
        capabilities=able,
        host=facts,
        vms=VMs(connection, inventory),
        disks=Disks(connection, inventory),
        nics=Nics(connection, inventory),
        switches=Switches(connection),
        datastores=Datastores(connection),
        volumes=Volumes(connection),
        snapshots=Snapshots(connection, inventory),
        clones=Clones(connection, inventory) if able.templates else None,
        guests=Guests(connection),
        consoles=Consoles(connection),
        upkeep=Upkeep(connection),
        events=events if able.events_pushed else None,
        translate=translate,
        native=lambda: connection.native,
        close=close,
        clock=target.clock or SystemClock(),
    )
