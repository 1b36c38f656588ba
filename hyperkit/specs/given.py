"""What a caller may give instead of a text: an object of the host that has an id or a path."""

from __future__ import annotations

from pathlib import PurePath
from typing import Protocol, cast


class Identified(Protocol):
    """A `Switch` or `Datastore`: what has an id."""

    @property
    def id(self) -> str:
        """Its id."""
        ...


class Located(Protocol):
    """A `Volume` or `Disk`: what has a path on the host."""

    @property
    def path(self) -> str:
        """Its path."""
        ...


def name_of(thing: str | Identified | None) -> str | None:
    """The id of a `Switch` or `Datastore` that is given instead of its name."""
    return cast("str | None", thing if thing is None or isinstance(thing, str) else getattr(thing, "id", thing))


def path_of(thing: str | PurePath | Located | None) -> str | None:
    """The path of a `Volume` or a ``pathlib`` path that is given instead of its text."""
    if isinstance(thing, PurePath):
        return thing.as_posix()
    return cast("str | None", thing if thing is None or isinstance(thing, str) else getattr(thing, "path", thing))
