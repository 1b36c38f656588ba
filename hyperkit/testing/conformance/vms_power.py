"""Power: what each verb does, and what it does not."""

from __future__ import annotations

import pytest

from hyperkit.errors import InvalidState, NotFound, Timeout
from hyperkit.states import PowerState
from hyperkit.testing.beds import Bed
from hyperkit.testing.behaviour import behaviour


@behaviour("vms.power", "The power state read alone is the one that the whole record tells.")
def test_the_power_state_read_alone_is_that_of_the_record(bed: Bed) -> None:
    vm = bed.vm()
    for verb, state in ((vm.start, PowerState.RUNNING), (vm.stop, PowerState.OFF)):
        verb()
        alone = vm.host.driver.vms.power(vm.id)
        whole = vm.host.driver.vms.get(vm.id)
        assert (alone.state, alone.reason) == (whole.state, whole.reason)
        assert alone.state is bed.backdoor.power_state(vm.id) is state


@behaviour("vms.set_power", "Start runs a VM that is off.")
def test_start_runs_a_vm_that_is_off(bed: Bed) -> None:
    vm = bed.vm()
    assert vm.start().state is PowerState.RUNNING
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour("vms.set_power", "Stop cuts the power: the VM is off when the call returns.")
def test_stop_cuts_the_power(bed: Bed) -> None:
    vm = bed.booted()
    before = bed.boot_of(vm)
    assert vm.stop().state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF
    # Nothing of it was kept: the next start is another boot.
    assert vm.start().state is PowerState.RUNNING
    bed.boot_of(vm, but=before)


@behaviour("vms.set_power", "Pause keeps a running VM in memory, and resume lets it run on.", requires=("pause",))
def test_pause_keeps_a_running_vm_in_memory(bed: Bed) -> None:
    vm = bed.booted()
    before = bed.boot_of(vm)
    assert vm.pause().state is PowerState.PAUSED
    assert bed.backdoor.power_state(vm.id) is PowerState.PAUSED
    assert vm.resume().state is PowerState.RUNNING
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.boot_of(vm) == before


@behaviour("vms.set_power", "Suspend saves a running VM to disk, and start lets it run on.", requires=("suspend",))
def test_suspend_saves_a_running_vm_to_disk(bed: Bed) -> None:
    vm = bed.booted()
    before = bed.boot_of(vm)
    assert vm.suspend().state is PowerState.SUSPENDED
    assert bed.backdoor.power_state(vm.id) is PowerState.SUSPENDED
    assert vm.start().state is PowerState.RUNNING
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    assert bed.boot_of(vm) == before


@behaviour("vms.set_power", "A paused VM can be suspended.", requires=("pause", "suspend"))
def test_a_paused_vm_can_be_suspended(bed: Bed) -> None:
    vm = bed.running().pause()
    assert vm.suspend().state is PowerState.SUSPENDED
    assert bed.backdoor.power_state(vm.id) is PowerState.SUSPENDED


@behaviour("vms.set_power", "A suspended VM's memory can be discarded, which leaves it off.", requires=("suspend",))
def test_a_suspended_vms_memory_can_be_discarded(bed: Bed) -> None:
    vm = bed.booted()
    before = bed.boot_of(vm)
    assert vm.suspend().discard_suspended().state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF
    vm.start()
    bed.boot_of(vm, but=before)


@behaviour("vms.set_power", "Reset begins afresh, and leaves the VM running.", requires=("reset",))
def test_reset_begins_afresh(bed: Bed) -> None:
    vm = bed.booted()
    before = bed.boot_of(vm)
    assert vm.reset().state is PowerState.RUNNING
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING
    bed.boot_of(vm, but=before)


@behaviour(
    "vms.set_power",
    "Reboot asks the guest, which begins afresh, and the VM runs on.",
    requires=("reboot",),
    facts=("guest", "boots"),
)
def test_reboot_asks_the_guest(bed: Bed) -> None:
    vm = bed.booted()
    before = bed.boot_of(vm)
    assert vm.reboot().state is PowerState.RUNNING
    bed.boot_of(vm, but=before)
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour("vms.set_power", "A verb whose goal is already reached changes nothing and is no error.")
def test_a_verb_whose_goal_is_already_reached_changes_nothing(bed: Bed) -> None:
    vm = bed.vm()
    assert vm.stop().state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF
    vm.start()
    before = bed.seen(vm).record
    assert vm.start().record == before
    assert bed.seen(vm).record == before


@behaviour(
    "vms.set_power",
    "A verb that the state forbids is InvalidState, which names the state and the verbs allowed.",
    requires=("pause|reset",),
)
def test_a_verb_that_the_state_forbids_is_invalid_state(bed: Bed) -> None:
    vm = bed.vm()
    forbidden = vm.pause if bed.host.capabilities.pause else vm.reset
    with pytest.raises(InvalidState) as refused:
        forbidden()
    assert refused.value.current == "off"
    assert "start" in refused.value.allowed
    assert all(word in str(refused.value) for word in ("off", "start", vm.name))
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour("vms.set_power", "A verb on a VM that is gone is NotFound.")
def test_a_verb_on_a_vm_that_is_gone_is_not_found(bed: Bed) -> None:
    vm = bed.vm()
    bed.seen(vm).delete()
    for verb in (vm.start, vm.stop):
        with pytest.raises(NotFound):
            verb()


@behaviour("vms.set_power", "Another connection sees the state at once.")
def test_another_connection_sees_the_state_at_once(bed: Bed) -> None:
    vm = bed.vm()
    assert bed.seen(vm).state is PowerState.OFF
    vm.start()
    assert bed.seen(vm).state is PowerState.RUNNING
    bed.seen(vm).stop()
    assert vm.refresh().state is PowerState.OFF


@behaviour(
    "vms.set_power",
    "Shutdown asks the guest, which ends switched off.",
    requires=("shutdown",),
    facts=("guest",),
)
def test_shutdown_asks_the_guest(bed: Bed) -> None:
    vm = bed.running(**bed.guest or {})
    assert vm.shutdown(timeout=bed.timeout, resend=1).state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF


@behaviour(
    "vms.set_power",
    "A guest that ignores a shutdown is a Timeout, and the VM runs on.",
    requires=("shutdown",),
    facts=("deaf",),
)
def test_a_guest_that_ignores_a_shutdown_is_a_timeout(bed: Bed) -> None:
    vm = bed.running(**bed.deaf or {})
    with pytest.raises(Timeout):
        vm.shutdown(timeout=1)
    assert bed.backdoor.power_state(vm.id) is PowerState.RUNNING


@behaviour(
    "vms.set_power",
    "A guest that ignores a shutdown is switched off if force was asked for.",
    requires=("shutdown",),
    facts=("deaf",),
)
def test_a_guest_that_ignores_a_shutdown_is_switched_off_by_force(bed: Bed) -> None:
    vm = bed.running(**bed.deaf or {})
    assert vm.shutdown(timeout=1, force=True).state is PowerState.OFF
    assert bed.backdoor.power_state(vm.id) is PowerState.OFF
