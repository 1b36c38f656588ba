"""libvirt: QEMU/KVM, and every other hypervisor that libvirt has a driver for.

Any of libvirt's URIs is passed on as it is, with its transports and options; see
https://libvirt.org/uri.html. Tested with QEMU; of the other drivers, VMs can be seen and switched.

`Driver.native` is the first session's virConnect. A session that broke is opened again, once, by the next call;
`native` then tells the new one. ``timeout`` limits, in whole seconds of at least two, how long connecting may take
and how long a peer may be silent: it is pinged, also while a call waits, and a dead one ends the call with
`ConnectionLost`. A call that the daemon works at may take as long as it takes. See docs/connections.md.
"""

from __future__ import annotations

from hyperkit.backends.libvirt import capabilities
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.consoles import Consoles
from hyperkit.backends.libvirt.datastores import Datastores
from hyperkit.backends.libvirt.disks import Disks
from hyperkit.backends.libvirt.errors import asked, translate
from hyperkit.backends.libvirt.events import Events
from hyperkit.backends.libvirt.filters import Filters
from hyperkit.backends.libvirt.guests import Guests
from hyperkit.backends.libvirt.host import HostFacts, identify
from hyperkit.backends.libvirt.images import Images
from hyperkit.backends.libvirt.metrics import Metrics
from hyperkit.backends.libvirt.nics import Nics
from hyperkit.backends.libvirt.reader import Reader
from hyperkit.backends.libvirt.snapshots import Snapshots
from hyperkit.backends.libvirt.stats import Stats
from hyperkit.backends.libvirt.switches import Switches
from hyperkit.backends.libvirt.vms import VMs
from hyperkit.backends.libvirt.volumes import Volumes
from hyperkit.backends.libvirt.xml_read import parse
from hyperkit.clock import SystemClock
from hyperkit.driver import Driver, Target
from hyperkit.instrument import intercept


def open(target: Target) -> Driver:  # noqa: A001  the contract's name
    """Connect.

    Raises:
        ConnectionFailed: the daemon cannot be reached.
        AuthenticationFailed: it refuses the credentials.
    """
    connection = Connection(target)
    try:
        return intercept(_driver(target, connection), connection.sessions.around)
    except BaseException as error:
        connection.close()
        if isinstance(error, Exception) and (ours := translate(error)) is not None:
            raise ours from error
        raise


def _driver(target: Target, connection: Connection) -> Driver:
    host = parse(asked(connection.conn.getCapabilities, "<capabilities/>"))
    identity = identify(connection, host)
    platform, able = capabilities.probe(connection, host)
    images = Images(connection)
    statistics = Stats(connection)
    reader = Reader(connection, platform.shares, statistics)
    filters = Filters(connection, able=able.nic_acl)
    vms = VMs(connection, platform, images, reader, filters)
    events = Events(connection, vms) if able.events_pushed else None

    def close() -> None:
        if events is not None:
            events.close()
        connection.close()

    return Driver(
        backend="libvirt",
        url=target.url,
        identity=identity.id,
        capabilities=able,
        host=HostFacts(connection, identity, platform),
        vms=vms,
        disks=Disks(connection, platform, images, reader),
        nics=Nics(connection, platform, reader, filters),
        switches=Switches(connection, filters=able.nic_acl or able.nic_isolation),
        datastores=Datastores(connection),
        volumes=Volumes(connection),
        snapshots=Snapshots(connection, vms.get, filters) if able.snapshots else None,
        guests=Guests(connection) if able.guest_addresses else None,
        consoles=Consoles(connection) if able.display else None,
        events=events,
        metrics=Metrics(connection, reader, statistics) if able.metrics else None,
        translate=translate,
        native=lambda: connection.native,
        close=close,
        clock=target.clock or SystemClock(),
    )
