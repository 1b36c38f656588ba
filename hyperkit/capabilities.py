"""What a connected host can do: one frozen value of booleans and limits.

Known after `connect`, since it depends on version, licence and configuration. Users decide by it
beforehand; the guard in `instrument` decides by it before any vendor call; the conformance suite chooses
its tests by it. There is no second vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import attrs

from hyperkit.errors import Unsupported


def _can(question: str, cannot: str, *, instead: str = "", by: str = "", default: bool = False) -> Any:
    """A capability: the question it answers, and the words of the error when the answer is no.

    What to do ``instead`` is left out where it needs a capability, ``by``, that is lacking as well.
    """
    metadata = {"question": question, "cannot": cannot, "instead": instead, "by": by}
    return attrs.field(default=default, metadata=metadata)


@attrs.frozen(kw_only=True)
class Capabilities:
    """Booleans are questions with the answer no unless the backend says yes; limits are None when unknown."""

    # Power
    pause: bool = _can(
        "Can a VM be paused in memory and resumed?",
        "pause a VM",
        instead="suspend() keeps its memory on disk instead",
        by="suspend",
    )
    suspend: bool = _can(
        "Can a VM's memory be saved to disk and the VM started from it?",
        "suspend a VM to disk",
        instead="pause() keeps its memory in RAM instead",
        by="pause",
    )
    shutdown: bool = _can(
        "Can a guest be asked to shut down?", "ask a guest to shut down", instead="stop() cuts the power"
    )
    reboot: bool = _can(
        "Can a guest be asked to reboot?", "ask a guest to reboot", instead="reset() presses the button", by="reset"
    )
    reset: bool = _can("Can a VM be reset like by the button?", "reset a VM", instead="stop() and start() it")
    autostart: bool = _can("Can a VM start with its host?", "start VMs with the host")

    # Names
    rename: bool = _can("Can a VM be renamed?", "rename a VM")
    unique_vm_names: bool = _can("Must VM names differ from one another?", "have two VMs of one name")
    unique_switch_names: bool = _can("Must switch names differ?", "have two switches of one name")
    unique_snapshot_names: bool = _can("Must the names of one VM's snapshots differ?", "have two snapshots of one name")

    # What a VM is made of
    bios: bool = _can("Can a VM start by BIOS?", "start a VM by BIOS", instead="use firmware=Firmware.UEFI", by="uefi")
    uefi: bool = _can("Can a VM start by UEFI?", "start a VM by UEFI", instead="use firmware=Firmware.BIOS", by="bios")
    secure_boot: bool = _can("Can UEFI refuse unsigned boot loaders?", "give a VM secure boot")
    tpm: bool = _can("Can a VM have a TPM 2.0?", "give a VM a TPM")
    boot_order: bool = _can("Can the order of boot devices be chosen?", "choose the boot order")
    kernel_boot: bool = _can(
        "Can a VM boot a kernel directly?", "boot a kernel directly", instead="boot from a disk or ISO"
    )
    containers: bool = _can("Can a container be made, which shares the host's kernel?", "make a container")
    disks: bool = _can("Can a VM have disks?", "give a VM disks")
    cdrom: bool = _can("Can a VM have a CD-ROM drive?", "give a VM a CD-ROM drive")
    guest_os: bool = _can("Is the guest OS hint kept?", "keep a guest OS hint")
    notes: bool = _can("Can a VM carry notes?", "keep notes with a VM")
    tags: bool = _can("Can a VM carry tags?", "keep tags with a VM")
    cpu_topology: bool = _can("Can sockets, cores and threads be chosen?", "choose the CPU topology")

    cpu_ceiling: bool = _can("Can a VM have room for more vCPUs than it starts with?", "give a VM max_cpus above cpus")
    memory_ceiling: bool = _can(
        "Can a VM have room for more memory than it starts with?", "give a VM max_memory above memory"
    )

    # Resource control
    cpu_reservation: bool = _can("Can CPU be reserved?", "reserve CPU for a VM")
    cpu_limit: bool = _can("Can CPU use be limited?", "limit a VM's CPU")
    cpu_shares: bool = _can("Can CPU be weighted among VMs?", "weight a VM's CPU")
    memory_reservation: bool = _can("Can memory be reserved?", "reserve memory for a VM")
    memory_limit: bool = _can("Can memory use be limited below the VM's size?", "limit a VM's memory")
    memory_shares: bool = _can("Can memory be weighted among VMs?", "weight a VM's memory")

    # Changes while the VM runs
    hot_cpu_add: bool = _can("Can vCPUs be added while it runs?", "add vCPUs to a running VM", instead="stop it first")
    hot_cpu_remove: bool = _can(
        "Can vCPUs be removed while it runs?", "remove vCPUs from a running VM", instead="stop it first"
    )
    hot_memory_add: bool = _can(
        "Can memory be added while it runs?", "add memory to a running VM", instead="stop it first"
    )
    hot_memory_remove: bool = _can(
        "Can memory be removed while it runs?", "remove memory from a running VM", instead="stop it first"
    )
    hot_memory_remove_any: bool = _can(
        "Can a running VM lose any amount of memory, not only whole DIMMs that it got while it ran?",
        "remove other amounts of memory from a running VM than whole DIMMs",
        instead="stop it first",
    )
    hot_allocation: bool = _can(
        "Can reservations, limits and shares change while it runs?",
        "change the resource control of a running VM",
        instead="stop it first",
    )
    hot_rename: bool = _can("Can a running VM be renamed?", "rename a running VM", instead="stop it first")
    hot_disk: bool = _can(
        "Can disks be attached and detached while it runs?",
        "attach or detach disks of a running VM",
        instead="stop it first",
    )
    hot_disk_resize: bool = _can(
        "Can a disk grow while the VM runs?", "grow a disk of a running VM", instead="stop it first"
    )
    hot_nic: bool = _can(
        "Can NICs be attached, detached and changed while it runs?",
        "attach, detach or change NICs of a running VM",
        instead="stop it first",
    )
    hot_nic_unplug: bool = _can(
        "Can a running VM's NIC be taken out of its switch, or put into one when it is in none?",
        "take a running VM's NIC out of its switch, or put one into a switch that is in none",
        instead="set_link(False) pulls its cable",
    )
    hot_cdrom: bool = _can(
        "Can an ISO be changed while the VM runs?", "change the ISO of a running VM", instead="stop it first"
    )

    # Disks
    attach: bool = _can(
        "Can disks and NICs be attached to and detached from a VM that exists?",
        "change a VM's devices",
        instead="give them at create",
    )
    disk_resize: bool = _can("Can a disk grow?", "grow a disk")
    linked_disks: bool = _can(
        "Can a disk share blocks with a base image?",
        "make copy-on-write disks",
        instead="use linked=False",
        by="copied_disks",
    )
    copied_disks: bool = _can(
        "Can a disk begin as a full copy of an image?",
        "copy an image into a new disk",
        instead="use linked=True",
        by="linked_disks",
    )
    read_only_disks: bool = _can("Can a disk be kept from being written to?", "make a disk read-only")

    # NICs and switches
    nic_link: bool = _can("Can a NIC's link be set down?", "set a NIC's link state")
    nic_vlan: bool = _can("Can a NIC have an access VLAN?", "put a NIC into a VLAN")
    nic_trunk: bool = _can("Can a NIC have tagged VLANs?", "let tagged VLANs through to a NIC")
    nic_spoof_guard: bool = _can(
        "Can a NIC be held to its own MAC address?", "keep a NIC from sending with another's MAC address"
    )
    nic_address_guard: bool = _can(
        "Can a NIC be held to IP addresses of its own?", "keep a NIC from sending with another's IP address"
    )
    nic_dhcp_guard: bool = _can("Can a NIC be kept from serving DHCP?", "keep a NIC from answering as a DHCP server")
    nic_router_guard: bool = _can(
        "Can a NIC be kept from announcing IPv6 routes?", "keep a NIC from announcing itself as a router"
    )
    nic_isolation: bool = _can(
        "Can NICs of one switch be kept apart?", "isolate a NIC from others of its switch", instead="use two switches"
    )
    nic_promiscuous: bool = _can(
        "Can a NIC be sent all frames of its switch?", "send a NIC the frames of others on its switch"
    )
    nic_acl: bool = _can("Can a NIC have an access control list?", "give a NIC an access control list")
    switch_external: bool = _can("Can switches with an uplink be made?", "make external switches")
    switch_internal: bool = _can("Can switches shared with the host be made?", "make internal switches")
    switch_private: bool = _can("Can switches of VMs alone be made?", "make private switches")
    switch_subnet: bool = _can(
        "Can an internal switch have a subnet with NAT and DHCP?", "run NAT and DHCP on a switch"
    )
    switch_leases: bool = _can("Can a switch keep addresses for NICs?", "keep static leases")
    switch_openvswitch: bool = _can("Can a switch be a bridge of Open vSwitch?", "make switches of Open vSwitch")
    switch_vlan: bool = _can("Can all of a switch be in one VLAN?", "put a switch into a VLAN")

    switch_vlan_change: bool = _can("Can a switch be moved to another VLAN?", "change a switch's VLAN")
    switch_spoof_guard: bool = _can(
        "Can a switch hold all its NICs to their own MAC addresses?",
        "keep the NICs of a switch from sending with another's MAC address",
        instead="give each NIC the policy",
        by="nic_spoof_guard",
    )
    switch_promiscuous: bool = _can(
        "Can a switch send all frames to all its NICs?", "send all NICs of a switch the frames of the others"
    )

    # Snapshots
    snapshots: bool = _can("Can snapshots be taken?", "take snapshots")
    snapshot_memory: bool = _can("Can a snapshot keep memory?", "keep memory in a snapshot", instead="use memory=False")
    snapshot_running_disks: bool = _can(
        "Can a running VM's disks be taken without its memory, and reverted to?",
        "take a running VM's disks without its memory",
        instead="use memory=True, or stop it first",
    )
    snapshot_quiesced: bool = _can(
        "Can the guest's file systems be frozen for a snapshot?",
        "quiesce the guest for a snapshot",
        instead="use quiesce=False",
    )
    snapshot_kinds_mix: bool = _can(
        "Can a VM's snapshots be of any kind, whatever the first was: with memory, or of running disks alone?",
        "take a snapshot of another kind than those that the VM has",
        instead="keep the memory, stop the VM first, or delete its snapshots",
    )
    snapshot_rename: bool = _can(
        "Can a snapshot's name and description be changed?", "change a snapshot's name or description"
    )

    snapshot_consolidation: bool = _can(
        "Can files that deleted snapshots left behind be merged?", "consolidate a VM's disks"
    )

    # Clones
    clones: bool = _can(
        "Can a VM be cloned?", "clone a VM", instead="create() one from its disk images", by="copied_disks"
    )
    running_clones: bool = _can(
        "Can a VM that runs be cloned as it is?", "clone a running VM as it is", instead="clone a snapshot, or stop it"
    )
    linked_clones: bool = _can(
        "Can a clone share blocks with a snapshot of its source?", "make linked clones", instead="use linked=False"
    )
    templates: bool = _can("Can a VM be made a template?", "make templates")

    # Storage
    volumes: bool = _can("Can disk images be made and deleted apart from VMs?", "make or delete volumes")
    transfer: bool = _can("Can files be uploaded to and downloaded from a datastore?", "upload or download files")

    # Guests and consoles
    guest_addresses: bool = _can("Can the host tell a guest's addresses?", "tell a guest's addresses")
    guest_agent: bool = _can("Can an agent in the guest be asked how it is?", "talk to an agent in a guest")
    guest_exec: bool = _can("Can commands be run in a guest?", "run commands in a guest")
    guest_freeze: bool = _can("Can a guest's file systems be frozen and thawed?", "freeze a guest's file systems")
    screenshot: bool = _can("Can a guest's screen be seen?", "take a picture of a guest's screen")
    send_keys: bool = _can("Can keys be pressed on a guest's keyboard?", "press keys of a guest")
    serial_console: bool = _can("Can a guest's serial port be read and written?", "open a guest's serial console")
    display: bool = _can("Can a guest's display be connected to (VNC, SPICE)?", "tell where a guest's display listens")

    questions: bool = _can("Can a VM wait for an answer, and be given it?", "answer a VM's question")

    # Seeing
    events_pushed: bool = _can(
        "Does the host report changes by itself?", "report changes by itself", instead="host.events compares records"
    )
    metrics: bool = _can("Does the host count what a VM uses?", "tell what a VM uses")

    # Limits
    max_cpus: int | None = None
    """Most vCPUs of one VM."""
    max_memory: int | None = None
    """Most bytes of memory of one VM."""
    max_disks: int | None = None
    """Most disks of one VM."""
    max_nics: int | None = None
    """Most NICs of one VM."""
    disk_formats: tuple[str, ...] = ()
    """Formats new disks can have, the default first."""
    disk_buses: tuple[str, ...] = ()
    """Buses that disks can be on, which else the host chooses; empty if unknown."""
    memory_unit: int = 1024
    """Memory comes in multiples of this many bytes."""
    hot_memory_unit: int = 1024
    """A running VM's memory grows by multiples of this many bytes: what guests can take into use."""
    why: Mapping[str, str] = attrs.field(factory=dict, hash=False)
    """Reasons for an unexpected no, by field: ``{"snapshots": "the free licence is read-only"}``."""

    def told(self, name: str) -> str:
        """How an error names a lacking capability, with the host's reason if it gave one."""
        return f"capability '{name}'" + (f": {self.why[name]}" if name in self.why else "")

    def refuse(self, name: str, backend: str) -> NoReturn:
        """Raise the `Unsupported` that a lacking capability deserves."""
        meta = getattr(attrs.fields(Capabilities), name).metadata
        reason = f": {self.why[name]}" if name in self.why else ""
        helps = meta["instead"] and (not meta["by"] or getattr(self, meta["by"]))
        instead = f"; {meta['instead']}" if helps else ""
        message = f"{backend} cannot {meta['cannot']} (capability '{name}'){reason}{instead}"
        raise Unsupported(message, capability=name, backend=backend)


def question(name: str) -> str:
    """The question a capability answers, for documents and tables."""
    return str(getattr(attrs.fields(Capabilities), name).metadata["question"])


def instead(name: str) -> str:
    """What to do where a capability is lacking; may be empty."""
    return str(getattr(attrs.fields(Capabilities), name).metadata["instead"])


def names() -> tuple[str, ...]:
    """The capabilities that are questions, in order; the limits are not among them."""
    return tuple(field.name for field in attrs.fields(Capabilities) if "question" in field.metadata)
