"""What every list needs: several reads in flight at once, and leaving out what vanishes meanwhile.

libvirt has no bulk call for most of what it tells.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import libvirt

if TYPE_CHECKING:
    from hyperkit.backends.libvirt.connection import Connection

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE = 4
"""Sessions that a list uses, its own included."""
_FEW = 8
"""So many things or fewer are read one after the other: the others' lists would cost what is saved."""

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


def read_each(
    connection: Connection,
    things: Iterable[T],
    read: Callable[[T], R],
    *,
    again: Callable[[], Iterable[T]],
    key: Callable[[T], str],
) -> list[tuple[T, R]]:
    """Each thing with ``read(thing)``, in order, without those that are gone.

    Over a network the latency of four calls is paid once: some threads read with a session of their own, for
    which ``again`` lists the things once more, in one call; ``key`` tells which are the same. The threads end with
    the call. What goes wrong in one of them is left to the caller's own thread, which reads whatever is left.
    """
    mine = {key(thing): thing for thing in things}
    wanted = deque(mine)
    found: dict[str, R] = {}

    def read_on(theirs: Mapping[str, T]) -> None:
        while wanted:
            try:
                one = wanted.popleft()
            except IndexError:  # another thread was quicker
                return
            try:
                with unless_gone():
                    if one in theirs:
                        found[one] = read(theirs[one])
            except BaseException:
                wanted.appendleft(one)
                raise

    def assist() -> None:
        with suppress(Exception):
            connection.beside(lambda: read_on({key(thing): thing for thing in again()}))()

    some = len(mine) > _FEW and not connection.sessions.first.shared
    helpers = [threading.Thread(target=assist, name="hyperkit-read", daemon=True) for _ in range((AT_ONCE - 1) * some)]
    for each in helpers:
        each.start()
    try:
        read_on(mine)
        for each in helpers:
            each.join()
        read_on(mine)
    except BaseException:
        wanted.clear()
        for each in helpers:
            each.join()
        raise
    return [(thing, found[one]) for one, thing in mine.items() if one in found]
