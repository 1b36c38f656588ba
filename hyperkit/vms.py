"""``host.vms``: finding and creating virtual machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from hyperkit import checks
from hyperkit.collection import Collection
from hyperkit.errors import HyperkitError, InvalidRequest
from hyperkit.macs import free_macs
from hyperkit.records import VMRecord, changed
from hyperkit.resolve import resolve_disks, resolve_nics
from hyperkit.specs import VMFields, VMSpec
from hyperkit.specs.given import check_own
from hyperkit.tasks import Task, as_job
from hyperkit.vm import VM


class VMCollection(Collection[VM, VMRecord]):
    """The virtual machines of a host."""

    kind = "VM"
    record_type = VMRecord

    def _records(self) -> Sequence[VMRecord]:
        return self._host.driver.vms.list()

    def _handle(self, record: VMRecord) -> VM:
        return VM(self._host, record)

    def _record(self, id: str) -> VMRecord:
        return self._host.driver.vms.get(id)

    def create(self, name: str | VMSpec, *, timeout: float | None = None, **fields: Unpack[VMFields]) -> VM:
        """Create a VM, switched off, from a name and the fields of `VMSpec`, or from a whole `VMSpec`.

        ``host.vms.create("web1", cpus=2, memory=4 * GiB, disks=[DiskSpec(size=20 * GiB)])``

        Raises:
            InvalidRequest: a value is not acceptable; nothing was asked of the host.
            NotFound: a switch, datastore, image or ISO does not exist.
            AlreadyExists: the name (where it must be unique), a MAC address or a volume name is taken.
            Unsupported: the host cannot do what the spec asks for.
            ResourceExhausted: the host has no room.
            Timeout: it takes longer than ``timeout`` seconds; it goes on.
        """
        checks.timeout(timeout)
        return self.begin_create(name, **fields).result(timeout)

    def begin_create(self, name: str | VMSpec, **fields: Unpack[VMFields]) -> Task[VM]:
        """`create`, without waiting for its end."""
        if isinstance(name, VMSpec):
            if fields:
                checks.refuse("fields", sorted(fields), "a whole VMSpec, or a name and fields, not both")
            spec = name
        else:
            spec = _spec(name, fields)
        label = f"VM {spec.name!r}"
        try:
            with free_macs(self._host, (nic.mac for nic in spec.nics)) as claim:
                job = as_job(self._host.driver.vms.create(self._resolved(spec)))
                claim.goes_on(job)
        except HyperkitError as error:
            error.located(resource=label)
            raise
        return Task(job, what=f"create {label}", clock=self._host.clock, finish=self._handle, resource=label)

    def _resolved(self, spec: VMSpec) -> VMSpec:
        """The spec with ids for names, once what can be known beforehand is known to be right."""
        check_own(self._host.identity, "iso", spec.iso)
        if spec.kernel is not None:
            check_own(self._host.identity, "kernel", spec.kernel.kernel, spec.kernel.initrd)
        if not spec.nics and not spec.disks:
            return spec
        return changed(spec, nics=resolve_nics(self._host, spec.nics), disks=resolve_disks(self._host, spec.disks))


def _spec(name: str, fields: VMFields) -> VMSpec:
    try:
        return VMSpec(name, **fields)
    except TypeError as error:
        known = ", ".join(sorted(VMFields.__annotations__))
        unknown = sorted(set(fields) - set(VMFields.__annotations__))
        if not unknown:
            raise
        raise InvalidRequest(
            f"a VM has no field {unknown[0]!r}; it has {known}", field=unknown[0], value=dict(fields)[unknown[0]]
        ) from error
