"""Two calls at once with one MAC address: one of them gets it."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

import hyperkit
from hyperkit import AlreadyExists, DiskSpec, Host, MiB, NicSpec, macs
from hyperkit.driver import Driver
from hyperkit.instrument import intercept

MAC = "52:54:00:00:00:01"
PATIENCE = 60


def in_step(driver: Driver, operation: str) -> Driver:
    """The driver with the first two looks at all VMs answered together, as they are before either call goes on."""
    both = threading.Barrier(2)

    def around(name: str, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        result = method(*args)
        if name == "vms.list":
            with suppress(threading.BrokenBarrierError):
                both.wait(1)  # the one that was refused does not come
        return result

    return intercept(driver, around)


def outcomes(*calls: Callable[[], object]) -> list[type | None]:
    def outcome(call: Callable[[], object]) -> type | None:
        try:
            call()
        except AlreadyExists as error:
            return type(error)
        return None

    with ThreadPoolExecutor(len(calls)) as pool:
        return [each.result(PATIENCE) for each in [pool.submit(outcome, call) for call in calls]]


def claims_on(host: Host) -> list[str]:
    return [mac for identity, mac in macs._claims if identity == host.identity]


def two(host: Host, how: str) -> tuple[Callable[[], object], Callable[[], object]]:
    a, b = (host.vms.create(name, memory=16 * MiB, nics=[NicSpec()]) for name in "ab")
    card = NicSpec(mac=MAC)
    if how == "create":
        return (
            lambda: host.vms.create("c", memory=16 * MiB, nics=[card]),
            lambda: host.vms.create("d", memory=16 * MiB, nics=[card]),
        )
    if how == "attach":
        return lambda: a.nics.attach(card), lambda: b.nics.attach(card)
    return lambda: a.nics[0].set_mac(MAC), lambda: b.nics[0].set_mac(MAC)


@pytest.mark.parametrize("how", ["create", "attach", "set_mac"])
def test_one_of_two_threads_gets_the_address(how: str) -> None:
    with hyperkit.connect("fake://") as host:
        calls = two(host, how)
        host.driver = in_step(host.driver, how)
        assert sorted(map(str, outcomes(*calls))) == sorted(map(str, [None, AlreadyExists]))
        assert [nic.mac for vm in host.vms for nic in vm.nics].count(MAC) == 1
        assert not claims_on(host)


def test_an_address_is_taken_while_a_job_goes_on_and_free_once_it_failed() -> None:
    with hyperkit.connect("fake://?jobs=seconds:10") as host:
        thick = DiskSpec(size=MiB, thin=False)
        task = host.vms.begin_create("a", memory=16 * MiB, nics=[NicSpec(mac=MAC)], disks=[thick])
        assert not task.done
        with pytest.raises(AlreadyExists, match="is just being given"):
            host.vms.create("b", memory=16 * MiB, nics=[NicSpec(mac=MAC)])
        vm = task.result()
        vm.delete()
        host.vms.create("b", memory=16 * MiB, nics=[NicSpec(mac=MAC)])


def test_the_claim_of_a_job_that_nobody_holds_does_not_stay() -> None:
    with hyperkit.connect("fake://?jobs=seconds:10") as host:
        thick = DiskSpec(size=MiB, thin=False)
        task = host.vms.begin_create("a", memory=16 * MiB, nics=[NicSpec(mac=MAC)], disks=[thick])
        assert claims_on(host) == [MAC]
        del task
        gc.collect()
        host.vms.begin_create("b", memory=16 * MiB, nics=[NicSpec(mac="52:54:00:00:00:02")])
        assert MAC not in claims_on(host)
