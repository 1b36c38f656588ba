"""What can be changed about a domain that runs: its processors, its memory, and the control of both.

Each change here is of the running domain alone; its configuration is somebody else's business. Each comes with
what takes it back, since a later one may fail.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from xml.etree import ElementTree as ET

from hyperkit.backends.libvirt import xml_edit
from hyperkit.backends.libvirt.connection import LIVE, Connection
from hyperkit.backends.libvirt.reader import parse_domain
from hyperkit.backends.libvirt.undo import insist, tell_untaken
from hyperkit.backends.libvirt.xml_read import target_size
from hyperkit.errors import Busy, InvalidState
from hyperkit.records import VMRecord, dimm_choices
from hyperkit.specs import Allocation, VMChange
from hyperkit.units import KiB, format_size, to_unit

_UNLIMITED = 2**53 - 1
"""VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, for which libvirt-python has no name."""

Undo = Callable[[Callable[[Any], object]], None]
"""Told, before a change, what takes it back or does nothing if it did not come to be; it gets the domain, anew."""


class Running:
    """A domain that runs, while it is being changed by one who holds `Connection.editing`.

    A change of one field costs one call; of memory or CPUs one more to see what there is, and for each DIMM that goes
    one to see whether it went.
    """

    def __init__(self, domain: Any, shares: int) -> None:
        self._domain = domain
        self._shares = shares

    def check(self, now: VMRecord, change: VMChange) -> None:
        """Refuse what this domain cannot do until its next start, before anything is touched.

        Raises:
            InvalidState: vCPUs are to go that it began with, or memory is to come that it has no slots for.
        """
        more = change.memory is not None and change.memory > now.memory
        less = change.cpus is not None and change.cpus < now.cpus
        tree = parse_domain(self._domain.XMLDesc(0)) if more or less else None
        if tree is not None and more:
            ceiling = tree.find("maxMemory")
            slots = int(ceiling.get("slots", "0")) if ceiling is not None else 0
            if len(tree.findall("devices/memory/address[@type='dimm']")) >= slots:
                full = f"all {slots} slots are full" if slots else "it was made without"
                raise InvalidState(f"VM {now.name!r} has no slot for more memory while it runs: {full}; stop it first")
        if tree is not None and less:
            fixed = len(tree.findall("vcpus/vcpu[@enabled='yes'][@hotpluggable='no']"))
            if change.cpus < fixed:  # type: ignore[operator]
                raise InvalidState(f"VM {now.name!r} keeps the {fixed} vCPUs it began with until it stops")

    def change(self, now: VMRecord, change: VMChange, undo: Undo) -> None:
        """Do all of it, and tell ``undo`` how to take it back. What cannot be taken back for sure comes last.

        Raises:
            Busy: the guest does not let go of memory or CPUs.
        """
        if change.cpu_allocation is not None:
            self._control_cpu(change.cpu_allocation, undo)
        if change.memory_allocation is not None:
            self._limit_memory(change.memory_allocation, undo)
        if change.memory is not None and change.memory > now.memory:
            self._plug(change.memory - now.memory, undo)
        if change.memory is not None and change.memory < now.memory:
            self._unplug(now.memory - change.memory, undo)
        if change.cpus is not None:
            undo(lambda domain: domain.setVcpusFlags(now.cpus, LIVE))
            self._domain.setVcpusFlags(change.cpus, LIVE)

    def _control_cpu(self, allocation: Allocation, undo: Undo) -> None:
        before = self._domain.schedulerParametersFlags(LIVE)
        after = xml_edit.scheduler_parameters(allocation, self._shares)
        if before.get("vcpu_quota", 0) > 0:  # of somebody who limits each vCPU
            after = {"vcpu_quota": -1, **after}
        old = {name: before[name] for name in reversed(after)}
        undo(lambda domain: domain.setSchedulerParametersFlags(old, LIVE))
        self._domain.setSchedulerParametersFlags(after, LIVE)

    def _limit_memory(self, allocation: Allocation, undo: Undo) -> None:
        limit = allocation.limit
        count = _UNLIMITED if limit is None else to_unit(limit, KiB, field="memory_allocation.limit")
        before = self._domain.memoryParameters(LIVE)
        undo(lambda domain: domain.setMemoryParameters({"hard_limit": before["hard_limit"]}, LIVE))
        self._domain.setMemoryParameters({"hard_limit": count}, LIVE)

    def _plug(self, size: int, undo: Undo) -> None:
        undo(partial(_let_go_others, _dimms(self._domain).keys()))
        self._domain.attachDeviceFlags(xml_edit.text_of(xml_edit.dimm(size)), LIVE)

    def _unplug(self, size: int, undo: Undo) -> None:
        dimms = list(_dimms(self._domain).values())
        for position in dimm_choices([target_size(dimm) for dimm in dimms])[size]:
            undo(partial(_plug_again, dimms[position]))
            _let_go(dimms[position], self._domain)


def _dimms(domain: Any) -> Mapping[str, ET.Element]:
    """Those it has, by alias."""
    devices = parse_domain(domain.XMLDesc(0)).iterfind("devices/memory[@model='dimm']")
    return {_alias(dimm): dimm for dimm in devices}


def _plug_again(dimm: ET.Element, domain: Any) -> None:
    if _alias(dimm) not in _dimms(domain):
        device = copy.deepcopy(dimm)
        xml_edit.drop(device, "alias", "address")
        domain.attachDeviceFlags(xml_edit.text_of(device), LIVE)


def _let_go_others(kept: Collection[str], domain: Any) -> None:
    for alias, dimm in _dimms(domain).items():
        if alias not in kept:
            _let_go(dimm, domain)


def _let_go(dimm: ET.Element, domain: Any) -> None:
    """Ask the guest for it. libvirt waits five seconds for that, and says nothing if nobody answered by then.

    Raises:
        Busy: nobody did.
    """
    domain.detachDeviceFlags(xml_edit.text_of(dimm), LIVE)
    if _alias(dimm) in _dimms(domain):
        size = format_size(target_size(dimm))
        raise Busy(
            f"the guest of VM {domain.name()!r} does not let go of {size} of memory: it may have no system "
            "that runs, or be using it; the VM keeps it, and may still lose it until its next start; stop it first"
        )


def _alias(dimm: ET.Element) -> str:
    """What QEMU calls it by."""
    found = dimm.find("alias")
    return "" if found is None else found.get("name", "")


def _with_domain(step: Callable[[Any], object], connection: Connection, vm_id: str) -> None:
    step(connection.domain(vm_id))


@contextmanager
def all_or_nothing(connection: Connection, vm_id: str, vm_name: str) -> Iterator[Undo]:
    """Takes back, in reverse, what it was told of, if the block fails, in a session that works.

    What stays is in the error's notes.
    """
    steps: list[Callable[[Any], object]] = []
    try:
        yield steps.append
    except BaseException as error:
        for step in reversed(steps):
            left = insist(connection, partial(_with_domain, step, connection, vm_id))
            if left is not None:
                tell_untaken(connection, error, vm_name, left)
        raise
