"""A tour of hyperkit: two VMs on a switch, run, snapshotted, changed, brought back and deleted.

    python examples/tour.py                                       on the fake, nothing needed
    python examples/tour.py qemu:///system                        on a real host; the VMs have empty disks
    python examples/tour.py qemu:///system --base debian.qcow2    ... and boot this image (a path on the host)

Whatever it made it deletes, also when it fails half-way.
"""

from __future__ import annotations

import argparse
import getpass
import sys
import uuid
from collections.abc import Sequence
from contextlib import ExitStack

import hyperkit
from hyperkit import VM, DiskSpec, GiB, Host, HyperkitError, MiB, NicSpec, PowerState, Switch, SwitchKind


def tour(host: Host, base: str | None = None, subnet: str | None = "192.168.213.0/24") -> None:
    """Walk through the object model on a host."""
    say(host, f"{host.info.hypervisor_type.value} hypervisor, {host.info.cpus} CPUs")
    mark = uuid.uuid4().hex[:6]
    with ExitStack() as cleanup:
        switch = create_switch(host, f"tour-{mark}", subnet)
        cleanup.callback(switch.delete)
        say(switch, "two VMs will be plugged into it")

        alice = create_vm(host, f"tour-{mark}-alice", switch, base)
        cleanup.callback(alice.delete, force=True)
        bob = create_vm(host, f"tour-{mark}-bob", switch, base)
        cleanup.callback(bob.delete, force=True)

        say(alice.start(), "started")
        if base and host.capabilities.guest_addresses:
            say(alice, f"its guest booted and has the address {alice.wait_for_address()}")
        clean = alice.snapshots.create("clean", description="before the change")
        say(clean, "taken while it ran, which it still does" if clean.memory else "taken")

        alice.stop()
        alice.configure(cpus=2, notes="two CPUs are better than one")
        extra = alice.disks.attach(DiskSpec(size=1 * GiB))
        say(alice, f"off, with {alice.cpus} CPUs and {len(alice.disks)} disks")

        clean.revert()
        say(alice, f"reverted: {alice.cpus} CPU and {len(alice.disks)} disk, as it was")
        delete_volume(host, extra.path)  # the snapshot knows nothing of it, so nobody holds it now

        if host.capabilities.pause and alice.refresh().state is PowerState.RUNNING:
            say(alice.pause(), "paused: its memory stays in RAM")
            say(alice.resume(), "resumed")
        if host.capabilities.suspend and alice.refresh().state is PowerState.RUNNING:
            say(alice.suspend(), "suspended: its memory is on disk")
            say(alice.start(), "started from there")

        bob.start()
        say(switch, f"joins {', '.join(vm.name for vm in switch.vms())}")
        if base:
            if host.capabilities.guest_addresses:
                say(bob, f"has the address {bob.wait_for_address()}")
            say(bob.shutdown(timeout=60, force=True), "its guest was asked to shut down")
    print("everything that was made is deleted again")


def create_switch(host: Host, name: str, subnet: str | None) -> Switch:
    """An internal switch with addresses where the host can, else a private one."""
    if subnet and host.capabilities.switch_internal and host.capabilities.switch_subnet:
        return host.switches.create(name, SwitchKind.INTERNAL, subnet=subnet)
    return host.switches.create(name, SwitchKind.PRIVATE)


def create_vm(host: Host, name: str, switch: Switch, base: str | None) -> VM:
    """A VM with one disk: empty, or a copy-on-write child of an image."""
    linked = host.capabilities.linked_disks
    disk = DiskSpec(base=base, linked=linked) if base else DiskSpec(size=64 * MiB)
    vm = host.vms.create(name, cpus=1, memory=256 * MiB, max_cpus=1, disks=[disk], nics=[NicSpec(switch=switch.id)])
    say(vm, "created")
    return vm


def delete_volume(host: Host, path: str) -> None:
    """Delete a disk image that belongs to no VM."""
    for datastore in host.datastores:
        for volume in datastore.volumes.find(path=path):
            volume.delete()


def say(thing: object, what: str) -> None:
    """One step of the tour."""
    print(f"{thing!r}: {what}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tour; 1 and one line on stderr if the host says no."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", nargs="?", default="fake://", help="the host (default: %(default)s)")
    parser.add_argument("--base", help="a bootable image on the host that the VMs' disks begin from")
    parser.add_argument("--subnet", default="192.168.213.0/24", help="for the switch (default: %(default)s)")
    parser.add_argument("--user", help="whom to log in as; the password is asked for")
    arguments = parser.parse_args(argv)
    password = getpass.getpass() if arguments.user else None
    try:
        with hyperkit.connect(arguments.url, user=arguments.user, password=password) as host:
            if host.backend == "fake" and arguments.base is None:
                host.native.add_file("/fake/images/debian.qcow2", 2 * GiB, format="qcow2")  # type: ignore[attr-defined]
                arguments.base = "/fake/images/debian.qcow2"
            tour(host, arguments.base, arguments.subnet)
    except HyperkitError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
