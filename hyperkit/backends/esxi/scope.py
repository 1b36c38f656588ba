"""What of an inventory a connection is about: one machine, or a part of what a vCenter manages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import attrs
from pyVmomi import vim, vmodl

from hyperkit.errors import InvalidRequest, NotFound
from hyperkit.units import MiB

_Collector = vmodl.query.PropertyCollector

_STEPS = (
    ("Folder", "childEntity"),
    ("Datacenter", "hostFolder"),
    ("ComputeResource", "host"),
)
"""From the root folder down to the machines, past everything that is not on the way."""

_UUID, _CPUS, _MEMORY = "hardware.systemInfo.uuid", "capability.maxSupportedVcpus", "capability.maxSupportedVmMemory"
_READ: Mapping[str, tuple[str, ...]] = {
    "Folder": ("name", "parent"),
    "Datacenter": ("name", "parent", "vmFolder"),
    "ComputeResource": ("name", "parent", "resourcePool"),
    "HostSystem": ("name", "parent", _UUID, _CPUS),
}
_LICENCES, _KEY_PROVIDERS = "licenses", "kmipServers"


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


@attrs.frozen(kw_only=True)
class Facts:
    """What its machines say on the way, of which capabilities follow.

    Attributes:
        uuid: of the machine; empty if there are several, or it does not say.
        max_cpus: most vCPUs of one VM, on the machine that has most; None if none says.
        max_memory: most bytes of one VM's memory, likewise.
        editions: keys of the licences, of a host by itself.
        key_provider: whether a vCenter has one, which TPMs need.
    """

    uuid: str = ""
    max_cpus: int | None = None
    max_memory: int | None = None
    editions: tuple[str, ...] = ()
    key_provider: bool = False


@attrs.frozen(kw_only=True)
class _Node:
    ref: Ref
    name: str
    """As the API has it, in which ``%``, ``/`` and ``\\`` stand as %25, %2f and %5c."""
    parent: str
    values: Mapping[str, Any]

    @property
    def label(self) -> str:
        return unquote(self.name)


class Tree:
    """Folders, datacenters, clusters and machines, and what is told of licences and keys, read at once."""

    def __init__(self, nodes: Iterator[_Node], root: str) -> None:
        self._nodes = {node.ref.id: node for node in nodes}
        self._root = root
        self._below: dict[str, list[_Node]] = {}
        for node in self._nodes.values():
            self._below.setdefault(node.parent, []).append(node)

    @classmethod
    def read(cls, stub: Any, content: Any, api: tuple[int, ...]) -> Tree:
        """Ask, in one call and as many more as the answer has pages; ``api`` is the host's version of it."""
        collector = _Collector(content.propertyCollector._moId, stub)
        page = collector.RetrievePropertiesEx([_specification(content, api)], _Collector.RetrieveOptions())
        objects = []
        while page is not None:
            objects += page.objects
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return cls(map(_node, objects), content.rootFolder._moId)

    def facts(self, scope: Scope) -> Facts:
        """What the machines of a scope say."""
        machines = [self._nodes[host].values for compute in scope.computes for host in compute.hosts]
        memory = _most(machines, _MEMORY)
        told = {name: value for node in self._nodes.values() for name, value in node.values.items()}
        return Facts(
            uuid=str(machines[0].get(_UUID, "")) if len(machines) == 1 else "",
            max_cpus=_most(machines, _CPUS),
            max_memory=None if memory is None else memory * MiB,
            editions=tuple(licence.editionKey for licence in told.get(_LICENCES, ())),
            key_provider=bool(told.get(_KEY_PROVIDERS)),
        )

    def whole(self, root: Ref) -> Scope:
        """All there is, of a host by itself: it has one datacenter."""
        (datacenter,) = self._datacenters()
        return self._scope(datacenter, attrs.evolve(datacenter, ref=root))

    def scope(self, path: str) -> Scope:
        """What the path of a ``vcenter://`` URL names: ``/folder/Datacenter/cluster/host``.

        Raises:
            NotFound: it leads nowhere; the error names what there is.
            InvalidRequest: it ends before it names a datacenter, where there are several, or in a folder.
        """
        node, place = self._nodes[self._root], "this vCenter"
        datacenter: _Node | None = None
        for segment in (unquote(part) for part in path.split("/") if part):
            node, place = self._step(node, segment, place), f"{segment!r}"
            datacenter = node if node.ref.kind == "Datacenter" else datacenter
        if datacenter is None:
            datacenter = node = self._only(node, place)
        if node.ref.kind == "Folder":
            raise InvalidRequest(
                f"{place} is a folder: name a cluster or host in it, of {_names(self._children(node))}", field="url"
            )
        return self._scope(datacenter, node)

    def _step(self, node: _Node, segment: str, place: str) -> _Node:
        children = self._children(node)
        found = next((child for child in children if segment in (child.label, child.name)), None)
        if found is None:
            raise NotFound(f"no {segment!r} in {place}; it has {_names(children)}")
        return found

    def _only(self, node: _Node, place: str) -> _Node:
        found = [datacenter for datacenter in self._datacenters() if self._is_below(datacenter, node)]
        if not found:
            raise NotFound(f"{place} has no datacenter, or none that this account may see")
        if len(found) > 1:
            paths = ", ".join(f"/{unquote(self._path(datacenter))}" for datacenter in found)
            raise InvalidRequest(f"{place} has several datacenters: write one after the host, of {paths}", field="url")
        return found[0]

    def _scope(self, datacenter: _Node, node: _Node) -> Scope:
        return Scope(
            root=node.ref,
            datacenter=datacenter.ref.id,
            datacenter_path=self._path(datacenter),
            vm_folder=datacenter.values["vmFolder"]._moId,
            computes=tuple(self._computes(datacenter, node)),
        )

    def _computes(self, datacenter: _Node, node: _Node) -> Iterator[Compute]:
        for compute in self._nodes.values():
            if "resourcePool" not in compute.values or not self._is_below(compute, datacenter):
                continue
            hosts = [host for host in self._children(compute) if self._is_within(host, compute, node)]
            if hosts or compute is node:
                yield Compute(
                    ref=compute.ref,
                    name=compute.label,
                    pool=compute.values["resourcePool"]._moId,
                    hosts=tuple(host.ref.id for host in hosts),
                )

    @staticmethod
    def _is_within(host: _Node, compute: _Node, node: _Node) -> bool:
        if node.ref.kind == "HostSystem":
            return host is node
        return "resourcePool" not in node.values or compute is node

    def _datacenters(self) -> list[_Node]:
        return [node for node in self._nodes.values() if node.ref.kind == "Datacenter"]

    def _children(self, node: _Node) -> list[_Node]:
        """By name what is in it; in a datacenter that is what is in its folder of hosts, which has no name to write."""
        below = self._below.get(node.ref.id, [])
        if node.ref.kind == "Datacenter":
            below = [child for folder in below for child in self._below.get(folder.ref.id, [])]
        return sorted(below, key=lambda child: child.label)

    def _above(self, node: _Node) -> Iterator[_Node]:
        above: _Node | None = node
        while above is not None:
            yield above
            above = self._nodes.get(above.parent)

    def _is_below(self, node: _Node, top: _Node) -> bool:
        return any(above is top for above in self._above(node))

    def _path(self, node: _Node) -> str:
        names = [above.name for above in self._above(node) if above.ref.id != self._root]
        return "/".join(reversed(names))


