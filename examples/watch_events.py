"""What happens to the VMs of a host, as it happens, whoever does it.

python examples/watch_events.py qemu:///system
python examples/watch_events.py qemu:///system --seconds 60 --json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import islice

import hyperkit
from hyperkit import (
    Event,
    HyperkitError,
    VMChanged,
    VMCreated,
    VMDeleted,
    VMIOError,
    VMJobEnded,
    VMRebooted,
    VMStateChanged,
    to_dict,
)


def sentence(event: Event) -> str:
    """One event in words."""
    match event:
        case VMCreated():
            what = "was created"
        case VMDeleted():
            what = "was deleted"
        case VMStateChanged(old=old, new=new):
            what = f"was {old.value}, is {new.value}"
        case VMChanged(fields=fields):
            what = "changed: " + ", ".join(f"{name}={to_dict(getattr(event.after, name))}" for name in fields)
        case VMRebooted():
            what = "rebooted"
        case VMIOError(path=path, full=full):
            what = f"cannot use {path or 'a disk'}" + (": no room left" if full else "")
        case VMJobEnded(job=job, error=error):
            what = f"{job} ended" + (f": {error}" if error else "")
        case _:
            what = type(event).__name__
    return f"{event.time:%H:%M:%S} {event.name} {what}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print events until the time is up, enough have come, or somebody presses Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", help="the host")
    parser.add_argument("--seconds", type=float, help="how long (default: for ever)")
    parser.add_argument("--count", type=int, help="how many events at most (default: any number)")
    parser.add_argument("--json", action="store_true", help="one JSON object to a line, with the records")
    arguments = parser.parse_args(argv)
    try:
        with hyperkit.connect(arguments.url) as host:
            for event in islice(host.events.stream(timeout=arguments.seconds), arguments.count):
                line = {"event": type(event).__name__, **to_dict(event)}
                print(json.dumps(line) if arguments.json else sentence(event), flush=True)
    except HyperkitError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
