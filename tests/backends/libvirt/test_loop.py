"""libvirt's event loop: that somebody runs it, once, and that neither forks nor exits suffer.

Each test has a process of its own: what loop a process has cannot be taken back. The events are those of libvirt's
test driver, which come by way of the loop as all others do.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

libvirt = pytest.importorskip("libvirt")

_COMMON = """
import os, signal, sys, threading
import libvirt
from hyperkit.backends.libvirt.loop import ensure_running

libvirt.registerErrorHandler(lambda *_: None, None)

def ours():
    return [thread for thread in threading.enumerate() if thread.name == "hyperkit-libvirt-events"]

def hears(conn):
    heard = threading.Event()
    conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *_: heard.set(), None)
    domain = conn.lookupByName("test")
    domain.suspend() if domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING else domain.resume()
    return heard.wait(30)

def child(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(program: str, *, timeout: float = 120) -> str:
    """A program's output; it ends in time, without a crash, and says nothing on standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:.*fork:DeprecationWarning", "-c", _COMMON + program],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_it_runs_and_delivers_events() -> None:
    assert run("print(ensure_running(), hears(libvirt.open('test:///default')), len(ours()))") == "True True 1\n"


def test_a_connection_starts_it() -> None:
    program = """
import hyperkit
with hyperkit.connect('test:///default') as host:
    print(hears(host.native), len(ours()))
"""
    assert run(program) == "True 1\n"


def test_it_is_started_once_by_however_many_threads() -> None:
    program = """
together = threading.Barrier(16)
threads = [threading.Thread(target=lambda: (together.wait(), ensure_running())) for _ in range(16)]
for each in threads: each.start()
for each in threads: each.join()
print(len(ours()), hears(libvirt.open('test:///default')))
"""
    assert run(program) == "1 True\n"


def test_an_applications_loop_is_left_alone() -> None:
    program = """
libvirt.virEventRegisterDefaultImpl()
def go_on():
    while True: libvirt.virEventRunDefaultImpl()
threading.Thread(target=go_on, daemon=True).start()
print(ensure_running(), len(ours()), hears(libvirt.open('test:///default')))
os._exit(0 if not sys.stdout.flush() else 1)
"""
    assert run(program) == "True 0 True\n"


def test_an_asyncio_application_has_its_own() -> None:
    program = """
import asyncio, libvirtaio
async def main():
    libvirtaio.virEventRegisterAsyncIOImpl()
    print(ensure_running(), len(ours()))
    heard = asyncio.Event()
    conn = libvirt.open('test:///default')
    conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *_: heard.set(), None)
    conn.lookupByName("test").suspend()
    print(await asyncio.wait_for(heard.wait(), 30))
asyncio.run(main())
os._exit(0 if not sys.stdout.flush() else 1)
"""
    assert run(program) == "True 0\nTrue\n"


def test_a_process_that_forks_keeps_its_loop() -> None:
    program = """
ensure_running()
conn = libvirt.open('test:///default')
print([child(lambda: True) for _ in range(50)] == [0] * 50, hears(conn), len(ours()))
"""
    assert run(program) == "True True 1\n"


def test_a_forked_child_has_no_loop_and_says_so() -> None:
    program = """
ensure_running()
print(child(lambda: ensure_running() is False and not ours() and libvirt.open('test:///default').listAllDomains()))
print(child(lambda: child(lambda: ensure_running() is False) == 0))
"""
    assert run(program) == "0\n0\n"


def test_a_child_that_is_forked_before_starts_its_own() -> None:
    program = "print(child(lambda: ensure_running() and hears(libvirt.open('test:///default'))), ensure_running())"
    assert run(program) == "0 True\n"


def test_a_fork_waits_until_the_loop_is_out_of_libvirt() -> None:
    """Whatever it is at, the child finds no lock of the loop's held."""
    program = """
ensure_running()
busy = libvirt.virEventAddTimeout(0, lambda *_: None, None)
def look():
    libvirt.virEventRemoveTimeout(libvirt.virEventAddTimeout(-1, lambda *_: None, None))
    return True
print([child(look) for _ in range(200)] == [0] * 200)
"""
    assert run(program) == "True\n"


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "conn.close()",
        "import subprocess; subprocess.run(['true'], preexec_fn=lambda: None)",
        "import atexit; atexit.register(lambda: child(lambda: True))",
        "import multiprocessing as m; m.get_context('fork').Process(target=ensure_running).start()",
    ],
)
def test_a_program_ends(end: str) -> None:
    program = f"ensure_running()\nconn = libvirt.open('test:///default')\nprint(hears(conn))\n{end}\n"
    assert run(program) == "True\n"


def test_a_program_ends_while_events_rain() -> None:
    program = """
ensure_running()
conn = libvirt.open('test:///default')
heard = threading.Event()
conn.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lambda *_: heard.set(), None)
def stir():
    domain = conn.lookupByName('test')
    while True:
        domain.suspend()
        domain.resume()
threading.Thread(target=stir, daemon=True).start()
print(heard.wait(30))
"""
    for _ in range(5):
        assert run(program) == "True\n"


def test_a_callback_that_hangs_holds_up_neither_fork_nor_exit_for_ever() -> None:
    program = """
from hyperkit.backends.libvirt import loop
loop._PATIENCE = 0.2
ensure_running()
stuck = threading.Event()
libvirt.virEventAddTimeout(0, lambda *_: (stuck.set(), threading.Event().wait()), None)
stuck.wait()
print(child(lambda: True))
"""
    assert run(program) == "0\n"
