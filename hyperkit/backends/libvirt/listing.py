"""What every list needs: several reads in flight at once, and leaving out what vanishes meanwhile.

libvirt has no bulk call for most of what it tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import libvirt

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 4
"""libvirtd serves five requests of a client at a time (``max_client_requests``) and reads no sixth before one of them
is done, not even a keepalive: one stays free for those."""

_GONE = frozenset(
    {
        libvirt.VIR_ERR_NO_STORAGE_POOL,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
    }
)


@contextmanager
def unless_gone() -> Iterator[None]:
    """Leave out of a list what vanishes between being listed and being read."""
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _GONE:
            raise


def read_each(read: Callable[[T], R], things: Iterable[T]) -> list[tuple[T, R]]:
    """Each thing with ``read(thing)``, in order, without those that are gone.

    One connection carries the calls of several threads, and the binding lets go of the interpreter while it waits:
    over a network the latency of four calls is paid once. The threads end with the call.
    """
    things = list(things)
    found: list[tuple[T, R] | None] = [None] * len(things)

    def read_one(index: int) -> None:
        with unless_gone():
            found[index] = (things[index], read(things[index]))

    if len(things) <= 1:
        for index in range(len(things)):
            read_one(index)
    else:
        with ThreadPoolExecutor(min(AT_ONCE, len(things)), thread_name_prefix="hyperkit-read") as pool:
            reads = [pool.submit(read_one, index) for index in range(len(things))]
            try:
                for each in reads:
                    each.result()
            finally:
                pool.shutdown(cancel_futures=True)  # after one that failed the others are of no use
    return [each for each in found if each is not None]
