"""`rollout` under test, no hypervisor near. The fixtures come with ``pip install hyperkit``.

``hyperkit_host`` is an ordinary host; ``hyperkit_fake`` is the hand behind it: seeds, faults, calls, time.
"""

from __future__ import annotations

import pytest
from rollout import RolloutFailed, rollout  # type: ignore[import-not-found]  # pytest finds what is beside a test

from hyperkit import Host, PermissionDenied, PowerState, ResourceExhausted, TaskFailed
from hyperkit.testing import Fake


@pytest.fixture(autouse=True)
def lab(hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(files=["/images/web.qcow2"], switches=["lan"])


def names(host: Host) -> list[str]:
    return [vm.name for vm in host.vms]


def test_a_rollout_ends_with_vms_that_run_and_can_be_brought_back(hyperkit_host: Host) -> None:
    vms = rollout(hyperkit_host, count=3)
    assert names(hyperkit_host) == ["web-1", "web-2", "web-3"]
    assert {vm.refresh().state for vm in vms} == {PowerState.RUNNING}
    assert [[snapshot.name for snapshot in vm.snapshots] for vm in vms] == [["deployed"]] * 3
    assert {vm.disks[0].record.base for vm in vms} == {"/images/web.qcow2"}


def test_rollout_survives_a_full_host(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=[{"name": "old", "state": "running"}])
    hyperkit_fake.faults.fail("vms.set_power", ResourceExhausted("no memory"), after=2)
    with pytest.raises(RolloutFailed):
        rollout(hyperkit_host, count=3)
    assert [vm.name for vm in hyperkit_host.vms] == ["old"]  # it cleaned up behind itself
    assert hyperkit_fake.calls.count("vms.create") == 3  # what it asked for is on record


def test_a_host_that_is_really_full_says_so(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    old = {"name": "old", "state": "running", "memory": "1 GiB"}
    hyperkit_fake.seed(host={"memory": "3 GiB"}, vms=[old])
    files = set(hyperkit_fake.world.volumes)
    with pytest.raises(RolloutFailed, match="not enough memory") as caught:
        rollout(hyperkit_host, count=3, memory=1 << 30)
    assert isinstance(caught.value.__cause__, ResourceExhausted)
    assert names(hyperkit_host) == ["old"]
    assert set(hyperkit_fake.world.volumes) == files


def test_slow_guests_are_waited_for(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(host={"boot_seconds": 90})
    rollout(hyperkit_host, count=2, boot_timeout=120)
    assert hyperkit_fake.clock.monotonic() >= 180  # of the host's time; the test takes none


def test_guests_that_are_too_slow_are_given_up(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(host={"boot_seconds": 300})
    with pytest.raises(RolloutFailed, match="waited 120 s for an address of VM 'web-1'"):
        rollout(hyperkit_host)
    assert names(hyperkit_host) == []
    assert hyperkit_fake.calls.count("vms.create") == 1


def test_a_lost_answer_makes_no_second_vm(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.faults.fail("vms.create", lost=True, after=1)
    rollout(hyperkit_host, count=3)
    assert names(hyperkit_host) == ["web-1", "web-2", "web-3"]


def test_a_vm_that_cannot_be_deleted_is_named(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.faults.fail("vms.delete", PermissionDenied("not yours"), times=None)
    hyperkit_fake.faults.fail("snapshots.create", TaskFailed("the disk is full"), at=0.5, after=1)
    with pytest.raises(RolloutFailed, match="still there: web-2, web-1") as caught:
        rollout(hyperkit_host)
    assert caught.value.left == ("web-2", "web-1")


@pytest.mark.hyperkit(profile="hyperv")
class TestOnHyperV:
    """Where names need not be unique, nobody but us keeps two VMs from having one."""

    def test_names_that_are_taken_are_left_alone(self, hyperkit_host: Host, hyperkit_fake: Fake) -> None:
        hyperkit_fake.seed(vms=["web-2"])
        with pytest.raises(RolloutFailed, match="there is already web-2"):
            rollout(hyperkit_host)
        assert names(hyperkit_host) == ["web-2"]
        assert hyperkit_fake.calls.count("vms.create") == 0

    def test_a_lost_answer_makes_no_twin(self, hyperkit_host: Host, hyperkit_fake: Fake) -> None:
        hyperkit_fake.faults.fail("vms.create", lost=True)
        rollout(hyperkit_host, count=2)
        assert names(hyperkit_host) == ["web-1", "web-2"]


@pytest.mark.hyperkit(without=["snapshots", "linked_disks"], jobs="seconds:20")
def test_a_host_that_can_do_less_gets_less(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    vms = rollout(hyperkit_host, count=2)
    assert hyperkit_fake.calls.count("snapshots.*") == 0
    assert [vm.disks[0].record.base for vm in vms] == [None, None]


def test_asking_who_is_there_does_not_cost_more_the_more_there_are(hyperkit_host: Host, hyperkit_fake: Fake) -> None:
    hyperkit_fake.seed(vms=[f"old-{number}" for number in range(500)])
    rollout(hyperkit_host, count=1)
    assert hyperkit_fake.calls.count() < 15
