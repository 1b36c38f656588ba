"""What a caller may give instead of a text: an object of the host that has an id or a path.

The spec keeps the text, which remembers whose it is: an id or path of one host may well mean something on another.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Protocol, Self, cast

from hyperkit.errors import InvalidRequest


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
    return cast("str | None", thing if thing is None or isinstance(thing, str) else part_of(thing, "id"))


def path_of(thing: str | PurePath | Located | None) -> str | None:
    """The path of a `Volume` or a ``pathlib`` path that is given instead of its text."""
    if isinstance(thing, PurePath):
        return thing.as_posix()
    return cast("str | None", thing if thing is None or isinstance(thing, str) else part_of(thing, "path"))


class Given(str):
    """The id or path of an object, which a spec keeps in place of it: a text that remembers whose it is."""

    label: str
    host: str
    url: str

    @classmethod
    def of(cls, text: str, label: str, host: str, url: str) -> Self:
        """The text, of an object with this label, of the host with this identity."""
        given = cls(text)
        given.label, given.host, given.url = label, host, url
        return given


def part_of(thing: object, attribute: str) -> object:
    """The id or path of an object of a host; anything else as it is, for the check that names the field."""
    text, host = getattr(thing, attribute, thing), getattr(thing, "host", None)
    identity = getattr(host, "identity", None)
    if not isinstance(text, str):
        return thing
    if identity is None:
        return text
    return Given.of(text, getattr(thing, "label", text), identity, getattr(host, "url", ""))


def check_own(identity: str, field: str, *texts: object) -> None:
    """Refuse what an object of another host was given for.

    Raises:
        InvalidRequest: it is of another host.
    """
    for text in texts:
        if isinstance(text, Given) and text.host != identity:
            raise InvalidRequest(f"{text.label} is of another host ({text.url})", field=field, value=str(text))
