"""Before a port is called: names become ids, and what other VMs hold is not taken from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from hyperkit.checks import refuse
from hyperkit.collection import pick
from hyperkit.errors import Busy
from hyperkit.records import SwitchRecord, VMRecord, changed
from hyperkit.specs import DiskSpec, NicSpec
from hyperkit.specs.given import check_own
from hyperkit.specs.isolation import OPEN

if TYPE_CHECKING:
    from hyperkit.host import Host

_NEW_SWITCH = "host.switches.create({name!r})"


def resolve_nics(host: Host, nics: Iterable[NicSpec]) -> tuple[NicSpec, ...]:
    """NIC specs with switch ids, read with one call if any NIC has a switch.

    Raises:
        NotFound: no such switch; the error names those there are.
        InvalidRequest: a switch that carries no VLANs, or enforces no policies, for a NIC that has one; or one of
            another host.
    """
    nics = tuple(nics)
    check_own(host.identity, "switch", *(nic.switch for nic in nics))
    if not any(nic.switch for nic in nics):
        return nics
    switches = host.driver.switches.list()
    tagging = "; one created with openvswitch=True does" if host.capabilities.switch_openvswitch else ""
    return tuple(plugged(nic, switches, host.url, tagging) if nic.switch else nic for nic in nics)


def plugged(nic: NicSpec, switches: Sequence[SwitchRecord], url: str, tagging: str = "") -> NicSpec:
    """A NIC's spec with the id of its switch, which can do what the NIC needs.

    ``tagging`` tells how to come by a switch that carries VLANs.

    Raises:
        NotFound, InvalidRequest: as `resolve_nics`.
    """
    switch = pick("switch", switches, nic.switch or "", url, _NEW_SWITCH)
    for field, wanted, able, does in (
        ("vlan", nic.vlan, "carries_vlans", "carries VLANs"),
        ("trunk", nic.trunk, "carries_vlans", "carries VLANs"),
        ("policy", None if nic.policy == OPEN else nic.policy, "enforces_policies", "enforces policies"),
    ):
        if wanted and not getattr(switch, able):
            others = ", ".join(repr(other.name) for other in switches if getattr(other, able))
            where = f"; of this host's switches, {others} can" if others else "; none of this host's switches can"
            remedy = "" if field == "policy" else tagging
            refuse(field, wanted, f"a switch that {does}, which {switch.name!r} cannot{where}{remedy}")
    return changed(nic, switch=switch.id)


def resolve_disks(host: Host, disks: Iterable[DiskSpec]) -> tuple[DiskSpec, ...]:
    """Disk specs with datastore ids, read with one call if any disk names a datastore.

    Raises:
        NotFound: no such datastore; the error names those there are.
        InvalidRequest: a datastore or volume of another host.
    """
    disks = tuple(disks)
    for field in ("datastore", "base", "path"):
        check_own(host.identity, field, *(getattr(disk, field) for disk in disks))
    if not any(disk.datastore for disk in disks):
        return disks
    datastores = host.driver.datastores.list()
    return tuple(
        changed(disk, datastore=pick("datastore", datastores, disk.datastore, host.url).id) if disk.datastore else disk
        for disk in disks
    )


def datastore_id(host: Host, label: str) -> str:
    """The id of the datastore that a name or an id means.

    Raises:
        NotFound: no such datastore; the error names those there are.
        InvalidRequest: one of another host.
    """
    check_own(host.identity, "datastore", label)
    return pick("datastore", host.driver.datastores.list(), label, host.url).id


def check_subnet_free(host: Host, subnet: IPv4Network | None) -> None:
    """Refuse a subnet that a switch of this host already has, or a part of it: the host could not route to both.

    Raises:
        InvalidRequest: it is taken; the error names the switch.
    """
    for switch in host.driver.switches.list() if subnet else ():
        if subnet and switch.subnet and subnet.overlaps(IPv4Network(switch.subnet)):
            wanted = f"a subnet that no switch has; {switch.name!r} on {host.url} has {switch.subnet}"
            refuse("subnet", str(subnet), wanted)


def check_unused(host: Host, paths: Iterable[str], *, but: str | None = None, with_snapshots: bool = False) -> None:
    """Refuse to delete files that somebody needs: a VM, another disk image that begins from them, or a snapshot.

    Args:
        paths: the files that are to go, together.
        but: the id of a VM that lets go of them.
        with_snapshots: whether that VM's snapshots go too, with what only they hold.

    Raises:
        Busy: one is needed; the error says by whom. Nothing was deleted.
    """
    doomed = set(paths)
    # Where clones share blocks with a snapshot, it may hold what they need without a disk of its VM.
    if not doomed and not (with_snapshots and host.capabilities.linked_clones):
        return
    for path, holder in _holders(host, doomed, but, with_snapshots):
        raise Busy(f"{path} is {holder} on {host.url}; nothing was deleted", backend=host.url)


def _holders(host: Host, doomed: set[str], but: str | None, with_snapshots: bool) -> Iterator[tuple[str, str]]:
    """Who needs which of these files: one bulk read of VMs, one of what snapshots hold, one of each datastore."""
    driver = host.driver
    records = driver.vms.list()
    others = [record for record in records if record.id != but]
    yield from _vms_with(doomed, others)
    port = driver.snapshots if driver.capabilities.snapshots else None
    needed = port.held() if port is not None else {}
    going = {path for path, owners in needed.items() if with_snapshots and set(owners) == {but}}
    # What the VM's disks are stays with them; the rest goes with its snapshots.
    kept = {path for record in records if record.id == but for disk in record.disks for path in disk.files}
    yield from _vms_with(going - kept, others)
    if not doomed:
        return
    # An image that no VM has may be somebody's data, and the middle of a chain is in no VM's record. Where images share
    # blocks only as disks of VMs (vSphere), no volume tells of another, and browsing datastores is slow.
    for datastore in driver.datastores.list() if driver.capabilities.linked_disks else ():
        for volume in driver.volumes.list(datastore.id) if datastore.accessible else ():
            if volume.base in doomed and volume.path not in doomed | going:
                yield volume.base, f"the base of {volume.path}"
    names = {record.id: record.name for record in records}
    for path, owners in needed.items():
        needing = [owner for owner in owners if not (with_snapshots and owner == but)]
        if path in doomed and needing:
            yield path, f"needed by a snapshot of VM {names.get(needing[0], needing[0])!r}"


def _vms_with(paths: set[str], records: Iterable[VMRecord]) -> Iterator[tuple[str, str]]:
    """Which of these files these VMs need."""
    for record in records:
        held: dict[str | None, str] = {disk.base: "the base of a disk of" for disk in record.disks}
        held.update({cdrom.iso: "in the drive of" for cdrom in record.cdroms})
        held.update({path: "used by" for disk in record.disks for path in disk.files})
        for path in paths & held.keys():
            yield path, f"{held[path]} VM {record.name!r}"
