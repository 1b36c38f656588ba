"""Delegation of version 1 control groups to a host, so that CPU shares, quotas and memory limits are real."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

CONTROLLERS = ("cpu", "cpuacct", "cpuset", "devices", "blkio", "memory", "freezer")
_SYS_RESOURCE = 1 << 24  # CAP_SYS_RESOURCE
_MOUNTS = Path("/sys/fs/cgroup")


def available() -> bool:
    """Whether this machine has all the controllers libvirt uses as version 1 hierarchies."""
    mounted: set[str] = set()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _device, where, kind, options, *_ = line.split()
        if kind == "cgroup" and os.access(where, os.W_OK):
            mounted.update(option for option in options.split(",") if where == str(_MOUNTS / option))
    return mounted.issuperset(CONTROLLERS)


def may_lock(size: int) -> bool:
    """Whether libvirt may start a QEMU with this memory limit here: it sets the limit of locked memory too."""
    _, most = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    status = Path("/proc/self/status").read_text()
    able = int(status.partition("CapEff:")[2].split()[0], 16) & _SYS_RESOURCE
    return bool(able) or most == resource.RLIM_INFINITY or most >= size


class ControlGroup:
    """One directory of the same name under every controller; a process started in it sees it as the root."""

    def __init__(self, name: str) -> None:
        self.name = name

    def path(self, controller: str) -> Path:
        """Where the group of one controller is, seen from outside the host."""
        return _MOUNTS / controller / self.name

    def create(self) -> None:
        """Make the directories. A cpuset starts without CPUs and memory nodes and would admit no process."""
        for controller in CONTROLLERS:
            self.path(controller).mkdir()
        cpuset = self.path("cpuset")
        for setting in ("cpuset.cpus", "cpuset.mems"):
            (cpuset / setting).write_text((cpuset.parent / setting).read_text())
        (cpuset / "cgroup.clone_children").write_text("1")

    def procs(self) -> list[str]:
        """The files a process writes its id to in order to join."""
        return [str(self.path(controller) / "cgroup.procs") for controller in CONTROLLERS]

    def remove(self, timeout: float = 5) -> None:
        """Remove the directories, deepest first; a killed process may hold them for a moment longer."""
        deadline = time.monotonic() + timeout
        for controller in CONTROLLERS:
            for directory, _children, _files in os.walk(self.path(controller), topdown=False):
                while True:
                    try:
                        os.rmdir(directory)
                    except OSError:
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.02)
                    else:
                        break
