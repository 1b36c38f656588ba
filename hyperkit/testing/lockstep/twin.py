"""A fake that begins as a host is: the same abilities, datastores with their files, switches and VMs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hyperkit.backends.fake.world import Machine, Volume, World
from hyperkit.host import Host
from hyperkit.testing.fake import Fake, fake_host


@contextmanager
def twin_of(host: Host, *, uplinks: Iterable[str] = ()) -> Iterator[Fake]:
    """A fake like ``host``, for the length of a ``with``.

    Paths, and the ids of what is there already, are those of the host: so they need no translation. Its ids of what is
    made later are its own. No guest on it hears anything, since none is booted on the host.
    """
    with fake_host() as fake:
        world = fake.world
        world.capabilities = host.capabilities
        world.deaf = True
        world.uplinks = set(uplinks)
        world.datastores = {store.id: store.record for store in host.datastores}
        for store in host.datastores:
            for volume in store.volumes if store.record.accessible else ():
                world.volumes[volume.path] = Volume(volume.record)
        world.switches = {switch.id: switch.record for switch in host.switches}
        for vm in host.vms:
            world.add(Machine(vm.record))
        _pass(world, {*world.machines, *world.switches, *world.datastores})
        yield fake


def _pass(world: World, taken: set[str]) -> None:
    """Let a world's own ids begin after those it got from another fake, which has numbered its things alike."""
    first = world.new_id()
    numbered = {taken_id for taken_id in taken if taken_id[:-12] == first[:-12]}
    while numbered and world.new_id() < max(numbered):
        pass
