"""Every VM of a host, as a table or as JSON.

python examples/inventory.py qemu:///system
python examples/inventory.py qemu+ssh://root@kvm1/system --json | jq '.[] | select(.state == "running") | .name'
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

import hyperkit
from hyperkit import VM, Host, HyperkitError, format_size

HEAD = ("NAME", "STATE", "CPUS", "MEMORY", "DISKS", "SWITCHES")


def row(vm: VM) -> tuple[str, ...]:
    """One VM in words. All of it is in the record that the list brought: this asks the host nothing."""
    disks = sum(disk.size or 0 for disk in vm.disks)
    switches = sorted({nic.switch for nic in vm.nics if nic.switch})
    return vm.name, vm.state.value, str(vm.cpus), format_size(vm.memory), format_size(disks), ",".join(switches) or "-"


def table(host: Host) -> str:
    """All VMs, by name, in columns."""
    rows = [HEAD, *sorted(row(vm) for vm in host.vms)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Print it; 1 and one line on stderr if the host says no."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", nargs="?", default="fake://", help="the host (default: %(default)s, which is empty)")
    parser.add_argument("--json", action="store_true", help="whole records instead of a table")
    arguments = parser.parse_args(argv)
    try:
        with hyperkit.connect(arguments.url) as host:
            if arguments.json:
                print(json.dumps([vm.to_dict() for vm in host.vms], indent=2))
            else:
                print(table(host))
    except HyperkitError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
