"""Containers: VMs that are no machines."""

from __future__ import annotations

import pytest

from hyperkit.errors import NotFound, Unsupported
from hyperkit.specs.container import ContainerSpec
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour
from hyperkit.testing.conformance.wanted import disks


@behaviour(
    "vms.create",
    "A container's root, init, arguments and environment are those asked for.",
    requires=("containers",),
    facts=("container",),
)
def test_a_containers_root_init_arguments_and_environment_are_those_asked_for(bed: Bed) -> None:
    assert bed.container
    words = ["-c", 'echo "$X" <&>\'\n\t; done', " two  words ", "na\xefve \u6771\u4eac"]
    odd = ContainerSpec(bed.container.root, "/bin/sh", words, {"X": "a=b > '\"'", "Y_1": " y\nz "})
    shared = ContainerSpec(init="/bin/sh", arguments=["-c", "exit 3"])
    for container in (bed.container, odd, shared):
        vm = bed.vm(container=container)
        assert vm.record.container == container
        assert bed.seen(vm).record.container == container


@behaviour(
    "vms.create",
    "A container's root that leads nowhere is NotFound, and nothing is made.",
    requires=("containers",),
    facts=("container",),
)
def test_a_containers_root_that_leads_nowhere_is_not_found(bed: Bed) -> None:
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(NotFound):
        bed.vm(container=ContainerSpec(bed.missing_path))
    assert (bed.backdoor.vm_ids(), bed.backdoor.files()) == (vms, files)


@behaviour(
    "vms.create",
    "A container is refused where none can be made, and nothing is made.",
    requires=("!containers",),
)
def test_a_container_is_refused_where_none_can_be_made(bed: Bed) -> None:
    vms, files = bed.backdoor.vm_ids(), bed.backdoor.files()
    with pytest.raises(Unsupported) as refused:
        bed.vm(container=ContainerSpec("/srv/web"), disks=disks(bed))
    assert refused.value.capability == "containers"
    assert (bed.backdoor.vm_ids(), bed.backdoor.files()) == (vms, files)


@behaviour(
    "vms.create",
    "A machine is refused where only containers can be made, and nothing is made.",
    requires=("containers", "!bios", "!uefi"),
)
def test_a_machine_is_refused_where_only_containers_can_be_made(bed: Bed) -> None:
    vms = bed.backdoor.vm_ids()
    with pytest.raises(Unsupported) as refused:
        bed.vm(container=None)
    assert refused.value.capability == "bios"
    assert bed.backdoor.vm_ids() == vms
