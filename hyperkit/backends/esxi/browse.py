"""What is in a datastore, as its HostDatastoreBrowser finds it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
from pyVmomi import vim

from hyperkit.backends.esxi.elements import Element, child, children, kind, number, text
from hyperkit.backends.esxi.names import from_vsphere
from hyperkit.backends.esxi.properties import Found, Hop
from hyperkit.backends.esxi.reach import reached
from hyperkit.units import KiB

if TYPE_CHECKING:
    from hyperkit.backends.esxi.connection import Connection
    from hyperkit.backends.esxi.tasks import Work

_Browser = vim.host.DatastoreBrowser
_WILD = re.compile(r"[*?\[\]\\^]")


@attrs.frozen(kw_only=True)
class Entry:
    """A file or directory.

    Attributes:
        directory: where it is, within the datastore; empty at its top.
        kind: the type that the browser gives it, such as ``VmDiskFileInfo``.
        size: bytes that it takes; of a disk, with its extents.
        capacity: bytes of a disk that a guest sees; None of anything else.
    """

    directory: str
    name: str
    kind: str
    size: int
    capacity: int | None

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return self.kind == "FolderFileInfo"

    @property
    def path(self) -> str:
        """Its path within the datastore."""
        return f"{self.directory}/{self.name}" if self.directory else self.name


def search(
    connection: Connection, browser: str, place: str, patterns: Sequence[str] = ("*",), *, below: bool = False
) -> Work[list[Entry]]:
    """What is in a directory, or in all that are below it too, with one task.

    Args:
        browser: the id of the datastore's browser.
        place: the directory: ``[datastore1] web1``.
        patterns: of names, with ``*`` and ``?``; see `literal`.

    Raises:
        vim.fault.FileNotFound: there is no such directory.
    """
    disk = _Browser.VmDiskQuery.Details(
        diskType=False, capacityKb=True, hardwareVersion=False, controllerType=False, diskExtents=False
    )
    spec = _Browser.SearchSpec(
        # The last one finds whatever is of none of the kinds before it.
        query=[_Browser.VmDiskQuery(details=disk), _Browser.IsoImageQuery(), _Browser.FolderQuery(), _Browser.Query()],
        details=_Browser.FileInfo.Details(fileType=True, fileSize=True, modification=False, fileOwner=False),
        matchPattern=list(patterns),
        searchCaseInsensitive=False,
    )
    managed = _Browser(browser, connection.stub)
    task = managed.SearchDatastoreSubFolders_Task if below else managed.SearchDatastore_Task
    result = yield task(place, spec)
    return list(_entries(_results(result)))


def literal(name: str) -> str:
    """A pattern that finds this name, and may find others where it has characters that mean something in patterns."""
    return _WILD.sub("?", name)


def _results(result: Element | None) -> Iterator[Element]:
    """One directory's results, or an array of those of many."""
    if child(result, "folderPath") is not None and result is not None:
        yield result
    else:
        yield from children(result)


def _entries(results: Iterable[Element]) -> Iterator[Entry]:
    """Each once: a file that two queries find is of the kind that tells more."""
    found: dict[tuple[str, str], Entry] = {}
    for result in results:
        directory = text(result, "folderPath").partition("]")[2].strip(" /")
        for file in children(result, "file"):
            capacity = number(file, "capacityKb")
            entry = Entry(
                directory=directory,
                name=text(file, "path"),
                kind=kind(file),
                size=number(file, "fileSize") or 0,
                capacity=None if capacity is None else capacity * KiB,
            )
            known = found.get((directory, entry.name))
            if known is None or not known.kind or known.kind == "FileInfo":
                found[directory, entry.name] = entry
    yield from found.values()


@attrs.frozen(kw_only=True)
class Store:
    """A datastore to be searched: its id, its name as paths have it, and its browser's id."""

    id: str
    name: str
    browser: str


STORE = ("name", "browser")
"""What of a datastore a `Store` is made of."""


def stores(connection: Connection) -> dict[str, Store]:
    """The datastores of the scope by their names, read with one call."""
    found = reached(connection, Hop("HostSystem", "datastore"), {"Datastore": STORE})
    return {known.name: known for known in map(store, found)}


def store(found: Found) -> Store:
    """A datastore as it was read."""
    return Store(
        id=found.ref.id,
        name=from_vsphere(text(found.values.get("name"))),
        browser=text(found.values.get("browser")),
    )
