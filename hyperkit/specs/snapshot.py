"""Snapshots."""

from __future__ import annotations

import attrs

from hyperkit import checks


@attrs.frozen(slots=False)
class SnapshotSpec:
    """A snapshot to take.

    Attributes:
        name: a label; not unique on every host.
        description: free text.
        memory: keep the running VM's memory too, so that reverting continues where it was. None keeps it
            where there is memory to keep and the host can, so that nothing is lost by saying nothing.
        quiesce: have the guest's agent flush and freeze its file systems while the disks are taken. It is for disks
            alone: memory has what the guest did not write yet. Of a VM that is off there is nothing to freeze.
    """

    name: str
    description: str = ""
    memory: bool | None = None
    quiesce: bool = False

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.text("description", self.description)
        if self.memory is not None:
            checks.flag("memory", self.memory)
        checks.flag("quiesce", self.quiesce)
        if self.quiesce and self.memory:
            checks.refuse("quiesce", True, "a snapshot of the disks alone; with memory there is nothing to flush")


@attrs.frozen(slots=False, kw_only=True)
class SnapshotChange:
    """What is to be different about a snapshot; None leaves a field as it is. Fields as in `SnapshotSpec`."""

    name: str | None = None
    description: str | None = None

    def __attrs_post_init__(self) -> None:
        if self.name is not None:
            checks.name("name", self.name)
        if self.description is not None:
            checks.text("description", self.description)
