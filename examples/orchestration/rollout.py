"""A rolling deployment: some VMs from one image, each running and reachable before the next begins, or none at all.

    python examples/orchestration/rollout.py qemu:///system /images/web.qcow2 --switch lan --count 3

`test_rollout.py` beside it shows how such code is tested without a hypervisor.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import hyperkit
from hyperkit import VM, ConnectionLost, DiskSpec, GiB, Host, HyperkitError, NicSpec, parse_size

IMAGE = "/images/web.qcow2"


class RolloutFailed(Exception):  # noqa: N818  # a sentence, as hyperkit's errors are
    """It failed, and what it had made is deleted again, except the VMs in `left`."""

    def __init__(self, message: str, left: Sequence[str] = ()) -> None:
        super().__init__(message + (f"; still there: {', '.join(left)}" if left else ""))
        self.left = tuple(left)


def rollout(
    host: Host,
    *,
    name: str = "web",
    count: int = 3,
    image: str = IMAGE,
    switch: str = "lan",
    memory: int = 1 * GiB,
    boot_timeout: float = 120,
) -> list[VM]:
    """Create and start ``count`` VMs called ``name-1`` and so on, each with a snapshot to come back to.

    Raises:
        RolloutFailed: one could not be made, started or reached; its cause is the error of hyperkit.
    """
    names = [f"{name}-{number}" for number in range(1, count + 1)]
    # Hosts that let two VMs have one name would not stop us.
    taken = sorted({vm.name for vm in host.vms} & set(names))
    if taken:
        raise RolloutFailed(f"there is already {', '.join(taken)} on {host.url}")
    disk = DiskSpec(base=image, linked=host.capabilities.linked_disks)
    made: list[VM] = []
    try:
        for each in names:
            vm = create(host, each, memory, disk, NicSpec(switch=switch))
            made.append(vm)
            vm.start()
            vm.wait_for_address(timeout=boot_timeout)
            if host.capabilities.snapshots:
                vm.snapshots.create("deployed")
    except HyperkitError as error:
        raise RolloutFailed(f"{len(made)} of {count} were begun: {error}", clean_up(made)) from error
    return made


def create(host: Host, name: str, memory: int, disk: DiskSpec, nic: NicSpec) -> VM:
    """Create a VM, once, even if the host's answer is lost."""
    try:
        return host.vms.create(name, memory=memory, disks=[disk], nics=[nic])
    except ConnectionLost:
        # It may be there all the same: a second one would be nobody's, and keep running.
        there = host.vms.find(name=name)
        return there[0] if there else host.vms.create(name, memory=memory, disks=[disk], nics=[nic])


def clean_up(vms: Sequence[VM]) -> list[str]:
    """Delete VMs, as many as the host lets us; return the names of the others."""
    left = []
    for vm in reversed(vms):
        try:
            vm.delete(force=True)
        except HyperkitError:
            left.append(vm.name)
    return left


def main(argv: Sequence[str] | None = None) -> int:
    """Roll out, and print names and addresses."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="the host")
    parser.add_argument("image", help="path of the base image on the host")
    parser.add_argument("--name", default="web", help="what the VMs' names begin with (default: %(default)s)")
    parser.add_argument("--count", type=int, default=3, help="how many (default: %(default)s)")
    parser.add_argument("--switch", default="lan", help="where to plug them in (default: %(default)s)")
    parser.add_argument("--memory", default="1 GiB", help="of each (default: %(default)s)")
    arguments = parser.parse_args(argv)
    try:
        with hyperkit.connect(arguments.url) as host:
            for vm in rollout(
                host,
                name=arguments.name,
                count=arguments.count,
                image=arguments.image,
                switch=arguments.switch,
                memory=parse_size(arguments.memory),
            ):
                print(vm.name, vm.wait_for_address(timeout=1))
    except (RolloutFailed, HyperkitError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
