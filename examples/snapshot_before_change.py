"""Give a VM more memory; if it does not come up with it, have it as it was.

python examples/snapshot_before_change.py qemu:///system web1 "8 GiB"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hyperkit
from hyperkit import VM, HyperkitError, PowerState, format_size, parse_size


@contextmanager
def reversible(vm: VM, name: str = "before-change") -> Iterator[None]:
    """Undo what is done to a VM in a ``with``, disks and all, if it ends with an error; else let go of the snapshot."""
    snapshot = vm.snapshots.create(name)
    try:
        yield
    except BaseException:
        snapshot.revert()
        snapshot.delete()
        raise
    snapshot.delete()


def change_memory(vm: VM, memory: int, *, patience: float = 60) -> None:
    """Give a VM another amount of memory, at the price of a restart if it runs."""
    ran = vm.refresh().state is PowerState.RUNNING
    with reversible(vm):
        if ran:
            vm.shutdown(timeout=patience, force=True)
        vm.configure(memory=memory)
        if ran:
            vm.start()


def main(argv: Sequence[str] | None = None) -> int:
    """Change it, and say what it is like then."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="the host")
    parser.add_argument("name", help="the VM")
    parser.add_argument("memory", type=parse_size, help="such as '8 GiB'")
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds a guest may take to shut down (%(default)s)"
    )
    arguments = parser.parse_args(argv)
    failed = ""
    try:
        with hyperkit.connect(arguments.url) as host:
            vm = host.vms.one(name=arguments.name)
            try:
                change_memory(vm, arguments.memory, patience=arguments.patience)
            except HyperkitError as error:
                failed = f"{type(error).__name__}: {error}"
            vm.refresh()
            print(f"{vm.name} is {vm.state.value} with {format_size(vm.memory)}")
    except HyperkitError as error:
        failed = failed or f"{type(error).__name__}: {error}"
    if failed:
        print(failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
