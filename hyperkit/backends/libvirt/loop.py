"""libvirt's event loop, run for applications that have none.

libvirt answers the pings of a daemon, sees that a peer is dead and delivers events from an event loop. The program
has to provide it, once in a process, before it opens its first connection, and has to run it from then on: a
connection that finds a loop registered and nobody who runs it is closed by the daemon after half a minute of silence.

`ensure_running` registers libvirt's own loop and runs it in one daemon thread, which takes no time while nothing
happens. An application with a loop of its own registers that before it connects, by ``virEventRegisterImpl``,
``libvirtaio.virEventRegisterAsyncIOImpl`` or ``virEventRegisterDefaultImpl``, and runs it: it is found and left alone.
So must one do that runs GLib's default main context, as every GTK program does: libvirt's own loop is that context,
which `virEventRegisterDefaultImpl` is enough to join.

**fork.** The loop stands still while the process forks, so that no lock of libvirt's is held in the child. There it is
not run: it would take from the parent's sockets what is meant for the parent. A forked child can connect, without
keep-alive and events; one that was spawned, or forked before the first connection, has all.

**Exit.** The thread leaves libvirt before the interpreter is taken down.
"""

from __future__ import annotations

import atexit
import os
import threading

import libvirt

_PATIENCE = 5.0
"""Seconds a fork or the program's end waits for a callback of somebody's that does not return."""
_NEVER, _AT_ONCE = -1, 0


class _Loop:
    """Our thread in libvirt's loop.

    Attributes:
        lock: held by whoever looks at or changes the rest.
        thread: None until it was started.
        lost: whether it stayed behind in the process that this one was forked from.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.thread: threading.Thread | None = None
        self.lost = False
        self._go_on = threading.Event()
        self._inside = threading.Lock()
        self._held = False
        self._alarm = _NEVER
        self._ended = False

    def start(self) -> None:
        libvirt.virEventRegisterDefaultImpl()
        self._alarm = libvirt.virEventAddTimeout(_NEVER, lambda _timer, _opaque: None, None)
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork_in_child
        )
        atexit.register(self._end)
        self._go_on.set()
        self._run_in_thread()

    def _run_in_thread(self) -> None:
        self.thread = threading.Thread(target=self._run, name="hyperkit-libvirt-events", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while True:
            self._go_on.wait()
            with self._inside:
                if self._go_on.is_set():
                    libvirt.virEventRunDefaultImpl()

    def _stand_still(self) -> None:
        """Have the thread outside of libvirt, and keep it there."""
        if self._held or threading.current_thread() is self.thread:
            return
        self._go_on.clear()
        libvirt.virEventUpdateTimeout(self._alarm, _AT_ONCE)  # ends the wait in libvirt
        self._held = self._inside.acquire(timeout=_PATIENCE)

    def _end(self) -> None:
        self._ended = True
        if not self.lost:
            self._stand_still()

    def _before_fork(self) -> None:
        if not self.lost:
            self.lock.acquire()
            self._stand_still()

    def _after_fork(self) -> None:
        if self.lost:
            return
        if not self._ended:
            libvirt.virEventUpdateTimeout(self._alarm, _NEVER)
            self._go_on.set()
            if self._held:
                self._held = False
                self._inside.release()
        self.lock.release()

    def _after_fork_in_child(self) -> None:
        if not self.lost:
            self.lost = True
            self.thread = None
            self.lock.release()


_loop = _Loop()


def ensure_running() -> bool:
    """Have libvirt's event loop run, before the first connection is opened; any number of times, in any thread.

    Returns:
        Whether one runs in this process, ours or the application's: a child that was forked while ours ran has none.
    """
    with _loop.lock:
        if _loop.lost:
            return False
        if _loop.thread is None and not _registered():
            _loop.start()
        return True


def _registered() -> bool:
    """Whether somebody has registered a loop: libvirt can tell only by whether it takes a timer."""
    try:
        timer = libvirt.virEventAddTimeout(_NEVER, lambda _timer, _opaque: None, None)
    except libvirt.libvirtError:
        return False
    libvirt.virEventRemoveTimeout(timer)
    return True
