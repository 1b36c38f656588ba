"""THE CONTRACT between the objects users hold and the backends that serve them.

A backend is a function ``open(target: Target) -> Driver``. A `Driver` is one frozen value that holds small
ports; an optional port is None where the host has none. A port's methods are primitives: they take ids and
checked specs, make the vendor's calls and return a record, or a `Job` if the host works on. They do not
sleep, retry, log or check states: all that exists once, above, and so do

* the shape of specs (`hyperkit.specs`) and what the capabilities and limits forbid (`hyperkit.guard`),
* legal transitions, and verbs that have nothing to do (`hyperkit.states`),
* names: a port gets the *ids* of switches and datastores in ``NicSpec.switch`` and ``DiskSpec.datastore``,
* MAC addresses and disks that another VM has, VLANs and policies on switches that have none,
* waiting, progress, refresh, equality, events by comparison.

What is left to a port is what only the host can know: whether a name is free, a file is there and large
enough, a job succeeded. A primitive that fails leaves the host as it found it. Exceptions of the vendor
are let through; ``Driver.translate`` turns them into `HyperkitError` in one place.

Each docstring's *Behaviour* lines are the specification: `hyperkit.testing.conformance` has one test for
each, with the same words, and every backend must pass them. Read them as observed through the public
objects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import BinaryIO, Protocol

import attrs

from hyperkit.capabilities import Capabilities
from hyperkit.clock import Clock, SystemClock
from hyperkit.errors import HyperkitError
from hyperkit.guest_records import CommandResult, DisplayRecord, GuestRecord
from hyperkit.jobs import Job
from hyperkit.metrics import MetricsRecord
from hyperkit.records import (
    AddressRecord,
    DatastoreRecord,
    DiskRecord,
    HostRecord,
    NicRecord,
    PowerRecord,
    SnapshotRecord,
    SwitchRecord,
    VMRecord,
    VolumeRecord,
)
from hyperkit.specs import (
    CloneSpec,
    CommandSpec,
    DiskSpec,
    KeySpec,
    NicChange,
    NicSpec,
    SnapshotChange,
    SnapshotSpec,
    SwitchChange,
    SwitchSpec,
    VMChange,
    VMSpec,
    VolumeSpec,
)
from hyperkit.states import PowerAction
from hyperkit.streams import ByteStream


class HostPort(Protocol):
    """The machine itself."""

    def info(self) -> HostRecord:
        """Read the host's facts.

        Behaviour:
            * The host's id is the same after a reconnect.
            * Product and version say what runs there, and the type whether it is bare-metal, hosted or OS-level.
            * CPUs and memory are those of the machine, memory in bytes.
            * A closed connection refuses every call, and closing it again does no harm; what runs there runs on.
        """
        ...


class VMPort(Protocol):
    """Virtual machines."""

    def list(self) -> Sequence[VMRecord]:
        """Read every VM, in a number of round trips that does not grow with theirs where the vendor allows.

        Behaviour:
            * Every VM is listed once, whichever connection made it.
            * A listed record equals the one that get returns.
            * A VM that vanishes while the list is read is left out, not an error.
        """
        ...

    def get(self, vm_id: str) -> VMRecord:
        """Read one VM.

        Behaviour:
            * An id that no VM has is NotFound.
            * A record does not change after it was returned.
        """
        ...

    def create(self, spec: VMSpec) -> VMRecord | Job[VMRecord]:
        """Create a VM, switched off.

        Requires: what the spec asks for (`hyperkit.guard` lists it).

        Behaviour:
            * A new VM is off.
            * Name, CPUs and memory are exactly those asked for.
            * A VM's id differs from every other VM's and is the same after a reconnect.
            * A name that is taken is AlreadyExists where names must be unique, and nothing is made.
            * Two VMs may have one name where names need not be unique.
            * Disks and NICs are in the order of the spec.
            * A new disk has the size asked for and is marked as created.
            * A disk's size is kept to the last 512 bytes.
            * A linked disk names its base and is as large, unless a larger size is asked for.
            * A copied disk has the size of its base and does not name it.
            * A disk size below the base image's is InvalidRequest.
            * A disk's format is the one asked for.
            * A disk's bus and write protection are those asked for.
            * A disk's file has the name asked for, and a name that another disk of the VM has is AlreadyExists.
            * A disk that is not thin takes its space at once.
            * An existing disk is attached as it is and is not marked as created.
            * A disk path that leads nowhere is NotFound.
            * A disk path that is a directory is InvalidRequest.
            * A NIC without an address gets a unicast one that no other NIC has.
            * A MAC address asked for is kept.
            * A MAC address that another VM has is AlreadyExists, and nothing is made.
            * A NIC without a switch is plugged into none.
            * A NIC's model is the one asked for.
            * A NIC's link is up or down as asked for.
            * A NIC's VLAN is the one asked for.
            * A NIC's trunk has the tagged VLANs and the native one asked for.
            * A VLAN on a switch that carries none is InvalidRequest, and nothing is made.
            * A NIC's isolation policy is the one asked for.
            * A switch that does not exist is NotFound, and the error names those there are.
            * A datastore that does not exist is NotFound, and the error names those there are.
            * An ISO is in the CD-ROM drive.
            * An ISO path that leads nowhere is NotFound.
            * Firmware, secure boot and TPM are those asked for.
            * The boot order is the one asked for.
            * A kernel to boot directly is the one asked for.
            * The CPU topology is the one asked for.
            * A ceiling above the CPUs and memory at start is kept.
            * Reservation, limit and shares are exactly those asked for.
            * A container's root, init, arguments and environment are those asked for.
            * A container's root that leads nowhere is NotFound, and nothing is made.
            * A container is refused where none can be made, and nothing is made.
            * A machine is refused where only containers can be made, and nothing is made.
            * The guest OS hint is kept.
            * Notes come back character for character.
            * Tags are those asked for.
            * Autostart is as asked for.
            * More CPUs than the host allows are refused before anything is made.
            * More disks or NICs than the host allows are refused before anything is made.
            * A create that fails half-way leaves neither VM nor disk file.
            * Changing what was passed after the call changes nothing.
        """
        ...

    def configure(self, vm_id: str, change: VMChange) -> VMRecord:
        """Change a VM: while it runs if every field can be changed so, and lastingly in any case.

        Requires: for a VM that is not off, the hot capability of each field; a size of memory that its
        `VMRecord.dimms` allow.

        Behaviour:
            * What was changed is in the record returned and in the next read.
            * A field that was not named stays as it was.
            * CPUs and memory of a VM that is off go up and down.
            * A rename keeps the id.
            * A rename to a name that is taken is AlreadyExists where names must be unique.
            * Notes and autostart change while the VM runs, and the change outlives a restart of the VM.
            * A change that the running VM cannot take is refused, and none of it is done.
            * Boot order, guest OS hint and allocations of a VM that is off can be changed.
            * CPUs are added while the VM runs, and are there after a restart.
            * CPUs are removed while the VM runs, and are gone after a restart.
            * Memory is added while the VM runs, and is there after a restart.
            * Memory is removed while the VM runs, and is gone after a restart.
            * Memory that a running VM cannot lose is InvalidState, which names the sizes it can have.
            * A paused VM, whose guest cannot let go of them, loses neither CPUs nor memory: InvalidState.
            * What was added while the VM ran can be taken away once it is off.
            * Reservation, limit and shares of CPU change while the VM runs, and the change outlives a restart.
            * Reservation, limit and shares of memory change while the VM runs, and the change outlives a restart.
            * A VM is renamed while it runs.
            * Tags that are given take the place of all that were there, while the VM runs too.
        """
        ...

    def power(self, vm_id: str) -> PowerRecord:
        """Read what a VM is doing, at the least cost: it is asked before each verb, and while one is awaited.

        Behaviour:
            * The power state read alone is the one that the whole record tells.
        """
        ...

    def set_power(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        """Do one power action, which the VM's state was just seen to allow.

        ``SHUTDOWN`` and ``REBOOT`` only ask the guest, and return at once.

        Behaviour:
            * Start runs a VM that is off.
            * Stop cuts the power: the VM is off when the call returns.
            * Pause keeps a running VM in memory, and resume lets it run on.
            * Suspend saves a running VM to disk, and start lets it run on.
            * A paused VM can be suspended.
            * A suspended VM's memory can be discarded, which leaves it off.
            * Reset begins afresh, and leaves the VM running.
            * Reboot asks the guest, which begins afresh, and the VM runs on.
            * A verb whose goal is already reached changes nothing and is no error.
            * A verb that the state forbids is InvalidState, which names the state and the verbs allowed.
            * A verb on a VM that is gone is NotFound.
            * Another connection sees the state at once.
            * Shutdown asks the guest, which ends switched off.
            * A guest that ignores a shutdown is a Timeout, and the VM runs on.
            * A guest that ignores a shutdown is switched off if force was asked for.
        """
        ...

    def delete(self, vm_id: str, volumes: Sequence[str]) -> Job[None] | None:
        """Delete a VM that is not running, its snapshots and saved memory, and the disk files in ``volumes``.

        Behaviour:
            * A deleted VM is listed no more, and its id is NotFound.
            * A VM that runs is not deleted unless force is asked for.
            * A disk that hyperkit created is deleted with the VM by default.
            * A disk that hyperkit did not create stays unless it is named.
            * A disk that is named is deleted, whoever created it.
            * All disks are deleted if all are to be, whoever created them.
            * No disk is deleted if none is to be.
            * A disk that another VM uses, or whose base it is, is not deleted, and neither is the VM.
            * A disk that another image begins from is not deleted, though no VM has that image.
            * A VM with snapshots is deleted with them.
            * Files that a running VM's snapshots began are deleted with the VM, and what they began from is not.
            * A suspended VM is deleted with its memory.
        """
        ...


class DiskPort(Protocol):
    """Disks and CD-ROM drives as they are attached to a VM."""

    def attach(self, vm_id: str, spec: DiskSpec) -> DiskRecord:
        """Attach a new or existing disk, lastingly.

        Requires: `attach`; `hot_disk` unless the VM is off.

        Behaviour:
            * An attached disk comes after those that were there, and has an id of its own.
            * A new disk that cannot be attached leaves no file behind.
            * A disk that the VM already has is AlreadyExists.
            * A disk is attached to a running VM, and is still there after a restart.
            * A disk is attached to a running VM on the bus asked for.
            * One disk more than the host allows is refused.
        """
        ...

    def detach(self, vm_id: str, disk_id: str) -> None:
        """Take a disk away, lastingly; its file stays.

        Requires: `attach`; `hot_disk` unless the VM is off.

        Behaviour:
            * A detached disk is gone from the VM, and its file stays.
            * The other disks keep their ids.
            * A disk id that the VM does not have is NotFound.
            * A disk can be deleted as it is detached, if hyperkit created it.
            * A disk is not deleted while snapshots of its VM may need it: Busy, and it stays attached.
            * A disk is detached from a running VM, and is still gone after a restart.
            * A disk that a running VM's guest does not let go stays attached, with its file: Busy.
            * A paused VM's disk, which no guest can let go, stays attached: InvalidState.
        """
        ...

    def resize(self, vm_id: str, disk_id: str, size: int) -> DiskRecord:
        """Grow a disk.

        Requires: `disk_resize`; `hot_disk_resize` unless the VM is off.

        Behaviour:
            * A disk grows to the size asked for.
            * A disk is never made smaller: InvalidRequest.
            * A disk that two VMs have grows for both.
            * A disk of a running VM grows, and is as large after a restart.
        """
        ...

    def set_iso(self, vm_id: str, cdrom_id: str, iso: str | None) -> None:
        """Put an ISO into a drive, in place of what is there, or take it out (None); lastingly.

        Requires: `cdrom`; `hot_cdrom` unless the VM is off.

        Behaviour:
            * An ISO can be put into an empty drive, exchanged and taken out.
            * An exchange for an ISO that leads nowhere is NotFound, and the drive keeps what it has.
            * An ISO is exchanged while the VM runs, and the change outlives a restart.
        """
        ...


class NicPort(Protocol):
    """Network cards as they are attached to a VM."""

    def attach(self, vm_id: str, spec: NicSpec) -> NicRecord:
        """Add a card, lastingly.

        Requires: `attach`; `hot_nic` unless the VM is off.

        Behaviour:
            * An attached NIC comes after those that were there, on the switch asked for.
            * An attached NIC's MAC address that another VM has is AlreadyExists.
            * A NIC is attached to a running VM, and is still there after a restart.
            * One NIC more than the host allows is refused.
        """
        ...

    def detach(self, vm_id: str, nic_id: str) -> None:
        """Take a card away, lastingly.

        Requires: `attach`; `hot_nic` unless the VM is off.

        Behaviour:
            * A detached NIC is gone, and the others keep their ids and addresses.
            * A NIC id that the VM does not have is NotFound.
            * A NIC is detached from a running VM, and is still gone after a restart.
            * A paused VM's NIC, which no guest can let go, stays attached: InvalidState.
        """
        ...

    def update(self, vm_id: str, nic_id: str, change: NicChange) -> NicRecord:
        """Change a card, lastingly. ``change.switch`` is a switch's id, or an empty string for none.

        Requires: `attach`; `hot_nic` unless the VM is off, and then `hot_nic_unplug` from a switch to none or back;
        `nic_link` to change the link; `nic_vlan`, `nic_trunk`, and one capability for each part of a policy, to have
        them; a VM that is off for another address.

        Behaviour:
            * A NIC moves to another switch and keeps its id and address.
            * A NIC is unplugged and stays in the VM.
            * A NIC's link goes down and up.
            * A NIC gets another address and keeps its place.
            * A NIC's new address that another VM has is AlreadyExists, and it keeps its own.
            * A running VM's NIC changes switch and link, and the change outlives a restart.
            * A NIC gets another VLAN, and none.
            * A NIC gets another isolation policy, and none.
            * A NIC that is unplugged, plugged in again or gets another address keeps its policy.
            * A NIC of another isolation policy keeps switch, address and link.
            * A running VM's NIC changes its isolation policy, and the change outlives a restart.
            * A running VM's NIC is unplugged and plugged in, and the change outlives a restart.
            * A NIC keeps its address unless the VM is off: a change is InvalidState.
        """
        ...


class SwitchPort(Protocol):
    """Virtual switches."""

    def list(self) -> Sequence[SwitchRecord]:
        """Read every switch, in one go.

        Behaviour:
            * Every switch is listed once, and its record equals the one that get returns.
        """
        ...

    def get(self, switch_id: str) -> SwitchRecord:
        """Read one switch.

        Behaviour:
            * A switch id that does not exist is NotFound.
        """
        ...

    def create(self, spec: SwitchSpec) -> SwitchRecord:
        """Create a switch that carries frames at once and after a restart of the host.

        Requires: `switch_external`, `switch_internal` or `switch_private`; `switch_subnet` with a subnet,
        `switch_leases` with leases, `switch_openvswitch` on Open vSwitch, `switch_vlan` with a VLAN.

        Behaviour:
            * A private switch has neither uplink nor subnet.
            * An internal switch has the subnet, NAT and DHCP asked for.
            * An external switch has the uplink asked for.
            * A switch of Open vSwitch has the bridge asked for, and carries VLANs.
            * A switch has the VLAN asked for.
            * A switch has the static leases asked for.
            * A switch's policy is the one asked for.
            * A new switch is active.
            * A switch name that is taken is AlreadyExists where names must be unique.
            * Two switches may have one name where they need not be unique.
            * A subnet that another switch has is InvalidRequest, and no switch is made.
            * VMs on a new switch can be started.
        """
        ...

    def update(self, switch_id: str, change: SwitchChange) -> SwitchRecord:
        """Change a switch: at once and lastingly, while VMs are plugged into it.

        Requires: `switch_leases` to change the leases, `switch_vlan_change` the VLAN; one capability for each part of
        a policy, to have it.

        Behaviour:
            * Static leases that are given take the place of all that were there, while a VM runs on the switch.
            * Leases that one switch cannot keep are InvalidRequest, and those that it has stay.
            * A guest gets the address of its lease.
            * A switch gets another VLAN, and none.
            * A switch gets another policy, and none.
        """
        ...

    def delete(self, switch_id: str) -> None:
        """Delete a switch that no VM is plugged into.

        Behaviour:
            * A deleted switch is gone.
            * A switch that a VM is plugged into is not deleted: Busy, and the error names the VM.
        """
        ...


class DatastorePort(Protocol):
    """Places for disk images."""

    def list(self) -> Sequence[DatastoreRecord]:
        """Read every datastore.

        Behaviour:
            * A datastore's free space is at most its capacity, both in bytes.
            * A listed datastore equals the one that get returns.
        """
        ...

    def get(self, datastore_id: str) -> DatastoreRecord:
        """Read one datastore.

        Behaviour:
            * A datastore id that does not exist is NotFound.
        """
        ...


class VolumePort(Protocol):
    """Files in a datastore: disk images and ISOs."""

    def list(self, datastore_id: str) -> Sequence[VolumeRecord]:
        """Read the files of one datastore, as they are now.

        Behaviour:
            * A VM's new disk is among the volumes of its datastore.
        """
        ...

    def create(self, datastore_id: str, spec: VolumeSpec) -> VolumeRecord | Job[VolumeRecord]:
        """Create a disk image that belongs to no VM.

        Requires: `volumes`.

        Behaviour:
            * A new volume has the name, size and format asked for, and can be attached by its path.
            * A volume name that is taken is AlreadyExists, and the volume that has it stays as it was.
        """
        ...

    def delete(self, volume_id: str) -> None:
        """Delete a file.

        Requires: `volumes`.

        Behaviour:
            * A deleted volume is gone, and deleting it again is NotFound.
            * A volume that a VM uses is not deleted: Busy, and the error names the VM.
        """
        ...

    def upload(self, datastore_id: str, name: str, source: BinaryIO, size: int) -> VolumeRecord:
        """Make a file of ``size`` bytes read from ``source``; ``name`` is the file's whole name.

        Requires: `transfer`.

        Behaviour:
            * What was uploaded comes back byte for byte.
            * An upload that breaks off leaves no file.
        """
        ...

    def download(self, volume_id: str, sink: BinaryIO) -> None:
        """Write a file's bytes, as they are stored, to ``sink``.

        Requires: `transfer`.
        """
        ...


class SnapshotPort(Protocol):
    """Snapshots of a VM: a tree, addressed by id."""

    def list(self, vm_id: str) -> Sequence[SnapshotRecord]:
        """Read a VM's snapshots, parents before children.

        Behaviour:
            * A new VM has no snapshots.
            * The snapshots of one VM are not those of another.
            * At most one snapshot is current.
        """
        ...

    def create(self, vm_id: str, spec: SnapshotSpec) -> SnapshotRecord | Job[SnapshotRecord]:
        """Take a snapshot on top of the current one. ``spec.memory`` is decided: True or False.

        Requires: `snapshots`; `snapshot_memory` with memory; `snapshot_running_disks` without it while the VM
        runs; `snapshot_quiesced` with quiesce.

        Behaviour:
            * A new snapshot is current, and its parent is the one that was.
            * Name, description and time of a snapshot are kept, the time aware and in UTC.
            * A snapshot's name that is taken is AlreadyExists where they must be unique.
            * Two snapshots of one VM may have one name where they need not be unique.
            * Taking a snapshot leaves the VM in the state it was in.
            * A running VM's snapshot keeps its memory unless told otherwise.
            * Memory of a VM that is off cannot be kept: InvalidState.
            * A suspended VM is not snapshotted, since its memory would not fit the disks: InvalidState.
            * A quiesced snapshot is of the disks alone, and its guest runs on.
            * A paused VM's guest cannot be quiesced: InvalidState, and no snapshot is taken.
        """
        ...

    def update(self, vm_id: str, snapshot_id: str, change: SnapshotChange) -> SnapshotRecord:
        """Change what a snapshot is called.

        Requires: `snapshot_rename`.

        Behaviour:
            * A snapshot's name and description change, and its id stays.
            * A snapshot's new name that another one of the VM has is AlreadyExists where they must be unique.
            * A snapshot keeps its new name when the VM is reverted to it, and its old name is free.
        """
        ...

    def held(self) -> Mapping[str, Collection[str]]:
        """Read the paths of all files that snapshots on this host need, each with the ids of the VMs they are of.

        Behaviour:
            * A file that a snapshot needs is not deleted, even if no VM has it as a disk: Busy.
        """
        ...

    def revert(self, vm_id: str, snapshot_id: str) -> VMRecord | Job[VMRecord]:
        """Bring back a snapshot's disks, configuration and, if it has it, memory. What came since is lost.

        Behaviour:
            * A revert brings back the CPUs and memory the VM had.
            * A revert to a snapshot of a VM that was off leaves it off.
            * A revert to a snapshot with memory leaves the VM in the state it was taken in.
            * A revert to a snapshot of a running VM without memory leaves it off.
            * A revert makes the snapshot current, so that the next one is its child.
            * A revert keeps every snapshot.
            * A revert of a suspended VM discards its saved memory.
            * A revert brings back the content of the disks.
            * A revert to a snapshot of a running VM's disks brings back their content.
            * A revert takes away a disk that was attached since, and its file stays; one that was detached is back.
            * A revert keeps the VM's name, notes, tags and autostart.
        """
        ...

    def delete(self, vm_id: str, snapshot_id: str, children: bool) -> Job[None] | None:
        """Delete one snapshot, or with ``children`` the whole tree below it too. The VM is not changed.

        Behaviour:
            * Deleting a snapshot keeps its children, which become its parent's.
            * Deleting a snapshot with its children deletes the tree below it and nothing else.
            * Deleting the current snapshot makes its parent current.
            * Deleting a snapshot leaves the VM as it is.
            * Deleting a snapshot keeps the content of the disks, and of the snapshots that stay.
            * Deleting a snapshot of a running VM's disks keeps their content, and that of the snapshots that stay.
            * A snapshot id that the VM does not have is NotFound.
        """
        ...


class ClonePort(Protocol):
    """VMs made of other VMs, and templates, which are there for nothing else."""

    def clone(self, vm_id: str, spec: CloneSpec) -> VMRecord | Job[VMRecord]:
        """Make a VM of another one or of a template, switched off and no template itself.

        ``spec.datastore`` is a datastore's id; with ``spec.linked`` ``spec.snapshot`` is there.

        Requires: `clones`; `linked_clones` for a linked one; `running_clones` if it runs, and no snapshot is named.

        Behaviour:
            * A clone is off, and as large as its source: CPUs, memory and disks.
            * A clone has an id, disk files and MAC addresses of its own, on the switches of its source's NICs.
            * A clone has its source's notes and tags.
            * A clone's disks are marked as created, and deleted with it; its source's are not.
            * A clone's name that is taken is AlreadyExists where names must be unique, and nothing is made.
            * A clone of a VM that is gone is NotFound.
            * A clone of a snapshot has the CPUs and memory of then.
            * A clone of a snapshot that the VM does not have is NotFound, and nothing is made.
            * A linked clone's disks share blocks with those of its source's snapshot.
            * A linked clone of a VM without snapshots is InvalidState, and nothing is made.
            * A running VM is cloned as it is, and runs on.
            * What was written to the source's disks is read from the clone's.
        """
        ...

    def set_template(self, vm_id: str, template: bool) -> VMRecord:
        """Make a VM that is off a template, or a template a VM again.

        Requires: `templates`.

        Behaviour:
            * A template is a VM that is listed as such, and is not started: InvalidState.
            * A template becomes a VM again, which can be started.
            * A clone of a template is a VM.
            * A VM that runs does not become a template: InvalidState.
        """
        ...


class GuestPort(Protocol):
    """What an agent in a guest tells and does. Each call returns within a few seconds of its timeout.

    All but `addresses` raise, of a VM that runs, and of none other is anything told here:
        AgentUnavailable: nobody answers: the guest boots, or has no agent. At once.
        Timeout: there is an agent, and it does not answer.
        Unsupported: the VM was made without a way to an agent, or the agent does not do this.
    """

    def addresses(self, vm_id: str) -> Sequence[AddressRecord]:
        """Read the guest's addresses, loopback and link-local left out; empty while there are none.

        Requires: `guest_addresses`.

        Behaviour:
            * A VM that is off has no addresses.
            * A running guest's address belongs to one of its NICs.
            * Loopback and link-local addresses are left out.
        """
        ...

    def ping(self, vm_id: str, timeout: float) -> None:
        """Return if the agent answers.

        Requires: `guest_agent`.

        Behaviour:
            * An agent that runs answers a ping.
            * A guest without an agent is AgentUnavailable, which is an InvalidState.
            * An agent that hangs is a Timeout, and does not keep its VM's addresses from being read.
            * A VM that is off has no agent to ask: InvalidState, which says that it is off.
        """
        ...

    def info(self, vm_id: str, timeout: float) -> GuestRecord:
        """Read what the agent tells of its guest.

        Requires: `guest_agent`.

        Behaviour:
            * A guest tells its host name and its system.
        """
        ...

    def execute(self, vm_id: str, command: CommandSpec) -> Job[CommandResult]:
        """Run a command, as whom the agent runs. The job fails with `TaskFailed` if its end cannot be learned.

        Requires: `guest_exec`.

        Behaviour:
            * A command's output, errors and exit code come back.
            * What a command reads and writes is passed on byte for byte.
            * A command has the environment asked for, and no more.
            * A command that a signal ends has that signal and no exit code.
            * A program that the guest does not have is NotFound.
            * A command that takes longer than one waits for is a Timeout, and comes to its end all the same.
        """
        ...

    def freeze(self, vm_id: str, timeout: float) -> int:
        """Have the guest flush its file systems and hold every write to them, until `thaw`; how many were frozen.

        An agent that is gone before it answered is a Timeout: it may have frozen them.

        Requires: `guest_freeze`.

        Behaviour:
            * File systems are frozen, and thawed again at the end, whatever goes wrong in between.
            * A guest that is frozen is not frozen again: InvalidState, and it stays as it is.
            * How many file systems were frozen is told.
        """
        ...

    def thaw(self, vm_id: str, timeout: float) -> None:
        """Let the guest write on.

        Requires: `guest_freeze`.

        Behaviour:
            * Thawing a guest that is not frozen is no error.
            * Where nobody answers, freezing and thawing are AgentUnavailable, at once.
        """
        ...


class ConsolePort(Protocol):
    """What somebody would have who sat in front of a VM that runs."""

    def screenshot(self, vm_id: str) -> bytes:
        """Take a picture of its screen: a PNG or a PPM (P6), which becomes a PNG above.

        Requires: `screenshot`.

        Behaviour:
            * A screenshot is a PNG, as large as the guest's screen.
            * A VM that is off has no screen: InvalidState, which says that it is off.
        """
        ...

    def send_keys(self, vm_id: str, keys: KeySpec) -> None:
        """Press keys, one chord after another; they may reach the guest after the return.

        Requires: `send_keys`.

        Behaviour:
            * A text that is typed reaches the guest character by character.
            * Keys that are pressed together act together.
        """
        ...

    def displays(self, vm_id: str) -> Sequence[DisplayRecord]:
        """Read where its displays listen; empty if it has none.

        Requires: `display`.

        Behaviour:
            * A running VM's displays are told as they listen.
        """
        ...

    def serial(self, vm_id: str, take: bool) -> ByteStream:
        """Open its first serial port, from now on; with ``take``, from whoever has it.

        Requires: `serial_console`.

        Raises:
            Busy: somebody has it, and ``take`` is false.
            Unsupported: the VM was made without one.

        Behaviour:
            * What is written to a serial console reaches the guest.
            * What the guest writes to its serial console is read.
            * A serial console is one reader's at a time: Busy for others, unless they take it.
            * A serial console that was closed can be opened again.
            * A serial console ends when its VM stops.
        """
        ...


class UpkeepPort(Protocol):
    """What some hosts leave to somebody else: to answer for a VM that waits, and to clear up behind snapshots."""

    def answer(self, vm_id: str, question_id: str, choice: str) -> None:
        """Answer what a VM waits for. ``choice`` is one of its record's.

        Requires: `questions`.

        Behaviour:
            * A question that a VM waits for is in its record, with the answers there are.
            * A question that was answered is there no more, and the VM goes on.
            * An answer that the question does not have is InvalidRequest, which names those it has.
            * An answer to a VM that waits for none is InvalidState.
        """
        ...

    def consolidate(self, vm_id: str) -> Job[None] | None:
        """Merge what deleted snapshots left behind. The VM's disks and its snapshots are not changed.

        Requires: `snapshot_consolidation`.

        Behaviour:
            * A VM whose deleted snapshots left files behind says so, and no more once it is consolidated.
            * Consolidating a VM that does not need it changes nothing.
        """
        ...


@attrs.frozen
class Change:
    """Something that happened to a VM, as a backend that pushes reports it: a None record is absence."""

    before: VMRecord | None
    after: VMRecord | None


@attrs.frozen(kw_only=True)
class Occurrence:
    """Something that happened to a VM and is in no record.

    Attributes:
        vm: the VM's record then.
    """

    vm: VMRecord


@attrs.frozen(kw_only=True)
class Reboot(Occurrence):
    """What is in the VM began afresh, while the VM stayed switched on."""


@attrs.frozen(kw_only=True)
class IOFailure(Occurrence):
    """The host could not read or write one of the VM's disks.

    Attributes:
        disk_id: that of its `DiskRecord` or `CdromRecord`; None if the host names none.
        path: the file, if the host names it.
        paused: whether the host paused the VM for it, until somebody resumes it.
        full: whether the datastore had no room left.
    """

    disk_id: str | None
    path: str = ""
    paused: bool
    full: bool


@attrs.frozen(kw_only=True)
class JobEnd(Occurrence):
    """Long work of the host on the VM has ended, whoever began it.

    Attributes:
        job: what it was, in a word or two: ``save``, ``migration out``, ``backup``.
        error: why it failed, in the host's words; None if it went well.
    """

    job: str
    error: str | None = None


class EventPort(Protocol):
    """Changes, reported by the host itself. Without this port `host.events` compares records instead."""

    def subscribe(self, sink: Callable[[Change | Occurrence | HyperkitError], None]) -> Callable[[], None]:
        """Have ``sink`` called, in any thread, at each change and occurrence; the returned function ends that.

        It hears of what happens from this call on, of one VM in its order. The sink returns at once and raises nothing.
        An error is the last thing that it hears, and why.

        Behaviour:
            * A VM that is created, changed and deleted is reported so, in this order.
            * A change of state tells the states before and after.
            * Nothing is reported while nothing changes.
            * A reset is reported once, and is no change of state.
            * A snapshot of a VM that runs is reported as no pause.
            * A stop and a start right after each other are both reported.
        """
        ...


class MetricsPort(Protocol):
    """What VMs use."""

    def read(self, vm_ids: Sequence[str] | None) -> Sequence[MetricsRecord]:
        """Read the counters of these VMs, or of all, in a number of round trips that does not grow with theirs.

        Requires: `metrics`.

        Behaviour:
            * All VMs are measured, or those that are named; one that is gone is left out.
            * The time of a reading is aware and in UTC.
            * A VM that is off has used nothing and has no memory.
            * A VM that runs has the memory that it was given.
            * The CPU time of a VM that runs grows.
            * The disks and NICs measured have the ids that the record has.
            * A VM that was started again counts from zero.
        """
        ...


@attrs.frozen(kw_only=True)
class Driver:
    """One connection to one host: all that the objects above need.

    Attributes:
        backend: the backend's name, for messages.
        url: where, without secrets, for messages.
        identity: stable id of the host: objects of two connections to it are equal.
        capabilities: what this host can do.
        translate: a vendor's exception as ours, or None if it is not the vendor's.
        native: tells the vendor's own connection as it is now, for what hyperkit has no word for.
        close: end the connection; may be called twice.
        clock: what time is it; the fake brings its own.
    """

    backend: str
    url: str
    identity: str
    capabilities: Capabilities
    host: HostPort
    vms: VMPort
    disks: DiskPort
    nics: NicPort
    switches: SwitchPort
    datastores: DatastorePort
    volumes: VolumePort
    snapshots: SnapshotPort | None = None
    clones: ClonePort | None = None
    guests: GuestPort | None = None
    consoles: ConsolePort | None = None
    upkeep: UpkeepPort | None = None
    events: EventPort | None = None
    metrics: MetricsPort | None = None
    translate: Callable[[Exception], HyperkitError | None]
    native: Callable[[], object] = attrs.field(default=lambda: None, repr=False)
    close: Callable[[], None]
    clock: Clock = attrs.field(factory=SystemClock)


PORTS: Mapping[str, type] = {
    "host": HostPort,
    "vms": VMPort,
    "disks": DiskPort,
    "nics": NicPort,
    "switches": SwitchPort,
    "datastores": DatastorePort,
    "volumes": VolumePort,
    "snapshots": SnapshotPort,
    "clones": ClonePort,
    "guests": GuestPort,
    "consoles": ConsolePort,
    "upkeep": UpkeepPort,
    "events": EventPort,
    "metrics": MetricsPort,
}
"""The ports by their name in `Driver`; an operation is called ``port.method``, as in ``vms.create``."""


def operations(port: str) -> tuple[str, ...]:
    """The methods of a port, in order."""
    return tuple(name for name in vars(PORTS[port]) if not name.startswith("_"))


@attrs.frozen(kw_only=True)
class Target:
    """What a backend's ``open`` is given: where to connect, as whom, and how.

    Attributes:
        url: the whole URL, secrets removed.
        scheme: such as ``esxi``.
        host: empty for a local one.
        port: None for the usual one.
        path: with its leading slash, if any.
        options: the query's ``name=value`` pairs.
        user: from the URL or `connect`.
        password: never in a repr.
        verify: check the host's certificate: True, False, or the path of a CA file.
        timeout: seconds for connecting, and of silence after which the host is dead; None for the vendor's own.
        clock: None lets the backend choose.
    """

    url: str
    scheme: str
    host: str = ""
    port: int | None = None
    path: str = ""
    options: Mapping[str, str] = attrs.field(factory=dict)
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    verify: bool | str = True
    timeout: float | None = None
    clock: Clock | None = None


class Backend(Protocol):
    """The one function a backend must have, named by its entry point in the group ``hyperkit.backends``."""

    def __call__(self, target: Target) -> Driver:
        """Connect.

        Raises:
            ConnectionFailed: the host cannot be reached.
            AuthenticationFailed: it refuses the credentials.
        """
        ...