def _names(nodes: list[_Node]) -> str:
    return ", ".join(repr(node.label) for node in nodes) or "nothing, or nothing that this account may see"


def _node(found: Any) -> _Node:
    values = {value.name: value.val for value in found.propSet}
    parent = values.pop("parent", None)
    return _Node(
        ref=Ref(kind=type(found.obj)._wsdlName, id=found.obj._moId),
        name=values.pop("name", ""),
        parent=parent._moId if parent is not None else "",
        values=values,
    )


def _most(machines: list[Mapping[str, Any]], name: str) -> int | None:
    return max((machine[name] for machine in machines if name in machine), default=None)


def _specification(content: Any, api: tuple[int, ...]) -> Any:
    onwards = [_Collector.SelectionSpec(name=f"{kind}.{path}") for kind, path in _STEPS]
    steps = [
        _Collector.TraversalSpec(
            name=f"{kind}.{path}", type=getattr(vim, kind), path=path, skip=False, selectSet=onwards
        )
        for kind, path in _STEPS
    ]
    objects = [_Collector.ObjectSpec(obj=content.rootFolder, skip=False, selectSet=steps)]
    read: dict[Any, tuple[str, ...]] = {getattr(vim, kind): paths for kind, paths in _READ.items()}
    if api >= (7,):
        read[vim.HostSystem] += (_MEMORY,)
    if content.about.apiType == "HostAgent":
        objects.append(_Collector.ObjectSpec(obj=content.licenseManager, skip=False))
        read[vim.LicenseManager] = (_LICENCES,)
    elif api >= (6, 7) and isinstance(content.cryptoManager, vim.encryption.CryptoManagerKmip):
        objects.append(_Collector.ObjectSpec(obj=content.cryptoManager, skip=False))
        read[vim.encryption.CryptoManagerKmip] = (_KEY_PROVIDERS,)
    wanted = [_Collector.PropertySpec(type=kind, pathSet=list(paths)) for kind, paths in read.items()]
    return _Collector.FilterSpec(objectSet=objects, propSet=wanted)
