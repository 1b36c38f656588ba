"""Clones of a VM."""

from __future__ import annotations

import attrs

from hyperkit import checks
from hyperkit.specs.given import name_of


@attrs.frozen(slots=False)
class CloneSpec:
    """A VM to make of another one, or of a template.

    Attributes:
        name: the clone's.
        linked: share unchanged blocks with the source's disks, which then have to stay, instead of copying them. The
            blocks are those of a snapshot: of ``snapshot``, or else of the current one.
        snapshot: the id of the source's snapshot to begin from; None is the source as it is.
        datastore: name or id of the datastore its disks are made in; default: where the source's are.
    """

    name: str
    linked: bool = False
    snapshot: str | None = attrs.field(default=None, kw_only=True)
    datastore: str | None = attrs.field(default=None, converter=name_of, kw_only=True)

    def __attrs_post_init__(self) -> None:
        checks.name("name", self.name)
        checks.flag("linked", self.linked)
        for field in ("snapshot", "datastore"):
            if getattr(self, field) is not None:
                checks.label(field, getattr(self, field))
