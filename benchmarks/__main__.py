"""The command: ``python -m benchmarks [NAME ...] [--json] [--list] [--scale FACTOR]``."""

from __future__ import annotations

import argparse
import json
import math
import sys
import traceback
from collections.abc import Sequence

from benchmarks import (
    esxi_inventory,
    esxi_verbs,
    fake_throughput,
    imports,
    libvirt_inventory,
    libvirt_libcloud,
    libvirt_verbs,
)
from benchmarks.harness import Benchmark, BenchmarkFailed, CannotRun, Row, say

BENCHMARKS: Sequence[Benchmark] = (
    imports.BENCHMARK,
    fake_throughput.BENCHMARK,
    libvirt_inventory.BENCHMARK,
    libvirt_inventory.DELAYED,
    libvirt_libcloud.BENCHMARK,
    libvirt_verbs.BENCHMARK,
    esxi_inventory.BENCHMARK,
    esxi_inventory.MANY,
    esxi_inventory.LIBCLOUD,
    esxi_verbs.BENCHMARK,
)


def main(argv: Sequence[str] | None = None, benchmarks: Sequence[Benchmark] = BENCHMARKS) -> int:
    """Run what was named, or all that can run here; returns the exit code.

    It is 1 when a benchmark fails, misses its target with all of its work, or was named and cannot run here.
    """
    arguments = _parser(benchmarks).parse_args(argv)
    if arguments.list:
        width = max(len(benchmark.name) for benchmark in benchmarks)
        for benchmark in benchmarks:
            print(f"{benchmark.name:{width}}  {benchmark.summary}")
        return 0
    rows: list[Row] = []
    failed = False
    for benchmark in benchmarks:
        if arguments.names and benchmark.name not in arguments.names:
            continue
        try:
            row = benchmark.run(arguments.scale)
        except CannotRun as error:
            say(f"{benchmark.name}: cannot run here: {error}")
            failed = failed or bool(arguments.names)
        except BenchmarkFailed as error:
            say(f"{benchmark.name}: failed: {error}")
            failed = True
        except Exception:
            say(f"{benchmark.name}: failed:\n{traceback.format_exc()}")
            failed = True
        else:
            rows.append(row)
            if row.met is False and arguments.scale >= 1:
                say(f"{benchmark.name}: missed its target: {row.target}")
                failed = True
            if not arguments.json:
                print(json.dumps(row.to_dict()), flush=True)
    if arguments.json:
        print(json.dumps([row.to_dict() for row in rows], indent=2))
    return int(failed)


def _parser(benchmarks: Sequence[Benchmark]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run hyperkit and an alternative on the same work, in turns; print a row of medians for each.",
    )
    known = [benchmark.name for benchmark in benchmarks]

    def name(text: str) -> str:
        # Not choices=: argparse looks for the empty list, which stands for all, among them.
        if text not in known:
            raise argparse.ArgumentTypeError(f"no benchmark {text!r}; there are {', '.join(known)}")
        return text

    parser.add_argument("names", nargs="*", metavar="NAME", type=name, help="default: all that can run here")
    parser.add_argument("--scale", type=_factor, default=1.0, help="do this much of the work (default: 1.0)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the rows as one JSON array, and nothing else")
    output.add_argument("--list", action="store_true", help="say which benchmarks there are")
    return parser


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0
    if not (math.isfinite(factor) and factor > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return factor


if __name__ == "__main__":
    sys.exit(main())
