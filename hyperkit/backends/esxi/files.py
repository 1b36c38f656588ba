"""Looking for files in datastores, by their paths: ``[datastore1] isos/debian.iso``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi import browse
from hyperkit.backends.esxi.tasks import Work
from hyperkit.checks import refuse
from hyperkit.errors import NotFound

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection


class Path(NamedTuple):
    """A place in a datastore.

    Attributes:
        store: the datastore's name.
        directory: within it; empty for its root.
        name: the file's.
    """

    store: str
    directory: str
    name: str

    @property
    def parent(self) -> str:
        """The path of the directory."""
        return f"[{self.store}] {self.directory}".rstrip()

    @property
    def text(self) -> str:
        """The whole path."""
        return f"[{self.store}] {self.directory}/{self.name}" if self.directory else f"[{self.store}] {self.name}"


@attrs.frozen(kw_only=True)
class File:
    """What is at a path.

    Attributes:
        directory: whether it is one.
        capacity: bytes of a virtual disk that a guest would see; None of anything else.
    """

    directory: bool
    capacity: int | None = None


def parse(path: str, field: str) -> Path:
    """The parts of a datastore path.

    Raises:
        InvalidRequest: it is none.
    """
    match = re.fullmatch(r"\[([^\[\]]+)\] *(.+)", path)
    parts = match[2].split("/") if match else []
    if match is None or ".." in parts:
        refuse(field, path, "a path in a datastore, such as '[datastore1] web1/web1.vmdk'")
    return Path(match[1], "/".join(part for part in parts[:-1] if part), parts[-1])


def look(connection: Connection, browsers: Mapping[str, str], fields: Mapping[str, str]) -> Work[dict[str, File]]:
    """What is at these paths: a task for each directory that they are in.

    Args:
        browsers: ids of the HostDatastoreBrowsers of datastores, by their names.
        fields: paths, each with the name of the field that has it.

    Raises:
        InvalidRequest: a path that is none.
        NotFound: there is nothing at one of them, or no such datastore.
    """
    asked: dict[str, dict[str, str]] = {}
    for path, field in fields.items():
        parsed = parse(path, field)
        if parsed.store not in browsers:
            known = ", ".join(sorted(browsers)) or "none"
            raise NotFound(f"{field}: {path} is in no datastore that the host has; it has {known}")
        asked.setdefault(parsed.parent, {})[path] = parsed.name
    found: dict[str, File] = {}
    for parent, names in asked.items():
        there = yield from _search(connection, browsers[parse(f"{parent}/.", "path").store], parent, names.values())
        for path, name in names.items():
            if name not in there:
                raise NotFound(f"{fields[path]}: there is no file {path}")
            found[path] = there[name]
    return found


def _search(connection: Connection, browser: str, parent: str, names: Iterable[str]) -> Work[dict[str, File]]:
    try:
        entries = yield from browse.search(connection, browser, parent, [browse.literal(name) for name in names])
    except vim.fault.FileNotFound:  # of the directory itself
        return {}
    return {entry.name: File(directory=entry.is_directory, capacity=entry.capacity) for entry in entries}


def check_disk(path: str, field: str, file: File) -> None:
    """Refuse what is no virtual disk.

    Raises:
        InvalidRequest: a directory, or another file.
    """
    if file.directory:
        refuse(field, path, "a virtual disk, not a directory")
    if not path.endswith(".vmdk"):
        refuse(field, path, "a virtual disk, whose name ends in .vmdk")


def check_iso(path: str, field: str, file: File) -> None:
    """Refuse a directory.

    Raises:
        InvalidRequest: it is one.
    """
    if file.directory:
        refuse(field, path, "an ISO image, not a directory")
