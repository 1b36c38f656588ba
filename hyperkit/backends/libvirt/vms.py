"""Virtual machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import libvirt

from hyperkit.backends.libvirt import containers, xml_write
from hyperkit.backends.libvirt.chains import Chains
from hyperkit.backends.libvirt.connection import Connection
from hyperkit.backends.libvirt.filters import Filters
from hyperkit.backends.libvirt.find_image import check_directory
from hyperkit.backends.libvirt.images import Image, Images, check
from hyperkit.backends.libvirt.power import Power
from hyperkit.backends.libvirt.reader import Reader
from hyperkit.backends.libvirt.reconfigure import Reconfiguring
from hyperkit.backends.libvirt.undo import Made, insist, is_lost, tell, writes_much
from hyperkit.backends.libvirt.wiring import wires
from hyperkit.backends.libvirt.xml_edit import text_of
from hyperkit.backends.libvirt.xml_write import Platform
from hyperkit.checks import part_of
from hyperkit.errors import AlreadyExists, InvalidState, NotFound
from hyperkit.jobs import Job, ThreadJob
from hyperkit.records import PowerRecord, VMRecord
from hyperkit.specs import VMChange, VMSpec
from hyperkit.states import PowerAction, PowerState

_TPM_SINCE = 8_009_000


class VMs:
    """`VMPort`."""

    def __init__(
        self, connection: Connection, platform: Platform, images: Images, reader: Reader, filters: Filters
    ) -> None:
        self._connection = connection
        self._filters = filters
        self._platform = platform
        self._images = images
        self._chains = Chains(connection, images)
        self._reader = reader
        self._power = Power(connection, reader)
        self._reconfiguring = Reconfiguring(connection, images, reader)

    def list(self) -> Sequence[VMRecord]:
        return self._connection.repeat(self._reader.list)

    def get(self, vm_id: str) -> VMRecord:
        return self._connection.repeat(lambda: self._reader.get(vm_id))

    def create(self, spec: VMSpec) -> VMRecord | Job[VMRecord]:
        if any(writes_much(disk) for disk in spec.disks):
            images = Images(self._connection)  # one for each job: it knows how far its own copy is
            return ThreadJob(
                "create", lambda: self._create(spec, images), progress=self._connection.beside(images.progress)
            )
        return self._create(spec, self._images)

    def configure(self, vm_id: str, change: VMChange) -> VMRecord:
        return self._reconfiguring.change(vm_id, change)

    def power(self, vm_id: str) -> PowerRecord:
        return self._connection.repeat(lambda: self._reader.power(self._connection.domain(vm_id)))

    def set_power(self, vm_id: str, action: PowerAction) -> PowerRecord | Job[PowerRecord]:
        return self._power.act(vm_id, action)

    def delete(self, vm_id: str, volumes: Sequence[str]) -> None:
        with self._connection.editing(vm_id):
            domain = self._connection.domain(vm_id)
            doomed = self._chains.doomed_with(domain, volumes)
            stopped = bool(domain.isActive())
            if stopped:
                self._end_crashed(domain)
            try:
                self._undefine(domain)
            except libvirt.libvirtError as error:
                gone = stopped and error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN  # without a configuration
                if not gone and (not is_lost(error) or self._is_there(vm_id, error, doomed)):
                    raise
        # What is left of a VM that is gone is nobody's: what was begun is brought to its end.
        steps: dict[str, Callable[[], None]] = {path: partial(self._images.remove, path) for path in doomed}
        steps[f"network filters of VM {vm_id}"] = partial(self._filters.keep, vm_id)
        failed = {what: insist(self._connection, step) for what, step in steps.items()}
        left = [what for what, error in failed.items() if error is not None]
        if left:
            first = failed[left[0]]
            assert first is not None  # noqa: S101  what is left has failed
            tell(self._connection, first, left)
            raise first

    def _end_crashed(self, domain: Any) -> None:
        """End what is left of a VM that crashed and that its <on_crash> kept.

        Raises:
            InvalidState: it runs; somebody may have started it just now.
        """
        state = self._reader.power(domain).state
        if state is not PowerState.CRASHED:
            raise InvalidState(f"cannot delete VM {domain.name()!r}: it is {state.value}", current=state.value)
        domain.destroy()

    def _is_there(self, vm_id: str, error: Exception, doomed: Sequence[str]) -> bool:
        """Whether the VM that was to be undefined is there still, if there is any telling; else what may be left."""
        found: list[Any] = []
        unknown = insist(self._connection, lambda: found.append(self._connection.domain(vm_id)))
        if unknown is not None and doomed:
            tell(self._connection, error, doomed)
        return unknown is not None or bool(found)

    def _create(self, spec: VMSpec, images: Images) -> VMRecord:
        """Everything that can be wrong with the spec is found before the domain is defined."""
        for disk in spec.disks:
            check(disk)
        self._check_free(spec.name)
        networks = wires(self._connection, {nic.switch for nic in spec.nics if nic.switch})
        iso = self._images.inspect(spec.iso, "iso").path if spec.iso is not None else None
        if spec.container is not None and spec.container.root is not None:
            check_directory(self._connection.conn, spec.container.root, "container.root")
        if spec.kernel is not None:
            self._images.inspect(spec.kernel.kernel, "kernel")
            if spec.kernel.initrd is not None:
                self._images.inspect(spec.kernel.initrd, "kernel.initrd")
        made = Made(self._connection, images, domain_name=spec.name)
        with made.undone():
            files = []
            for index, disk in enumerate(spec.disks):
                with part_of(f"disks[{index}]"):
                    files.append(made.image(spec.name, index, disk))
            _check_distinct(files)
            if spec.container is not None:
                tree = containers.new_container(spec, networks, self._platform)
            else:
                tree = xml_write.new_domain(spec, files, iso, networks, self._platform)
            # From here on there may be a domain, even if the answer that says so is lost.
            made.domain = partial(self._forget, tree.findtext("uuid", ""))
            self._filters.make(tree)
            domain = self._connection.conn.defineXML(text_of(tree))
            if spec.autostart:
                domain.setAutostart(True)
            return self._reader.read(domain)

    def _forget(self, vm_id: str) -> None:
        """Undefine a domain that may be there, with its filters, in a session that works."""
        with suppress(NotFound):
            self._undefine(self._connection.domain(vm_id))
        self._filters.keep(vm_id)

    def _check_free(self, name: str) -> None:
        try:
            taken = self._connection.conn.lookupByName(name)
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                raise
        else:
            raise AlreadyExists(f"VM {taken.name()!r} exists already on {self._connection.url}")

    def _undefine(self, domain: Any) -> None:
        """Forget it with all that belongs to it. Internal snapshots are in the disks and stay there.

        Each driver refuses the flags that it does not know.
        """
        flags = 0
        if self._connection.kind in ("QEMU", "TEST"):
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        if self._connection.kind == "QEMU":
            flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
            if self._connection.conn.getLibVersion() >= _TPM_SINCE:
                flags |= libvirt.VIR_DOMAIN_UNDEFINE_TPM
        domain.undefineFlags(flags)


def _check_distinct(images: Sequence[Image]) -> None:
    seen = set()
    for image in images:
        if image.path in seen:
            raise AlreadyExists(f"{image.path} is among the disks twice")
        seen.add(image.path)
