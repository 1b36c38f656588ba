"""A backend of hyperkit whose host is a directory: ``toy:///var/lib/toy``."""

from __future__ import annotations

from pathlib import Path

from hyperkit.capabilities import Capabilities
from hyperkit.driver import Driver, Target
from hyperkit.errors import ConnectionFailed, InvalidRequest
from hyperkit_toy.datastores import ToyDatastores
from hyperkit_toy.disks import ToyDisks
from hyperkit_toy.errors import translate
from hyperkit_toy.host import ToyHost
from hyperkit_toy.nics import ToyNics
from hyperkit_toy.store import Store
from hyperkit_toy.switches import ToySwitches
from hyperkit_toy.vms import ToyVMs
from hyperkit_toy.volumes import ToyVolumes

CAPABILITIES = Capabilities(
    rename=True,
    bios=True,
    disks=True,
    notes=True,
    attach=True,
    disk_resize=True,
    copied_disks=True,
    read_only_disks=True,
    switch_private=True,
    volumes=True,
    transfer=True,
    max_cpus=16,
    disk_formats=("raw",),
    why={"snapshots": "a toy forgets what was"},
)
"""Whatever is not named here it cannot do, and hyperkit refuses it before any of our code is asked."""


def open(target: Target) -> Driver:  # noqa: A001  # what hyperkit calls
    """Connect to a directory that is there."""
    if target.host or target.options:
        raise InvalidRequest("a toy is a directory of this machine: toy:///var/lib/toy", field="url", value=target.url)
    if not Path(target.path).is_dir():
        raise ConnectionFailed(f"there is no directory {target.path}; make it, and it is a host")
    store = Store(Path(target.path))
    return Driver(
        backend="toy",
        url=target.url,
        identity=store.identity,
        capabilities=CAPABILITIES,
        host=ToyHost(store),
        vms=ToyVMs(store),
        disks=ToyDisks(store),
        nics=ToyNics(store),
        switches=ToySwitches(store),
        datastores=ToyDatastores(store),
        volumes=ToyVolumes(store),
        translate=translate,
        native=lambda: store,
        close=lambda: None,
    )
