"""What of an inventory a connection is about: one machine, or a part of what a vCenter manages."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Ref:
    """A managed object: its type's name in the API, and its id."""

    kind: str
    id: str


@attrs.frozen(kw_only=True)
class Compute:
    """A place to run VMs: a machine by itself, or a cluster.

    Attributes:
        ref: the ComputeResource or ClusterComputeResource.
        name: its name.
        pool: the id of its root resource pool.
        hosts: the ids of its HostSystems that are in the scope.
    """

    ref: Ref
    name: str
    pool: str
    hosts: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Scope:
    """The part of the inventory that is meant.

    Attributes:
        root: what a container view of all VMs, networks or datastores is made of: the root folder (ESXi), a
            Datacenter, a ClusterComputeResource or ComputeResource, or a HostSystem.
        datacenter: the id of the Datacenter.
        datacenter_path: its inventory path, as datastore URLs name it (``ha-datacenter``, ``folder/DC0``).
        vm_folder: the id of the folder that new VMs are put into.
        computes: where VMs can run.
    """

    root: Ref
    datacenter: str
    datacenter_path: str
    vm_folder: str
    computes: tuple[Compute, ...]
