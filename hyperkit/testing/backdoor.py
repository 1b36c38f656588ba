"""How the conformance suite looks at a host, and changes it, without hyperkit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from hyperkit.specs import Allocation
from hyperkit.specs.isolation import OPEN, IsolationPolicy
from hyperkit.states import PowerState


@attrs.frozen(kw_only=True)
class Shape:
    """What a VM is, as the host's own tools tell it: of sizes, what the next start or the present run has."""

    name: str
    cpus: int
    memory: int
    disks: frozenset[str]
    macs: frozenset[str]


@attrs.frozen
class Plug:
    """Where a NIC is plugged in, as the host's own tools tell it: of a VM that runs, where it is now."""

    switch: str | None
    vlan: int | None = None
    link_up: bool = True


@attrs.frozen(kw_only=True)
class Network:
    """What a virtual switch is, as the host's own tools tell it; the fields are those of `SwitchSpec`."""

    uplink: str | None = None
    subnet: str | None = None
    nat: bool = False
    dhcp: bool = False
    openvswitch: bool = False
    vlan: int | None = None
    policy: IsolationPolicy = OPEN
    active: bool = True


class Backdoor(Protocol):
    """Looks at the host, and changes it, without hyperkit, so that no method is tested with itself."""

    def vm_ids(self) -> set[str]:
        """The ids of all VMs."""
        ...

    def power_state(self, vm_id: str) -> PowerState | None:
        """What a VM is doing; None if there is none of this id."""
        ...

    def shape(self, vm_id: str) -> Shape:
        """What a VM is made of."""
        ...

    def allocations(self, vm_id: str) -> tuple[Allocation, Allocation]:
        """How CPU and memory of a VM are controlled: where it runs, of this run."""
        ...

    def plugs(self, vm_id: str) -> dict[str, Plug]:
        """A VM's NICs, by MAC address."""
        ...

    def snapshots(self, vm_id: str) -> dict[str, str | None]:
        """The names of a VM's snapshots, which the test made different, each with its parent's."""
        ...

    def switch_names(self) -> set[str]:
        """The names of all virtual switches."""
        ...

    def network(self, name: str) -> Network:
        """The virtual switch of this name."""
        ...

    def files(self) -> set[str]:
        """The paths of all files in the datastores."""
        ...

    def capacity(self, datastore: str) -> int:
        """The bytes that the datastore of this name has in all."""
        ...

    def disk_size(self, path: str) -> int:
        """The bytes that a guest would see of a disk image."""
        ...

    def disk_space(self, path: str) -> int:
        """The bytes of the datastore that a disk image takes."""
        ...

    def make_disk(self, size: int) -> str:
        """Make a disk image in a datastore, as somebody without hyperkit would, and return its path."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file from a datastore."""
        ...

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Write into the disk of a VM that is off, as its guest would have; only with the fact `Bed.content`."""
        ...

    def read(self, path: str, offset: int, length: int) -> bytes:
        """Read what a guest would see of the disk of a VM that is off; only with the fact `Bed.content`."""
        ...

    def boot_id(self, vm_id: str) -> str | None:
        """What the guest that runs in a VM calls its present boot, and no other one; only with the fact `Bed.boots`.

        Linux has it in ``/proc/sys/kernel/random/boot_id``. None while no guest answers: it is asked again.
        """
        ...

    def is_template(self, vm_id: str) -> bool:
        """Whether a VM is a template; only asked where the host has them."""
        ...

    def ask(self, vm_id: str, text: str, choices: Mapping[str, str]) -> None:
        """Let a VM that runs wait for an answer: one of these, with what people call it; only with `Bed.asks`."""
        ...

    def leave_behind(self, vm_id: str) -> None:
        """Leave behind what a deleted snapshot of a VM may leave; only with `Bed.leaves_behind`."""
        ...


class PlainBackdoor:
    """Of a host without templates, whose VMs ask nothing and whose snapshots leave nothing: to derive from."""

    def is_template(self, vm_id: str) -> bool:  # noqa: ARG002  # as in `Backdoor`
        """None is."""
        return False

    def ask(self, vm_id: str, text: str, choices: Mapping[str, str]) -> None:  # noqa: ARG002  # as in `Backdoor`
        """Not called: the bed does not have the fact."""
        raise AssertionError(f"{vm_id} asks nothing: the bed does not have that fact")

    def leave_behind(self, vm_id: str) -> None:
        """Not called: the bed does not have the fact."""
        raise AssertionError(f"{vm_id} leaves nothing behind: the bed does not have that fact")
