"""Deleting a VM: what goes with it, and who would miss it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hyperkit import checks, states
from hyperkit.disk import DisksToDelete, files_to_delete
from hyperkit.errors import NotFound
from hyperkit.resolve import check_unused
from hyperkit.tasks import Task

if TYPE_CHECKING:
    from hyperkit.vm import VM


def begin_delete(vm: VM, disks: DisksToDelete, force: bool) -> Task[None]:
    """See `VM.begin_delete`."""
    driver = vm.host.driver
    checks.flag("force", force)
    vm.refresh()
    doomed = files_to_delete(vm, disks)
    check_unused(vm.host, doomed, but=vm.id, with_snapshots=True)
    if vm.state in states.HOLD_POWER:
        if not force:
            hint = "; delete(force=True) cuts its power first"
            raise vm._invalid_state("delete", "cannot delete", states.to_be_off(vm.state), hint)
        try:
            vm.stop()
        except NotFound:  # it was there only while it ran, as a transient domain of libvirt's is
            for path in doomed:
                with suppress(NotFound):
                    vm._call(driver.volumes.delete, path)
            return vm._task("delete", None, lambda _: None)
    return vm._task("delete", vm._call(driver.vms.delete, vm.id, doomed), lambda _: None)
