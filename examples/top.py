"""What the VMs of a host use, a table every few seconds.

python examples/top.py qemu:///system
python examples/top.py qemu:///system --interval 5 --count 1
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

import hyperkit
from hyperkit import Host, HyperkitError, Rates, format_size

HEAD = ("NAME", "CPU", "MEMORY", "READ/s", "WRITTEN/s", "RECEIVED/s", "SENT/s")


def total(values: Iterable[float | None]) -> str:
    """A sum, rounded to KiB; what the host cannot tell now is a question mark."""
    known = list(values)
    told = [value for value in known if value is not None]
    return "?" if len(told) < len(known) else format_size(round(sum(told) / 1024) * 1024)


def line(name: str, memory: int | None, rates: Rates) -> tuple[str, ...]:
    """One VM."""
    return (
        name,
        "?" if rates.cpu is None else f"{rates.cpu / 10:.0f}%",
        "?" if memory is None else format_size(memory),
        total(disk.read_bytes for disk in rates.disks),
        total(disk.write_bytes for disk in rates.disks),
        total(nic.rx_bytes for nic in rates.nics),
        total(nic.tx_bytes for nic in rates.nics),
    )


def table(host: Host, interval: float) -> list[tuple[str, ...]]:
    """The VMs that run, the busiest first, as they were for ``interval`` seconds."""
    before = {reading.vm_id: reading for reading in host.metrics.read()}
    host.clock.sleep(interval)
    names = {vm.id: vm.name for vm in host.vms}
    now = [reading for reading in host.metrics.read() if reading.run and reading.vm_id in before]
    rates = [(reading, reading.since(before[reading.vm_id])) for reading in now]
    rates.sort(key=lambda one: one[1].cpu or 0, reverse=True)
    return [line(names.get(each.vm_id, each.vm_id), each.memory_resident, rate) for each, rate in rates]


def main(argv: Sequence[str] | None = None) -> int:
    """Print tables until enough were printed, or somebody presses Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="the host")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between two readings (default: 2)")
    parser.add_argument("--count", type=int, help="how many tables (default: for ever)")
    arguments = parser.parse_args(argv)
    try:
        with hyperkit.connect(arguments.url) as host:
            printed = 0
            while arguments.count is None or printed < arguments.count:
                for row in (HEAD, *table(host, arguments.interval)):
                    print(f"{row[0]:<20}" + "".join(f"{cell:>12}" for cell in row[1:]), flush=True)
                printed += 1
    except HyperkitError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
