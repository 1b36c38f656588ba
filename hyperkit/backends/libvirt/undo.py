"""Taking back what a call has made, once it cannot be finished.

What ends a call may be the end of its session, or of the daemon: then the same end would meet a clean-up that
tries once. So here, and nowhere else in this backend, something waits and tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import attrs
import libvirt

from hyperkit.backends.libvirt import errors
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.datastores import refresh
from hyperkit.backends.libvirt.images import Image, Images, creatable, free_names
from hyperkit.backends.libvirt.xml_read import parse, source_of
from hyperkit.errors import AlreadyExists, ConnectionFailed, ConnectionLost, HyperkitError, NotFound
from hyperkit.specs import DiskSpec

log = logging.getLogger("hyperkit")

_PATIENCE = 10.0
"""Seconds in which a daemon that somebody restarts is back."""
_STEP = 0.5


@attrs.define
class Made:
    """What a call has made so far, or may have made without having been told.

    Attributes:
        files: of the disks, by their paths.
        unsure: files that are ours if they are there now: they were not when the call began.
        unproven: names of files that may be ours.
        domain: how to be sure, before files are deleted, that no domain uses them.
        domain_name: of the domain that would be left.
    """

    connection: Connection
    images: Images
    files: list[str] = attrs.field(factory=list)
    unsure: list[str] = attrs.field(factory=list)
    unproven: list[str] = attrs.field(factory=list)
    domain: Callable[[], None] | None = None
    domain_name: str = ""

    def image(self, vm_name: str, index: int, spec: DiskSpec) -> Image:
        """`Images.make`, with its traces."""
        if not spec.creates:
            return self.images.make(vm_name, index, spec)
        names = [spec.name + f".{creatable(spec.format)}"] if spec.name else []
        if writes_much(spec) and (planned := self._plan(vm_name, index, spec)):
            named, path = planned
            self.unsure.append(path)
            try:
                image = self.images.make(vm_name, index, named)
            except Exception as error:
                if not is_lost(error):
                    self.unsure.remove(path)
                if spec.name is not None or not isinstance(error, AlreadyExists):
                    raise
            else:
                self.unsure.remove(path)
                self.files.append(image.path)
                return image
        try:
            image = self.images.make(vm_name, index, spec)
        except Exception as error:
            if is_lost(error):
                self.unproven += names or [f"{vm_name}-{index}.{creatable(spec.format)}"]
            raise
        if image.created:
            self.files.append(image.path)
        return image

    def _plan(self, vm_name: str, index: int, spec: DiskSpec) -> tuple[DiskSpec, str] | None:
        """The spec with a name that no file of the datastore has, and its path; None if there is no telling."""
        form = creatable(spec.format)
        try:
            pool = self.images.pool(spec.datastore)
            refresh(self.connection.conn, pool)  # its list may be older than the files
            taken = set(pool.listVolumes())
            directory = parse(pool.XMLDesc(0)).findtext("target/path")
        except libvirt.libvirtError:  # busy
            return None
        names = [f"{spec.name}.{form}"] if spec.name else free_names(f"{vm_name}-{index}", form)
        free = next((name for name in names if name not in taken), None)
        if free is None or not directory:
            return None
        try:
            named = attrs.evolve(spec, name=free.removesuffix(f".{form}"))
        except HyperkitError:  # too long for a name of the caller's
            return None
        return named, str(PurePosixPath(directory) / free)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take everything back if the block fails. What stays all the same is in the error's notes."""
        try:
            yield
        except BaseException as error:
            left = self._undo(lost=is_lost(error))
            if not left:
                raise
            tell(self.connection, error, left)
            raise

    def _undo(self, *, lost: bool) -> list[str]:
        """What could not be taken back."""
        clock = self.connection.clock
        end = clock.monotonic() + _PATIENCE
        if lost and (self.domain or self.unsure):
            clock.sleep(_STEP)  # the daemon may still be at what it was told last
        while not self._try():
            if not (lost or self._failed_lost) or clock.monotonic() >= end:
                break
            clock.sleep(_STEP)
        domain = [f"VM {self.domain_name}"] if self.domain and self.domain_name else []
        return [*domain, *self.files, *self.unsure, *self.unproven]

    _failed_lost: bool = False

    def _try(self) -> bool:
        """Whether all is gone. The domain goes first: one without its disks is worse than both."""
        self._failed_lost = False
        if self.domain is not None:
            if not self._done(self.domain):
                return False
            self.domain = None
        self.files = [path for path in self.files if not self._done(partial(self.images.remove, path))]
        if self.unsure:
            self.unsure = [path for path in self.unsure if not self._done(partial(self._remove_unused, path))]
        return not (self.files or self.unsure)

    def _remove_unused(self, path: str) -> None:
        """Delete a file if no domain has it."""
        for domain in self.connection.conn.listAllDomains(0):
            if uses(domain, path):
                return
        self.images.remove(path)

    def _done(self, step: Callable[[], None]) -> bool:
        try:
            step()
        except NotFound:
            return True
        except (libvirt.libvirtError, HyperkitError) as error:
            self._failed_lost |= is_lost(error)
            return False
        return True


def insist(connection: Connection, step: Callable[[], object], *, always: bool = False) -> Exception | None:
    """Do something that looks everything up anew, again while the session is lost; what it failed with at last.

    With ``always`` it is done again whatever it failed with.

    That what it is about is not there counts as done.
    """
    clock = connection.clock
    end = clock.monotonic() + _PATIENCE
    while True:
        try:
            step()
        except NotFound:
            return None
        except (libvirt.libvirtError, HyperkitError) as error:
            if not (always or is_lost(error)) or clock.monotonic() >= end:
                return error
            clock.sleep(_STEP)
        else:
            return None


def tell(connection: Connection, error: BaseException, left: Sequence[str]) -> None:
    """Say in a note of the error, and in the log, what stays on the host. Raises it as ours, unless it is."""
    note(connection, error, f"left on the host: {', '.join(left)}; delete them if nothing uses them")


def note(connection: Connection, error: BaseException, message: str) -> None:
    """Say something in a note of the error, and in the log. Raises it as ours, unless it is."""
    log.warning("%s: %s", connection.url, message)
    ours = errors.translate(error) if isinstance(error, Exception) else None
    (ours or error).add_note(message)
    if ours is not None:
        raise ours from error


def tell_untaken(connection: Connection, error: BaseException, vm_name: str, left: Exception) -> None:
    """Say in a note of the error, and in the log, that part of a VM's change stays."""
    message = f"part of the change of VM {vm_name} could not be taken back: {left}"
    log.warning("%s: %s", connection.url, message)
    error.add_note(message)


def writes_much(disk: DiskSpec) -> bool:
    """Whether making it takes as long as writing all of it."""
    return disk.creates and ((disk.base is not None and not disk.linked) or not disk.thin)


def uses(domain: Any, path: str) -> bool:
    """Whether a domain has the disk, now or from its next start on."""
    try:
        trees = [parse(domain.XMLDesc(flags)) for flags in (0, libvirt.VIR_DOMAIN_XML_INACTIVE)]
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return False
        raise
    return any(source_of(disk) == path for tree in trees for disk in tree.iterfind("devices/disk"))


def is_lost(error: BaseException) -> bool:
    """Whether the session broke, or could not be opened again."""
    if isinstance(error, (ConnectionLost, ConnectionFailed)):
        return True
    return isinstance(error, Exception) and isinstance(errors.translate(error), (ConnectionLost, ConnectionFailed))
